"""Taiyi with its image tower, as `altclip train taiyi` leaves it: BERT read through its pooler, and CLIP's ViT.

The released folders hold the text encoder alone. This one has the names that transformers gives to a BERT and a CLIP
image tower inside a dual model; the layout is ours, and no other program reads it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from altclip.checkpoints.layouts import tables
from altclip.checkpoints.layouts.base import Layout, Settings
from altclip.checkpoints.layouts.clip import DUAL, VISION
from altclip.checkpoints.layouts.sections import number, part
from altclip.checkpoints.layouts.text_towers import BERT
from altclip.models import ModelConfig, heads_of


def _read(settings: Mapping[str, Any]) -> ModelConfig:
    return ModelConfig(
        vision=VISION.read(part(settings, "vision", VISION.defaults)),
        text=BERT.read(part(settings, "text", BERT.defaults)),
        projection_dim=int(number(settings, "projection_dim", 768)),
        logit_scale_init_value=number(settings, "logit_scale_init_value", DUAL["logit_scale_init_value"]),
        heads=heads_of("taiyi-pooler"),
    )


def _write(config: ModelConfig) -> Settings:
    space = {"projection_dim": config.projection_dim}
    towers = {} if config.text is None else {"text_config": BERT.write(config.text)}
    if config.vision is not None:
        towers["vision_config"] = VISION.write(config.vision, **space)
    return {**space, "logit_scale_init_value": config.logit_scale_init_value, **towers, "model_type": "altclip-taiyi"}


TAIYI: Final = Layout(
    name="Taiyi with its image tower",
    rows=(
        *tables.vit("vision_model."),
        *tables.bert("text_model."),
        ("text.pooler", "text_model.pooler.dense"),
        ("visual_projection", "visual_projection"),
        ("logit_scale", "logit_scale"),
    ),
    starts=("text_model.embeddings.word_embeddings", "text_model.pooler.", "vision_model."),
    lacks=("text_projection",),
    ignored=tables.BUFFERS,
    read=_read,
    write=_write,
    holds=lambda config: (
        config.text is not None
        and config.text.architecture == "bert"
        and config.vision is not None
        and config.heads == heads_of("taiyi-pooler")
    ),
)

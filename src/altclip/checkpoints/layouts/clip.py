"""CLIP as transformers writes it, and an image tower alone (CLIP's and AltCLIP's are the same ViT, name by name)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from altclip.checkpoints.layouts import tables
from altclip.checkpoints.layouts.altclip import VISION as ALTCLIP_VISION
from altclip.checkpoints.layouts.base import Layout, Settings, Shapes
from altclip.checkpoints.layouts.dual import DEFAULTS, dual
from altclip.checkpoints.layouts.sections import Section, number
from altclip.models import ModelConfig, TextConfig, VisionConfig

VISION: Final = Section(VisionConfig, "clip_vision_model", ALTCLIP_VISION.defaults)
TEXT: Final = Section(
    TextConfig,
    "clip_text_model",
    {
        "vocab_size": 49408, "hidden_size": 512, "intermediate_size": 2048, "projection_dim": 512,
        "num_hidden_layers": 12, "num_attention_heads": 8, "max_position_embeddings": 77, "hidden_act": "quick_gelu",
        "layer_norm_eps": 1e-5, "attention_dropout": 0.0, "initializer_range": 0.02, "initializer_factor": 1.0,
        "pad_token_id": 1, "bos_token_id": 49406, "eos_token_id": 49407,
    },
    renamed={"attention_dropout": "attention_probs_dropout_prob"},
    fixed={"architecture": "clip", "type_vocab_size": 0},
)  # fmt: skip
DUAL: Final[Mapping[str, Any]] = {**DEFAULTS, "projection_dim": 512}


def _read_vision(settings: Mapping[str, Any], _shapes: Shapes) -> ModelConfig:
    width = int(number(settings, "projection_dim", DUAL["projection_dim"]))
    return ModelConfig(vision=VISION.read(settings), text=None, projection_dim=width, heads={})


def _write_vision(config: ModelConfig) -> Settings:
    values = {} if config.vision is None else VISION.write(config.vision, projection_dim=config.projection_dim)
    return {**values, "architectures": ["CLIPVisionModelWithProjection"]}


CLIP: Final = dual(
    "Hugging Face CLIP",
    vision=VISION,
    text=TEXT,
    family="clip",
    projection_dim=DUAL["projection_dim"],
    model_type="clip",
    architecture="CLIPModel",
    rows=(
        *tables.clip_text("text_model."),
        ("text.norms.final_norm", "text_model.final_layer_norm"),
        ("text.projections.text_projection", "text_projection"),
    ),
    starts=("text_model.embeddings.token_embedding", "vision_model."),
)

IMAGE_TOWER: Final = Layout(
    name="Hugging Face CLIP or AltCLIP image tower",
    rows=(*tables.vit("vision_model."), ("visual_projection", "visual_projection")),
    starts=("vision_model.embeddings.patch_embedding",),
    lacks=("text_model.",),
    aliases=(
        (r"^(embeddings|encoder|pre_layrnorm|post_layernorm)\.", r"vision_model.\1."),
        (r"^vision_model\.encoder\.layer\.", "vision_model.encoder.layers."),
    ),
    ignored=tables.BUFFERS,
    read=_read_vision,
    write=_write_vision,
    holds=lambda config: config.vision is not None and config.text is None,
    absent=VISION.absent,
)

"""Taiyi: BERT read through its pooler, or through pooler and classifier, beside the image tower of a CLIP.

The released folders hold the text encoder alone, under the names that transformers gives to a BertModel (102M with
ViT-L/14) or a BertForSequenceClassification (102M with ViT-B/32, 326M). A classifier is told by its tensors. A
BertModel with its pooler is also what one starts training from, so such a folder is a plain BERT until a read-out is
asked for: `READOUTS` says which layout reads it then.

With its image tower, as `altclip train taiyi` or `Encoder.save` leaves it, the layout is ours, and no other program
reads it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from altclip.checkpoints.layouts import tables
from altclip.checkpoints.layouts.base import Layout, Rows, Settings, Shapes
from altclip.checkpoints.layouts.clip import VISION
from altclip.checkpoints.layouts.dual import dual
from altclip.checkpoints.layouts.sections import Section
from altclip.checkpoints.layouts.text_towers import BERT, BERT_TOWER
from altclip.models import ModelConfig, TextConfig, heads_of

_CLASSIFYING: Final = Section(TextConfig, "bert", {**BERT.defaults, "project_dim": 768}, fixed=BERT.fixed)
_POOLER: Final = ("text.pooler", "pooler.dense")
_CLASSIFIER: Final = ("text.linears.classifier", "classifier")
_DUAL: Final[Mapping[str, Any]] = {
    "vision": VISION,
    "projection_dim": 768,
    "model_type": "altclip-taiyi",
    "architecture": None,
}


def _text_encoder(name: str, family: str, section: Section[TextConfig], *readout: tuple[str, str]) -> Layout:
    """The text encoder alone. Outputs of a classifier are counted in the file: config.json names each of them."""
    heads = heads_of(family)

    def read(settings: Mapping[str, Any], shapes: Shapes) -> ModelConfig:
        text = section.read(settings)
        outputs = shapes.get(f"{_CLASSIFIER[0]}.weight")
        text = replace(text, project_dim=outputs[0]) if outputs else text
        return ModelConfig(vision=None, text=text, heads=heads)

    def write(config: ModelConfig) -> Settings:
        text = config.text or TextConfig()
        labels = {str(number): f"LABEL_{number}" for number in range(text.project_dim)}
        return {**section.write(text), "id2label": labels, "architectures": ["BertForSequenceClassification"]}

    def holds(config: ModelConfig) -> bool:
        architecture = None if config.text is None else config.text.architecture
        return architecture == "bert" and config.vision is None and config.heads == heads

    return replace(
        BERT_TOWER, name=name, rows=(*BERT_TOWER.rows, *readout),
        starts=(*BERT_TOWER.starts, *(f"{theirs}." for _, theirs in readout)),
        ignored=(*tables.BUFFERS, r"^lm_head\.", r"^cls\."), read=read, write=write, holds=holds,
    )  # fmt: skip


def _inside(*readout: tuple[str, str]) -> Rows:
    """The names of a read-out in a model of both towers."""
    return tuple((ours, f"text_model.{theirs}") for ours, theirs in readout)


TAIYI_TEXT: Final = _text_encoder("Taiyi text encoder", "taiyi-classifier", _CLASSIFYING, _POOLER, _CLASSIFIER)
TAIYI_POOLER_TEXT: Final = _text_encoder("Taiyi text encoder, read by its pooler", "taiyi-pooler", BERT, _POOLER)
READOUTS: Final[Mapping[str, Layout]] = {BERT_TOWER.name: TAIYI_POOLER_TEXT}

TAIYI: Final = dual(
    "Taiyi with its image tower",
    text=BERT,
    family="taiyi-pooler",
    rows=(*tables.bert("text_model."), *_inside(_POOLER)),
    starts=("text_model.embeddings.word_embeddings", "text_model.pooler.", "vision_model."),
    lacks=("text_projection", "text_model.classifier."),
    **_DUAL,
)
TAIYI_CLASSIFIER: Final = dual(
    "Taiyi with classifier and its image tower",
    text=_CLASSIFYING,
    family="taiyi-classifier",
    rows=(*tables.bert("text_model."), *_inside(_POOLER, _CLASSIFIER)),
    starts=("text_model.embeddings.word_embeddings", "text_model.pooler.", "text_model.classifier.", "vision_model."),
    lacks=("text_projection",),
    **_DUAL,
)

"""Which image tower a text encoder that ships alone was trained beside, as data.

A new family is a row of `COMPANIONS`: the name of its heads in `altclip.models.heads`, the length of its text
embeddings (None for any), what the tower is called, and what to give as `image_weights` (a hub id). The first row that
fits counts, so a row for one length goes before that for any.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from altclip.models import ModelConfig, heads_of


@dataclass(frozen=True)
class Companion:
    """family: a row of HEADS; dim: of text embeddings, None for any; tower: in words; weights: for `image_weights`."""

    family: str
    dim: int | None
    tower: str
    weights: str


_OPENAI_B32: Final = ("OpenAI's CLIP ViT-B/32", "openai/clip-vit-base-patch32")
_OPENAI_L14: Final = ("OpenAI's CLIP ViT-L/14", "openai/clip-vit-large-patch14")
_LAION_B16: Final = ("LAION's CLIP ViT-B/16+ at 240 pixels", "timm/vit_base_patch16_plus_clip_240.laion400m_e32")

COMPANIONS: Final = (
    Companion("m-clip", 512, *_OPENAI_B32),
    Companion("m-clip", 640, *_LAION_B16),
    Companion("m-clip", 768, *_OPENAI_L14),
    Companion("taiyi-classifier", 512, *_OPENAI_B32),
    Companion("taiyi-classifier", 768, *_OPENAI_L14),
    Companion("taiyi-pooler", 768, *_OPENAI_L14),
)


def wanted_image_tower(config: ModelConfig) -> str:
    """What to do for images with a model that has no image tower: a sentence without a full stop."""
    for row in COMPANIONS:
        if config.heads == heads_of(row.family) and row.dim in (None, _dim(config)):
            return f'it was trained beside {row.tower}: open it with image_weights="{row.weights}"'
    return "name one with image_weights="


def _dim(config: ModelConfig) -> int | None:
    """Length of a text embedding before any projection into the shared space."""
    if config.text is None:
        return None
    return config.text.project_dim if any(head.linear for head in config.heads.values()) else config.text.hidden_size

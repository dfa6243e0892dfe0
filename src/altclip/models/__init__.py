"""Towers, heads and the dual encoder as plain torch modules; they know nothing of files, tokenizers or training."""

from altclip.models.config import ModelConfig, TextConfig, VisionConfig
from altclip.models.dual import DualEncoder
from altclip.models.heads import HEADS, Head, heads_of
from altclip.models.init import initialise
from altclip.models.outputs import ModelOutput
from altclip.models.presets import PRESETS, preset

__all__ = [
    "HEADS",
    "PRESETS",
    "DualEncoder",
    "Head",
    "ModelConfig",
    "ModelOutput",
    "TextConfig",
    "VisionConfig",
    "heads_of",
    "initialise",
    "preset",
]

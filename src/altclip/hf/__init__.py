"""The class names of the model cards, for code written for transformers; thin over models and checkpoints."""

from altclip.hf.config import AltCLIPConfig, AltCLIPTextConfig, AltCLIPVisionConfig
from altclip.hf.models import AltCLIP, AltCLIPModel
from altclip.hf.processor import AltCLIPProcessor
from altclip.hf.towers import AltCLIPTextModel, AltCLIPVisionModel

__all__ = [
    "AltCLIP",
    "AltCLIPConfig",
    "AltCLIPModel",
    "AltCLIPProcessor",
    "AltCLIPTextConfig",
    "AltCLIPTextModel",
    "AltCLIPVisionConfig",
    "AltCLIPVisionModel",
]

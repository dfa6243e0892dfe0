"""How a model is run: an engine takes arrays and gives arrays, whatever computes in between."""

from altclip.engines.base import Engine, Features, Ids, Pixels
from altclip.engines.choosing import ENGINES, PRECISIONS, check_choices, choose, dtype_for, known_engines, pick
from altclip.engines.eager import TorchEngine
from altclip.engines.openvino import OpenVINOEngine

__all__ = [
    "ENGINES",
    "PRECISIONS",
    "Engine",
    "Features",
    "Ids",
    "OpenVINOEngine",
    "Pixels",
    "TorchEngine",
    "check_choices",
    "choose",
    "dtype_for",
    "known_engines",
    "pick",
]

"""How a model is run: an engine takes arrays and gives arrays, whatever computes in between."""

from altclip.engines.base import Engine, Features, Ids, Pixels
from altclip.engines.choosing import ENGINES, PRECISIONS, check_choices, choose, dtype_for, reason_for
from altclip.engines.eager import TorchEngine

__all__ = [
    "ENGINES",
    "PRECISIONS",
    "Engine",
    "Features",
    "Ids",
    "Pixels",
    "TorchEngine",
    "check_choices",
    "choose",
    "dtype_for",
    "reason_for",
]

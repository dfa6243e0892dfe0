"""How a model is run: an engine takes arrays and gives arrays, whatever computes in between."""

from altclip.engines.base import Engine, Features, Ids, Pixels
from altclip.engines.choosing import (
    ENGINES,
    PRECISIONS,
    check_choices,
    choose,
    computes_in,
    dtype_for,
    known_engines,
    pick,
    pick_place,
)
from altclip.engines.compiled import CompiledEngine
from altclip.engines.eager import TorchEngine
from altclip.engines.onnx import OnnxEngine
from altclip.engines.openvino import OpenVINOEngine
from altclip.engines.quantising import Samples, check_enough

__all__ = [
    "ENGINES",
    "PRECISIONS",
    "CompiledEngine",
    "Engine",
    "Features",
    "Ids",
    "OnnxEngine",
    "OpenVINOEngine",
    "Pixels",
    "Samples",
    "TorchEngine",
    "check_choices",
    "check_enough",
    "choose",
    "computes_in",
    "dtype_for",
    "known_engines",
    "pick",
    "pick_place",
]

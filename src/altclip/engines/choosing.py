"""Which engine runs a model, in which precision, and why."""

from __future__ import annotations

from typing import Final

import torch

from altclip.device import pick_dtype
from altclip.engines import openvino
from altclip.engines.base import Engine
from altclip.engines.eager import TorchEngine
from altclip.engines.kept import cache_folder
from altclip.engines.openvino import OpenVINOEngine
from altclip.errors import UsageError
from altclip.models import DualEncoder

ENGINES: Final = ("torch", "openvino")
PRECISIONS: Final = ("fast", "exact")
_LARGE: Final = 50_000_000  # parameters; smaller models have done their work before a graph is compiled


def check_choices(engine: str, precision: str) -> None:
    """Raise UsageError for an engine or a precision that there is none of, before anything is loaded for it."""
    for what, given, known in (("engine", engine, ("auto", *ENGINES)), ("precision", precision, PRECISIONS)):
        if given not in known:
            raise UsageError(f"{what} '{given}' is not known: expected one of {', '.join(known)}")
    if engine == "openvino":
        openvino.library()


def dtype_for(dtype: str | torch.dtype, precision: str, device: torch.device) -> torch.dtype:
    """The number format to load weights in: the one named, else float32 if exact, else the device's quickest."""
    return torch.float32 if dtype == "auto" and precision == "exact" else pick_dtype(dtype, device)


def choose(
    engine: str, model: DualEncoder, *, precision: str = "fast", head: str = "retrieval", changing: bool = False
) -> tuple[Engine, str]:
    """The engine of that name around a model, and the reason in words.

    Args:
        engine: "auto", or one of `ENGINES`.
        model: on its device, in its number format.
        precision: "fast" or "exact".
        head: through which texts are read.
        changing: whether the caller may still change the weights, which a compiled graph would not see.

    Raises:
        UsageError: an unknown engine or precision; or one that does not go with the model's device or number format.
        MissingExtraError: the engine's library is not installed.
    """
    check_choices(engine, precision)
    weight = next(model.parameters())
    name, reason = pick(engine, weight.device, weight.dtype, sum(p.numel() for p in model.parameters()), changing)
    if name == "torch":
        return TorchEngine(model, exact=precision == "exact", head=head), reason
    if weight.device.type != "cpu" or weight.dtype != torch.float32:
        raise UsageError(
            f"engine 'openvino' takes a float32 model on the CPU, not {weight.dtype} on {weight.device}: give "
            "device='cpu' and no dtype; precision='fast' computes in bfloat16 where the CPU can"
        )
    return OpenVINOEngine(model, precision=precision, head=head, cache=cache_folder()), reason


def pick(
    engine: str, device: torch.device, dtype: torch.dtype, parameters: int, changing: bool = False
) -> tuple[str, str]:
    """The name of the engine that is taken, and why."""
    if engine != "auto":
        return engine, f"{engine}: asked for by name"
    if device.type != "cpu":
        return "torch", f"torch: the model is on {device}, and openvino is for CPUs"
    if dtype != torch.float32:
        return "torch", f"torch: {str(dtype).removeprefix('torch.')} was asked for"
    if changing:
        return "torch", "torch: the model was given in memory, and its weights may still change"
    if parameters < _LARGE:
        return "torch", f"torch: a model of {parameters / 1e6:.0f} M parameters starts faster in it"
    if not openvino.is_installed():
        return "torch", "torch: openvino, made for CPUs, is not installed (pip install 'altclip[openvino]')"
    return "openvino", "openvino: installed, and made for large models on a CPU"


def known_engines() -> dict[str, str]:
    """Each engine, and whether it can run here: in which number formats, or what to install."""
    formats = "float32, bfloat16" if openvino.is_installed() and openvino.has_bfloat16() else "float32"
    return {
        "torch": f"torch {torch.__version__}, on every device; float32, bfloat16, float16",
        "openvino": f"on the CPU; {formats}"
        if openvino.is_installed()
        else "not installed: pip install 'altclip[openvino]'",
    }

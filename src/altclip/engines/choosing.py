"""Which engine runs a model, in which precision, and why."""

from __future__ import annotations

from typing import Final

import torch

from altclip.device import cpu_has_bfloat16, pick_device, pick_dtype
from altclip.engines import onnx_library, openvino, quantising
from altclip.engines.base import Engine
from altclip.engines.compiled import CompiledEngine, check_compiler
from altclip.engines.eager import TorchEngine
from altclip.engines.kept import cache_folder
from altclip.engines.onnx import OnnxEngine
from altclip.engines.openvino import OpenVINOEngine
from altclip.engines.quantising import Samples
from altclip.errors import UsageError
from altclip.models import DualEncoder

ENGINES: Final = ("torch", "compiled", "openvino", "onnx")
_ON_CPU: Final = ("openvino", "onnx")
PRECISIONS: Final = ("fast", "exact", "int8")
_LARGE: Final = 50_000_000  # parameters; smaller models have done their work before a graph is compiled


def check_choices(engine: str, precision: str) -> None:
    """Raise UsageError for an engine or a precision that there is none of, before anything is loaded for it."""
    for what, given, known in (("engine", engine, ("auto", *ENGINES)), ("precision", precision, PRECISIONS)):
        if given not in known:
            raise UsageError(f"{what} '{given}' is not known: expected one of {', '.join(known)}")
    if precision == "int8":
        if engine not in ("auto", "openvino"):
            raise UsageError(f"precision 'int8' is for engine 'openvino', not '{engine}': leave the engine out")
        quantising.library()
    if engine == "openvino" or precision == "int8":
        openvino.library()
    if engine == "onnx":
        onnx_library.check_installed()


def pick_place(device: str | torch.device, engine: str, precision: str) -> torch.device:
    """The device, as `pick_device`; the CPU for what runs there alone. Raises UsageError where another is asked for."""
    only_cpu = engine in _ON_CPU or precision == "int8"
    place = pick_device("cpu" if only_cpu and device == "auto" else device)
    if only_cpu and place.type != "cpu":
        what = f"engine '{engine}'" if engine in _ON_CPU else f"precision '{precision}'"
        raise UsageError(f"{what} computes on the CPU, not on {place}: give device 'cpu' or 'auto'")
    return place


def dtype_for(dtype: str | torch.dtype, precision: str, device: torch.device) -> torch.dtype:
    """The number format to load weights in: the one named, else float32 if exact, else the device's quickest."""
    return torch.float32 if dtype == "auto" and precision == "exact" else pick_dtype(dtype, device)


def choose(
    engine: str,
    model: DualEncoder,
    *,
    precision: str = "fast",
    head: str = "retrieval",
    changing: bool = False,
    samples: Samples | None = None,
    half: bool = True,
) -> tuple[Engine, str]:
    """The engine of that name around a model, and the reason in words.

    Args:
        engine: "auto", or one of `ENGINES`.
        model: on its device, in its number format.
        precision: one of `PRECISIONS`.
        head: through which texts are read.
        changing: whether the caller may still change the weights, which a compiled graph would not see.
        samples: what int8 is calibrated on.
        half: whether "fast" may compute in bfloat16 where the weights are float32 and the CPU has it.

    Raises:
        UsageError: an unknown engine or precision; or one that does not go with the model's device or number format.
        MissingExtraError: the engine's library is not installed.
    """
    check_choices(engine, precision)
    weight = next(model.parameters())
    parameters = sum(p.numel() for p in model.parameters())
    name, reason = pick(engine, weight.device, weight.dtype, parameters, changing, precision)
    if precision == "fast" and not half:
        precision = "exact"
    if name == "torch":
        copied = _copied_in_half(weight, precision, parameters, changing)
        dtype = torch.bfloat16 if copied else None
        return TorchEngine(model, dtype=dtype, exact=precision == "exact", head=head), reason
    if name == "compiled":
        return CompiledEngine(model, precision="exact" if changing else precision, head=head), reason
    if weight.device.type != "cpu" or weight.dtype != torch.float32:
        raise UsageError(
            f"engine '{name}' takes a float32 model on the CPU, not {weight.dtype} on {weight.device}: give "
            "device='cpu' and no dtype"
        )
    if name == "onnx":
        return OnnxEngine(model, head=head, cache=cache_folder()), reason
    return OpenVINOEngine(model, precision=precision, head=head, cache=cache_folder(), samples=samples), reason


def _copied_in_half(weight: torch.Tensor, precision: str, parameters: int, changing: bool) -> bool:
    """Whether torch runs a copy in bfloat16, which is quicker than float32 for models of some size on some CPUs."""
    if precision != "fast" or changing or parameters < _LARGE:
        return False
    return weight.device.type == "cpu" and weight.dtype == torch.float32 and cpu_has_bfloat16()


def pick(
    engine: str,
    device: torch.device,
    dtype: torch.dtype,
    parameters: int,
    changing: bool = False,
    precision: str = "fast",
) -> tuple[str, str]:
    """The name of the engine that is taken, and why; for the arguments see `choose`."""
    name, reason = _pick(engine, device, dtype, parameters, changing, precision)
    wanted = precision == "fast" and name != "onnx" and parameters >= _LARGE and not changing
    if wanted and device.type == "cpu" and dtype == torch.float32 and not cpu_has_bfloat16():
        reason += "; in float32, since this CPU has no bfloat16"
    return name, reason


def _pick(
    engine: str, device: torch.device, dtype: torch.dtype, parameters: int, changing: bool, precision: str
) -> tuple[str, str]:
    if engine != "auto":
        return engine, f"{engine}: asked for by name"
    if precision == "int8":
        return "openvino", "openvino: the one that computes in int8"
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


def computes_in(engine: str, device: torch.device, dtype: torch.dtype, parameters: int, precision: str) -> str:
    """The number format that an engine set up by `choose` computes in; dtype: of the weights as they are loaded."""
    if precision == "int8":
        return "int8"
    large = engine in ("compiled", "openvino") or (engine == "torch" and parameters >= _LARGE)
    if large and precision == "fast" and device.type == "cpu" and dtype == torch.float32 and cpu_has_bfloat16():
        dtype = torch.bfloat16
    return str(dtype).removeprefix("torch.")


def known_engines() -> dict[str, str]:
    """Each engine, and whether it can run here: in which number formats, or what to install."""
    half = ", bfloat16" if cpu_has_bfloat16() else ""
    return {
        "torch": f"torch {torch.__version__}, on every device; float32, bfloat16, float16",
        "compiled": _no_compiler() or f"torch.compile, on CPUs and CUDA devices; float32{half}",
        "openvino": f"on the CPU; float32{half}, int8" if openvino.is_installed() else _absent("openvino"),
        "onnx": "onnxruntime, on the CPU; float32" if onnx_library.is_installed() else _absent("onnx"),
    }


def _absent(extra: str) -> str:
    return f"not installed: pip install 'altclip[{extra}]'"


def _no_compiler() -> str | None:
    try:
        check_compiler(torch.device("cpu"))
    except UsageError as error:
        return f"cannot run here: {error}"
    return None

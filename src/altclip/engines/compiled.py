"""The engine `compiled`: torch.compile on CPUs and CUDA devices, with CUDA graphs where launches cost more than work.

One layer is compiled, and serves all layers of its tower, so that the first start takes the time of a layer and not of
24. What was compiled is kept by inductor, torch's compiler, in a folder beside the other engines' graphs.
"""

from __future__ import annotations

import os
import shutil
import sys
import sysconfig
import tempfile
import threading
import types
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor, nn

from altclip.device import cpu_has_bfloat16
from altclip.engines.base import Features, Ids, Pixels
from altclip.engines.eager import TorchEngine, in_format
from altclip.engines.kept import CacheNotice, cache_folder
from altclip.engines.recorded import Recordings
from altclip.errors import UsageError
from altclip.models import DualEncoder
from altclip.models.layers import Layers

_FOLDER: Final = "TORCHINDUCTOR_CACHE_DIR"
# torch's tracer has state of the whole process: a call must not trace while another runs what was traced.
_ONE_AT_A_TIME: Final = threading.RLock()


class CompiledEngine:
    """Runs a DualEncoder through torch.compile. The model is left as it is; later changes to its weights count.

    On a CPU every batch size and length runs through the same code, but that a batch of one has its own. On a CUDA
    device small batches are filled up to a few shapes, each recorded once (see `recorded.py`).

    precision: "exact", or "fast": on a CPU that has bfloat16 a copy of the model in it is run, and later changes do not
    count. head: through which texts are read.

    Raises UsageError for a model on another kind of device, or where there is no compiler.
    """

    name: Final = "compiled"

    def __init__(self, model: DualEncoder, *, precision: str = "fast", head: str = "retrieval") -> None:
        device = model.logit_scale.device
        check_compiler(device)
        keep_code()
        half = precision == "fast" and device.type == "cpu" and cpu_has_bfloat16()
        self._torch = TorchEngine(
            with_compiled_layers(in_format(model, torch.bfloat16 if half else None)),
            exact=precision == "exact",
            head=head,
        )
        self._recordings = Recordings(self._torch) if device.type == "cuda" else None

    @property
    def device(self) -> torch.device:
        return self._torch.device

    @property
    def dtype(self) -> torch.dtype:
        return self._torch.dtype

    def encode_image(self, pixels_BCSS: Pixels) -> Features:
        with _ONE_AT_A_TIME:
            return (self._recordings or self._torch).encode_image(pixels_BCSS)

    def encode_text(self, ids_BL: Ids, mask_BL: Ids) -> Features:
        with _ONE_AT_A_TIME:
            return (self._recordings or self._torch).encode_text(ids_BL, mask_BL)


def check_compiler(device: torch.device, what: str = "engine 'compiled'", instead: str = "engine='torch'") -> None:
    """Raise UsageError unless what torch.compile needs on this machine is here; nothing is compiled for it.

    what, instead: what needs it, and what does not, as the error names them.
    """
    if device.type not in ("cpu", "cuda"):
        raise UsageError(f"{what} is for CPUs and CUDA devices, not {device}: take {instead}")
    names = (os.environ.get("CC"), "gcc", "clang", "cc") if device.type == "cuda" else (cpp_compiler(),)
    if not any(name and shutil.which(name) for name in names):
        raise UsageError(
            f"{what} needs a compiler, and '{names[-1]}' is not found: install g++ (Linux: apt install g++ "
            "or dnf install gcc-c++; macOS: xcode-select --install; Windows: MSVC of the Visual Studio Build Tools), "
            f"name another in the variable CXX, or take {instead}"
        )
    if not (Path(sysconfig.get_path("include")) / "Python.h").is_file():
        raise UsageError(
            f"{what} needs Python.h, and {sysconfig.get_path('include')} has none: install the headers of "
            f"this Python (apt install python3-dev, dnf install python3-devel), or take {instead}"
        )


def cpp_compiler() -> str:
    """The C++ compiler that inductor calls."""
    return os.environ.get("CXX") or {"darwin": "clang++", "win32": "cl"}.get(sys.platform, "g++")


def keep_code() -> None:
    """Have inductor keep its code in `altclip/inductor` of the user's cache folder, unless it was told where.

    That is a setting of the process, an environment variable. Where nothing can be written, a CacheNotice says so, and
    inductor keeps its code in the folder for temporary files.
    """
    told = os.environ.get(_FOLDER)
    if told and not _is_torchs_own(Path(told)):
        return
    folder = cache_folder().with_name("inductor")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK | os.X_OK):
            raise PermissionError(f"no permission to write in {folder}")
    except OSError as error:
        warnings.warn(f"compiled code cannot be kept in {folder} ({error})", CacheNotice, stacklevel=1)
        return
    os.environ[_FOLDER] = str(folder)


def _is_torchs_own(folder: Path) -> bool:
    """Whether it is the folder that inductor puts into that variable when it is imported and finds none."""
    return folder.name.startswith("torchinductor_") and folder.parent == Path(tempfile.gettempdir()).absolute()


def with_compiled_layers(model: DualEncoder) -> DualEncoder:
    """The model itself, its layers replaced by compiled ones; embeddings and read-out, hardly any work, stay."""
    stacks: list[Layers] = [model.vision.layers] if model.config.vision else []
    stacks += [model.text.tower.layers] if model.config.text else []
    for layers in stacks:
        middle, last = _compiled(), _compiled()  # the last layer computes one token alone
        for number, layer in enumerate(layers, 1):
            layers[number - 1] = CompiledLayer(layer, last if number == len(layers) else middle)
    return model


class CompiledLayer(nn.Module):
    """Stands for a `Layer`, without weights of attention."""

    def __init__(self, layer: nn.Module, run: Callable[..., Tensor]) -> None:
        super().__init__()
        self.layer, self.run = layer, run

    def forward(
        self, x: Tensor, mask: Tensor | None, _: bool = False, only_B: Tensor | None = None
    ) -> tuple[Tensor, None]:
        return self.run(self.layer, x, mask, only_B), None


def _compiled() -> Callable[..., Tensor]:
    """`_layer` compiled, for all sizes that tensors may have.

    Each is a function with bytecode of its own: torch counts by bytecode what it compiles, and gives up after eight, so
    several engines of one process would stand in each other's way.
    """
    own = types.FunctionType(_layer.__code__.replace(), globals())
    return torch.compile(own, dynamic=True)


def _layer(layer: Any, x: Tensor, mask: Tensor | None, only_B: Tensor | None) -> Any:
    return layer(x, mask, False, only_B)[0]

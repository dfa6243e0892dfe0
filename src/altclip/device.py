"""Which device to compute on, and in which number format.

`auto` never fails; a device or format asked for by name that this machine cannot give is an error that says what it
can.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import torch

from altclip.errors import UsageError

DTYPES: Final[dict[str, torch.dtype]] = {
    "float32": torch.float32,
    "fp32": torch.float32,
    "bfloat16": torch.bfloat16,
    "bf16": torch.bfloat16,
    "float16": torch.float16,
    "fp16": torch.float16,
    "float64": torch.float64,
}

# Levels of oneDNN, which computes torch's bfloat16 on CPUs, that leave it out, as ONEDNN_MAX_CPU_ISA names them.
_WITHOUT_BFLOAT16: Final = frozenset(
    {"SSE41", "AVX", "AVX2", "AVX2_VNNI", "AVX2_VNNI_2", "AVX512_CORE", "AVX512_CORE_VNNI"}
)


def available_devices() -> list[str]:
    """The devices of this machine, best first: `cuda:0`, `cuda:1`, ..., then `mps`, then `cpu`."""
    cuda = [f"cuda:{index}" for index in range(torch.cuda.device_count())] if torch.cuda.is_available() else []
    mps = ["mps"] if torch.backends.mps.is_available() else []
    return [*cuda, *mps, "cpu"]


def pick_device(name: str | torch.device = "auto") -> torch.device:
    """The device called `name`: `auto` (the best there is), `cuda`, `cuda:1`, `mps` or `cpu`.

    Raises:
        UsageError: no such device here; the message lists those there are.
    """
    present = available_devices()
    if name == "auto":
        return torch.device(present[0].removesuffix(":0"))  # plain `cuda` follows torch.cuda.set_device
    device = _parse(name)
    if device is None or not any(_same(device, torch.device(other)) for other in present):
        raise UsageError(
            f"device '{name}' is not here: torch {torch.__version__} finds {', '.join(present)}; "
            "take one of these or 'auto'"
        )
    return device


def _parse(name: str | torch.device) -> torch.device | None:
    try:
        return torch.device(name)
    except RuntimeError:  # not the name of any device
        return None


def _same(asked: torch.device, present: torch.device) -> bool:
    """Whether `asked` means `present`; a device without a number means any of its kind."""
    return asked.type == present.type and asked.index in (None, present.index or 0)


def pick_dtype(name: str | torch.dtype, device: torch.device) -> torch.dtype:
    """The number format called `name` on `device`.

    `auto` is bfloat16 on a CUDA device that computes in it (compute capability 8.0 and up), float16 on an older one,
    and float32 on everything else, where half precision is either slower or not complete.

    Raises:
        UsageError: not a floating-point format that models run in; the message lists those that are.
    """
    if name == "auto":
        return _best_dtype(device)
    dtype = DTYPES.get(name.removeprefix("torch.")) if isinstance(name, str) else name
    if dtype is None or dtype not in DTYPES.values():
        raise UsageError(f"dtype '{name}' is none that models run in: take one of {', '.join(DTYPES)} or 'auto'")
    if dtype is torch.float64 and device.type == "mps":
        raise UsageError("dtype 'float64' does not exist on device 'mps': take 'float32', or device 'cpu'")
    return dtype


def _best_dtype(device: torch.device) -> torch.dtype:
    if device.type != "cuda":
        return torch.float32
    with torch.cuda.device(device):
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16


def cpu_has_bfloat16() -> bool:
    """Whether this CPU computes matrix products in bfloat16, by AVX512_BF16 or AMX; elsewhere these are emulated.

    torch is asked, and where it is too old to tell, the kernel (`/proc/cpuinfo`, on Linux). The environment variable
    ONEDNN_MAX_CPU_ISA set to a level below AVX512_CORE_BF16 means no, for it keeps oneDNN from these instructions; set
    it before the program starts, oneDNN reads it once.
    """
    if os.environ.get("ONEDNN_MAX_CPU_ISA", "").upper() in _WITHOUT_BFLOAT16:
        return False
    return bool({"avx512_bf16", "amx_bf16"} & _cpu_features())


def _cpu_features() -> set[str]:
    """Names of instruction sets, as Linux spells them."""
    told = getattr(torch.cpu, "get_capabilities", None)  # not in the oldest torch that we take
    if told is not None:
        return {name for name, value in told().items() if value is True}
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8", errors="replace").splitlines() if info.is_file() else []
    return next((set(line.split()) for line in lines if line.startswith("flags")), set())

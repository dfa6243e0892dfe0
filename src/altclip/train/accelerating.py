"""The door to accelerate: devices, precision, several processes."""

from __future__ import annotations

import os
import warnings
from typing import TYPE_CHECKING, Any

from altclip.device import pick_device
from altclip.engines.compiled import check_compiler, keep_code
from altclip.errors import MissingExtraError, UsageError
from altclip.train.config import Recipe

if TYPE_CHECKING:
    from accelerate import Accelerator


def open_accelerator(recipe: Recipe, device: str = "auto") -> Accelerator:
    """An accelerator in the recipe's precision, alone or in the group of processes that a launcher has started.

    Raises:
        UsageError: the device is not here, cannot compute in that precision, or there is no compiler for `compile`.
        MissingExtraError: accelerate is not installed.
    """
    try:
        from accelerate import Accelerator
        from accelerate.state import AcceleratorState
        from accelerate.utils import TorchDynamoPlugin, patch_environment
    except ImportError as error:
        raise MissingExtraError("accelerate", "train") from error
    launched = "LOCAL_RANK" in os.environ
    kind = pick_device(device)
    if launched and kind.index is not None:
        raise UsageError(f"device '{device}' for several processes: each takes its own, so say '{kind.type}'")
    if recipe.precision == "fp16" and kind.type != "cuda":
        raise UsageError(f"precision fp16 needs a CUDA device, not '{kind}': take bf16 or no (--set precision=bf16)")
    if recipe.compile:
        check_compiler(kind, "compile", "compile=false")
        keep_code()
        warnings.filterwarnings("ignore", "Dynamo detected a call to a `functools.lru_cache`")
    AcceleratorState._reset_state(reset_partial_state=True)  # a second run in one process may want another precision
    named = {} if launched else {"ACCELERATE_TORCH_DEVICE": str(kind)}
    with patch_environment(**named):
        compiled = TorchDynamoPlugin(backend="inductor" if recipe.compile else "no", dynamic=False)
        return Accelerator(mixed_precision=recipe.precision, cpu=kind.type == "cpu", dynamo_plugin=compiled)


def gathered(value: Any, world_size: int) -> list[Any]:
    """The values of all processes, in the order of their ranks."""
    if world_size == 1:
        return [value]
    import torch.distributed as dist

    values: list[Any] = [None] * world_size
    dist.all_gather_object(values, value)
    return values

"""The engine `torch`: the model as it stands, or a copy in another number format, on any device that torch has."""

from __future__ import annotations

import copy
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Final

import torch
from numpy.typing import NDArray
from torch import Tensor

from altclip.engines.base import Features, Ids, Pixels
from altclip.models import DualEncoder


class TorchEngine:
    """Runs a DualEncoder, which is put into eval mode and otherwise left as it is: its device and dtype decide.

    dtype: compute in this number format; where the model has another, a copy is run, and the model is left alone. Later
    changes to its weights count only without. Meant for bfloat16 on CPUs (see `device.cpu_has_bfloat16`).
    exact: no tensor cores in place of float32 arithmetic. torch allows these (TF32) in convolutions by default, and
    leaves them out of matrix products unless the program asks for them. head: through which texts are read.
    """

    name: Final = "torch"

    def __init__(
        self,
        model: DualEncoder,
        *,
        dtype: torch.dtype | None = None,
        exact: bool = False,
        head: str = "retrieval",
    ) -> None:
        own = next(model.parameters()).dtype
        self.model = (model if dtype in (None, own) else in_format(model, dtype)).eval()
        self.exact, self.head = exact, head

    @property
    def device(self) -> torch.device:
        return self.model.logit_scale.device

    @property
    def dtype(self) -> torch.dtype:
        return next(self.model.parameters()).dtype

    def encode_image(self, pixels_BCSS: Pixels) -> Features:
        with torch.inference_mode(), self._arithmetic():
            return to_array(self.model.encode_image(to_device(pixels_BCSS, self.device)))

    def encode_text(self, ids_BL: Ids, mask_BL: Ids) -> Features:
        with torch.inference_mode(), self._arithmetic():
            ids, mask = (to_device(array, self.device) for array in (ids_BL, mask_BL))
            return to_array(self.model.encode_text(ids, mask, self.head))

    def _arithmetic(self) -> AbstractContextManager[None]:
        if not (self.exact and self.device.type == "cuda"):
            return nullcontext()
        cudnn = torch.backends.cudnn
        return cudnn.flags(
            enabled=cudnn.enabled, benchmark=cudnn.benchmark, deterministic=cudnn.deterministic, allow_tf32=False
        )


def in_format(model: DualEncoder, dtype: torch.dtype | None = None) -> DualEncoder:
    """A copy with weights in that number format; without one, a copy that shares the weights.

    Each weight is converted by itself: the copy takes no more memory than it is large, not even for a moment.
    """
    weights: dict[int, Any] = {}
    for weight in (*model.parameters(), *model.buffers()):
        other = weight.detach().to(dtype) if dtype is not None and weight.is_floating_point() else weight
        if isinstance(weight, torch.nn.Parameter) and other is not weight:
            other = torch.nn.Parameter(other, requires_grad=False)
        weights[id(weight)] = other
    return copy.deepcopy(model, weights)


def to_device(array: NDArray[Any], device: torch.device) -> Tensor:
    """The array as a tensor there. To a CUDA device it goes through pinned memory, beside what the GPU is doing."""
    tensor = torch.from_numpy(array)
    if device.type == "cuda":
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)


def to_array(features: Tensor) -> Features:
    """Features in float32 in the memory of the CPU, complete."""
    array: Features = features.float().cpu().numpy()
    return array

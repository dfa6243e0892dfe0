"""The engine `torch`: the model as it stands, on any device that torch has."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Final

import torch
from torch import Tensor

from altclip.engines.base import Features, Ids, Pixels
from altclip.models import DualEncoder


class TorchEngine:
    """Runs a DualEncoder, which is put into eval mode and otherwise left as it is: its device and dtype decide.

    exact: no tensor cores in place of float32 arithmetic. torch allows these (TF32) in convolutions by default, and
    leaves them out of matrix products unless the program asks for them. head: through which texts are read.
    """

    name: Final = "torch"

    def __init__(self, model: DualEncoder, *, exact: bool = False, head: str = "retrieval") -> None:
        self.model, self.exact, self.head = model.eval(), exact, head

    @property
    def device(self) -> torch.device:
        return self.model.logit_scale.device

    @property
    def dtype(self) -> torch.dtype:
        return next(self.model.parameters()).dtype

    def encode_image(self, pixels_BCSS: Pixels) -> Features:
        with torch.inference_mode(), self._arithmetic():
            return _array(self.model.encode_image(torch.from_numpy(pixels_BCSS).to(self.device)))

    def encode_text(self, ids_BL: Ids, mask_BL: Ids) -> Features:
        with torch.inference_mode(), self._arithmetic():
            ids, mask = (torch.from_numpy(array).to(self.device) for array in (ids_BL, mask_BL))
            return _array(self.model.encode_text(ids, mask, self.head))

    def _arithmetic(self) -> AbstractContextManager[None]:
        if not (self.exact and self.device.type == "cuda"):
            return nullcontext()
        cudnn = torch.backends.cudnn
        return cudnn.flags(
            enabled=cudnn.enabled, benchmark=cudnn.benchmark, deterministic=cudnn.deterministic, allow_tf32=False
        )


def _array(features: Tensor) -> Features:
    array: Features = features.float().cpu().numpy()
    return array

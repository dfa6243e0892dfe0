"""Small batches on a CUDA device as CUDA graphs: what the CPU launches, ten kernels a layer and more, is recorded once.

A recording has one shape, so batches and texts are filled up to few of them. Batches of more tokens keep the GPU busy
by themselves, and are run as they come. torch's own way (mode "reduce-overhead") fails in any thread but one
(pytorch issue 123177), and batches of an Encoder come from threads.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from altclip.engines.base import Features, Ids, Pixels
from altclip.engines.eager import TorchEngine, to_array

Work: TypeAlias = Callable[..., Tensor]
Arrays: TypeAlias = Sequence[NDArray[Any]]
Record: TypeAlias = Callable[[Work, Sequence[Tensor]], Callable[[Sequence[Tensor]], Tensor]]

_TOKENS: Final = 4608  # of a batch; from there on its work takes longer than its launches
_SHORTEST: Final = 8  # tokens of a text


class Recordings:
    """Runs the batches of a TorchEngine on a CUDA device. One call at a time.

    record: what makes a recording of some work on some inputs; tests put another here.
    """

    def __init__(self, engine: TorchEngine, record: Record | None = None) -> None:
        self.engine, self._record = engine, record or partial(CudaGraph, pool=torch.cuda.graph_pool_handle())
        self._made: dict[tuple[int, ...], Callable[[Sequence[Tensor]], Tensor]] = {}

    def encode_image(self, pixels_BCSS: Pixels) -> Features:
        vision = self.engine.model.config.vision
        count = upward(len(pixels_BCSS))
        if vision is None or count * (vision.grid_size**2 + 1) > _TOKENS:
            return self.engine.encode_image(pixels_BCSS)
        return self._run(self.engine.model.encode_image, [filled(pixels_BCSS, count)])[: len(pixels_BCSS)]

    def encode_text(self, ids_BL: Ids, mask_BL: Ids) -> Features:
        text, head = self.engine.model.config.text, self.engine.head
        count = upward(len(ids_BL))
        if text is None or count * ids_BL.shape[1] > _TOKENS or not self.engine.model.text.head(head).masked:
            return self.engine.encode_text(ids_BL, mask_BL)
        length = min(upward(ids_BL.shape[1], _SHORTEST), text.max_length)
        ids = filled(longer(ids_BL, length, text.pad_token_id), count)
        mask = filled(longer(mask_BL, length, 0), count)

        def work(ids: Tensor, mask: Tensor) -> Tensor:
            return self.engine.model.encode_text(ids, mask, head)

        return self._run(work, [ids, mask])[: len(ids_BL)]

    def _run(self, work: Work, arrays: Arrays) -> Features:
        """The work on these inputs, recorded when its shape is new."""
        shape = arrays[0].shape
        tensors = [torch.from_numpy(array) for array in arrays]
        with torch.inference_mode(), self.engine._arithmetic():
            if shape not in self._made:
                self._made[shape] = self._record(work, [tensor.to(self.engine.device) for tensor in tensors])
            return to_array(self._made[shape](tensors))


class CudaGraph:
    """Work on inputs of one shape, recorded; its memory stays taken.

    pool: memory that it shares with others: none runs beside another, and results are read before the next runs.
    """

    def __init__(self, work: Work, inputs: Sequence[Tensor], pool: Any) -> None:
        self.inputs, self.graph = inputs, torch.cuda.CUDAGraph()
        self.device = inputs[0].device
        with torch.cuda.device(self.device):
            beside = torch.cuda.Stream()  # type: ignore[no-untyped-call]
            beside.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(beside):
                for _ in range(2):  # compiles, and chooses algorithms, which a recording may not
                    work(*inputs)
            torch.cuda.current_stream().wait_stream(beside)
            # other threads may allocate meanwhile, which the other modes take for a mistake
            with torch.cuda.graph(self.graph, pool, beside, capture_error_mode="thread_local"):
                self.output = work(*inputs)

    def __call__(self, given: Sequence[Tensor]) -> Tensor:
        with torch.cuda.device(self.device):
            for own, new in zip(self.inputs, given, strict=True):
                own.copy_(new.pin_memory(), non_blocking=True)
            self.graph.replay()
            return self.output


def upward(size: int, least: int = 1) -> int:
    """The next power of two."""
    return max(least, 1 << (size - 1).bit_length())


def filled(array: NDArray[Any], count: int) -> NDArray[Any]:
    """As many rows, the last one again and again."""
    return np.pad(array, [(0, count - len(array)), *[(0, 0)] * (array.ndim - 1)], mode="edge")


def longer(array: NDArray[Any], length: int, value: int) -> NDArray[Any]:
    """As many columns, the new ones of this value."""
    return np.pad(array, ((0, 0), (0, length - array.shape[1])), constant_values=value)

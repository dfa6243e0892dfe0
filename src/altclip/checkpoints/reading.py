"""The tensors of a checkpoint on their way into a model: read, brought to their format and device, looked at for NaN.

Order: what needs no conversion is mapped at once and looked at in threads of ours while the caller builds its model;
what does is read when the caller knows which it needs, and looked at while the next one is converted.
"""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import reduce
from types import TracebackType
from typing import Self

import torch
from torch import Tensor

from altclip.checkpoints.finite import is_finite
from altclip.checkpoints.opening import Checkpoint


class Reader:
    """Reads one checkpoint once. Used as a context, which ends its threads.

    dtype: format to give; None is the widest of those in the files, so that nothing is lost.
    """

    def __init__(self, checkpoint: Checkpoint, dtype: torch.dtype | None, device: str | torch.device) -> None:
        self.checkpoint, self.device = checkpoint, torch.device(device)
        layout, entries = checkpoint.layout, checkpoint.weights.entries
        needed = [key for key in entries if not layout.is_ignored(layout.canonical(key))]
        found = [entries[key].dtype for key in needed if entries[key].dtype.is_floating_point]
        self.dtype = dtype or reduce(torch.promote_types, found, found[0] if found else torch.float32)
        self._pool = ThreadPoolExecutor(min(8, torch.get_num_threads()))  # memory is no faster for more
        self._finite: dict[str, Future[bool]] = {}
        self._mapped: dict[str, Tensor] = {}
        if self.device.type == "cpu" and all(entries[key].dtype == self.dtype for key in needed):
            self._mapped.update(checkpoint.weights.read(needed, release=False))
            for key in sorted(needed, key=lambda key: -entries[key].nbytes):  # so that none is left with a large one
                self._look_at(key, self._mapped[key])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown(cancel_futures=True)

    def take(self, keys: Iterable[str]) -> dict[str, Tensor]:
        """The tensors of these names, in the format and on the device asked for."""
        if self._mapped:
            return {key: self._mapped[key] for key in keys}
        taken = {}
        for key, tensor in self.checkpoint.weights.read(keys, release=True):
            taken[key] = tensor.to(self.device, self.dtype)
            del tensor  # a converted one must not keep its pages of the file
            self._look_at(key, taken[key])
        return taken

    def not_finite(self, keys: Iterable[str]) -> list[str]:
        """Which of the tensors taken hold NaN or infinity."""
        return [key for key in keys if not self._finite[key].result()]

    def _look_at(self, key: str, tensor: Tensor) -> None:
        if tensor.device.type == "cpu":
            self._finite[key] = self._pool.submit(is_finite, tensor)
        else:
            done: Future[bool] = Future()
            done.set_result(is_finite(tensor))
            self._finite[key] = done

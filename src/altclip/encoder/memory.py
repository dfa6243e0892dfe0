"""Batches that are too large for memory: halved until they fit, said once, and no later batch is larger."""

from __future__ import annotations

import warnings
from typing import Final

import numpy as np
import torch

from altclip.engines import Engine, Features
from altclip.engines.base import Inputs, Side
from altclip.errors import AltclipError, InputError

# How the libraries word it: torch on CPUs (Linux, Windows) and devices, cuBLAS and cuDNN, openvino, onnxruntime, C++.
_WORDS: Final = (
    "out of memory", "can't allocate memory", "cannot allocate memory", "not enough memory", "alloc_failed",
    "failed to allocate", "could not allocate", "unable to allocate", "bad_alloc", "bad allocation",
)  # fmt: skip


class MemoryNotice(UserWarning):
    """A batch did not fit into memory. It was halved, and the batches after it are no larger."""


def is_out_of_memory(error: Exception) -> bool:
    """Whether an engine says by this that memory is too little; only torch and Python have a class of error for it."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return not isinstance(error, AltclipError) and any(words in str(error).lower() for words in _WORDS)


class Room:
    """How large the batches of one encoder may be, as it turns out. Several threads may share one.

    Counted in numbers of the first input, so that a batch of long texts that was too large does not make those of
    short texts small.
    """

    def __init__(self) -> None:
        self._most: dict[Side, int] = {}
        self._said = False

    def encode(self, engine: Engine, side: Side, inputs: Inputs) -> Features:
        """The engine's features (B, D) of the inputs (B, ...), computed in as many parts as memory asks for.

        Raises InputError where it is too little for one image or text.
        """
        rows, each = len(inputs[0]), inputs[0][0].size
        most = max(1, self._most.get(side, rows * each) // each)
        if rows > most:
            half = (rows + 1) // 2
            parts = [[array[:half] for array in inputs], [array[half:] for array in inputs]]
            return np.concatenate([self.encode(engine, side, part) for part in parts])
        try:
            return engine.encode_image(*inputs) if side == "image" else engine.encode_text(*inputs)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            if rows == 1:
                raise _too_little(engine, side, inputs, error) from error
        # Out here, because the error holds on to all that the engine had in memory.
        self._halve(engine, side, rows, each)
        return self.encode(engine, side, inputs)

    def _halve(self, engine: Engine, side: Side, rows: int, each: int) -> None:
        half = (rows + 1) // 2
        self._most[side] = min(half * each, self._most.get(side, half * each))
        if self._said:
            return
        self._said = True
        warnings.warn(
            f"{engine.device} has too little memory for {rows} {side}s at once: the batch was halved, and later ones "
            f"are no larger; batch_size={half} or less begins so",
            MemoryNotice,
            stacklevel=1,
        )


def _too_little(engine: Engine, side: Side, inputs: Inputs, error: Exception) -> InputError:
    what = f"image of {inputs[0].shape[2]}x{inputs[0].shape[3]}" if side == "image" else f"text of {inputs[0].shape[1]}"
    said = (str(error).strip() or type(error).__name__).splitlines()[0]
    return InputError(
        f"{engine.device} has too little memory for one {what} {'pixels' if side == 'image' else 'tokens'} "
        f"(batch {inputs[0].shape}, engine '{engine.name}' in {str(engine.dtype).removeprefix('torch.')}): {said}; "
        "close what else uses memory, or open the model with another device=, with dtype='bfloat16', or a smaller model"
    )

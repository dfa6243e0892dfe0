"""Image embeddings on disk, computed once and kept by content: what made them is in their name.

The name is a digest of the image tower's weights, the preprocessing and the data set's own fingerprint, so a changed
model, setting or file is another entry and never a stale hit. Training and evaluation share the cache.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

Embed = Callable[[int, int], NDArray[np.float32]]


def digest_weights(weights: Iterable[tuple[str, torch.Tensor]]) -> str:
    """SHA-256 of named tensors: names, shapes, types and values."""
    state = hashlib.sha256()
    for name, tensor in sorted(weights, key=lambda entry: entry[0]):
        state.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        state.update(tensor.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes())
    return state.hexdigest()


def cached_embeddings(folder: Path, parts: Iterable[str], length: int, embed: Embed, batch: int) -> NDArray[np.float32]:
    """(length, D) float32, memory-mapped: from the entry named by `parts`, or made by `embed(start, stop)` and kept.

    An entry appears under its name only when whole.
    """
    name = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]
    path = folder / f"{name}.npy"
    if not path.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        rows = np.concatenate([embed(start, min(start + batch, length)) for start in range(0, length, batch)])
        partial = folder / f"{name}.{os.getpid()}.part.npy"
        np.save(partial, rows)
        os.replace(partial, path)
    return np.load(path, mmap_mode="r")  # type: ignore[no-any-return]

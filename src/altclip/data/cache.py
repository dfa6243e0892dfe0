"""Image embeddings on disk, computed once and kept by content: what made them is in their name.

The name is a digest of the image tower's weights, the preprocessing and the data set's own digest, so a changed model,
setting or file is another entry and never a stale hit. Training and evaluation share the cache.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

import numpy as np
import torch
from filelock import FileLock  # comes with torch and with huggingface_hub
from numpy.typing import NDArray

from altclip.errors import DataError

_ROW: Final = np.dtype("<f4")

Embed = Callable[[int, int], NDArray[np.float32]]


def digest_weights(weights: Iterable[tuple[str, torch.Tensor]]) -> str:
    """SHA-256 of named tensors: names, shapes, types and values."""
    state = hashlib.sha256()
    for name, tensor in sorted(weights, key=lambda entry: entry[0]):
        state.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        state.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return state.hexdigest()


def cached_embeddings(folder: Path, parts: Iterable[str], length: int, embed: Embed, batch: int) -> NDArray[np.float32]:
    """(length, D) float32, memory-mapped: from the entry of these `parts` and length, or made by `embed(start, stop)`.

    What is made is kept, under its name only when whole. What a killed run had made of it is taken up again; a second
    process that wants the same entry waits for the first. Raises DataError if it cannot be written.
    """
    name = hashlib.sha256("\0".join([*parts, str(length)]).encode()).hexdigest()[:32]
    path, partial = folder / f"{name}.npy", folder / f"{name}.part"
    if not path.is_file():
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with FileLock(folder / f"{name}.lock"):
                if not path.is_file():
                    _make(partial, length, embed, batch)
                    partial.replace(path)
        except OSError as error:
            raise DataError(f"embeddings cannot be kept in {folder} ({error}): make room there") from error
    return np.load(path, mmap_mode="r")  # type: ignore[no-any-return]


def _make(path: Path, length: int, embed: Embed, batch: int) -> None:
    """Append to the file what it lacks; its size tells how many rows a killed run has left in it."""
    done, begins, width = _left_by_a_killed_run(path)
    with path.open("r+b" if done else "wb") as file:
        file.truncate(begins + done * width * _ROW.itemsize)
        file.seek(0, os.SEEK_END)
        for start in range(done, length, batch):
            rows = embed(start, min(start + batch, length))
            if not file.tell():
                shape = {"descr": _ROW.str, "fortran_order": False, "shape": (length, rows.shape[1])}
                np.lib.format.write_array_header_1_0(file, shape)
            file.write(rows.astype(_ROW).tobytes())
        file.flush()
        os.fsync(file.fileno())


def _left_by_a_killed_run(path: Path) -> tuple[int, int, int]:
    """Whole rows in the file, where they begin, and their width; zeros where there is nothing to go on from."""
    if not path.is_file():
        return 0, 0, 0
    with path.open("rb") as file:
        try:
            np.lib.format.read_magic(file)
            (_, width), _, _ = np.lib.format.read_array_header_1_0(file)
        except ValueError:  # killed within the header
            return 0, 0, 0
        begins = file.tell()
    done = (path.stat().st_size - begins) // (width * _ROW.itemsize)
    return (done, begins, width) if done else (0, 0, 0)

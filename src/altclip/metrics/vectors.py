"""Embeddings as the metrics take them: two dimensions, float32, finite; normalising them; chunks of their products."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from altclip.errors import DataError, UsageError

Embeddings = NDArray[np.float32]

CHUNK_SCORES: Final = 2**24  # 64 MiB of scores at a time


def normalised(vectors: Embeddings) -> Embeddings:
    """Each row (N, D) divided by its length; a row of zeros stays."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    result: Embeddings = (vectors / np.maximum(lengths, 1e-12)).astype(np.float32)
    return result


def finite(values: NDArray[Any], name: str, dtype: Any = np.float32) -> NDArray[Any]:
    """The values in `dtype`. Raises UsageError unless they have two dimensions, DataError for NaN or infinity."""
    values = np.asarray(values, dtype)
    if values.ndim != 2:
        raise UsageError(f"{name} are of shape {values.shape}: expected two dimensions")
    if not np.isfinite(values).all():
        bad = np.flatnonzero(~np.isfinite(values).all(axis=1))
        raise DataError(
            f"{len(bad)} of {len(values)} {name} hold NaN or infinity, the first is row {bad[0]}: check the model"
        )
    return values


def products(queries: Embeddings, gallery: Embeddings) -> Iterator[tuple[int, Embeddings]]:
    """Inner products (R, G) of R queries at a time, with the number of the first: the (Q, G) matrix is never whole."""
    if queries.shape[1] != gallery.shape[1]:
        raise UsageError(f"queries of width {queries.shape[1]} for a gallery of width {gallery.shape[1]}")
    rows = max(1, CHUNK_SCORES // max(1, len(gallery)))
    for start in range(0, len(queries), rows):
        yield start, queries[start : start + rows] @ gallery.T

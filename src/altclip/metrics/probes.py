"""What the image tower knows without a text: each image takes the class of its nearest labelled neighbours."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from altclip.errors import UsageError
from altclip.metrics.vectors import Embeddings, finite, products

NEIGHBOURS: Final = 20
TEMPERATURE: Final = 0.07


def neighbour_votes(
    queries: Embeddings,
    known: Embeddings,
    labels: ArrayLike,
    classes: int,
    *,
    k: int = NEIGHBOURS,
    temperature: float = TEMPERATURE,
) -> NDArray[np.float32]:
    """Votes (Q, C) of each query's k nearest among `known` (N, D), each of the weight exp(cosine / temperature).

    Args:
        queries: (Q, D), normalised.
        known: images whose class is known, normalised; equal cosines stand in their order.
        labels: class (N,) of each, from 0 to before `classes`.
        classes: C.
        k: 20 and `temperature` 0.07 are the values of DINO's `eval_knn.py`.

    Source: Wu et al. 2018 ("Unsupervised Feature Learning via Non-Parametric Instance Discrimination"), section 3.4.
    Weights are taken relative to the nearest neighbour's, which changes no order. Raises UsageError for k above N,
    labels out of range, sizes that do not fit; DataError for NaN.
    """
    queries, known, labels = finite(queries, "queries"), finite(known, "known images"), np.asarray(labels, np.int64)
    if not 1 <= k <= len(known) or temperature <= 0:
        raise UsageError(f"{k} neighbours of {len(known)} images at temperature {temperature}: expected 1 to as many")
    if labels.shape != (len(known),) or labels.min() < 0 or labels.max() >= classes:
        raise UsageError(f"labels {labels.shape} of {len(known)} images: expected one each, from 0 to {classes - 1}")
    votes = np.zeros((len(queries), classes), np.float32)
    for start, scores in products(queries, known):
        nearest = _nearest(scores, k)
        cosines = np.take_along_axis(scores, nearest, axis=1)
        weights = np.exp((cosines - cosines.max(axis=1, keepdims=True)) / temperature)
        rows = np.arange(start, start + len(scores))[:, None]
        np.add.at(votes, (np.broadcast_to(rows, nearest.shape), labels[nearest]), weights)
    return votes


def _nearest(scores: NDArray[np.float32], k: int) -> NDArray[np.int64]:
    """The columns (R, k) of the k highest of each row; of equals at the end, the first ones."""
    if k == scores.shape[1]:
        return np.broadcast_to(np.arange(k), (len(scores), k))
    least = np.partition(scores, -k, axis=1)[:, -k, None]
    above, equal = scores > least, scores == least
    room = k - above.sum(axis=1, keepdims=True)
    kept = above | (equal & (np.cumsum(equal, axis=1) <= room))
    return np.nonzero(kept)[1].reshape(len(scores), k)

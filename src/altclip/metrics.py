"""How good a ranking is: recall, zero-shot accuracy, and how far either may be off; pure functions over numpy arrays.

Everything starts from ranks. An item of the gallery is right for a query if both are of one group: a caption and its
image, a photograph and its class, two classes of one name. The rank of a query is how many items stand before its best
right one, 0 being first; it counts at k if its rank is under k. Equal scores stand in the order of the gallery.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from altclip.errors import DataError, UsageError

Embeddings = NDArray[np.float32]
Ranks = NDArray[np.int64]

_Z_95: Final = 1.959963984540054  # the normal distribution holds 95 % within this many standard deviations
_CHUNK_SCORES: Final = 2**24  # 64 MiB of scores at a time


@dataclass(frozen=True)
class Estimate:
    """A figure and its 95 % confidence interval; NaN where nothing can be said."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Retrieval:
    """Recall at each k, by direction."""

    text_to_image: dict[int, float]
    image_to_text: dict[int, float]

    @property
    def mean_recall(self) -> float:
        """MR: the mean of all recalls of both directions (six, for k = 1, 5, 10)."""
        return float(np.mean([*self.text_to_image.values(), *self.image_to_text.values()]))


def best_ranks(queries: Embeddings, gallery: Embeddings, wanted: ArrayLike, groups: ArrayLike) -> Ranks:
    """Rank (Q,) of each query's best right item, by inner product; in chunks, so that no (Q, G) matrix is held.

    Args:
        queries: (Q, D), computed with in float32.
        gallery: (G, D).
        wanted: group (Q,) of each query.
        groups: group (G,) of each item.

    Raises:
        UsageError: sizes do not fit, or a query has no right item.
        DataError: NaN or infinite embeddings.
    """
    queries, gallery = _finite(queries, "queries"), _finite(gallery, "gallery")
    places = _right_places(np.asarray(wanted), np.asarray(groups), len(queries), len(gallery))
    rows = max(1, _CHUNK_SCORES // len(gallery)) if len(gallery) else 1
    parts = [
        _ranks(queries[start : start + rows] @ gallery.T, places[start : start + rows])
        for start in range(0, len(queries), rows)
    ]
    return np.concatenate(parts) if parts else np.zeros(0, np.int64)


def score_ranks(scores: NDArray[Any], wanted: ArrayLike, groups: ArrayLike) -> Ranks:
    """The same from scores (Q, G), higher being better, where a matrix is at hand."""
    scores = _finite(scores, "scores", scores.dtype)
    return _ranks(scores, _right_places(np.asarray(wanted), np.asarray(groups), *scores.shape))


def share_within(ranks: Ranks, k: int) -> float:
    """Recall at k, or top-k accuracy: the share of ranks under k. Raises UsageError for no ranks, or k under 1."""
    if len(ranks) == 0 or k < 1:
        raise UsageError(
            f"no share of {len(ranks)} queries within the first {k}: expected one query and one place or more"
        )
    return float(np.mean(ranks < k))


def retrieval(images: Embeddings, texts: Embeddings, owners: ArrayLike, ks: Sequence[int] = (1, 5, 10)) -> Retrieval:
    """Recall between images (I, D) and texts (T, D); text t belongs to image owners[t], and every image has a text.

    An image counts if any of its texts is within the first k. Equals CLIP_benchmark's and big_vision's recalls.
    Raises UsageError if an image has no text or a text no image.
    """
    numbers = np.arange(len(images))
    of_texts = best_ranks(texts, images, owners, numbers)
    of_images = best_ranks(images, texts, numbers, owners)
    return Retrieval({k: share_within(of_texts, k) for k in ks}, {k: share_within(of_images, k) for k in ks})


def class_embeddings(prompts: Embeddings, counts: Sequence[int]) -> Embeddings:
    """The zero-shot classifier (C, D): each prompt's embedding normalised, their mean by class, normalised again.

    Args:
        prompts: (P, D), the first class's prompts first.
        counts: prompts of each class (C,), each at least 1, together P.

    Source: Radford et al. 2021, section 3.1.4; `build_zero_shot_classifier` of open_clip.
    """
    if sum(counts) != len(prompts) or min(counts, default=1) < 1:
        raise UsageError(
            f"{len(prompts)} prompts for classes of {list(counts)}: expected as many, and one a class or more"
        )
    if not counts:
        return np.zeros((0, prompts.shape[1]), np.float32)
    starts = np.concatenate([[0], np.cumsum(counts)[:-1]])
    sums = np.add.reduceat(normalised(_finite(prompts, "prompts")), starts, axis=0)
    return normalised(np.divide(sums, np.asarray(counts)[:, None], dtype=np.float32))


def normalised(vectors: Embeddings) -> Embeddings:
    """Each row (N, D) divided by its length; a row of zeros stays."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    result: Embeddings = (vectors / np.maximum(lengths, 1e-12)).astype(np.float32)
    return result


def groups_of(names: Sequence[Hashable]) -> NDArray[np.int64]:
    """A number for each name, equal where names are, so that either of two classes of one name is right."""
    numbers: dict[Hashable, int] = {}
    return np.array([numbers.setdefault(name, len(numbers)) for name in names], dtype=np.int64)


def wilson(hits: int, count: int) -> Estimate:
    """A share and Wilson's score interval (1927), which holds for small counts and shares near 0 or 1 too."""
    if not 0 <= hits <= count or count == 0:
        raise UsageError(f"no share of {hits} in {count}: expected a count over 0 and hits from 0 to that")
    share, square = hits / count, _Z_95**2
    middle = (share + square / (2 * count)) / (1 + square / count)
    half = _Z_95 * math.sqrt(share * (1 - share) / count + square / (4 * count**2)) / (1 + square / count)
    return Estimate(share, max(0.0, middle - half), min(1.0, middle + half))


def resampled_means(values: NDArray[Any], samples: int = 10_000, seed: int = 0) -> NDArray[np.float64]:
    """Means (samples, K) of bootstrap samples of the rows of `values` (N, K), drawn with replacement.

    Equal rows are drawn together, by a multinomial over the distinct ones: the same distribution, and hits and misses
    have few distinct rows.
    """
    if len(values) == 0:
        raise UsageError("no rows to resample: expected one or more")
    rows, counts = np.unique(np.asarray(values, np.float64), axis=0, return_counts=True)
    drawn = np.random.default_rng(seed).multinomial(len(values), counts / len(values), size=samples)
    means: NDArray[np.float64] = drawn @ rows / len(values)
    return means


def ratio(part: ArrayLike, base: ArrayLike, samples: int = 10_000, seed: int = 0) -> Estimate:
    """Sum of `part` (N,) over sum of `base` (N,), with a paired bootstrap interval: both of a row are drawn together.

    A row is what was measured twice: one image in two languages. All NaN where the base is 0.
    """
    pairs = np.stack([np.asarray(part, np.float64), np.asarray(base, np.float64)], axis=1)
    means = resampled_means(pairs, samples, seed)
    means = means[means[:, 1] > 0]
    total = pairs.sum(axis=0)
    if total[1] == 0 or not len(means):
        return Estimate(math.nan, math.nan, math.nan)
    low, high = np.quantile(means[:, 0] / means[:, 1], [0.025, 0.975])
    return Estimate(float(total[0] / total[1]), float(low), float(high))


def _ranks(scores: NDArray[Any], places: NDArray[np.int64]) -> Ranks:
    """How many items of scores (Q, G) stand before the best of the right ones at `places` (Q, P), -1 being none."""
    right = np.where(places >= 0, np.take_along_axis(scores, np.maximum(places, 0), axis=1), -np.inf)
    best = right.argmax(axis=1)[:, None]  # places ascend, so of equals this is the first
    score = np.take_along_axis(scores, np.take_along_axis(places, best, axis=1), axis=1)
    ranks: Ranks = np.count_nonzero(scores > score, axis=1)
    equal = scores == score
    for query in np.flatnonzero(np.count_nonzero(equal, axis=1) > 1):
        ranks[query] += np.count_nonzero(equal[query, : places[query, best[query, 0]]])
    return ranks


def _right_places(wanted: NDArray[Any], groups: NDArray[Any], queries: int, items: int) -> NDArray[np.int64]:
    """Indices (Q, P) of each query's right items, ascending, -1 where it has fewer than P."""
    if wanted.shape != (queries,) or groups.shape != (items,):
        raise UsageError(
            f"groups {wanted.shape} and {groups.shape} for {queries} queries and {items} items: expected one each"
        )
    order = np.argsort(groups, kind="stable")
    first = np.searchsorted(groups[order], wanted, side="left")
    count = np.searchsorted(groups[order], wanted, side="right") - first
    if queries and not count.all():
        lost = np.flatnonzero(count == 0)
        raise UsageError(f"{len(lost)} queries have no right item, the first is query {lost[0]}: leave them out")
    offsets = np.arange(count.max(initial=1))
    places = order[np.minimum(first[:, None] + offsets, items - 1)]
    return np.where(offsets < count[:, None], places, -1)


def _finite(values: NDArray[Any], name: str, dtype: Any = np.float32) -> NDArray[Any]:
    values = np.asarray(values, dtype)
    if values.ndim != 2:
        raise UsageError(f"{name} are of shape {values.shape}: expected two dimensions")
    if not np.isfinite(values).all():
        bad = np.flatnonzero(~np.isfinite(values).all(axis=1))
        raise DataError(
            f"{len(bad)} of {len(values)} {name} hold NaN or infinity, the first is row {bad[0]}: check the model"
        )
    return values

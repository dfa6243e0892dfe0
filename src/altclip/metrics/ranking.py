"""Ranks, from which recall and accuracy are made.

An item of the gallery is right for a query if both are of one group: a caption and its image, a photograph and its
class, two classes of one name. The rank of a query is how many items stand before its best right one, 0 being first; it
counts at k if its rank is under k. Equal scores stand in the order of the gallery.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from altclip.errors import UsageError
from altclip.metrics.vectors import Embeddings, finite, products

Ranks = NDArray[np.int64]
Places = NDArray[np.int64]


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
    queries, gallery = finite(queries, "queries"), finite(gallery, "gallery")
    places = _places_of_groups(np.asarray(wanted), np.asarray(groups), len(queries), len(gallery))
    return ranks_of_places(queries, gallery, places)


def ranks_of_places(queries: Embeddings, gallery: Embeddings, places: Places) -> Ranks:
    """The same where the right items are told by index: `places` (Q, P), each row ascending, then -1."""
    queries, gallery = finite(queries, "queries"), finite(gallery, "gallery")
    if len(places) != len(queries):
        raise UsageError(f"right items of {len(places)} queries for {len(queries)}: expected one row each")
    parts = [_ranks(scores, places[start : start + len(scores)]) for start, scores in products(queries, gallery)]
    return np.concatenate(parts) if parts else np.zeros(0, np.int64)


def score_ranks(scores: NDArray[Any], wanted: ArrayLike, groups: ArrayLike) -> Ranks:
    """Ranks from scores (Q, G), higher being better, where a matrix is at hand."""
    scores = finite(scores, "scores", scores.dtype)
    return _ranks(scores, _places_of_groups(np.asarray(wanted), np.asarray(groups), *scores.shape))


def right_places(pairs: NDArray[np.int64], queries: int) -> Places:
    """Right items (Q, P) from pairs (N, 2) of a query and an item: each row ascending, -1 where it has fewer than P.

    Raises UsageError if a query has none.
    """
    order = np.lexsort((pairs[:, 1], pairs[:, 0]))
    counts = np.bincount(pairs[:, 0], minlength=queries)
    if queries and not counts.all():
        lost = np.flatnonzero(counts == 0)
        raise UsageError(f"{len(lost)} queries have no right item, the first is query {lost[0]}: leave them out")
    places = np.full((queries, counts.max(initial=1)), -1, np.int64)
    columns = np.arange(len(pairs)) - np.repeat(np.cumsum(counts) - counts, counts)
    places[pairs[order, 0], columns] = pairs[order, 1]
    return places


def share_within(ranks: Ranks, k: int) -> float:
    """Recall at k, or top-k accuracy: the share of ranks under k. Raises UsageError for no ranks, or k under 1."""
    if len(ranks) == 0 or k < 1:
        raise UsageError(
            f"no share of {len(ranks)} queries within the first {k}: expected one query and one place or more"
        )
    return float(np.mean(ranks < k))


def groups_of(names: Sequence[Hashable]) -> NDArray[np.int64]:
    """A number for each name, equal where names are, so that either of two classes of one name is right."""
    numbers: dict[Hashable, int] = {}
    return np.array([numbers.setdefault(name, len(numbers)) for name in names], dtype=np.int64)


def _ranks(scores: NDArray[Any], places: Places) -> Ranks:
    """How many items of scores (Q, G) stand before the best of the right ones at `places` (Q, P), -1 being none."""
    right = np.where(places >= 0, np.take_along_axis(scores, np.maximum(places, 0), axis=1), -np.inf)
    best = right.argmax(axis=1)[:, None]  # places ascend, so of equals this is the first
    place = np.take_along_axis(places, best, axis=1)
    score = np.take_along_axis(scores, place, axis=1)
    ranks = _counts(scores > score)
    equal = scores == score
    for query in np.flatnonzero(_counts(equal) > 1):
        ranks[query] += np.count_nonzero(equal[query, : place[query, 0]])
    return ranks


def _counts(marks: NDArray[np.bool_]) -> Ranks:
    """True values of each row; row by row, since numpy counts a whole row of bits far faster than along an axis."""
    return np.fromiter(map(np.count_nonzero, marks), np.int64, len(marks))


def _places_of_groups(wanted: NDArray[Any], groups: NDArray[Any], queries: int, items: int) -> Places:
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

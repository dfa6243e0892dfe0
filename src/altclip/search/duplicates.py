"""Pictures that are nearly the same: over a whole index, and among the hits of a search."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import timedelta
from itertools import islice
from typing import Any, Final

import numpy as np

from altclip.search.ranking import Scored
from altclip.search.rows import Row, Vector
from altclip.search.tuning import vectors_of

LEAST_COSINE: Final = 0.96
_BLOCK: Final = 2_048
_APART: Final = timedelta(minutes=10)  # shots of one scene that both have a time are this near
_LOOK: Final = 100  # hits compared at a time

Scene = tuple[float, Row, tuple[str, ...]]


def near_duplicates(batches: Iterable[Any], least_cosine: float) -> list[list[str]]:
    """Groups of two ids and more, of Arrow batches with `id` and `vector`; the largest first, ids sorted."""
    ids: list[str] = []
    parts = []
    for batch in batches:
        ids += batch.column("id").to_pylist()
        parts.append(np.array(vectors_of(batch)))
    leader = list(range(len(ids)))
    for a, b in _pairs(np.concatenate(parts), least_cosine) if parts else ():
        first, second = sorted((_root(leader, a), _root(leader, b)))
        leader[second] = first
    groups: dict[int, list[str]] = {}
    for place, name in enumerate(ids):
        groups.setdefault(_root(leader, place), []).append(name)
    found = [sorted(group) for group in groups.values() if len(group) > 1]
    return sorted(found, key=lambda group: (-len(group), group))


def scenes(
    ranked: Iterator[Scored], vectors: Callable[[Sequence[str]], Mapping[str, Vector]], wanted: int
) -> list[Scene]:
    """The first `wanted` hits that are no other shot of a hit before them, each with the ids of its other shots.

    vectors: of those ids that are still there; a hit that a writer has removed since it was ranked is left out.
    """
    found: list[tuple[float, Row, list[str]]] = []
    leaders: list[Vector] = []  # (hits that lead, dim) of each lot
    while len(found) < wanted and (lot := list(islice(ranked, _LOOK))):
        known = vectors([row.id for _, row in lot])
        hits = [pair for pair in lot if pair[1].id in known]
        if not hits:
            continue
        of_hits = np.stack([known[row.id] for _, row in hits])
        before, leading = len(found), _leading(hits, of_hits, found, leaders)
        leaders += [of_hits[leading]] if len(found) > before else []
    return [(score, row, tuple(same)) for score, row, same in found[:wanted]]


def _leading(
    hits: Sequence[Scored], of_hits: Vector, found: list[tuple[float, Row, list[str]]], leaders: Sequence[Vector]
) -> list[int]:
    """Put each hit where it belongs in `found`; the places of those that lead there."""
    leading: list[int] = []
    earlier = np.hstack([of_hits @ lot.T for lot in leaders]) if leaders else np.empty((len(hits), 0), np.float32)
    among = of_hits @ of_hits.T
    for place, (score, row) in enumerate(hits):
        cosines = np.concatenate([earlier[place], among[place, leading]])
        near = np.flatnonzero(cosines >= LEAST_COSINE)
        same = next((other for other in near if _one_moment(found[other][1], row)), None)
        if same is not None:
            found[same][2].append(row.id)
        else:
            found.append((score, row, []))
            leading.append(place)
    return leading


def _one_moment(a: Row, b: Row) -> bool:
    """Whether both were taken about the same time, as far as that is known."""
    return a.taken is None or b.taken is None or abs(a.taken - b.taken) <= _APART


def _pairs(vectors: Vector, least_cosine: float) -> Iterator[tuple[int, int]]:
    """Places (a < b) of vectors with at least this cosine."""
    for start in range(0, len(vectors), _BLOCK):
        for other in range(start, len(vectors), _BLOCK):
            near = vectors[start : start + _BLOCK] @ vectors[other : other + _BLOCK].T >= least_cosine
            for a, b in np.argwhere(np.triu(near, 1) if start == other else near):
                yield start + int(a), other + int(b)


def _root(leader: list[int], place: int) -> int:
    while leader[place] != place:
        leader[place] = leader[leader[place]]
        place = leader[place]
    return place

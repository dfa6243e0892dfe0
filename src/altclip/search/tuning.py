"""Recall of the approximate index against its time, measured on the index itself; the setting is chosen by it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from altclip.metrics import wilson
from altclip.search.about import Tuned
from altclip.search.store import Ask, Store

EXACT_ROWS: Final = 10_000  # up to here every row is compared
WANTED: Final = 0.99  # recall@10
_TOP: Final = 10
_SAMPLE: Final = 256  # queries
_EF: Final = (50, 100, 150, 200, 250, 300, 400, 600, 800, 1200)


@dataclass(frozen=True)
class Point:
    """One setting: ef of `Ask`, the recall@10 it has, and its times in milliseconds."""

    ef: int
    recall: float
    p50_ms: float
    p99_ms: float


def measure_and_choose(store: Store, rows: int) -> Tuned:
    """The quickest setting that has the wanted recall; the one of the highest if none has.

    What is measured has it only if the lower end of its interval has: few queries flatter a setting by chance.
    """
    points = []
    queries = sample_queries(store, rows)
    truth = _exactly(store, queries)
    right = sum(map(len, truth))
    for ef in _EF:
        points.append(measure(store, queries, truth, ef, rows))
        if wilson(round(points[-1].recall * right), right).low >= WANTED:
            return Tuned(ef, points[-1].recall, rows)
    best = max(points, key=lambda point: point.recall)
    return Tuned(best.ef, best.recall, rows)


def curve(store: Store, rows: int, queries: NDArray[np.float32] | None = None) -> list[Point]:
    """Recall and time of every setting, for queries (n, dim) of your own or those of `sample_queries`."""
    asked = sample_queries(store, rows) if queries is None else queries
    truth = _exactly(store, asked)
    return [measure(store, asked, truth, ef, rows) for ef in _EF]


def measure(store: Store, queries: NDArray[np.float32], truth: Sequence[set[str]], ef: int, rows: int) -> Point:
    """One setting against the exact answers."""
    seconds, found = [], 0
    for query, right in zip(queries, truth, strict=True):
        start = time.perf_counter()
        records = store.nearest(query, _TOP, Ask(False, ef, rows))
        seconds.append(time.perf_counter() - start)
        found += len(right & _ids(records))
    p50, p99 = np.percentile(seconds, [50, 99]) * 1000
    return Point(ef, found / max(1, sum(map(len, truth))), float(p50), float(p99))


def sample_queries(store: Store, rows: int, number: int = _SAMPLE) -> NDArray[np.float32]:
    """(number, dim) of length 1: a row and half of another, since what a person asks lies near pictures and not on one.

    Even sums of two rows ask for far more candidates than pictures and texts need (benchmarks/search.py).
    """
    step = max(1, rows // (2 * number))
    picked: list[NDArray[np.float32]] = []
    seen = 0
    for batch in store.batches(["vector"]):
        wanted = range(-seen % step, batch.num_rows, step)
        vectors = vectors_of(batch)
        picked += [vectors[place] for place in wanted]
        seen += batch.num_rows
    rows_ND = np.stack(picked)
    order = np.random.default_rng(0).permutation(len(rows_ND))
    pairs = rows_ND[order[: len(order) // 2 * 2]].reshape(2, -1, rows_ND.shape[1])
    mixed = (pairs[0] + 0.5 * pairs[1])[:number]
    queries: NDArray[np.float32] = (mixed / np.linalg.norm(mixed, axis=1, keepdims=True)).astype(np.float32)
    return queries


def vectors_of(batch: Any) -> NDArray[np.float32]:
    """(rows, dim) of an Arrow batch's column `vector`."""
    column = batch.column("vector")
    flat: NDArray[np.float32] = column.flatten().to_numpy(zero_copy_only=False)
    return flat.reshape(len(column), -1)


def _exactly(store: Store, queries: NDArray[np.float32]) -> list[set[str]]:
    """The ids of the rows nearest to each query, by one pass over all rows: asking for each alone takes a pass each."""
    best = np.full((len(queries), _TOP), -np.inf, np.float32)
    names = np.full((len(queries), _TOP), "", object)
    for batch in store.batches(["id", "vector"]):
        cosines = np.hstack([best, queries @ vectors_of(batch).T])
        places = np.argpartition(-cosines, _TOP - 1, axis=1)[:, :_TOP]
        fresh = np.array(batch.column("id").to_pylist(), object)[np.maximum(places - _TOP, 0)]
        names = np.where(places < _TOP, np.take_along_axis(names, places % _TOP, 1), fresh)
        best = np.take_along_axis(cosines, places, 1)
    return [set(row) - {""} for row in names.tolist()]


def _ids(records: Sequence[dict[str, Any]]) -> set[str]:
    return {record["id"] for record in records}

"""Vectors for search.py that lie as CLIP's do, and the right answers among them.

Pictures fall into 4,000 subjects of 60 topics, few of them with many pictures (Zipf). Spread falls off as
dimension^-0.5 between subjects and within them, as principal components of such embeddings do. All share an offset, so
that two pictures that have nothing in common have a cosine of about 0.4. Queries of two kinds: pictures drawn likewise,
and texts, which lie in a cone of their own (the modality gap) and are near no picture: their ten nearest differ by
little. `uniform` has none of this: every direction is equally likely, the worst case of every index.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

TOP: Final = 10
KINDS: Final = ("pictures", "texts")
_TOPICS: Final = 60
_SUBJECTS: Final = 4_000
_SPREAD: Final = 1.2  # within a subject, beside 1 between them
_OFFSET: Final = 3.0  # the length of both is 2.7

Rows = NDArray[np.float32]


def drawn(rows: int, dim: int, seed: int, kind: str = "pictures") -> Rows:
    """(rows, dim) of length 1; kind: `pictures`, `texts` or `uniform`."""
    draw = np.random.default_rng([seed, len(kind)])
    made = np.empty((rows, dim), np.float32)
    lay = _laid(dim, kind)
    for start in range(0, rows, 10_000):
        number = min(10_000, rows - start)
        made[start : start + number] = lay(draw, number)
    return made / np.linalg.norm(made, axis=1, keepdims=True)  # type: ignore[no-any-return]


def _laid(dim: int, kind: str) -> Callable[[np.random.Generator, int], Rows]:
    if kind == "uniform":
        return lambda draw, number: draw.standard_normal((number, dim), np.float32)
    fixed = np.random.default_rng(0)  # the same subjects for rows and queries
    fall = np.arange(1, dim + 1, dtype=np.float32) ** -0.5
    topics, own = fixed.standard_normal((_TOPICS, dim)), fixed.standard_normal((_SUBJECTS, dim))
    subjects = ((topics[fixed.integers(0, _TOPICS, _SUBJECTS)] + own) * fall / np.sqrt(2)).astype(np.float32)
    offsets = fixed.standard_normal((2, dim))
    offset = (_OFFSET * offsets[KINDS.index(kind)] / np.linalg.norm(offsets[KINDS.index(kind)])).astype(np.float32)
    share = 1 / np.arange(10, 10 + _SUBJECTS)
    of_subject = 1.0 if kind == "pictures" else 0.5

    def lay(draw: np.random.Generator, number: int) -> Rows:
        noise = _SPREAD * draw.standard_normal((number, dim), np.float32) * fall
        taken = draw.choice(_SUBJECTS, number, p=share / share.sum())
        return offset + of_subject * (subjects[taken] + noise)  # type: ignore[no-any-return]

    return lay


def nearest(rows: Rows, queries: Rows) -> tuple[list[set[int]], dict[str, float]]:
    """The numbers of the ten nearest rows of each query; mean cosines of the first, the tenth, and of any row."""
    best = np.full((len(queries), TOP), -np.inf, np.float32)
    places = np.zeros((len(queries), TOP), np.int64)
    total = 0.0
    for start in range(0, len(rows), 20_000):
        fresh = queries @ np.asarray(rows[start : start + 20_000]).T
        total += float(fresh.sum(dtype=np.float64))
        cosines = np.hstack([best, fresh])
        numbers = np.hstack([places, np.tile(np.arange(start, start + fresh.shape[1]), (len(queries), 1))])
        order = np.argpartition(-cosines, TOP, axis=1)[:, :TOP]
        best, places = np.take_along_axis(cosines, order, 1), np.take_along_axis(numbers, order, 1)
    told = {"first": best.max(1).mean(), "tenth": best.min(1).mean(), "any": total / len(rows) / len(queries)}
    return [set(row.tolist()) for row in places], {name: round(float(value), 3) for name, value in told.items()}


def describe(kind: str) -> str:
    """What a result says of its rows."""
    if kind == "uniform":
        return "every direction equally likely"
    first = (__doc__ or "").split("\n\n")[1].split(" `uniform`")[0]
    return " ".join(first.split())

"""What is asked of an index, and what comes back."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from altclip.errors import UsageError
from altclip.search.filters import Where
from altclip.search.rows import Row, Vector


@dataclass(frozen=True, eq=False)
class Part:
    """One embedding of a query, and how much it counts; what results shall be unlike has a weight below zero."""

    vector: Vector
    weight: float = 1.0


@dataclass(frozen=True, eq=False)
class Query:
    """What to look for, and which page of it.

    parts: embeddings, summed by their weights ("beach" - "people"); none lists the rows that `where` leaves, newest
    first. words: for the full text too; both rankings are joined (hybrid). exact: True compares with every row, False
    takes the approximate index where there is one, None lets the size decide. group: shots of the same scene count as
    one hit. limit, offset: pages of one query never repeat a hit as long as `limit` stays and nothing is written.
    """

    parts: tuple[Part, ...] = ()
    where: Where | None = None
    words: str | None = None
    limit: int = 50
    offset: int = 0
    exact: bool | None = None
    group: bool = False


@dataclass(frozen=True, eq=False)
class Hit:
    """One row that was found.

    score: the cosine with the (summed) query; of hybrid queries the sum of 1 / (60 + rank) over both rankings; of words
    alone BM25; 0 where nothing was compared. same: ids of the other shots of this scene, where these are grouped.
    """

    id: str
    score: float
    row: Row
    same: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Page:
    """Hits, best first. total: how many rows were ranked, None where that is not known. exact: nothing was left out."""

    hits: tuple[Hit, ...]
    total: int | None
    exact: bool


def direction(parts: tuple[Part, ...], dim: int) -> Vector | None:
    """(dim,) of length 1: the weighted sum of the parts, each brought to length 1; None without parts.

    Raises:
        UsageError: a part of another length, not finite or zero, or parts that cancel each other out.
    """
    if not parts:
        return None
    total = np.zeros(dim, np.float64)
    for part in parts:
        if part.vector.shape != (dim,):
            raise UsageError(f"a query has the shape {part.vector.shape}; this index holds vectors of {dim}")
        length = float(np.linalg.norm(part.vector.astype(np.float64)))
        if not (np.isfinite(length) and np.isfinite(part.weight)) or length == 0:
            raise UsageError("a query must be finite and not zero: its embedding or its weight is")
        total += part.vector * (part.weight / length)
    length = float(np.linalg.norm(total))
    if length < 1e-6:
        raise UsageError("the parts of the query cancel each other out: give one of them another weight")
    return (total / length).astype(np.float32)

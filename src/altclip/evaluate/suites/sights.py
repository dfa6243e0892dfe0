"""Single queries and classes to look at, for the page: hits and misses of one language, and where the worst classes go.

Queries are taken at even distances among the hits and among the misses, in the order of the set; none by hand.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from altclip.metrics import Embeddings, Ranks

EACH: Final = 3  # hits, and misses
FOUND: Final = 5
WORST: Final = 10
TAKEN_FOR: Final = 3


@dataclass(frozen=True)
class Item:
    """A text, or an image by its number in the set."""

    text: str | None = None
    image: int | None = None


@dataclass(frozen=True)
class Found:
    """An item that a query found; cosine: to the query; right: whether it belongs to the query."""

    item: Item
    cosine: float
    right: bool


@dataclass(frozen=True)
class Query:
    """What was asked for, what came first, the rank of the best right item (0 is first), and that item."""

    asked: Item
    found: tuple[Found, ...]
    rank: int
    right: Item


@dataclass(frozen=True)
class Sheet:
    """Hits and misses at 1 of one language: `T2I` texts that look for images, `I2T` images for texts or classes."""

    language: str
    kind: Literal["T2I", "I2T"]
    hits: tuple[Query, ...]
    misses: tuple[Query, ...]


@dataclass(frozen=True)
class WorstClass:
    """hits of `images`; taken_for: the names given instead, with how often, most frequent first."""

    name: str
    hits: int
    images: int
    taken_for: tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class Confusion:
    """The classes of least accuracy in one language, the worst first, by names alone or with templates."""

    language: str
    prompts: str
    classes: tuple[WorstClass, ...]


def sheet(
    language: str,
    kind: Literal["T2I", "I2T"],
    queries: tuple[Embeddings, Sequence[Item]],
    gallery: tuple[Embeddings, Sequence[Item]],
    right: Sequence[Sequence[int]],
    ranks: Ranks,
) -> Sheet:
    """Hits and misses of queries (Q, D) in a gallery (G, D); right: the right items of each query, by number."""

    def of(numbers: NDArray[np.int64]) -> tuple[Query, ...]:
        return tuple(
            _query(int(number), queries, gallery, right[int(number)], int(ranks[number])) for number in numbers
        )

    return Sheet(language, kind, of(_spread(np.flatnonzero(ranks == 0))), of(_spread(np.flatnonzero(ranks > 0))))


def confusion(
    language: str, prompts: str, shown: Sequence[int], told: Sequence[int], names: Mapping[int, str]
) -> Confusion:
    """From the class that each image shows and the class it was taken for (N,); names by class."""
    images, hits, wrong = Counter(shown), Counter[int](), dict[int, Counter[int]]()
    for own, other in zip(shown, told, strict=True):
        if own == other:
            hits[own] += 1
        else:
            wrong.setdefault(own, Counter())[other] += 1
    worst = sorted(wrong, key=lambda own: (hits[own] / images[own], own))[:WORST]
    return Confusion(
        language,
        prompts,
        tuple(
            WorstClass(
                names[own], hits[own], images[own],
                tuple((names[other], count) for other, count in wrong[own].most_common(TAKEN_FOR)),
            )
            for own in worst
        ),
    )  # fmt: skip


def _query(
    number: int,
    queries: tuple[Embeddings, Sequence[Item]],
    gallery: tuple[Embeddings, Sequence[Item]],
    right: Sequence[int],
    rank: int,
) -> Query:
    cosines = gallery[0] @ np.asarray(queries[0][number])
    first = np.argsort(-cosines, kind="stable")[:FOUND]
    found = tuple(Found(gallery[1][place], float(cosines[place]), int(place) in right) for place in first)
    best = max(right, key=lambda place: (cosines[place], -place))
    return Query(queries[1][number], found, rank, gallery[1][best])


def _spread(numbers: NDArray[np.int64]) -> NDArray[np.int64]:
    """At most `EACH` of them, at even distances."""
    if len(numbers) <= EACH:
        return numbers
    return numbers[(np.arange(EACH) * len(numbers)) // EACH]

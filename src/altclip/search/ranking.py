"""The order of the rows for a query: by vectors, by words, or by both; the same whichever page is asked for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import count
from typing import Final

from altclip.search.columns import CARD, to_row
from altclip.search.rows import Row, Vector
from altclip.search.store import Ask, Store
from altclip.search.text import asked, fits

_HYBRID_DEPTH: Final = 1_000  # of each of the two rankings
_LOT: Final = 200  # records at a time
_RANK_CONSTANT: Final = 60  # of reciprocal rank fusion (Cormack, Clarke and Buettcher 2009)

Scored = tuple[float, Row]


def by_vector(store: Store, vector: Vector, first: int, ask: Ask, where: str | None) -> Iterator[Scored]:
    """Every row with its cosine, nearest first, ties by id.

    The store is asked for `first`, twice that, and so on; each answer adds what the ones before lack. So an order once
    told is never changed by a deeper look (an approximate index may find more then), and no row comes twice. Which of
    equally near rows end an answer is the store's whim, so these wait for the next, which has all of them.
    """
    seen: set[str] = set()
    for turn in count():
        limit = first * 2**turn + 1
        records = store.nearest(vector, limit, ask, where, [CARD])
        found = [(float(record["_distance"]), to_row(record[CARD])) for record in records]
        whole = len(found) < limit
        fresh = [(far, row) for far, row in found if row.id not in seen and (whole or far < found[-1][0])]
        seen.update(row.id for _, row in fresh)
        yield from ((1 - far, row) for far, row in sorted(fresh, key=lambda pair: (pair[0], pair[1].id)))
        if whole and ask.exact:
            return
        if whole:  # the graph leads to no more
            ask = Ask(True)


def by_words(store: Store, words: str, where: str | None) -> list[tuple[float, str]]:
    """(BM25, id) of the rows that have at least one of the words, or nearly; best first."""
    query = asked(words)
    grams = " ".join(dict.fromkeys(part for parts in query for part in parts))
    if not grams:
        return []
    records = [r for r in store.matching(grams, _HYBRID_DEPTH, where) if fits(query, r["grams"])]
    return sorted(((float(r["_score"]), r["id"]) for r in records), key=lambda pair: (-pair[0], pair[1]))


def by_both(store: Store, vector: Vector, words: str, ask: Ask, where: str | None) -> list[tuple[float, str]]:
    """(score, id) by reciprocal rank fusion of the best of both rankings."""
    near = sorted((r["_distance"], r["id"]) for r in store.nearest(vector, _HYBRID_DEPTH, ask, where))
    scores: dict[str, float] = {}
    for ranking in (near, by_words(store, words, where)):
        for rank, (_, row) in enumerate(ranking, 1):
            scores[row] = scores.get(row, 0.0) + 1 / (_RANK_CONSTANT + rank)
    return sorted(((score, row) for row, score in scores.items()), key=lambda pair: (-pair[0], pair[1]))


def by_time(store: Store, lot: int, where: str | None, start: int) -> Iterator[Scored]:
    """The rows from place `start` on, newest first; nothing is compared, so every score is 0."""
    for offset in count(start, lot):
        records = store.newest(lot, offset, where, ["id", "taken", CARD])
        yield from ((0.0, to_row(record[CARD])) for record in records)
        if len(records) < lot:
            return


def taken(store: Store, pairs: Sequence[tuple[float, str]]) -> Iterator[Scored]:
    """Scores with the records of the ids, but those that a writer has removed since they were ranked."""
    for start in range(0, len(pairs), _LOT):
        part = pairs[start : start + _LOT]
        records = store.take([row for _, row in part], ["id", CARD])
        yield from ((score, to_row(records[row][CARD])) for score, row in part if row in records)

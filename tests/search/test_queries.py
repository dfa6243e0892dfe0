"""Searching by vectors, words and both: the order is numpy's, pages never repeat, scenes are grouped."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from altclip.errors import UsageError
from altclip.search import Index, Page, Part, Query, Row, Where
from altclip.search.duplicates import LEAST_COSINE, scenes
from altclip.search.queries import direction
from tests.search.made import DIM, asks, made_id, made_index, made_row, vector_of, vectors

ROWS = 60
TEXTS = ("一只猫在沙发上", "un chien à la plage", "кошки на пляже", "桜と犬", "حصان على الشاطئ", "고양이가 잔다")


@pytest.fixture(scope="module")
def rows() -> list[Row]:
    """Every fifth row has the vector of the row before it."""
    drawn = vectors(ROWS)
    drawn[4::5] = drawn[3::5]
    return [made_row(place, vector, text=TEXTS[place % len(TEXTS)]) for place, vector in enumerate(drawn)]


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory, rows: list[Row]) -> Index:
    return made_index(tmp_path_factory.mktemp("queries") / "index", rows)


def right(rows: list[Row], query: np.ndarray) -> list[str]:
    """Ids by cosine, ties by id."""
    cosines = np.stack([vector_of(row) for row in rows]) @ query
    return [
        row.id for _, row in sorted(zip(cosines, rows, strict=True), key=lambda p: (-round(float(p[0]), 5), p[1].id))
    ]


def ids(page: Page) -> list[str]:
    return [hit.id for hit in page.hits]


def test_the_order_is_that_of_the_cosines(index: Index, rows: list[Row]) -> None:
    query = vectors(1, seed=5)[0]
    page = index.search(asks(query * 7, limit=ROWS))  # its length does not count
    assert ids(page) == right(rows, query)
    assert (page.total, page.exact) == (ROWS, True)
    by_id = {row.id: row.vector for row in rows}
    np.testing.assert_allclose(
        [hit.score for hit in page.hits], [by_id[hit.id] @ query for hit in page.hits], atol=1e-5
    )


def test_a_hit_is_the_row_as_it_was_put_but_for_what_is_large(index: Index, rows: list[Row]) -> None:
    assert rows[7].vector is not None
    found = index.search(asks(rows[7].vector, limit=1)).hits[0].row
    expected = {**vars(rows[7]), "vector": None, "thumbnail": b""}
    assert vars(found) == expected


@pytest.mark.parametrize("limit", [1, 7, 25])
@pytest.mark.parametrize("words", [None, "кошка"])
def test_pages_neither_repeat_nor_leave_out(index: Index, limit: int, words: str | None) -> None:
    query = vectors(1, seed=6)[0]
    pages = [index.search(asks(query, words=words, limit=limit, offset=o)) for o in range(0, ROWS + limit, limit)]
    turned = [hit for page in pages for hit in ids(page)]
    assert turned == ids(index.search(asks(query, words=words, limit=ROWS)))
    assert len(set(turned)) == len(turned) == ROWS
    assert pages[-1].hits == ()


def test_what_is_excluded_comes_last(index: Index, rows: list[Row]) -> None:
    beach, people = vectors(2, seed=7)
    page = index.search(Query(parts=(Part(beach, 1.0), Part(people, -0.8)), limit=ROWS))
    assert ids(page) == right(rows, (beach - 0.8 * people) / np.linalg.norm(beach - 0.8 * people))


def test_weights_are_of_parts_of_length_one() -> None:
    a, b = np.eye(DIM, dtype=np.float32)[:2]
    summed = direction((Part(a * 100, 1.0), Part(b, 1.0)), DIM)
    assert summed is not None
    np.testing.assert_allclose(summed, (a + b) / np.sqrt(2), atol=1e-6)


BAD = {
    "other length": ((Part(np.ones(DIM + 1, np.float32)),), "holds vectors of 8"),
    "nan": ((Part(np.full(DIM, np.nan, np.float32)),), "finite"),
    "zero": ((Part(np.zeros(DIM, np.float32)),), "finite and not zero"),
    "weight": ((Part(np.ones(DIM, np.float32), float("inf")),), "finite"),
    "cancel": ((Part(np.ones(DIM, np.float32)), Part(np.ones(DIM, np.float32), -1.0)), "cancel each other out"),
}


@pytest.mark.parametrize(("parts", "told"), BAD.values(), ids=BAD.keys())
def test_a_query_that_cannot_be_asked_says_why(index: Index, parts: tuple[Part, ...], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        index.search(Query(parts=parts))


@pytest.mark.parametrize(("limit", "offset"), [(0, 0), (-1, 0), (5, -1)])
def test_a_page_that_cannot_be(index: Index, limit: int, offset: int) -> None:
    with pytest.raises(UsageError, match="at least 1 hit"):
        index.search(Query(limit=limit, offset=offset))


LANGUAGES = {"zh": "猫", "fr": "plage", "ru": "кошка", "ja": "桜", "ar": "الحصان", "ko": "고양이"}


@pytest.mark.parametrize(("place", "words"), list(enumerate(LANGUAGES.values())), ids=LANGUAGES.keys())
def test_words_find_their_texts_first(index: Index, place: int, words: str) -> None:
    page = index.search(Query(words=words, limit=ROWS))
    assert {hit.row.text for hit in page.hits} == {TEXTS[place]}
    assert page.total == len(page.hits) == ROWS // len(TEXTS)


def test_words_find_names_of_files(index: Index) -> None:
    assert ids(index.search(Query(words="37")))[0] == made_id(37)


def test_words_that_no_row_has(index: Index) -> None:
    assert index.search(Query(words="zebra")).hits == ()
    assert index.search(Query(words="?!")).hits == ()


def test_both_rankings_count(index: Index) -> None:
    """A row that is near and has the word comes before those that are only one of these."""
    query = vectors(ROWS)[12]  # row 12 is the nearest, and has a text in Chinese
    page = index.search(asks(query, words="猫", limit=ROWS))
    assert page.hits[0].id == made_id(12)
    assert page.hits[0].score == pytest.approx(1 / 61 + 1 / 61, abs=4e-3)
    assert len(page.hits) == page.total == ROWS
    assert all(hit.row.text == TEXTS[0] for hit in page.hits[:5])


def test_filters_hold_for_every_kind_of_query(index: Index) -> None:
    where = Where(extra={"number": 12})
    query = vectors(1, seed=9)[0]
    for asked in (Query(where=where), asks(query, where=where), Query(words="猫", where=where)):
        assert ids(index.search(asked)) == [made_id(12)]
    assert ids(index.search(asks(query, words="猫", where=where))) == [made_id(12)]


def test_without_a_question_the_newest_come_first(index: Index, rows: list[Row]) -> None:
    page = index.search(Query(limit=ROWS))
    assert ids(page) == [r.id for r in sorted(rows, key=lambda r: (-(r.taken or datetime.min).timestamp(), r.id))]
    assert ids(index.search(Query(limit=9, offset=50))) == ids(page)[50:59]


def test_shots_of_a_scene_are_one_hit(index: Index, rows: list[Row]) -> None:
    """Rows 3 and 4 have one vector, but were taken a day apart; see the next test for the same hour."""
    assert rows[3].vector is not None
    assert len(index.search(asks(rows[3].vector, group=True, limit=ROWS)).hits) == ROWS


def test_grouping(tmp_path: Path) -> None:
    drawn = vectors(6)
    drawn[1] = drawn[2] = drawn[3] = drawn[0]
    noon = datetime(2024, 5, 1, 12)
    times = [noon, noon + timedelta(seconds=2), None, noon + timedelta(days=365), noon, noon]
    rows = [made_row(place, drawn[place], taken=times[place]) for place in range(6)]
    index = made_index(tmp_path / "index", rows)
    page = index.search(asks(drawn[0], group=True, limit=3))
    groups = [{hit.id, *hit.same} for hit in page.hits]
    assert sorted(map(len, groups)) == [1, 1, 3]
    assert {made_id(0), made_id(1), made_id(2)} & groups[0]
    following = index.search(asks(drawn[0], group=True, limit=3, offset=3))
    assert not {hit.id for hit in page.hits} & {hit.id for hit in following.hits}
    assert page.total is None


def test_scenes_over_many_lots(monkeypatch: pytest.MonkeyPatch) -> None:
    """As each hit compared with each that leads; what was removed meanwhile is left out."""
    monkeypatch.setattr("altclip.search.duplicates._LOOK", 7)
    draw = np.random.default_rng(0)
    drawn = draw.normal(size=(12, 16))[draw.integers(0, 12, 60)] + draw.normal(scale=0.05, size=(60, 16))
    drawn = (drawn / np.linalg.norm(drawn, axis=1, keepdims=True)).astype(np.float32)
    rows = [made_row(place, vector, taken=None) for place, vector in enumerate(drawn)]
    there = {row.id: vector_of(row) for row in rows if row.extra["number"] % 5}
    expected: list[list[str]] = []
    for row in rows:
        near = (g for g in expected if row.id in there and there[g[0]] @ there[row.id] >= LEAST_COSINE)
        if (group := next(near, None)) is not None:
            group.append(row.id)
        elif row.id in there:
            expected.append([row.id])

    def known(ids: Sequence[str]) -> dict[str, np.ndarray]:
        return {name: there[name] for name in ids if name in there}

    found = scenes(iter([(0.5, row) for row in rows]), known, 60)
    assert [[row.id, *same] for _, row, same in found] == expected
    assert len(expected) > 8
    assert max(map(len, expected)) > 4
    assert len(scenes(iter([(0.5, row) for row in rows]), known, 3)) == 3


def test_what_was_just_put_is_found_by_vector_and_word(tmp_path: Path) -> None:
    drawn = vectors(3)
    index = made_index(tmp_path / "index", [made_row(0, drawn[0])])
    index.compact()  # the indexes cover row 0 alone
    reader = Index.open(tmp_path / "index")
    with index.writing() as writer:
        writer.put([made_row(1, drawn[1], text="лошадь")])
        assert ids(reader.search(asks(drawn[1], limit=1))) == [made_id(1)]
        assert ids(reader.search(Query(words="лошади"))) == [made_id(1)]
        writer.put([made_row(1, drawn[2], text="собака")])
        assert reader.search(Query(words="лошади")).hits == ()
        assert reader.search(Query()).total == 2


def test_near_duplicates_are_grouped_through_chains(tmp_path: Path) -> None:
    a, b = np.eye(DIM, dtype=np.float32)[:2]
    angles = [0.0, 0.2, 0.4, 1.2, 1.25]  # neighbours within the first three are near, the first and third are not
    rows = [made_row(n, np.cos(t) * a + np.sin(t) * b) for n, t in enumerate(angles)]
    index = made_index(tmp_path / "index", rows)
    assert index.near_duplicates() == [sorted(map(made_id, (0, 1, 2))), sorted(map(made_id, (3, 4)))]
    assert index.near_duplicates(least_cosine=0.9999) == []
    assert made_index(tmp_path / "empty").near_duplicates() == []

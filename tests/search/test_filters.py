"""Filters leave the rows they should, whatever characters the values have; none of them can break out."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest

from altclip.errors import UsageError
from altclip.search import Index, Query, Where
from altclip.search.filters import fact, facts, one_of, quoted
from tests.search.made import made_id, made_index, made_row, vectors

NASTY = [
    "it's", "' OR '1'='1", 'a"b', "100%_x", "\\' --", "a;b", "line\nbreak", "الشاطئ", "海 滩", "'; DROP TABLE rows; --",
    "ñandú",
]  # fmt: skip


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Index:
    """One row for each nasty string, which is its folder, the name of its file and a value of its own."""
    rows = [
        made_row(
            place,
            vector,
            folder=f"/photos/{value}",
            path=f"/photos/{value}/inner/{value}.jpg",
            name=f"{value}.jpg",
            taken=datetime(2020, 1 + place, 1) if place else None,
            extra={"nasty": value, value: place, "tags": [value, "all"], "flag": place % 2 == 0},
        )
        for place, (value, vector) in enumerate(zip(NASTY, vectors(len(NASTY)), strict=True))
    ]
    return made_index(tmp_path_factory.mktemp("filters") / "index", rows)


def found(index: Index, where: Where) -> set[str]:
    page = index.search(Query(where=where))
    assert page.total == len(page.hits)
    return {hit.id for hit in page.hits}


@pytest.mark.parametrize("place", range(len(NASTY)), ids=NASTY)
def test_a_value_finds_its_row_alone(index: Index, place: int) -> None:
    value, right = NASTY[place], {made_id(place)}
    assert found(index, Where(extra={"nasty": value})) == right
    assert found(index, Where(extra={value: place})) == right
    assert found(index, Where(extra={"tags": value})) == right
    assert found(index, Where(folder=f"/photos/{value}")) == right
    assert found(index, Where(folder=f"/photos/{value}/inner/")) == right
    assert found(index, Where(name_contains=value)) == right


def test_a_folder_is_no_beginning_of_a_name(index: Index) -> None:
    assert found(index, Where(folder="/photos/it")) == set()
    assert len(found(index, Where(folder="/photos"))) == len(NASTY)
    assert len(found(index, Where(folder="/"))) == len(NASTY)
    assert found(index, Where(folder=Path("/photos/ñandú"))) == {made_id(NASTY.index("ñandú"))}


def test_times_are_from_the_first_on_and_before_the_second(index: Index) -> None:
    spring = Where(taken_from=datetime(2020, 3, 1), taken_to=datetime(2020, 5, 1))
    assert found(index, spring) == {made_id(2), made_id(3)}
    assert len(found(index, Where(taken_from=datetime(1900, 1, 1)))) == len(NASTY) - 1  # one has no time


def test_a_time_is_a_datetime() -> None:
    with pytest.raises(UsageError, match=r"'2007-06-16' is no time: expected a datetime"):
        Where(taken_from="2007-06-16").to_filter()  # type: ignore[arg-type]


def test_names_are_found_whatever_case_and_accents(index: Index) -> None:
    assert found(index, Where(name_contains="IT'S")) == {made_id(0)}
    assert made_id(NASTY.index("ñandú")) in found(index, Where(name_contains="NANDU.JPG"))


def test_conditions_hold_together(index: Index) -> None:
    assert found(index, Where(extra={"tags": "all", "nasty": "a;b"})) == {made_id(NASTY.index("a;b"))}
    assert found(index, Where(folder="/photos/a;b", extra={"nasty": "it's"})) == set()


def test_kinds_of_values_are_told_apart() -> None:
    assert fact("k", 5) == fact("k", 5.0) != fact("k", "5")
    assert fact("k", True) != fact("k", 1)
    assert facts({"k": ["a", "b"]}) == [fact("k", ["a", "b"]), fact("k", "a"), fact("k", "b")]


def test_truth_is_a_value(index: Index) -> None:
    assert len(found(index, Where(extra={"flag": True}))) == (len(NASTY) + 1) // 2


@pytest.mark.parametrize("value", ["a\0b", "\ud800"])
def test_what_no_filter_can_hold_is_refused(index: Index, value: str) -> None:
    with pytest.raises(UsageError, match="a filter cannot hold"):
        index.search(Query(where=Where(name_contains=value)))
    with pytest.raises(UsageError):
        index.row(value)


def test_quoting() -> None:
    assert quoted("it's") == "'it''s'"
    assert one_of("id", []) == "id IN (NULL)"
    assert Where().to_filter() is None

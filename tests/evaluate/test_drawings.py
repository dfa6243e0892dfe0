"""Text to image over drawings, on embeddings whose answers are known beforehand."""

from __future__ import annotations

import numpy as np
import pytest

from altclip.errors import DataError
from altclip.evaluate.embedding import Embedded, Named
from altclip.evaluate.mini.drawings import drawing_ranks, find_drawings
from altclip.evaluate.mini.results import Result

COUNT = 20
KEYS = tuple(f"{number:02}" for number in range(COUNT))
# On a circle: the drawings nearest to a name are its neighbours, so a name that is off by n places has a known rank.
ANGLES = np.linspace(0, 1, COUNT)
CIRCLE = np.stack([np.cos(ANGLES), np.sin(ANGLES)], axis=1).astype(np.float32)
GALLERY = Embedded(CIRCLE, np.array(KEYS))
RIGHT = Named(KEYS, KEYS, CIRCLE)


def value(results: list[Result], language: str, metric: str) -> float:
    (found,) = [r for r in results if (r.language, r.metric) == (language, metric)]
    return found.estimate.value


def test_names_at_their_drawings_are_found_first() -> None:
    results = find_drawings(GALLERY, {"en": RIGHT})
    assert [(r.metric, r.estimate.value) for r in results] == [("R@1", 1.0), ("R@5", 1.0), ("R@10", 1.0)]
    assert {(r.queries, r.choices, r.task) for r in results} == {(COUNT, COUNT, "drawings")}


def test_names_at_the_end_of_the_row_have_the_drawings_counted_between() -> None:
    """Every Chinese name lies at drawing 0: drawing n has rank n."""
    astray = Named(KEYS, KEYS, np.repeat(CIRCLE[:1], COUNT, axis=0))
    assert drawing_ranks(GALLERY, astray).tolist() == list(range(COUNT))
    results = find_drawings(GALLERY, {"en": RIGHT, "zh": astray})
    assert [value(results, "zh", f"R@{k}") for k in (1, 5, 10)] == [1 / 20, 5 / 20, 10 / 20]
    assert value(results, "zh", "R@10 over English") == 0.5


def test_the_gallery_is_every_drawing_whatever_a_language_names() -> None:
    """Korean names the even ones only; the odd drawings still stand between."""
    even = Named(KEYS[::2], KEYS[::2], np.repeat(CIRCLE[:1], COUNT // 2, axis=0))
    results = find_drawings(GALLERY, {"en": RIGHT, "ko": even})
    found = next(r for r in results if r.language == "ko" and r.metric == "R@5")
    assert (found.estimate.value, found.queries, found.choices) == (3 / 10, 10, 20)  # 0, 2 and 4
    ratio = next(r for r in results if r.metric == "R@10 over English")
    assert (ratio.estimate.value, ratio.queries) == (0.5, 10)


def test_concepts_without_a_drawing_of_the_style_are_not_asked_for() -> None:
    gallery = Embedded(CIRCLE[:12], np.array(KEYS[:12]))
    results = find_drawings(gallery, {"en": RIGHT})
    assert {(r.queries, r.choices) for r in results} == {(12, 12)}


def test_either_drawing_of_one_name_counts() -> None:
    names = ("same", "same", *KEYS[2:])
    both_at_0 = Named(KEYS, names, CIRCLE[[0, 0, *range(2, COUNT)]])
    assert drawing_ranks(GALLERY, both_at_0).max() == 0
    assert drawing_ranks(GALLERY, Named(KEYS, KEYS, both_at_0.embeddings)).max() == 1


def test_a_recall_that_takes_in_every_drawing_is_left_out() -> None:
    gallery = Embedded(CIRCLE[:6], np.array(KEYS[:6]))
    assert [r.metric for r in find_drawings(gallery, {"en": RIGHT, "zh": RIGHT})] == ["R@1", "R@5"] * 2


def test_a_language_without_a_drawing_is_an_error_that_names_it() -> None:
    gallery = Embedded(CIRCLE[:12], np.array(KEYS[:12]))
    with pytest.raises(DataError, match="a name in ko: leave"):
        find_drawings(gallery, {"en": RIGHT, "ko": RIGHT.among(KEYS[12:])})
    with pytest.raises(DataError, match="in ko and in English"):
        find_drawings(gallery, {"en": RIGHT.among(KEYS[:6]), "ko": RIGHT.among(KEYS[6:])})

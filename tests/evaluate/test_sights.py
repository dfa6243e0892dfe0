"""Queries and classes to look at: taken at even distances, worked out by hand."""

from __future__ import annotations

import numpy as np

from altclip.evaluate.suites.sights import Item, confusion, sheet

AXES = np.eye(8, dtype=np.float32)
TEXTS = [Item(text=f"text {number}") for number in range(8)]
IMAGES = [Item(image=number) for number in range(8)]


def test_hits_and_misses_are_taken_at_even_distances() -> None:
    ranks = np.array([0, 0, 0, 0, 0, 0, 3, 1])
    right = [[number] for number in range(8)]
    made = sheet("en", "T2I", (AXES, TEXTS), (AXES, IMAGES), right, ranks)
    assert [query.asked.text for query in made.hits] == ["text 0", "text 2", "text 4"]
    assert [(query.asked.text, query.rank) for query in made.misses] == [("text 6", 3), ("text 7", 1)]


def test_a_query_tells_what_came_first_and_what_was_right() -> None:
    asked = np.array([[0.0, 0.8, 0.6, 0, 0, 0, 0, 0]], np.float32)
    made = sheet("ar", "I2T", (asked, [Item(image=5)]), (AXES, TEXTS), [[2, 7]], np.array([1]))
    (query,) = made.misses
    assert query.asked == Item(image=5)
    assert [found.item.text for found in query.found] == ["text 1", "text 2", "text 0", "text 3", "text 4"]
    assert [found.right for found in query.found] == [False, True, False, False, False]
    assert query.found[1].cosine == np.float32(0.6)
    assert query.right.text == "text 2"  # the nearer of the two right ones
    assert not made.hits


def test_the_worst_classes_stand_first_with_what_they_were_taken_for() -> None:
    shown = [0, 0, 0, 0, 1, 1, 2, 2]
    told_ = [0, 0, 0, 1, 2, 0, 0, 0]
    made = confusion("en", "names", shown, told_, {0: "ant", 1: "bee", 2: "cat"})
    assert [(of.name, of.hits, of.images) for of in made.classes] == [("bee", 0, 2), ("cat", 0, 2), ("ant", 3, 4)]
    assert [of.taken_for for of in made.classes] == [(("cat", 1), ("ant", 1)), (("ant", 2),), (("bee", 1),)]


def test_classes_that_are_always_right_are_not_shown() -> None:
    assert confusion("en", "names", [0, 1], [0, 1], {0: "ant", 1: "bee"}).classes == ()

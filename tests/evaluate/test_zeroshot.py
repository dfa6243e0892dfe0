"""Zero-shot tasks on embeddings whose answers are known beforehand."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from altclip.errors import DataError
from altclip.evaluate.embedding import Embedded, Named
from altclip.evaluate.mini import zeroshot
from altclip.evaluate.mini.results import Result
from altclip.evaluate.mini.zeroshot import left_out, paired_hits, zero_shot
from altclip.metrics import Estimate, ratio, wilson

KEYS = ("a", "b", "c", "d", "e", "f", "g")
AXES = np.eye(7, dtype=np.float32)


def images(*shown: str) -> Embedded:
    """Images that lie exactly on the axis of what they show."""
    return Embedded(AXES[[KEYS.index(key) for key in shown]], np.array(shown))


def named(places: dict[str, str], names: Sequence[str] | None = None) -> Named:
    """Class -> the class whose axis its name lies on."""
    rows = AXES[[KEYS.index(place) for place in places.values()]]
    return Named(tuple(places), tuple(names or places), rows)


RIGHT = named(dict(zip(KEYS, KEYS, strict=True)))
EACH_ONCE = images(*KEYS)


def pick(results: list[Result], language: str, metric: str, group: str = "") -> Result:
    (found,) = [r for r in results if (r.language, r.metric, r.group) == (language, metric, group)]
    return found


def value(results: list[Result], language: str, metric: str, group: str = "") -> float:
    return pick(results, language, metric, group).estimate.value


def test_names_in_place_are_right_and_names_astray_are_wrong() -> None:
    astray = dict(zip(KEYS, KEYS, strict=True)) | {"a": "b", "b": "a"}
    results = zero_shot(EACH_ONCE, {"en": RIGHT, "zh": named(astray)}, "names")
    assert value(results, "en", "top-1") == 1.0
    assert value(results, "zh", "top-1") == pytest.approx(5 / 7)
    assert value(results, "zh", "top-1 over English") == pytest.approx(5 / 7)
    assert pick(results, "zh", "top-1").estimate == wilson(5, 7)
    assert [r.metric for r in results if r.language == "en"] == ["top-1", "top-5"]


def test_the_ways_and_images_are_those_of_the_named_classes() -> None:
    some = named({key: key for key in "abcdef"})
    results = zero_shot(images(*KEYS, "g", "g"), {"en": RIGHT, "ko": some}, "templates")
    english, korean = pick(results, "en", "top-1"), pick(results, "ko", "top-1")
    assert (english.queries, english.choices, english.prompts) == (9, 7, "templates")
    assert (korean.queries, korean.choices) == (6, 6)


def test_over_english_both_choose_among_the_classes_named_in_both() -> None:
    """English takes a for g. Korean has no name for g: where g is no choice, English is right on a too."""
    english = Named(KEYS, KEYS, np.concatenate([AXES[:1] / 2, AXES[1:6], AXES[:1]]))
    results = zero_shot(EACH_ONCE, {"en": english, "ko": named({key: key for key in "abcdef"})}, "names")
    assert value(results, "en", "top-1") == pytest.approx(5 / 7)
    over = pick(results, "ko", "top-1 over English")
    assert (over.estimate.value, over.queries, over.choices) == (1.0, 6, 6)


def test_over_english_a_class_named_in_the_other_language_alone_does_not_count() -> None:
    """English has no name for d, and Korean is wrong on it."""
    no_d = Named(KEYS[:3] + KEYS[4:], KEYS[:3] + KEYS[4:], AXES[[0, 1, 2, 4, 5, 6]])
    wrong_d = named({**{key: key for key in "abcdef"}, "d": "e"})
    over = pick(zero_shot(EACH_ONCE, {"en": no_d, "ko": wrong_d}, "names"), "ko", "top-1 over English")
    assert (over.estimate.value, over.queries, over.choices) == (1.0, 5, 5)


def test_either_of_two_classes_of_one_name_counts() -> None:
    """Both are called `glace`, and their name lies on the first one's axis."""
    french = named({**dict(zip(KEYS, KEYS, strict=True)), "b": "a"}, ["glace", "glace", *KEYS[2:]])
    shown = Embedded(AXES[[0, 0]], np.array(["a", "b"]))
    assert value(zero_shot(shown, {"en": RIGHT, "fr": french}, "names"), "fr", "top-1") == 1.0
    apart = named({**dict(zip(KEYS, KEYS, strict=True)), "b": "a"})
    assert value(zero_shot(shown, {"en": RIGHT, "fr": apart}, "names"), "fr", "top-1") == 0.5


def test_top_5_counts_places_and_is_left_out_where_it_takes_in_every_class() -> None:
    embeddings = np.array([[6, 5, 4, 3, 2, 1, 0]], np.float32)
    for key, expected in (("e", 1.0), ("f", 0.0)):
        results = zero_shot(Embedded(embeddings, np.array([key])), {"en": RIGHT}, "names")
        assert value(results, "en", "top-5") == expected
    few = named({key: key for key in "abcde"})
    results = zero_shot(images("a", "b"), {"en": few}, "names")
    assert [r.metric for r in results] == ["top-1"]


def test_a_language_without_an_image_is_an_error_that_names_it() -> None:
    with pytest.raises(DataError, match="has a name in ko: leave the language out"):
        zero_shot(images("a"), {"en": RIGHT, "ko": named({"b": "b"})}, "names")
    with pytest.raises(DataError, match="in ko and in English"):
        zero_shot(images("a", "b"), {"en": named({"a": "a"}), "ko": named({"b": "b"})}, "names")


def test_paired_hits_stand_image_by_image() -> None:
    english = named(dict(zip(KEYS, KEYS, strict=True)) | {"c": "d", "d": "c"})
    chinese = named({key: key for key in "abcdef"} | {"a": "b", "b": "a"})
    hits = paired_hits(images("a", "g", "c", "e"), chinese, english, "zh")
    assert hits.shown.tolist() == [0, 2, 3]
    assert hits.own.tolist() == [False, True, True]
    assert hits.english.tolist() == [True, False, True]


# --- names left out ----------------------------------------------------------------------------------------------

LEFT_OUT = {("a", "zh"), ("b", "zh"), ("c", "fr")}
# b is taken for a, and g for f; c for a. Of two names in one place the first class wins, so a and f stay right.
CHINESE = named(dict(zip(KEYS, KEYS, strict=True)) | {"b": "a", "g": "f"})
FRENCH = named(dict(zip(KEYS, KEYS, strict=True)) | {"c": "a"})


def test_names_left_out_and_others_are_told_apart() -> None:
    results = left_out(EACH_ONCE, {"en": RIGHT, "zh": CHINESE, "fr": FRENCH}, LEFT_OUT, "names")
    metric = "top-1 over English"
    assert value(results, "zh", metric, "left out") == 0.5
    assert value(results, "zh", metric, "others") == pytest.approx(4 / 5)
    assert value(results, "fr", metric, "left out") == 0.0
    assert value(results, "fr", metric, "others") == 1.0
    found = pick(results, "zh", metric, "left out")
    assert (found.queries, found.choices, found.task) == (2, 7, "left out")


def test_all_languages_together_add_up() -> None:
    results = left_out(EACH_ONCE, {"en": RIGHT, "zh": CHINESE, "fr": FRENCH}, LEFT_OUT, "names")
    together = pick(results, "all", "top-1 over English", "left out")
    assert together.estimate.value == pytest.approx(1 / 3)
    assert together.queries == 3
    others = pick(results, "all", "top-1 over English", "others")
    assert others.estimate.value == pytest.approx(10 / 11)
    assert others.queries == 11


def test_an_image_is_resampled_with_all_its_languages() -> None:
    """One image asked for in six languages is one draw, not six: the interval stays as wide as that of one language."""
    draw = np.random.default_rng(0)
    right = draw.random(60) < 0.5
    shown = Embedded(np.where(right[:, None], AXES[0], AXES[1]), np.array(["a"] * 60))
    english = Named(("a", "b"), ("a", "b"), np.stack([AXES[0] + AXES[1], AXES[2]]))  # always right
    own = Named(("a", "b"), ("a", "b"), AXES[:2])
    codes = ["zh", "es", "fr", "ru", "ja", "ko"]
    pairs = {("a", code) for code in codes}
    results = left_out(shown, {"en": english} | dict.fromkeys(codes, own), pairs, "names")
    one, all_of_them = (pick(results, code, "top-1 over English", "left out").estimate for code in ("zh", "all"))
    assert all_of_them.value == one.value
    assert all_of_them.high - all_of_them.low == pytest.approx(one.high - one.low, rel=0.05)


def test_in_all_languages_together_each_image_is_a_row(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[list[tuple[int, int]]] = []
    real = ratio

    def noting(own: NDArray[np.int64], english: NDArray[np.int64]) -> Estimate:
        drawn.append(list(zip(own.tolist(), english.tolist(), strict=True)))
        return real(own, english)

    monkeypatch.setattr(zeroshot, "ratio", noting)
    left_out(EACH_ONCE, {"en": RIGHT, "zh": CHINESE, "fr": FRENCH}, LEFT_OUT, "names")
    assert drawn[-2] == [(1, 1), (0, 1), (0, 1)]  # a and b in Chinese, c in French
    assert drawn[-1] == [(1, 1), (1, 1), (1, 1), (2, 2), (2, 2), (2, 2), (1, 2)]  # the rest: d to g in both


def test_a_group_without_names_is_not_shown() -> None:
    results = left_out(EACH_ONCE, {"en": RIGHT, "zh": CHINESE}, set(), "names")
    assert {r.group for r in results} == {"others"}

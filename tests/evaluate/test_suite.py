"""All figures of one model on the made data, where a model that sees colour gives known answers."""

from __future__ import annotations

from pathlib import Path

import pytest

from altclip.errors import DataError, UsageError
from altclip.evaluate.mini.data import MiniData, open_data
from altclip.evaluate.mini.measures import Settings, choose_languages, measure
from altclip.evaluate.mini.results import Result
from altclip.languages import LANGUAGES
from tests.evaluate.made import ColourModel

THREE = Settings(("en", "zh", "fr"))


@pytest.fixture(scope="module")
def data(folder: Path) -> MiniData:
    return open_data(folder, "twemoji")


def value(results: list[Result], task: str, language: str, metric: str, prompts: str = "names") -> float:
    (found,) = [r for r in results if (r.task, r.language, r.metric, r.prompts) == (task, language, metric, prompts)]
    return found.estimate.value


def test_who_knows_every_colour_is_right_everywhere(data: MiniData) -> None:
    """But for the two flowers of one name in French: their name lies at the last one's colour, and either counts."""
    results = measure(ColourModel(), data, THREE)
    for prompts in ("names", "templates"):
        assert value(results, "photographs", "en", "top-1", prompts) == 1.0
        assert value(results, "photographs", "zh", "top-1", prompts) == 1.0
        assert value(results, "photographs", "zh", "top-1 over English", prompts) == 1.0
        assert value(results, "full size", "en", "top-5", prompts) == 1.0
        assert value(results, "photographs", "fr", "top-5", prompts) == 1.0
    assert value(results, "drawings", "fr", "R@1") == 1.0


def test_mistakes_show_where_they_are_made(data: MiniData) -> None:
    """Chinese ruby is taken for lawn, and lawn for ruby: 2 of the 7 classes named in both."""
    results = measure(ColourModel({"红宝石": "草坪", "草坪": "红宝石"}), data, THREE)
    assert value(results, "photographs", "zh", "top-1") == pytest.approx(5 / 7)
    assert value(results, "photographs", "zh", "top-1 over English", "templates") == pytest.approx(5 / 7)
    assert value(results, "photographs", "en", "top-1") == 1.0


def test_a_model_of_english_alone_has_next_to_nothing_of_chinese(data: MiniData) -> None:
    """Words it does not know lie nowhere: every image goes to the first class, which one in seven shows."""
    model = ColourModel()
    model.colours = {word: colour for word, colour in model.colours.items() if word.isascii() and "zh" not in word}
    results = measure(model, data, THREE)
    assert value(results, "photographs", "en", "top-1") == 1.0
    assert value(results, "photographs", "zh", "top-1 over English") == pytest.approx(1 / 7)
    assert value(results, "drawings", "zh", "R@10 over English") == pytest.approx(10 / 18)


def test_counts_are_those_of_the_data(data: MiniData) -> None:
    results = measure(ColourModel(), data, THREE)
    counts = {(r.task, r.language, r.metric): (r.queries, r.choices) for r in results}
    assert counts["photographs", "en", "top-1"] == (24, 8)
    assert counts["photographs", "zh", "top-1"] == (21, 7)
    assert counts["photographs", "fr", "top-1 over English"] == (24, 8)
    assert counts["full size", "en", "top-5"] == (4, 8)
    assert counts["drawings", "zh", "R@10"] == (18, 18)


def test_names_left_out_are_measured_if_asked_for(data: MiniData) -> None:
    assert not [r for r in measure(ColourModel(), data, THREE) if r.task == "left out"]
    results = measure(ColourModel(), data, Settings(("en", "zh", "fr"), left_out=4))
    found = {(r.language, r.group): r.queries for r in results if r.task == "left out" and r.prompts == "names"}
    # class i and language j (zh 0, fr 2 of the eight) where (i + j) % 4 == 0: zh of n001 and n005, fr of n003 and n007
    assert found["zh", "left out"] == 6
    assert found["fr", "left out"] == 6
    assert found["all", "left out"] == 12
    assert found["all", "others"] == 21 - 6 + 24 - 6


def test_images_are_embedded_once_for_all_languages(data: MiniData) -> None:
    model = ColourModel()
    measure(model, data, THREE)
    assert model.images_seen == len(data.photographs) + len(data.full_size) + len(data.drawings)


def test_what_is_done_is_told(data: MiniData) -> None:
    lines: list[str] = []
    measure(ColourModel(), data, THREE, report=lines.append)
    assert any("embedding" in line for line in lines)
    assert any("zh, fr" in line for line in lines)


def test_a_language_that_the_data_lacks_is_an_error(data: MiniData) -> None:
    with pytest.raises(DataError, match="no name in ko"):
        measure(ColourModel(), data, Settings(("en", "ko")))


def test_languages_are_chosen_in_the_usual_order_and_english_is_always_there() -> None:
    assert choose_languages([]) == LANGUAGES
    assert choose_languages(["ja", "zh"]) == ("en", "zh", "ja")
    assert choose_languages(["en"]) == ("en",)
    with pytest.raises(UsageError, match="unknown language 'de', 'xx': expected some of en, zh"):
        choose_languages(["zh", "de", "xx"])


def test_a_negative_leave_out_rule_is_refused() -> None:
    with pytest.raises(UsageError, match="left_out=-1"):
        Settings(left_out=-1)

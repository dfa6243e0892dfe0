"""Which text goes with a row."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest

from altclip import prompts
from altclip.data.labels import Labels
from altclip.data.texts import Captions, ClassNames, name_text
from altclip.errors import DataError

LABELS = Labels({"n1": {"en": ("cat", "moggy", "puss"), "zh": ("猫",)}, "n2": {"zh": ("狗",)}})


def drawn(chooser: Any, row: dict[str, Any], count: int = 400) -> Counter[str]:
    draw = np.random.default_rng(0)
    return Counter(chooser.choose(row, draw) for _ in range(count))


def test_languages_are_drawn_alike_and_the_first_name_half_of_the_time() -> None:
    texts = drawn(ClassNames(LABELS, "wnid", ["en", "zh"], template_share=0.0), {"wnid": "n1"}, 4000)
    assert texts.keys() == {"cat", "moggy", "puss", "猫"}
    assert texts["猫"] == pytest.approx(2000, rel=0.1)
    assert texts["cat"] == pytest.approx(1000, rel=0.15)
    assert texts["moggy"] == pytest.approx(500, rel=0.2)


def test_a_language_without_a_name_is_passed_over() -> None:
    assert drawn(ClassNames(LABELS, "wnid", ["en", "zh"], 0.0), {"wnid": "n2"}) == {"狗": 400}


def test_templates_are_of_the_language() -> None:
    texts = drawn(ClassNames(LABELS, "wnid", ["zh"], template_share=1.0), {"wnid": "n1"})
    assert texts.keys() <= {prompts.fill(template, "猫") for template in prompts.templates("zh")}
    assert len(texts) > 3
    some = drawn(ClassNames(LABELS, "wnid", ["zh"], template_share=0.25), {"wnid": "n1"}, 2000)
    assert some["猫"] == pytest.approx(1500, rel=0.1)


def test_integers_of_a_folder_data_set_stand_for_its_folders() -> None:
    chooser = ClassNames(LABELS, "label", ["zh"], 0.0, class_names=["n2", "n1"])
    assert (chooser.key({"label": 0}), chooser.key({"label": 1})) == ("n2", "n1")
    assert drawn(chooser, {"label": 1}, 3) == {"猫": 3}
    assert chooser.columns == ["label"]


@pytest.mark.parametrize("value", ["n3", None, 7])
def test_a_class_without_a_name(value: Any) -> None:
    with pytest.raises(DataError, match=f"no name in en for wnid = {str(value)!r}"):
        drawn(ClassNames(LABELS, "wnid", ["en"]), {"wnid": value})


def test_captions_of_several_languages() -> None:
    row = {"en": ["one", "two", " "], "zh": "一", "fr": None}
    texts = drawn(Captions({"en": "en", "zh": "zh", "fr": "fr"}), row, 2000)
    assert texts.keys() == {"one", "two", "一"}
    assert texts["一"] == pytest.approx(1000, rel=0.1)


@pytest.mark.parametrize("cell", [None, "", "  ", [], [None, " "], 3])
def test_a_row_without_captions(cell: Any) -> None:
    with pytest.raises(DataError, match="no caption in the columns text"):
        drawn(Captions({"en": "text"}), {"text": cell})


def test_equal_captions_are_one_meaning() -> None:
    chooser = Captions({"en": "en"})
    assert chooser.key({"en": "a", "id": 1}) == chooser.key({"en": "a", "id": 2}) != chooser.key({"en": "b"})


def test_a_name_is_text_whatever_is_in_it() -> None:
    assert name_text(["a {} b"], "en", 0.0, np.random.default_rng(0)) == "a {} b"
    assert "a {} b" in name_text(["a {} b"], "en", 1.0, np.random.default_rng(0))

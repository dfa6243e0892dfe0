"""The nine languages, and what a script tells of a text's language."""

from __future__ import annotations

import typing

import pytest

from altclip.languages import LANGUAGES, NAMES, RIGHT_TO_LEFT, Language, detect, scripts


def test_the_nine_languages_in_their_order() -> None:
    assert LANGUAGES == ("en", "zh", "es", "fr", "ru", "ja", "ko", "ar", "it")
    assert typing.get_args(Language) == LANGUAGES


def test_every_language_has_its_own_name() -> None:
    assert tuple(NAMES) == LANGUAGES
    assert len(set(NAMES.values())) == 9


def test_arabic_alone_runs_from_right_to_left() -> None:
    assert RIGHT_TO_LEFT == {"ar"}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("a cat", {"latin"}),
        ("l'été à Nîmes", {"latin"}),
        ("猫", {"han"}),
        ("ネコ", {"kana"}),
        ("ﾈｺ", {"kana"}),
        ("ねこ", {"kana"}),
        ("食べる", {"han", "kana"}),
        ("コーヒー", {"kana"}),
        ("고양이", {"hangul"}),
        ("кошка", {"cyrillic"}),
        ("قطة", {"arabic"}),
        ("γάτα", {"other"}),
        ("Tシャツ", {"latin", "kana"}),
        ("", set()),
        ("123 :-) 🐱", set()),
        ("\ud800", set()),
    ],
)
def test_scripts_of_a_text(text: str, found: set[str]) -> None:
    assert scripts(text) == found


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("一只猫", "zh"),
        ("人々", "zh"),
        ("猫です", "ja"),
        ("ネコ", "ja"),
        ("고양이", "ko"),
        ("кошка", "ru"),
        ("قِطّة", "ar"),
        ("a cat", None),
        ("un gatto", None),
        ("42", None),
        ("", None),
        ("   ", None),
        ("🐱", None),
        ("γάτα", None),
    ],
)
def test_a_text_alone(text: str, language: str | None) -> None:
    assert detect([text]) == [language]


@pytest.mark.parametrize(
    ("text", "language"),
    [("Tシャツ", "ja"), ("T恤", "zh"), ("USB 케이블", "ko"), ("Wi-Fi роутер", "ru"), ("韓國 사람", "ko")],
)
def test_a_loan_word_in_another_script_does_not_count(text: str, language: str) -> None:
    assert detect([text]) == [language]


def test_two_scripts_that_each_name_a_language_name_none() -> None:
    assert detect(["кошка 고양이"]) == [None]


def test_han_is_chinese_unless_kana_stands_anywhere_in_the_set() -> None:
    assert detect(["鳥", "犬"]) == ["zh", "zh"]
    assert detect(["鳥", "ネコ", "a cat", "강아지"]) == ["ja", "ja", None, "ko"]


def test_the_order_and_number_of_texts_are_kept() -> None:
    assert detect([]) == []
    assert detect(["a", "б", "a"]) == [None, "ru", None]

"""Labels as people give them: splitting one line, and refusing what cannot be classified among."""

from __future__ import annotations

import pytest

from altclip.errors import UsageError
from altclip.prompts import check_labels, split_labels


@pytest.mark.parametrize(
    ("line", "labels"),
    [
        ("a,b", ["a", "b"]),
        ("cat, un chien ,鳥", ["cat", "un chien", "鳥"]),
        ("猫，狗、鸟", ["猫", "狗", "鸟"]),
        ("قطة، كلب، طائر", ["قطة", "كلب", "طائر"]),
        ("кошка，собака, 猫、قطة", ["кошка", "собака", "猫", "قطة"]),
        (",a,,b,", ["a", "b"]),
        ("  a b  ", ["a b"]),
        ("\u3000猫\u3000、犬\n", ["猫", "犬"]),
        ("pot; pan", ["pot; pan"]),
        ("a,a", ["a", "a"]),  # repeats are kept: check_labels names them
        ("", []),
        (" ，、 ،", []),
    ],
)
def test_one_line_splits_at_the_commas_of_the_nine_languages(line: str, labels: list[str]) -> None:
    assert split_labels(line) == labels


@pytest.mark.parametrize(
    "labels", [["a"], ("a", "b"), ["Cat", "cat"], ["猫", "犬", "ネコ"], ["🐈"], ["</s>", "{}"], ["1"]]
)
def test_labels_that_differ_are_fine(labels: list[str]) -> None:
    check_labels(labels)


@pytest.mark.parametrize(
    ("labels", "named"),
    [
        (["cat", "dog", "cat"], "'cat'"),
        (["cat", "dog", "dog", "cat", "bird"], "'cat', 'dog'"),
        (["cat", " cat "], "'cat'"),
        (["caf\u00e9", "cafe\u0301"], "'caf\u00e9'"),  # one text, composed and decomposed
        (["قطة", "كلب", "قطة"], "'قطة'"),
    ],
)
def test_repeated_labels_are_named(labels: list[str], named: str) -> None:
    with pytest.raises(UsageError, match=f"more than once: {named};.*each label once.*remove"):
        check_labels(labels)


def test_a_long_repeated_label_is_shortened_in_the_message() -> None:
    with pytest.raises(UsageError) as caught:
        check_labels(["long " * 2000] * 2)
    assert len(str(caught.value)) < 300


def test_control_characters_of_a_label_do_not_reach_the_message() -> None:
    with pytest.raises(UsageError) as caught:
        check_labels(["\x1b[31mred", "\x1b[31mred"])
    assert "\x1b" not in str(caught.value)


def test_no_labels() -> None:
    with pytest.raises(UsageError, match="no labels: expected at least one.*label_set"):
        check_labels([])


@pytest.mark.parametrize("empty", ["", " ", "\t\n", "\u3000", "\u200b", "\u200f\u00a0", "\x00"])
def test_an_empty_label_is_named_by_its_place(empty: str) -> None:
    with pytest.raises(UsageError, match="label 1 is '.*empty text.*leave it out"):
        check_labels(["cat", empty, "dog"])


def test_one_text_is_no_list_of_labels() -> None:
    with pytest.raises(UsageError, match="one text, 'cat,dog': expected a list.*split_labels"):
        check_labels("cat,dog")


@pytest.mark.parametrize("value", [3, None, b"cat", ["cat"]])
def test_a_label_that_is_no_text(value: object) -> None:
    with pytest.raises(UsageError, match="label 1 is .*expected a text.*str"):
        check_labels(["dog", value])  # type: ignore[list-item]

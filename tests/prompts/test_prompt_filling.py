"""Which templates a label gets, and that a label stays the text it is."""

from __future__ import annotations

import pytest

from altclip.errors import UsageError
from altclip.languages import LANGUAGES, Language
from altclip.prompts import fill, label_set, prompts_for, templates


def of(language: Language | None, label: str) -> list[str]:
    """What a label of this language must become."""
    return [template.replace("{}", label) for template in templates(language)]


@pytest.mark.parametrize(
    ("template", "label", "prompt"),
    [
        ("{}", "cat", "cat"),
        ("a photo of {}", "cat", "a photo of cat"),
        ("一张{}的照片", "猫", "一张猫的照片"),
        ("صورة: {}", "قطة", "صورة: قطة"),
        ("a photo of {}", "{}", "a photo of {}"),
        ("a {} here", "{0} {name} {{x}} }{", "a {0} {name} {{x}} }{ here"),
        ("{0} {name} {} }", "cat", "{0} {name} cat }"),
        ("100 % {}", r"\1 %s", r"100 % \1 %s"),
    ],
)
def test_template_and_label_are_plain_text(template: str, label: str, prompt: str) -> None:
    assert fill(template, label) == prompt


@pytest.mark.parametrize(("template", "count"), [("a photo", 0), ("", 0), ("{0}", 0), ("{ }", 0), ("{} and {}", 2)])
def test_a_template_without_exactly_one_place_is_refused(template: str, count: int) -> None:
    for ask in (lambda: fill(template, "cat"), lambda: prompts_for(["cat"], templates=["{}", template])):
        with pytest.raises(UsageError, match=f"has {count} places.*exactly one {{}}.*add it or remove") as caught:
            ask()
        assert repr(template) in str(caught.value)


def test_worked_example() -> None:
    first = [prompts[0] for prompts in prompts_for(["猫", "кошка", "고양이", "قطة", "cat"])]
    assert first == ["一张猫的照片", "фото: кошка", "고양이 사진", "صورة: قطة", "cat"]
    assert prompts_for(["gatto"], language="it")[0][:2] == ["una foto di gatto", "un'immagine di gatto"]


def test_han_is_chinese_alone_and_japanese_beside_kana() -> None:
    assert prompts_for(["鳥"]) == [of("zh", "鳥")]
    assert prompts_for(["鳥", "dog"]) == [of("zh", "鳥"), ["dog"]]
    assert prompts_for(["鳥", "ネコ"]) == [of("ja", "鳥"), of("ja", "ネコ")]
    assert prompts_for(["一只猫", "un chien", "鳥"]) == [of("zh", "一只猫"), ["un chien"], of("zh", "鳥")]


def test_labels_in_mixed_languages_each_get_their_own_templates_in_order() -> None:
    labels = ["كلب على الشاطئ", "beach", "собака", "강아지", "犬", "いぬ", "42", "🐈"]
    told: list[Language | None] = ["ar", None, "ru", "ko", "ja", "ja", None, None]
    assert prompts_for(labels) == [of(language, label) for language, label in zip(told, labels, strict=True)]


@pytest.mark.parametrize("label", ["cat", "un chien", "gato", "çapa", "iPod", "7", "?"])
def test_latin_is_never_guessed(label: str) -> None:
    assert prompts_for([label]) == [[label]]


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_language_given_wins_over_the_script(language: Language) -> None:
    assert prompts_for(["iPod", "鳥"], language=language) == [of(language, "iPod"), of(language, "鳥")]


def test_one_language_a_label_and_none_leaves_it_to_the_script() -> None:
    prompts = prompts_for(["pain", "鳥", "dog", "ネコ"], language=["fr", None, None, "ja"])
    assert prompts == [of("fr", "pain"), of("ja", "鳥"), ["dog"], of("ja", "ネコ")]


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_label_of_every_set_is_found_in_all_of_its_prompts(language: Language) -> None:
    labels = list(label_set("mini", language).values())
    for label, prompts in zip(labels, prompts_for(labels, language=language), strict=True):
        assert len(prompts) == len(templates(language))
        assert all(label in prompt and "{}" not in prompt for prompt in prompts)


def test_templates_none_is_the_labels_as_they_are() -> None:
    assert prompts_for(["猫", " a cat "], templates=None, language="zh") == [["猫"], [" a cat "]]


def test_own_templates_serve_every_label_whatever_its_language() -> None:
    assert prompts_for(["猫", "cat"], templates=("{}!", "x {}")) == [["猫!", "x 猫"], ["cat!", "x cat"]]


def test_labels_that_occur_twice_are_filled_twice() -> None:
    assert prompts_for(["a", "a"], templates=["{}!"]) == [["a!"], ["a!"]]


def test_right_to_left_labels_keep_the_order_of_their_characters() -> None:
    (prompts,) = prompts_for(["قطة (CD 2)"])
    assert prompts[0] == "صورة: قطة (CD 2)"
    assert not {"\u200e", "\u200f", "\u202b", "\u202c"} & set("".join(prompts))


@pytest.mark.parametrize("labels", [[], [""], ["cat", " "], "cat"])
def test_bad_labels_are_refused(labels: list[str]) -> None:
    with pytest.raises(UsageError, match="label"):
        prompts_for(labels, templates=None)


@pytest.mark.parametrize("language", ["de", "EN", ""])
@pytest.mark.parametrize("how", ["auto", None])
def test_an_unknown_language_is_refused_even_where_no_template_needs_it(language: str, how: None) -> None:
    for given in (language, ["en", language]):
        with pytest.raises(UsageError, match=f"unknown language {language!r}"):
            prompts_for(["a", "b"], templates=how, language=given)  # type: ignore[arg-type]


def test_languages_must_be_as_many_as_labels() -> None:
    with pytest.raises(UsageError, match="1 languages for 2 labels: expected one a label; give one language for all"):
        prompts_for(["a", "b"], language=["en"])


@pytest.mark.parametrize(
    ("own", "told"),
    [([], "empty list.*use None"), ("a photo of {}", "text 'a photo of {}'.*in a list"), ("", "text ''")],
)
def test_templates_that_are_no_list_or_an_empty_one(own: list[str], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        prompts_for(["cat"], templates=own)

"""Words of nine languages are found: whole, inflected, within a compound, and without spaces around them."""

from __future__ import annotations

import pytest

from altclip.search.text import asked, fits, fold, stored

# What a person types, a text that has it, and one that has not.
FOUND = {
    "en": ("beach", "Sunset at the Beaches of Brighton", "a dog in the snow"),
    "en in a file name": ("wedding", "IMG_0123-annaswedding2019.jpg", "IMG_0124.jpg"),
    "zh one character": ("猫", "沙发上的一只猫", "沙发上的一只狗"),
    "zh": ("海滩", "我们在海滩上散步", "我们在山上散步"),
    "zh in another order": ("海滩上的狗", "狗在海滩", "一只猫"),
    "es": ("montaña", "MONTANAS nevadas", "el mar"),
    "fr": ("été à la mer", "vacances d'ete", "une voiture"),
    "ru": ("кошка", "две кошки на диване", "собака"),
    "ru with ё": ("ёлка", "новогодняя елка", "берёза"),
    "ja": ("桜", "上野公園の桜", "上野公園の紅葉"),
    "ja kana": ("ラーメン", "昨日のラーメン屋", "昨日の寿司屋"),
    "ja half width": ("ﾗｰﾒﾝ", "昨日のラーメン屋", "昨日の寿司屋"),
    "ko": ("고양이", "고양이가 잔다", "강아지가 잔다"),
    "ko one with a particle": ("고양이를", "소파 위의 고양이", "소파 위의 개"),
    "ko one syllable": ("꽃", "벚꽃이 피었다", "나무 아래"),
    "ko one syllable with a particle": ("개", "개가 잔다", "고양이가 잔다"),
    "ar": ("قطة", "القطة على الأريكة", "كلب في الحديقة"),
    "ar with vowel marks": ("حِصَان", "حصان على الشاطئ", "سيارة"),
    "ar other alef": ("اطفال", "أطفال يلعبون", "سيارة حمراء"),
    "it": ("gatto", "i gatti dormono, un gatto mangia", "il cane dorme"),
}
WITHOUT_SPACES = ("猫", "高", "雪")


@pytest.mark.parametrize(("query", "text", "other"), FOUND.values(), ids=FOUND.keys())
def test_a_word_is_found_where_it_is_and_not_where_it_is_not(query: str, text: str, other: str) -> None:
    assert fits(asked(query), stored(text))
    assert not fits(asked(query), stored(other))


def test_voiced_kana_are_other_kana() -> None:
    assert fold("がき") == "がき" != fold("かき")
    assert not fits(asked("ガラス"), stored("カラオケ"))


@pytest.mark.parametrize(
    ("text", "folded"),
    [("ÉTÉ", "ete"), ("Straße", "strasse"), ("ＡＢＣ", "abc"), ("كـتـاب", "كتاب"), ("Й", "и"), ("한글", "한글")],
)
def test_folding(text: str, folded: str) -> None:
    assert fold(text) == folded


def test_both_ways_to_write_an_accent_are_one() -> None:
    assert stored("cafe\u0301") == stored("caf\u00e9")


def test_what_is_stored_is_each_ngram_once() -> None:
    assert stored("cats cats").split() == ["cats", "cat", "ats"]
    assert stored("海滩").split() == ["海", "滩", "海滩"]
    assert stored("") == stored(" .,!") == ""


def test_a_query_of_signs_asks_for_nothing() -> None:
    assert asked("?! … 、") == []
    assert not fits([], stored("cat"))


def test_a_word_without_end_is_no_word_of_the_index() -> None:
    grams = stored("x" * 100_000).split()
    assert grams == ["xxx"]

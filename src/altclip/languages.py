"""The nine languages, and what a script tells of a text's language.

A script names its language only where one of the nine alone uses it: Cyrillic is Russian, Hangul Korean, Arabic
Arabic, kana Japanese. Han without kana anywhere in a group of texts is Chinese. Latin is shared by four languages, so
it names none.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from typing import Final, Literal

Language = Literal["en", "zh", "es", "fr", "ru", "ja", "ko", "ar", "it"]
LANGUAGES: Final[tuple[Language, ...]] = ("en", "zh", "es", "fr", "ru", "ja", "ko", "ar", "it")
NAMES: Final[dict[Language, str]] = {
    "en": "English",
    "zh": "中文",
    "es": "español",
    "fr": "français",
    "ru": "русский",
    "ja": "日本語",
    "ko": "한국어",
    "ar": "العربية",
    "it": "italiano",
}
RIGHT_TO_LEFT: Final[frozenset[str]] = frozenset({"ar"})

_SCRIPTS: Final[tuple[tuple[str, str], ...]] = (
    ("HIRAGANA", "kana"),
    ("KATAKANA", "kana"),
    ("HALFWIDTH KATAKANA", "kana"),
    ("HANGUL", "hangul"),
    ("CJK", "han"),
    ("CYRILLIC", "cyrillic"),
    ("ARABIC", "arabic"),
    ("LATIN", "latin"),
)
_OF_SCRIPT: Final[dict[str, Language]] = {"kana": "ja", "hangul": "ko", "cyrillic": "ru", "arabic": "ar"}


def scripts(text: str) -> set[str]:
    """The scripts of the letters of `text`: of kana, hangul, han, cyrillic, arabic, latin, other."""
    found = set()
    for character in text:
        if character.isalpha():
            name = unicodedata.name(character, "")
            found.add(next((script for start, script in _SCRIPTS if name.startswith(start)), "other"))
    return found


def detect(texts: Sequence[str]) -> list[Language | None]:
    """The language of each text by its script, or None where the script does not tell (Latin, digits, other).

    Han is Chinese unless kana stands anywhere in `texts`: a set of labels is in one language more often than not,
    and 鳥 beside ネコ is Japanese.
    """
    found = [scripts(text) for text in texts]
    han: Language = "ja" if any("kana" in s for s in found) else "zh"
    return [_language(s, han) for s in found]


def _language(found: Iterable[str], han: Language) -> Language | None:
    """The language that one text's scripts name; Latin letters beside another script are a loan word: not counted."""
    named = {_OF_SCRIPT[script] for script in found if script in _OF_SCRIPT}
    if not named and "han" in found:  # kanji beside kana is Japanese, hanja beside hangul Korean: Han tells only alone
        return han
    return named.pop() if len(named) == 1 else None

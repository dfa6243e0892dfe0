"""Full-text search by n-grams of our own, so that words of nine languages are found without a dictionary for any.

Han and kana are cut into characters and pairs, since no spaces separate their words; Hangul too, since particles
hang on words; all else into triples, which find the stem in an inflected word and "beach" in "beachparty.jpg".
The index holds the n-grams, separated by spaces; the library's own tokenizer has to split at spaces alone.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from typing import Final

_DENSE: Final = "\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_HANGUL: Final = re.compile("[\uac00-\ud7af]")
_DENSE_RUN: Final = re.compile(f"[{_DENSE}]+")
_UNITS: Final = re.compile(rf"[{_DENSE}]+|(?:(?![{_DENSE}])[^\W_])+")
_VOICED: Final = "\u3099\u309a"  # marks that make another kana (か, が), not another way to write one
_TATWEEL: Final = "\u0640"
_ARTICLE: Final = "\u0627\u0644"  # ال
_LONGEST_WORD: Final = 40
_LONGEST_TEXT: Final = 20_000
_SHARE: Final = 0.6  # of the triples of a word that a row must have; of dense scripts one pair is enough


def fold(text: str) -> str:
    """Text without what people leave out when they search: case, accents, vowel marks, widths, forms of alef."""
    wide = unicodedata.normalize("NFD", unicodedata.normalize("NFKC", text[:_LONGEST_TEXT]).casefold())
    kept = (c for c in wide if c in _VOICED or (c != _TATWEEL and unicodedata.category(c) != "Mn"))
    return unicodedata.normalize("NFC", "".join(kept)).replace("\u0649", "\u064a")


def units(text: str) -> Iterator[str]:
    """The folded text's words, and its runs of characters that are written without spaces."""
    for unit in _UNITS.findall(fold(text)):
        yield unit[2:] if unit.startswith(_ARTICLE) and len(unit) >= 5 else unit


def stored(text: str) -> str:
    """The n-grams that an index keeps of a text, each once, separated by spaces."""
    grams: dict[str, None] = {}
    for unit in units(text):
        if _DENSE_RUN.match(unit):
            grams.update(dict.fromkeys(unit))
        elif _HANGUL.search(unit):
            grams.update(dict.fromkeys([*_HANGUL.findall(unit), unit[:_LONGEST_WORD]]))
        elif len(unit) <= _LONGEST_WORD:
            grams[unit] = None
        grams.update(dict.fromkeys(_parts(unit)))
    return " ".join(grams)


def asked(text: str) -> list[list[str]]:
    """The n-grams of each word (or run) of a query."""
    return [_parts(unit) or [unit] for unit in units(text)]


def fits(query: list[list[str]], grams: str) -> bool:
    """Whether a row with these `stored` n-grams has one of the query's words, or nearly."""
    found = set(grams.split(" "))
    for parts in query:
        share = sum(part in found for part in parts) / len(parts)
        if share >= _SHARE or (share and _DENSE_RUN.match(parts[0])):
            return True
    return False


def _parts(unit: str) -> list[str]:
    """Overlapping pieces of a unit; none if it is shorter than one piece."""
    size = 2 if _DENSE_RUN.match(unit) or _HANGUL.search(unit) else 3
    return [unit[start : start + size] for start in range(len(unit) - size + 1)]

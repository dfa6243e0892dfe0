"""Names kept out of all training text, to see how a model does on what it was never told.

Two ways, which may be joined. Every n-th (class, language) pair, English never, loses its names (`leave_out_every`). Or
whole classes go, with all their names in every language (`data.exclude_classes`, see `exclusion.py`). Either way every
text in that language that contains one of the names (a whole word where the script has spaces) is dropped as well,
names of other label sets included.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Final, Self

from altclip.data.labels import Labels
from altclip.data.leftout import left_out_pairs
from altclip.data.parallel import ParallelSource

_UNSPACED = frozenset({"zh", "ja", "ko", "ar"})  # no spaces, or particles and articles grow onto the word


@dataclass(frozen=True)
class LeftOut:
    """words[language]: case-folded names that no training text of that language may contain; classes: keys that go."""

    words: Mapping[str, frozenset[str]]
    classes: frozenset[str] = frozenset()

    @classmethod
    def every(cls, labels: Labels, every: int) -> Self:
        return cls(_words(labels, left_out_pairs(labels, every)))

    @classmethod
    def of_classes(cls, labels: Iterable[Labels], classes: frozenset[str]) -> Self:
        """Those classes, and all that any of the label files calls them."""
        made = cls({}, classes)
        for file in labels:
            here = classes & file.names.keys()
            made = made.with_(cls(_words(file, ((key, language) for key in here for language in file.names[key]))))
        return made

    def with_(self, other: LeftOut) -> Self:
        """What either leaves out."""
        languages = {**self.words, **other.words}
        none = frozenset[str]()
        words = {code: self.words.get(code, none) | other.words.get(code, none) for code in languages}
        return type(self)(words, self.classes | other.classes)

    def hits(self, text: str, language: str) -> bool:
        """Whether the text contains a name left out in its language."""
        pattern = self._patterns.get(language)
        return bool(pattern and pattern.search(text.casefold()))

    def hits_any(self, text: str) -> bool:
        """Whether a text whose language is not known contains a name left out in any."""
        return any(self.hits(text, language) for language in self.words)

    def clean_labels(self, labels: Labels) -> Labels:
        """The labels less the names left out. A class whose English name is one of these is that thing, and goes."""
        return Labels(
            {
                key: {
                    language: kept
                    for language, names in by_language.items()
                    if (kept := tuple(name for name in names if not self.hits(name, language)))
                }
                for key, by_language in labels.names.items()
                if key not in self.classes and not any(self.hits(name, "en") for name in by_language.get("en", ())[:1])
            }
        )

    def clean_pairs(self, source: ParallelSource) -> ParallelSource:
        if source.language not in self.words and "en" not in self.words:
            return source
        pairs = (source.pairs[index] for index in range(len(source.pairs)))
        sides = ("en", source.language)
        kept = [
            pair for pair in pairs
            if not any(self.hits(text, side) for side, texts in zip(sides, pair, strict=True) for text in texts)
        ]  # fmt: skip
        return source._replace(pairs=kept)

    @cached_property
    def _patterns(self) -> dict[str, re.Pattern[str]]:
        patterns = {}
        for language, words in self.words.items():
            joined = "|".join(map(re.escape, sorted(words, key=len, reverse=True)))
            patterns[language] = re.compile(joined if language in _UNSPACED else rf"(?<!\w)(?:{joined})(?!\w)")
        return patterns


NOTHING: Final = LeftOut({})


def _words(labels: Labels, pairs: Iterable[tuple[str, str]]) -> dict[str, frozenset[str]]:
    """The names of (class, language) pairs by language, case-folded."""
    words: dict[str, set[str]] = {}
    for key, language in pairs:
        words.setdefault(language, set()).update(name.casefold() for name in labels.names[key][language])
    return {language: frozenset(names) for language, names in words.items()}

"""Names kept out of all training text, to see how a model does on names it was never told.

Every n-th (class, language) pair, English never, loses its names; then every text in that language that contains one of
them (a whole word where the script has spaces) is dropped as well, names of other label sets included.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from altclip.data.labels import Labels
from altclip.data.parallel import ParallelSource
from altclip.languages import LANGUAGES

_UNSPACED = frozenset({"zh", "ja", "ko", "ar"})  # no spaces, or particles and articles grow onto the word


def left_out_pairs(labels: Labels, every: int) -> set[tuple[str, str]]:
    """The (class, language) pairs that lose their names: class i and language j where (i + j) % every == 0."""
    foreign = [language for language in LANGUAGES if language != "en"]
    return {
        (key, language)
        for i, key in enumerate(sorted(labels.names))
        for j, language in enumerate(foreign)
        if (i + j) % every == 0 and labels.names[key].get(language)
    }


@dataclass(frozen=True)
class LeftOut:
    """words[language]: case-folded names that no training text of that language may contain."""

    words: Mapping[str, frozenset[str]]

    @classmethod
    def every(cls, labels: Labels, every: int) -> Self:
        words: dict[str, set[str]] = {}
        for key, language in left_out_pairs(labels, every):
            words.setdefault(language, set()).update(name.casefold() for name in labels.names[key][language])
        return cls({language: frozenset(names) for language, names in words.items()})

    def hits(self, text: str, language: str) -> bool:
        """Whether the text contains a name left out in its language."""
        pattern = self._pattern(language)
        return bool(pattern and pattern.search(text.casefold()))

    def clean_labels(self, labels: Labels) -> Labels:
        return Labels(
            {
                key: {
                    language: kept
                    for language, names in by_language.items()
                    if (kept := tuple(name for name in names if not self.hits(name, language)))
                }
                for key, by_language in labels.names.items()
            }
        )

    def clean_pairs(self, source: ParallelSource) -> ParallelSource:
        kept = [pair for pair in source.pairs if not any(self.hits(text, source.language) for text in pair[1])]
        return source._replace(pairs=kept)

    def _pattern(self, language: str) -> re.Pattern[str] | None:
        names = sorted(self.words.get(language, ()), key=len, reverse=True)
        if not names:
            return None
        joined = "|".join(map(re.escape, names))
        return re.compile(joined if language in _UNSPACED else rf"(?<!\w)(?:{joined})(?!\w)")

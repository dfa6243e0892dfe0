"""Names kept out of all training text, to see how a model does on names it was never told.

Every n-th (class, language) pair, English never, loses its names; then every text in that language that contains one of
them (a whole word where the script has spaces) is dropped as well, names of other label sets included.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Self

from altclip.data.labels import Labels
from altclip.data.leftout import left_out_pairs
from altclip.data.parallel import ParallelSource

_UNSPACED = frozenset({"zh", "ja", "ko", "ar"})  # no spaces, or particles and articles grow onto the word


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
        pattern = self._patterns.get(language)
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
        if source.language not in self.words:
            return source
        pairs = (source.pairs[index] for index in range(len(source.pairs)))
        kept = [pair for pair in pairs if not any(self.hits(text, source.language) for text in pair[1])]
        return source._replace(pairs=kept)

    @cached_property
    def _patterns(self) -> dict[str, re.Pattern[str]]:
        patterns = {}
        for language, words in self.words.items():
            joined = "|".join(map(re.escape, sorted(words, key=len, reverse=True)))
            patterns[language] = re.compile(joined if language in _UNSPACED else rf"(?<!\w)(?:{joined})(?!\w)")
        return patterns

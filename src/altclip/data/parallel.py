"""Parallel text: pairs of an English text and the same in some language, from TSV files and from names of classes.

Languages are mixed with temperature: a language of n pairs is drawn in proportion to n ** (1 / T), as XLM-R does
(Conneau et al. 2020, section 3.1), so that small ones are not drowned.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np

from altclip.data import order
from altclip.data.labels import Labels
from altclip.data.texts import name_text
from altclip.errors import DataError


class TextPair(NamedTuple):
    english: str
    other: str
    language: str


class ParallelSource(NamedTuple):
    """Pairs into one language; a pair holds the English texts and the other's, of which one each is drawn."""

    language: str
    pairs: Sequence[tuple[tuple[str, ...], tuple[str, ...]]]
    template_share: float = 0.0
    weight: float = 1.0


def read_pairs(path: Path, language: str, leave_out: frozenset[str] = frozenset()) -> ParallelSource:
    """Lines `English<TAB>other`. Raises DataError naming the line that is not two texts. leave_out: English texts."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"parallel file {path} cannot be read: {error}") from error
    pairs = []
    for number, line in enumerate(lines, 1):
        parts = line.split("\t")
        if len(parts) != 2 or not all(part.strip() for part in parts):
            raise DataError(f"{path}, line {number}: expected two texts with a tab between, found {len(parts)}")
        if parts[0].strip() not in leave_out:
            pairs.append(((parts[0],), (parts[1],)))
    return ParallelSource(language, pairs)


def name_pairs(labels: Labels, language: str, template_share: float, weight: float) -> ParallelSource:
    """The first English name of each class beside its names in `language`."""
    keys = labels.keys_in({"en", language})
    pairs = [(labels.names[key]["en"][:1], labels.names[key][language]) for key in keys]
    return ParallelSource(language, pairs, template_share, weight)


@dataclass
class ParallelBatches:
    """Batches of text pairs, a pure function of the step (see `pairs.PairBatches`)."""

    sources: Sequence[ParallelSource]
    batch_size: int
    seed: int
    temperature: float = 2.0
    rank: int = 0
    world_size: int = 1
    chances: Mapping[int, float] = field(init=False)

    def __post_init__(self) -> None:
        self.sources = [source for source in self.sources if source.pairs]
        if not self.sources:
            raise DataError("no parallel text: every source is empty")
        sizes = np.array([len(source.pairs) ** (1 / self.temperature) * source.weight for source in self.sources])
        self.chances = dict(enumerate(sizes / sizes.sum()))

    def __call__(self, step: int) -> list[TextPair]:
        """This rank's part of the global batch of that step."""
        positions = range(step * self.batch_size + self.rank, (step + 1) * self.batch_size, self.world_size)
        return [self._pair(position) for position in positions]

    def _pair(self, position: int) -> TextPair:
        draw = order.generator(self.seed, position)
        source = self.sources[draw.choice(len(self.sources), p=list(self.chances.values()))]
        english, other = source.pairs[draw.integers(len(source.pairs))]
        text = name_text(other, source.language, source.template_share, draw) if source.template_share else other[0]
        return TextPair(english[0], text, source.language)

"""Parallel text: pairs of an English text and the same in some language, from files and from names of classes.

Languages are mixed with temperature: a source of n pairs is drawn in proportion to n ** (1 / T), as XLM-R does
(Conneau et al. 2020, section 3.1), so that small ones are not drowned. Each source comes in its own seeded order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple, Protocol

from altclip.data import order
from altclip.data.labels import Labels
from altclip.data.reading import open_rows
from altclip.data.texts import name_text
from altclip.errors import DataError

Names = tuple[str, ...]

_TRIES: Final = 32


class TextPair(NamedTuple):
    """One text of each side, and the other's language."""

    english: str
    other: str
    language: str


class Pairs(Protocol):
    """What a source holds: of each pair the English texts and the other's, of which one each is drawn."""

    def __len__(self) -> int: ...
    def __getitem__(self, index: int, /) -> tuple[Names, Names]: ...


class ParallelSource(NamedTuple):
    """Pairs into one language."""

    language: str
    pairs: Pairs
    template_share: float = 0.0
    weight: float = 1.0
    name: str = ""


@dataclass(frozen=True)
class RowPairs:
    """Pairs in two columns of a data set, which stays on disk."""

    rows: Any
    english: str
    other: str

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> tuple[Names, Names]:
        row = self.rows[index]
        return (row[self.english] or "",), (row[self.other] or "",)


def folded(text: str) -> str:
    """A text less what two copies of it may differ in: case, spaces, punctuation."""
    return "".join(character for character in text.casefold() if character.isalnum())


def read_pairs(path: Path, language: str, held_out: frozenset[str] = frozenset()) -> ParallelSource:
    """Lines `English<TAB>other`, less those whose English, `folded`, is in `held_out`.

    Raises DataError naming the line that is not two texts.
    """
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"parallel file {path} cannot be read: {error}") from error
    pairs = []
    for number, line in enumerate(lines[:-1] if lines[-1] == "" else lines, 1):
        parts = line.rstrip("\r").split("\t")
        if len(parts) != 2 or not all(part.strip() for part in parts):
            raise DataError(f"{path}, line {number}: expected two texts with a tab between, found {len(parts)}")
        if folded(parts[0]) not in held_out:
            pairs.append(((parts[0],), (parts[1],)))
    return ParallelSource(language, pairs, name=path.name)


def row_pairs(path: str | Path, language: str, columns: tuple[str, str], *, hub: bool = False) -> ParallelSource:
    """Two columns, English and the other, of a file that `open_rows` reads, or of a hub id."""
    rows = open_rows(path, hub=hub, columns=columns).select_columns(list(columns))
    return ParallelSource(language, RowPairs(rows, *columns), name=str(path))


def name_pairs(labels: Labels, language: str, template_share: float, weight: float) -> ParallelSource:
    """The first English name of each class beside its names in `language`."""
    keys = labels.keys_in({"en", language})
    pairs = [(labels.names[key]["en"][:1], labels.names[key][language]) for key in keys]
    return ParallelSource(language, pairs, template_share, weight, name="names of classes")


@dataclass
class ParallelBatches:
    """Batches of text pairs, a pure function of the step (see `pairs.PairBatches`)."""

    sources: Sequence[ParallelSource]
    batch_size: int
    seed: int
    temperature: float = 2.0
    rank: int = 0
    world_size: int = 1

    def __post_init__(self) -> None:
        self.sources = [source for source in self.sources if len(source.pairs)]
        if not self.sources:
            raise DataError("no parallel text: every source is empty")
        self.weights = tuple(len(source.pairs) ** (1 / self.temperature) * source.weight for source in self.sources)

    def __call__(self, step: int) -> tuple[list[TextPair], list[str]]:
        """This process's part of the global batch of that step, and what was skipped for it, by name and reason."""
        skipped: list[str] = []
        places = order.mixed(self.seed, self.weights, step * self.batch_size, self.batch_size)
        mine = places[self.rank :: self.world_size]
        return [self._pair(number, position, skipped) for number, position in mine], skipped

    def _pair(self, number: int, position: int, skipped: list[str]) -> TextPair:
        source = self.sources[number]
        (index,) = order.indices(self.seed + number, len(source.pairs), position, 1)
        for attempt in range(_TRIES):
            english, other = source.pairs[index]
            if english[0].strip() and other[0].strip():
                return TextPair(english[0], self._other(source, other, number, position), source.language)
            skipped.append(f"{source.name}[{index}]: a text is empty")
            index = int(order.generator(self.seed, number, position, attempt).integers(len(source.pairs)))
        raise DataError(f"{source.name}: {_TRIES} bad pairs in a row, the last {skipped[-1]}; mend the data")

    def _other(self, source: ParallelSource, names: Names, number: int, position: int) -> str:
        if not source.template_share:
            return names[0]
        return name_text(names, source.language, source.template_share, order.generator(self.seed, number, position))

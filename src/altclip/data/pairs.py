"""Batches of image-text pairs: a pure function of the step, so that any step can be made again after a crash.

A batch takes a fixed share from every source (`order.shares`), each source in its own order. A sample that cannot be
used is named, and another of its source stands in its place. Sources that are streams give what comes next; their
position after each batch goes with it, into the checkpoint.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from altclip.data import order
from altclip.data.streams import Position, RowStream
from altclip.data.texts import TextChooser
from altclip.errors import DataError, ImageError
from altclip.processing import open_image

_TRIES: Final = 32  # that many bad samples in a row are no chance at any sane share of bad ones

Pixels = NDArray[np.float32]


@dataclass(frozen=True)
class Row:
    """A row of the source of that number; cells: its columns, as far as they are read already."""

    source: int
    index: int
    cells: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class PairSource:
    """Rows of one data set, and how to read image and text from them.

    folder: where relative paths of images start; digest: of the content; buffer: rows that a stream shuffles.
    """

    name: str
    rows: Any
    texts: TextChooser
    image: str = "image"
    weight: float = 1.0
    folder: Path = Path()
    digest: str = ""
    buffer: int = 0

    @property
    def streaming(self) -> bool:
        return not hasattr(self.rows, "__len__")

    def open(self, index: int, cells: Mapping[str, Any] | None = None) -> Image.Image:
        """The image of a row as a person sees it. Raises ImageError."""
        cell = (cells if cells and self.image in cells else self._images[index])[self.image]
        if (cell := image_bytes(cell)) is None:
            raise ImageError(f"{self.name}[{index}]", f"no image in the column {self.image}")
        return open_image(self.folder / cell if isinstance(cell, str) else cell)

    def read(self, indices: Sequence[int]) -> list[dict[str, Any]]:
        """The cells of rows that the texts are made of; all rows at once, as one by one costs ten times as much."""
        columns = self._texts[list(indices)]
        return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]

    def files(self) -> str:
        """What tells whether the files that image cells name have changed; nothing where the cells hold the images."""
        if not isinstance(image_bytes(self._images[0][self.image]), str):
            return ""
        state = hashlib.sha256()
        for cell in self._images:
            file = self.folder / str(image_bytes(cell[self.image]))
            there = file.stat() if file.is_file() else None
            state.update(
                f"{file.name}\0{there and (there.st_size, there.st_mtime_ns)}\n".encode(errors="surrogateescape")
            )
        return state.hexdigest()

    @cached_property
    def _texts(self) -> Any:
        return self.rows.select_columns(self.texts.columns)

    @cached_property
    def _images(self) -> Any:
        return self.rows.select_columns([self.image])


class Plan(NamedTuple):
    """What one process's part of a batch is made of; position: of the streams after it, by number of the source."""

    step: int
    rows: list[Row]
    position: dict[str, Position]


@dataclass(frozen=True)
class Pairs:
    """A batch: images (B, 3, S, S) pixels or (B, D) embeddings, float32; texts, B of them.

    keys (B, 2): of what the image shows and of the text, equal where pairs mean the same; skipped: bad samples, by name
    and reason; position: of the streams.
    """

    images: Pixels
    texts: list[str]
    keys: NDArray[np.int64]
    skipped: list[str] = field(default_factory=list)
    position: dict[str, Position] = field(default_factory=dict)


@dataclass
class PairBatches:
    """The batches of one process. `image(row, draw, step)` gives a sample's pixels, or its embedding from a cache."""

    sources: Sequence[PairSource]
    batch_size: int
    seed: int
    image: Callable[[Row, np.random.Generator, int], Pixels]
    rank: int = 0
    world_size: int = 1

    def __post_init__(self) -> None:
        if empty := [source.name for source in self.sources if not source.streaming and not len(source.rows)]:
            raise DataError(f"no rows in {', '.join(empty)}")
        self.counts = order.shares([source.weight for source in self.sources], self.batch_size)

    def plans(self, start: int, stop: int, position: Mapping[str, Position] | None = None) -> Iterator[Plan]:
        """The plan of every step; position: that of the last batch before `start`, needed where sources are streams."""
        streams = {
            number: RowStream(
                source.name, source.rows, self.seed + number, source.buffer,
                rank=self.rank, world_size=self.world_size, position=(position or {}).get(str(number)),
            )
            for number, source in enumerate(self.sources) if source.streaming
        }  # fmt: skip
        for step in range(start, stop):
            rows = [
                Row(row.source, stream.at["read"], stream.next()) if (stream := streams.get(row.source)) else row
                for row in self._rows(step)[self.rank :: self.world_size]
            ]
            yield Plan(step, rows, {str(number): stream.position() for number, stream in streams.items()})

    def _rows(self, step: int) -> list[Row]:
        """The rows of the global batch of a step."""
        return [
            Row(number, index)
            for number, (source, count) in enumerate(zip(self.sources, self.counts, strict=True))
            for index in (
                [-1] * count
                if source.streaming
                else order.indices(self.seed + number, len(source.rows), step * count, count)
            )
        ]

    def __call__(self, plan: Plan) -> Pairs:
        """This process's part of a global batch."""
        skipped: list[str] = []
        rows = self._filled(plan.rows)
        made = [self._sample(row, rows, plan.step, skipped) for row in rows]
        images, texts, keys = zip(*made, strict=True)
        return Pairs(np.stack(images), list(texts), np.array(keys, dtype=np.int64), skipped, plan.position)

    def _filled(self, rows: list[Row]) -> list[Row]:
        """The rows with their cells read, those of one source together."""
        filled = list(rows)
        for number in {row.source for row in rows if not row.cells}:
            places = [place for place, row in enumerate(rows) if row.source == number]
            cells = self.sources[number].read([rows[place].index for place in places])
            for place, read in zip(places, cells, strict=True):
                filled[place] = replace(rows[place], cells=read)
        return filled

    def _sample(self, row: Row, rows: list[Row], step: int, skipped: list[str]) -> tuple[Pixels, str, tuple[int, int]]:
        source, draw = self.sources[row.source], order.generator(self.seed, row.source, row.index, step)
        for _ in range(_TRIES):
            try:
                image = self.image(row, draw, step)
                text = source.texts.choose(row.cells, draw)
                shown = stable_key(source.name, source.texts.key(row.cells))
                return image, text, (shown, stable_key("", text.casefold()))
            except (ImageError, DataError) as error:
                skipped.append(f"{source.name}[{row.cells.get('__key__', row.index)}]: {error}")
                row = self._another(row, rows, draw)
        raise DataError(f"{source.name}: {_TRIES} bad samples in a row, the last {skipped[-1]}; mend the data")

    def _another(self, row: Row, rows: list[Row], draw: np.random.Generator) -> Row:
        """A row of the same source to stand in for a bad one: any, or of a stream one of the same batch."""
        source = self.sources[row.source]
        if source.streaming:
            peers = [peer for peer in rows if peer.source == row.source]
            return peers[draw.integers(len(peers))]
        index = int(draw.integers(len(source.rows)))
        return Row(row.source, index, source.read([index])[0])


def image_bytes(cell: Any) -> Any:
    """What `open_image` takes, of a cell of a `datasets` image column that is not decoded; None for no image."""
    if isinstance(cell, Mapping):
        return cell["bytes"] if cell.get("bytes") is not None else cell.get("path")
    return cell


def stable_key(source: str, key: str) -> int:
    """An integer for a meaning, the same in every process (63 bits)."""
    data = f"{source}\0{key}".encode(errors="replace")
    return (zlib.crc32(data) << 31) ^ zlib.crc32(data[::-1])

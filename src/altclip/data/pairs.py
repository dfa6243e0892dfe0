"""Batches of image-text pairs: a pure function of the step, so that any step can be made again after a crash.

A batch takes a fixed share from every source (`order.shares`), each source in its own order. A sample that cannot be
used is counted and named, and another drawn for its place.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from altclip.data import order
from altclip.data.texts import TextChooser
from altclip.errors import DataError, ImageError
from altclip.processing import open_image


@dataclass(frozen=True)
class PairSource:
    """Rows of one data set, and how to read image and text from them."""

    name: str
    rows: Any
    texts: TextChooser
    image: str = "image"
    weight: float = 1.0
    text_rows: Any = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "text_rows", self.rows.remove_columns(self.image))

    def open(self, index: int) -> Image.Image:
        """The image of a row as a person sees it. Raises ImageError."""
        return open_image(image_bytes(self.rows[index][self.image]))


@dataclass
class BadSamples:
    """Counts and names what was skipped; raises DataError once its share of at least `patience` samples is over `limit`."""

    limit: float = 0.01
    patience: int = 1000
    seen: int = 0
    bad: int = 0
    report: Callable[[str], None] = lambda line: None
    _lock: Lock = field(default_factory=Lock)

    def count(self, error: Exception | None, where: str) -> None:
        with self._lock:
            self.seen += 1
            if error is None:
                return
            self.bad += 1
            self.report(f"skipped {where}: {error}")
            if self.bad > self.limit * max(self.seen, self.patience):
                raise DataError(
                    f"{self.bad} of {self.seen} samples are bad, over the limit of {self.limit:.1%} "
                    f"(last: {where}: {error}); mend the data or raise max_bad_share"
                )


@dataclass(frozen=True)
class Pairs:
    """images (B, 3, S, S) pixels or (B, D) embeddings, float32; texts, B of them; keys (B,), equal where pairs mean the same."""

    images: NDArray[np.float32]
    texts: list[str]
    keys: NDArray[np.int64]


@dataclass
class PairBatches:
    """The batches of one rank. `image(source, index, draw, step)` gives a sample's pixels, or its embedding from a cache."""

    sources: Sequence[PairSource]
    batch_size: int
    seed: int
    image: Callable[[int, int, np.random.Generator, int], NDArray[np.float32]]
    bad: BadSamples = field(default_factory=BadSamples)
    rank: int = 0
    world_size: int = 1

    def __post_init__(self) -> None:
        if empty := [source.name for source in self.sources if not len(source.rows)]:
            raise DataError(f"no rows in {', '.join(empty)}")
        self.counts = order.shares([source.weight for source in self.sources], self.batch_size)

    def __call__(self, step: int) -> Pairs:
        """This rank's part of the global batch of that step."""
        wanted = [
            (number, index)
            for number, (source, count) in enumerate(zip(self.sources, self.counts, strict=True))
            for index in order.indices(self.seed + number, len(source.rows), step * count, count)
        ]
        made = [self._sample(number, index, step) for number, index in wanted[self.rank :: self.world_size]]
        images, texts, keys = zip(*made, strict=True)
        return Pairs(np.stack(images), list(texts), np.array(keys, dtype=np.int64))

    def _sample(self, number: int, index: int, step: int) -> tuple[NDArray[np.float32], str, int]:
        source, draw = self.sources[number], order.generator(self.seed, number, index, step)
        while True:
            try:
                image = self.image(number, index, draw, step)
                row = source.text_rows[index]
                text, key = source.texts.choose(row, draw), stable_key(source.name, source.texts.key(row))
            except (ImageError, DataError) as error:
                self.bad.count(error, f"{source.name}[{index}]")
                index = int(draw.integers(len(source.rows)))
            else:
                self.bad.count(None, "")
                return image, text, key


def image_bytes(cell: Any) -> Any:
    """What `open_image` takes, of a cell of a `datasets` image column that is not decoded."""
    if isinstance(cell, Mapping):
        return cell["bytes"] if cell.get("bytes") is not None else cell.get("path")
    return cell


def stable_key(source: str, key: str) -> int:
    """An integer for a meaning, the same in every process (63 bits)."""
    data = f"{source}\0{key}".encode(errors="replace")
    return (zlib.crc32(data) << 31) ^ zlib.crc32(data[::-1])



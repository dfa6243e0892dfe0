"""What a row is, and the rows of the model alone: each tower by each engine and precision, the embeddings compared."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final

import numpy as np
from numpy.typing import NDArray

from altclip.bench.timing import Timing, timed
from altclip.engines import Engine, Features
from altclip.metrics import normalised
from altclip.models import DualEncoder

IMAGES: Final = 8  # in a batch
TEXTS: Final = 32
TOKENS: Final = 16  # of a text, as a caption has

Named = Mapping[str, Engine]


@dataclass(frozen=True)
class Row:
    """One figure. what: "matrix products", "images", "texts", "one text", "decoding", or from end to end, "files to
    embeddings" and "texts to embeddings".

    per_second: the median, with the slowest and the fastest run; items, or GFLOP for matrix products.
    cosine: the least to the embeddings of torch in float32; first: seconds until the first answer, graphs not yet kept.
    """

    what: str
    how: str
    per_second: float
    slowest: float
    fastest: float
    cosine: float | None = None
    first: float | None = None


def towers(engines: Named, model: DualEncoder, runs: int) -> list[Row]:
    """Each tower by each engine: batches of images, batches of texts, one text; the first engine is the reference."""
    found = []
    if config := model.config.vision:
        side = config.image_size
        pixels = np.random.default_rng(0).standard_normal((IMAGES, config.num_channels, side, side), np.float32)
        found += _compared("images", engines, IMAGES, runs, lambda engine: engine.encode_image(pixels))
    if text := model.config.text:
        for what, count in (("texts", TEXTS), ("one text", 1)):
            ids = np.random.default_rng(0).integers(5, text.vocab_size, (count, min(TOKENS, text.max_length)))
            found += _compared(what, engines, count, runs, _texts(ids))
    return found


def row_of(
    what: str, how: str, items: float, of: Timing, cosine: float | None = None, first: float | None = None
) -> Row:
    """A row from the seconds that so many items took."""
    return Row(what, how, items / of.median, items / of.most, items / of.least, cosine, first)


def _compared(what: str, engines: Named, count: int, runs: int, work: Callable[[Engine], Features]) -> list[Row]:
    rows, firsts = {}, {}
    for name, engine in engines.items():
        started = time.perf_counter()
        rows[name] = normalised(work(engine))
        firsts[name] = time.perf_counter() - started
    reference = next(iter(rows.values()))
    times = timed({name: partial(work, engine) for name, engine in engines.items()}, runs)
    return [
        row_of(what, name, count, of, float((rows[name] * reference).sum(axis=1).min()), firsts[name])
        for name, of in times.items()
    ]


def _texts(ids: NDArray[np.int64]) -> Callable[[Engine], Features]:
    return lambda engine: engine.encode_text(ids, np.ones_like(ids))

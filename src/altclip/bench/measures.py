"""What is timed: matrix products, the model by each engine and precision, decoding, files to embeddings."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from altclip.bench.timing import Timing, timed
from altclip.encoder import Encoder
from altclip.engines import Engine, Features
from altclip.metrics import normalised
from altclip.models import DualEncoder

IMAGES: Final = 8  # in a batch
TEXTS: Final = 32
TOKENS: Final = 16  # of a text, as a caption has
_FILES: Final = 16
_FILE_SIZE: Final = (1600, 1200)
_MATRIX: Final = 2048

Named = Mapping[str, Engine]


@dataclass(frozen=True)
class Row:
    """One figure. what: "images", "texts", "one text", "matrix products", "decoding", "files to embeddings".

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


def matrix_products(runs: int) -> list[Row]:
    """What this machine computes at best, by torch: square matrices, in GFLOP/s."""
    made = {
        str(dtype).removeprefix("torch."): torch.randn(_MATRIX, _MATRIX, dtype=torch.float32).to(dtype)
        for dtype in (torch.float32, torch.bfloat16)
    }
    times = timed({name: _product(matrix) for name, matrix in made.items()}, runs)
    return [_row("matrix products", f"torch {name}", 2 * _MATRIX**3 / 1e9, of) for name, of in times.items()]


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


def files(encoder: Encoder, runs: int) -> list[Row]:
    """JPEG files as a camera writes them: decoded and prepared, and all the way to embeddings."""
    photographs = [_photograph(number) for number in range(_FILES)]
    processor = encoder.image_processor
    if processor is None:
        return []
    work: dict[str, Callable[[], object]] = {
        "decoding": lambda: [processor.preprocess(photograph) for photograph in photographs],
        "files to embeddings": lambda: encoder.encode_images(photographs, progress=False),
    }
    how = {"decoding": "Pillow, one thread, in full", "files to embeddings": encoder.engine.name}
    return [_row(what, how[what], _FILES, of) for what, of in timed(work, runs).items()]


def _compared(what: str, engines: Named, count: int, runs: int, work: Callable[[Engine], Features]) -> list[Row]:
    rows, firsts = {}, {}
    for name, engine in engines.items():
        started = time.perf_counter()
        rows[name] = normalised(work(engine))
        firsts[name] = time.perf_counter() - started
    reference = next(iter(rows.values()))
    times = timed({name: partial(work, engine) for name, engine in engines.items()}, runs)
    return [
        _row(what, name, count, of, float((rows[name] * reference).sum(axis=1).min()), firsts[name])
        for name, of in times.items()
    ]


def _texts(ids: NDArray[np.int64]) -> Callable[[Engine], Features]:
    return lambda engine: engine.encode_text(ids, np.ones_like(ids))


def _product(matrix: torch.Tensor) -> Callable[[], object]:
    return lambda: matrix @ matrix


def _photograph(seed: int) -> bytes:
    """Soft shapes, so that the file is about as large as a photograph's."""
    drawn = np.random.default_rng(seed).integers(0, 256, (60, 80, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(drawn).resize(_FILE_SIZE, Image.Resampling.BICUBIC).save(file, "JPEG", quality=90)
    return file.getvalue()


def _row(what: str, how: str, items: float, of: Timing, cosine: float | None = None, first: float | None = None) -> Row:
    return Row(what, how, items / of.median, items / of.most, items / of.least, cosine, first)

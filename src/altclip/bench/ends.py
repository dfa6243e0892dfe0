"""From end to end, by the encoder as a user opens it: files decoded, files to embeddings, texts to embeddings."""

from __future__ import annotations

import io
import itertools
from collections.abc import Callable, Iterator
from typing import Any, Final

import numpy as np
from PIL import Image

from altclip.bench.measures import Row, row_of
from altclip.bench.timing import timed
from altclip.encoder import Encoder
from altclip.engines import Engine, Features, Ids, Pixels
from altclip.languages import LANGUAGES
from altclip.prompts import label_set, templates

FILES: Final = 16
FILE_SIZE: Final = (1600, 1200)
TEXTS: Final = 256


def end_to_end(encoder: Encoder, runs: int) -> list[Row]:
    """JPEG files as a camera writes them, and prompts of nine languages in turn, others in each run."""
    found = []
    name = engine_name(encoder.engine)
    if encoder.image_processor is not None:
        found += _files(encoder, name, runs)
    if encoder.tokenizer is not None:
        prompts = every_prompt()
        work: dict[str, Callable[[], object]] = {
            name: lambda: encoder.encode_texts(list(itertools.islice(prompts, TEXTS)), progress=False)
        }
        found += [row_of("texts to embeddings", how, TEXTS, of) for how, of in timed(work, runs).items()]
    return found


def _files(encoder: Encoder, name: str, runs: int) -> list[Row]:
    photographs = [photograph(number) for number in range(FILES)]
    prepare: Any = encoder.image_processor
    still, engine = Still(encoder), encoder.engine

    def decoded() -> None:
        encoder.engine = still
        try:
            encoder.encode_images(photographs, progress=False)
        finally:
            encoder.engine = engine

    work: dict[tuple[str, str], Callable[[], object]] = {
        ("decoding", "in full, one thread"): lambda: [prepare.preprocess(of) for of in photographs],
        ("decoding", "as the encoder does it"): decoded,
        ("files to embeddings", name): lambda: encoder.encode_images(photographs, progress=False),
    }
    times = timed({" ".join(of): piece for of, piece in work.items()}, runs)
    return [row_of(what, how, FILES, times[f"{what} {how}"]) for what, how in work]


class Still:
    """Stands in for an engine and computes nothing: what is left is what feeds it."""

    def __init__(self, encoder: Encoder) -> None:
        self.name, self.device, self.dtype, self._dim = "still", encoder.device, encoder.dtype, encoder.dim

    def encode_image(self, pixels_BCSS: Pixels) -> Features:
        return np.ones((len(pixels_BCSS), self._dim), np.float32)

    def encode_text(self, ids_BL: Ids, mask_BL: Ids) -> Features:
        return np.ones((len(ids_BL) and len(mask_BL), self._dim), np.float32)


def every_prompt() -> Iterator[str]:
    """Prompts of the bundled labels, a language after the other in turn, without end; none twice in the first 9,000."""
    of_languages = [
        [template.replace("{}", label) for template in templates(language) for label in names]
        for language in LANGUAGES
        for names in [label_set("cifar100", language).values()]
    ]
    rows = itertools.zip_longest(*of_languages)
    return itertools.cycle([prompt for row in rows for prompt in row if prompt is not None])


def photograph(seed: int) -> bytes:
    """Soft shapes, so that the file is about as large as a photograph's."""
    drawn = np.random.default_rng(seed).integers(0, 256, (60, 80, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(drawn).resize(FILE_SIZE, Image.Resampling.BICUBIC).save(file, "JPEG", quality=90)
    return file.getvalue()


def engine_name(engine: Engine) -> str:
    """Engine and number format: `openvino bfloat16`, `openvino int8`."""
    eight = getattr(engine, "precision", "") == "int8"
    return f"{engine.name} {'int8' if eight else str(engine.dtype).removeprefix('torch.')}"

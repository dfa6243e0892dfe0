"""Stage 2 of AltCLIP: image-text contrast with the image tower frozen, so that only the text encoder moves.

The frozen tower sees an image once: its embeddings are computed before the first step and cached on disk
(`data.cache`), and an epoch then costs text alone. `live = true` encodes augmented images at every step instead.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from altclip.data.cache import cached_embeddings, digest_weights
from altclip.data.pairs import PairSource, Row
from altclip.data.prefetch import prefetched
from altclip.errors import DataError, ImageError
from altclip.processing.images import ImageProcessor
from altclip.train.stages.context import Context
from altclip.train.stages.contrastive import Contrastive, TwoTowers

_BATCH = 256


class TextBesideImages(TwoTowers):
    """Text features of a batch beside its image embeddings, which are given."""

    def images(self, images: Tensor) -> Tensor:
        return images


class TextBesideLiveImages(TwoTowers):
    """The same with images encoded at every step, without gradients."""

    @torch.no_grad()
    def images(self, images: Tensor) -> Tensor:
        return super().images(images)


class Align(Contrastive):
    """The stage `align`."""

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        live = context.config.live
        self.module = (TextBesideLiveImages if live else TextBesideImages)(self.trained)
        self.embeddings = [] if live else [self._embeddings(source) for source in self.pairs.sources]

    def image(self, row: Row, draw: np.random.Generator, step: int) -> NDArray[np.float32]:
        if self.context.config.live:
            return super().image(row, draw, step)
        embedding = np.asarray(self.embeddings[row.source][row.index])
        if np.isnan(embedding[0]):
            self.pairs.sources[row.source].open(row.index)  # raises, and says what is wrong with the image
            raise DataError("the image could not be read when the embeddings were made; remove the cache to try again")
        return embedding

    def _embeddings(self, source: PairSource) -> NDArray[np.float32]:
        """Embeddings of a source's images, from the cache or made now; NaN for an image that cannot be read.

        Of several processes the first to come makes them, the others wait for its lock (and in no collective, which
        would run into its time limit).
        """
        processor = self.context.image_processor
        sides = ("vision.", "visual_projection.")
        weights = [(name, weight) for name, weight in self.trained.named_parameters() if name.startswith(sides)]
        parts = (
            digest_weights(weights), repr(processor.to_dict()), source.digest, source.files(),
            self.context.recipe.precision,
        )  # fmt: skip
        self.trained.eval()
        embed = Embedding(self, source, processor)
        return cached_embeddings(self.context.output / "cache", parts, len(source.rows), embed, _BATCH)


class Embedding:
    """Embeds the images of a source from front to end; the next images are decoded while a batch is encoded."""

    def __init__(self, stage: Align, source: PairSource, processor: ImageProcessor) -> None:
        self.stage, self.source, self.processor = stage, source, processor
        self._pixels: Iterator[tuple[NDArray[np.float32], list[int]]] | None = None

    def __call__(self, start: int, _stop: int) -> NDArray[np.float32]:
        context, count = self.stage.context, len(self.source.rows)
        if self._pixels is None:
            spans = [range(first, min(first + _BATCH, count)) for first in range(start, count, _BATCH)]
            self._pixels = prefetched(self._read, spans, context.recipe.workers)
        if start // _BATCH % 40 == 0:
            context.report(f"image embeddings of {self.source.name}: {start} of {count}")
        pixels, bad = next(self._pixels)
        with torch.inference_mode(), context.autocast():
            images = torch.from_numpy(pixels).to(context.device)
            features = self.stage.trained.encode_image(images).float().cpu().numpy()
        features[bad] = np.nan
        return features

    def _read(self, span: range) -> tuple[NDArray[np.float32], list[int]]:
        """Pixels (B, 3, S, S) of a span of images, and the places of those that cannot be read (left black)."""
        size, bad = self.processor.crop_size["height"], []
        pixels = np.zeros((len(span), 3, size, size), dtype=np.float32)
        for place, index in enumerate(span):
            try:
                pixels[place] = self.processor.preprocess(self.source.open(index))
            except ImageError:  # counted and named when a batch would take it
                bad.append(place)
        return pixels, bad

"""A model ready to embed: what it is, where it computes, and images and texts to rows of one space.

It computes nothing itself: each method names its steps, and the files beside this one do them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Final

import numpy as np
import torch

from altclip.checkpoints.card import Card, card_of
from altclip.checkpoints.opening import settings_of
from altclip.encoder import identity
from altclip.encoder.calibration import samples_for
from altclip.encoder.companions import wanted_image_tower
from altclip.encoder.decoding import OnError
from altclip.encoder.inputs import BatchSize, Images, check_embeddings, many_images, many_texts
from altclip.encoder.loading import Parts, text_dim
from altclip.encoder.memory import Room
from altclip.encoder.progress import ShowProgress
from altclip.encoder.recent import RecentBatches
from altclip.encoder.running import image_blocks, text_blocks
from altclip.engines import Features, Pixels, choose
from altclip.errors import UsageError, WeightsError
from altclip.metrics import normalised
from altclip.models import DualEncoder
from altclip.processing import ImageSource, open_image
from altclip.processing.opening import MAX_PIXELS

# A JPEG is decoded no smaller than so many times the side that the model reads; docs/engines.md has what that changes.
_SPARE: Final = 3


class Embedder:
    """What `Encoder` is made of but for opening, labels and saving.

    max_pixels: the largest image file that is opened, in pixels; set it to move the limit.
    engine_reason: why the engine was taken that runs the model. head: the read-out of texts. decoded_side: pixels of
    the shorter side that a JPEG may be decoded at (`open_image`), None where every picture is decoded whole.
    """

    def _start(
        self,
        name: str,
        parts: Parts,
        engine: str,
        precision: str,
        *,
        calibration: Sequence[ImageSource] | None = None,
        changing: bool = False,
        half: bool = True,
    ) -> None:
        self.name, self._parts = name, parts
        self.model, self.image_processor, self.tokenizer = parts.model, parts.image_processor, parts.tokenizer
        self.head = parts.head
        self.max_pixels = MAX_PIXELS
        self._room, self._recent = Room(), None if changing else RecentBatches()
        side = parts.image_processor.side if parts.image_processor else None
        self.decoded_side = _SPARE * side if side and precision != "exact" else None
        samples = samples_for(calibration, self._prepare, _settings(parts)) if precision == "int8" else None
        self.engine, self.engine_reason = choose(
            engine, parts.model, precision=precision, head=parts.head, changing=changing, samples=samples, half=half
        )

    def __repr__(self) -> str:
        return f"Encoder({self.name!r}, device='{self.device}', dtype='{self.dtype}', engine='{self.engine.name}')"

    @property
    def device(self) -> torch.device:
        """Where the model computes."""
        return self.engine.device

    @property
    def dtype(self) -> torch.dtype:
        """The number format that the model computes in."""
        return self.engine.dtype

    @property
    def dim(self) -> int:
        """Length of an embedding."""
        config = self.model.config
        return config.projection_dim if config.vision is not None else text_dim(config)

    @property
    def logit_scale(self) -> float:
        """Natural logarithm of the factor between cosine and logit."""
        return float(self.model.logit_scale.detach())

    @property
    def folder(self) -> Path | None:
        """The folder that the model was opened from; None for one in memory."""
        return self._parts.folder

    @cached_property
    def card(self) -> Card:
        """Languages and licence of the model, each None where its files do not say."""
        folder = self.folder
        return card_of(self.name, folder, settings_of(folder)) if folder is not None else Card()

    @property
    def languages(self) -> tuple[str, ...] | None:
        """The languages the model was made for, as codes; None where its files do not say."""
        return self.card.languages

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the weights and of what prepares images and texts: embeddings of equal digests can be compared.

        The files are read in full at the first use.
        """
        return identity.digest(self._parts)

    def encode_images(
        self,
        images: Images,
        *,
        batch_size: BatchSize = "auto",
        progress: ShowProgress = "auto",
        on_error: OnError | None = None,
    ) -> Features:
        """Embeddings (images, dim) of one image (a list of one) or of any iterable, in its order.

        Args:
            images: paths, bytes, open files, PIL images, arrays (height, width[, channels]); an array of four
                dimensions is many. A generator is advanced by a few images at a time, in this thread.
            batch_size: images computed at once.
            progress: True shows a bar on stderr, False none, "auto" after two seconds if stderr is a terminal.
            on_error: called with the position and the error of an image that cannot be read, which is then left out of
                the result. None raises the error.

        Raises:
            ImageError: an image cannot be read, and `on_error` is None.
            UsageError: an argument is wrong, or the model has no image tower.
            WeightsError: the model gives NaN or infinity.
        """
        config = self.model.config.vision
        if config is None:
            raise UsageError(f"{self.name} has no image tower: {wanted_image_tower(self.model.config)}")
        blocks = image_blocks(
            self.engine, many_images(images), self._prepare,
            tokens=config.grid_size**2 + 1, batch_size=batch_size, progress=progress, on_error=on_error,
            room=self._room,
        )  # fmt: skip
        return self._embeddings(blocks)

    def encode_texts(
        self, texts: str | Iterable[str], *, batch_size: BatchSize = "auto", progress: ShowProgress = "auto"
    ) -> Features:
        """Embeddings (texts, dim) of one text (a list of one) or of any iterable, in its order.

        Texts are cut to the model's limit; strings such as `</s>` in them are text, not tokens.

        Raises:
            UsageError: an argument is wrong, a text is no string, or the model has no text tower.
            WeightsError: the model gives NaN or infinity.
        """
        config, tokenizer = self.model.config.text, self.tokenizer
        if config is None or tokenizer is None:
            raise UsageError(f"{self.name} has no text tower: open a model of images and texts")
        blocks = text_blocks(
            self.engine, many_texts(texts), tokenizer, config, batch_size=batch_size, progress=progress,
            together=not self.model.config.heads[self.head].masked,
            room=self._room, recent=None if self._recent is None else self._recent.of(_state(self.model)),
        )  # fmt: skip
        return self._embeddings(blocks)

    def _prepare(self, image: ImageSource) -> Pixels:
        """One image as float32 (3, side, side). Runs in several threads."""
        if self.image_processor is None:
            raise UsageError(f"{self.name} has no image tower")
        opened = open_image(image, max_pixels=self.max_pixels, side=self.decoded_side)
        return self.image_processor.preprocess(opened)

    def _embeddings(self, blocks: Iterable[Features]) -> Features:
        """Features of blocks as one array of embeddings (N, dim)."""
        rows = [self._embedded(block) for block in blocks]
        return np.concatenate(rows) if rows else np.zeros((0, self.dim), np.float32)

    def _embedded(self, features: Features) -> Features:
        """Features (N, dim) as embeddings: of length 1."""
        if not np.isfinite(features).all():
            raise WeightsError(
                f"{self.name} gives NaN or infinity in {self.dtype} on {self.device}: expected finite numbers; "
                "open it with dtype='float32', and if it stays so, the weights are damaged"
            )
        return normalised(features)

    def _rows(self, what: str, embeddings: Features) -> Features:
        check_embeddings(what, embeddings, self.dim)
        return normalised(embeddings)


def _state(model: DualEncoder) -> int:
    """A number that is another one once weights were written to, or lie elsewhere.

    Of weights made in torch's inference mode, which are not for changing, torch does not count who writes to them.
    """
    return hash(tuple((w.data_ptr(), 0 if w.is_inference() else w._version) for w in model.parameters()))


def _settings(parts: Parts) -> str:
    """How images are prepared, as a text."""
    return json.dumps(parts.image_processor.to_dict(), sort_keys=True) if parts.image_processor else ""

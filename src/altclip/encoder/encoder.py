"""The user's object. It computes nothing itself: each method names its steps, and the files beside this one do them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Self, TypeAlias, overload

import numpy as np
import torch
from numpy.typing import NDArray

from altclip.checkpoints import HubOptions
from altclip.checkpoints.opening import settings_of
from altclip.device import pick_device
from altclip.encoder import identity
from altclip.encoder.card import Card, card_of
from altclip.encoder.companions import wanted_image_tower
from altclip.encoder.decoding import OnError
from altclip.encoder.inputs import (
    BatchSize,
    Images,
    check_embeddings,
    is_embeddings,
    is_one_image,
    many_images,
    many_texts,
)
from altclip.encoder.labels import Prediction, check_top_k, label_list, probabilities, ranked
from altclip.encoder.loading import Parts, check_readout, open_parts, parts_of, save_parts, text_dim
from altclip.encoder.notice import show_duties
from altclip.encoder.progress import ShowProgress
from altclip.encoder.running import image_features, text_features
from altclip.engines import Features, Pixels, check_choices, choose, dtype_for
from altclip.errors import UsageError, WeightsError
from altclip.languages import Language
from altclip.metrics import class_embeddings, normalised
from altclip.models import DualEncoder
from altclip.processing import ImageSource, Processor, open_image
from altclip.processing.opening import MAX_PIXELS
from altclip.prompts import check_labels, prompts_for

Templates: TypeAlias = Literal["auto"] | Sequence[str] | None
LabelLanguage: TypeAlias = Language | Sequence[Language | None] | None


class Encoder:
    """Images and texts as vectors of one space. Embeddings are float32 and of length 1; one may serve several threads.

    max_pixels: the largest image file that is opened, in pixels; set it to move the limit.
    engine_reason: why the engine was taken that runs the model. head: the read-out of texts.
    """

    def __init__(
        self,
        model: str | Path = "mini",
        *,
        image_weights: str | Path | None = None,
        device: str | torch.device = "auto",
        dtype: str | torch.dtype = "auto",
        engine: str = "auto",
        precision: str = "fast",
        head: str = "retrieval",
        revision: str | None = None,
        token: str | bool | None = None,
        local_files_only: bool = False,
    ) -> None:
        """Open a model: an existing folder, else a preset (`mini` is bundled), else a hub id.

        Args:
            model: see above.
            image_weights: where the image tower comes from, for models that ship the text encoder alone.
            device: "auto", "cpu", "cuda", "cuda:1", "mps".
            dtype: "auto", "float32", "bfloat16", "float16"; a named one wins over `precision`.
            engine: "auto" or "torch".
            precision: "fast" (half precision on GPUs, float32 elsewhere) or "exact" (float32 arithmetic everywhere).
            head: the read-out of texts: "retrieval", or "unmasked" for Taiyi as its cards compute it, where the padding
                beside a text counts: the texts of one call are filled up to the longest of them (those of an iterator
                in lots of 4,096), so an embedding depends on the texts around it.
            revision, token, local_files_only: for hub ids, as in huggingface_hub.

        Raises:
            UsageError: an argument is wrong; nothing has been loaded then, but where the model lacks the head.
            CheckpointError: the model cannot be read; its kinds are in `altclip.errors`.
        """
        check_choices(engine, precision)
        check_readout(head)
        place = pick_device(device)
        hub: HubOptions = {"revision": revision, "token": token, "local_files_only": local_files_only}
        kind = dtype_for(dtype, precision, place)
        parts = open_parts(model, image_weights, dtype=kind, device=place, hub=hub, head=head)
        self._start(str(model), parts, engine, precision)
        show_duties(self.name, self.card)

    @classmethod
    def from_model(
        cls,
        model: Any,
        processor: Processor,
        *,
        engine: str = "auto",
        precision: str = "fast",
        head: str = "retrieval",
    ) -> Self:
        """Around a model at hand: a `DualEncoder`, or the `AltCLIPModel` of the model cards.

        The model is not copied: it is put into eval mode, and later changes to its weights, device or dtype count.

        Raises:
            UsageError: the model is of another kind, or `engine`, `precision` or `head` is unknown.
            LayoutError: the processor belongs to another model.
        """
        dual = getattr(model, "dual", model)
        if not isinstance(dual, DualEncoder):
            raise UsageError(f"from_model takes a DualEncoder or an AltCLIPModel, not a {type(model).__name__}")
        encoder = cls.__new__(cls)
        encoder._start(f"a {type(model).__name__} in memory", parts_of(dual, processor, head), engine, precision)
        return encoder

    def _start(self, name: str, parts: Parts, engine: str, precision: str) -> None:
        self.name, self._parts = name, parts
        self.model, self.image_processor, self.tokenizer = parts.model, parts.image_processor, parts.tokenizer
        self.head = parts.head
        self.engine, self.engine_reason = choose(engine, parts.model, precision=precision, head=parts.head)
        self.max_pixels = MAX_PIXELS

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
        rows = image_features(
            self.engine, many_images(images), self._prepare,
            tokens=config.grid_size**2 + 1, batch_size=batch_size, progress=progress, on_error=on_error,
        )  # fmt: skip
        return self._embeddings(rows)

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
        rows = text_features(
            self.engine, many_texts(texts), tokenizer, config, batch_size=batch_size, progress=progress,
            together=not self.model.config.heads[self.head].masked,
        )  # fmt: skip
        return self._embeddings(rows)

    def encode_labels(
        self, labels: Iterable[str], *, templates: Templates = "auto", language: LabelLanguage = None
    ) -> Features:
        """Embeddings (labels, dim) to compare images with: of each label the mean over its prompts.

        Args:
            labels: one or more, each once.
            templates: "auto" for those of the label's language, None for the label alone, or your own, each with a {}.
            language: of all labels, or a list with one a label; None lets the script of each tell.

        Raises:
            UsageError: no labels, an empty or repeated one, an unknown language, or templates that cannot be used.
        """
        listed = label_list(labels)
        check_labels(listed)
        prompts = prompts_for(listed, templates=templates, language=language)
        rows = self.encode_texts([prompt for of_label in prompts for prompt in of_label])
        return class_embeddings(rows, [len(of_label) for of_label in prompts])

    def similarity(
        self, images: Images | NDArray[np.floating], texts: str | Iterable[str] | NDArray[np.floating]
    ) -> Features:
        """Cosines (images, texts). Either may be embeddings: an array of floats with two dimensions.

        Raises:
            ImageError: an image cannot be read.
            UsageError: embeddings of another length than `dim`, or what the encoding methods raise it for.
        """
        image_rows = images if is_embeddings(images) else self.encode_images(images)
        text_rows = texts if is_embeddings(texts) else self.encode_texts(texts)
        cosines: Features = self._rows("images", image_rows) @ self._rows("texts", text_rows).T
        return cosines

    @overload
    def classify(  # type: ignore[overload-overlap]  # a string is one image, and iterable too
        self,
        images: ImageSource,
        labels: Iterable[str],
        *,
        templates: Templates = ...,
        language: LabelLanguage = ...,
        top_k: int | None = ...,
    ) -> list[Prediction]: ...

    @overload
    def classify(
        self,
        images: Iterable[ImageSource],
        labels: Iterable[str],
        *,
        templates: Templates = ...,
        language: LabelLanguage = ...,
        top_k: int | None = ...,
        batch_size: BatchSize = ...,
        progress: ShowProgress = ...,
        on_error: OnError | None = ...,
    ) -> list[list[Prediction]]: ...

    def classify(
        self,
        images: Images,
        labels: Iterable[str],
        *,
        templates: Templates = "auto",
        language: LabelLanguage = None,
        top_k: int | None = None,
        batch_size: BatchSize = "auto",
        progress: ShowProgress = "auto",
        on_error: OnError | None = None,
    ) -> list[Prediction] | list[list[Prediction]]:
        """The labels with their probabilities, the likeliest first: one list for one image, a list of these for many.

        A probability is softmax(exp(logit_scale) * cosine) over the labels given. `templates` and `language`: as in
        `encode_labels`; `top_k`: how many labels to return, None for all; the rest as in `encode_images`.

        Raises:
            UsageError: an argument is wrong; see `encode_labels`.
            ImageError: an image cannot be read, and `on_error` is None.
        """
        check_top_k(top_k)
        alone = is_one_image(images)
        if alone and on_error is not None:
            raise UsageError("on_error is for several images: put the image into a list, or catch the ImageError")
        names = label_list(labels)
        label_rows = self.encode_labels(names, templates=templates, language=language)
        image_rows = self.encode_images(images, batch_size=batch_size, progress=progress, on_error=on_error)
        chances = probabilities(image_rows @ label_rows.T, self.logit_scale)
        rankings = [ranked(names, row, top_k) for row in chances]
        return rankings[0] if alone else rankings

    def save(self, folder: str | Path) -> Path:
        """Write weights, configuration, tokenizer and image settings as transformers reads them; returns the folder.

        Languages and licence of the model go into config.json.

        Raises:
            CheckpointError: the files cannot be written; each that was there is whole.
            LayoutError: no layout holds such a model.
        """
        return save_parts(self._parts, folder, self.card.to_settings())

    def _prepare(self, image: ImageSource) -> Pixels:
        """One image as float32 (3, side, side). Runs in several threads."""
        if self.image_processor is None:
            raise UsageError(f"{self.name} has no image tower")
        return self.image_processor.preprocess(open_image(image, max_pixels=self.max_pixels))

    def _embeddings(self, rows: Sequence[Features]) -> Features:
        """Features of batches as one array of embeddings (N, dim)."""
        features = np.concatenate(rows) if rows else np.zeros((0, self.dim), np.float32)
        if not np.isfinite(features).all():
            raise WeightsError(
                f"{self.name} gives NaN or infinity in {self.dtype} on {self.device}: expected finite numbers; "
                "open it with dtype='float32', and if it stays so, the weights are damaged"
            )
        return normalised(features)

    def _rows(self, what: str, embeddings: Features) -> Features:
        check_embeddings(what, embeddings, self.dim)
        return normalised(embeddings)

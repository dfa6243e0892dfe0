"""The user's object: opens a model, embeds (`embedder`), compares with labels, saves."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal, Self, TypeAlias, overload

import numpy as np
import torch
from numpy.typing import NDArray

from altclip.checkpoints import HubOptions
from altclip.checkpoints.notice import show_duties
from altclip.encoder.calibration import check_calibration
from altclip.encoder.decoding import OnError
from altclip.encoder.embedder import Embedder
from altclip.encoder.inputs import BatchSize, Images, is_embeddings, is_one_image
from altclip.encoder.labels import Prediction, check_top_k, label_list, probabilities, ranked
from altclip.encoder.loading import check_readout, open_parts, parts_of, save_parts
from altclip.encoder.progress import ShowProgress
from altclip.engines import Features, check_choices, dtype_for, pick_place
from altclip.errors import UsageError
from altclip.languages import Language
from altclip.metrics import class_embeddings
from altclip.models import DualEncoder
from altclip.processing import ImageSource, Processor
from altclip.prompts import check_labels, prompts_for

Templates: TypeAlias = Literal["auto"] | Sequence[str] | None
LabelLanguage: TypeAlias = Language | Sequence[Language | None] | None


class Encoder(Embedder):
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
        calibration: Sequence[ImageSource] | None = None,
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
            dtype: of the weights: "auto", "float32", "bfloat16", "float16"; a named one wins over precision "fast".
            engine: "auto" chooses by device, size and what is installed, and says why in `engine_reason`; "torch" runs
                on any device; "compiled" (torch.compile) on CPUs and CUDA devices; "openvino" (extra `openvino`) and
                "onnx" (extra `onnx`) on CPUs. What these compile is kept on disk.
            precision: "fast" (half precision on GPUs, bfloat16 on CPUs that have it, float32 elsewhere;
                JPEGs far larger than the model reads are decoded at a part of their size) or "exact" (float32
                arithmetic everywhere, every picture decoded in full) or "int8" (extra `openvino`; the quickest where
                the CPU multiplies in int8, and the least exact: docs/engines.md has what it costs).
            calibration: for "int8", 32 images or more (better 300) like those to be encoded; None takes bundled ones.
            head: the read-out of texts: "retrieval", or "unmasked" for Taiyi as its cards compute it, where the padding
                beside a text counts: the texts of one call are filled up to the longest of them (those of an iterator
                in lots of 4,096), so an embedding depends on the texts around it.
            revision, token, local_files_only: for hub ids, as in huggingface_hub.

        Raises:
            UsageError: an argument is wrong; nothing has been loaded then, but where the model lacks the head.
            CheckpointError: the model cannot be read; its kinds are in `altclip.errors`.
        """
        check_choices(engine, precision)
        check_calibration(calibration, precision)
        check_readout(head)
        place = pick_place(device, engine, precision)
        hub: HubOptions = {"revision": revision, "token": token, "local_files_only": local_files_only}
        kind = dtype_for(dtype, precision, place)
        parts = open_parts(model, image_weights, dtype=kind, device=place, hub=hub, head=head)
        self._start(str(model), parts, engine, precision, calibration=calibration, half=dtype == "auto")
        show_duties(self.name, self.card)

    @classmethod
    def from_model(
        cls,
        model: Any,
        processor: Processor,
        *,
        engine: str = "auto",
        precision: str = "fast",
        calibration: Sequence[ImageSource] | None = None,
        head: str = "retrieval",
    ) -> Self:
        """Around a model at hand: a `DualEncoder`, or the `AltCLIPModel` of the model cards.

        The model is not copied: it is put into eval mode, and later changes to its weights, device or dtype count
        (but not with an engine that copies the weights: docs/engines.md).

        Raises:
            UsageError: the model is of another kind, or `engine`, `precision`, `calibration` or `head` cannot be used.
            LayoutError: the processor belongs to another model.
        """
        check_calibration(calibration, precision)
        dual = getattr(model, "dual", model)
        if not isinstance(dual, DualEncoder):
            kind = f"{type(model).__module__}.{type(model).__qualname__}"
            raise UsageError(
                f"from_model takes a DualEncoder or an AltCLIPModel of altclip, not a {kind}: save it, and open the "
                "folder with Encoder(folder)"
            )
        encoder = cls.__new__(cls)
        encoder._start(
            f"a {type(model).__name__} in memory", parts_of(dual, processor, head), engine, precision,
            calibration=calibration, changing=True,
        )  # fmt: skip
        return encoder

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

"""Joins the image processor and the tokenizer of one model, as `AltCLIPProcessor` does on the model cards."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final, Self

from altclip.errors import UsageError
from altclip.processing.batches import BatchEncoding, TensorKind
from altclip.processing.images import ImageProcessor, ImageSource
from altclip.processing.tokenizers import Padding, Tokenizer, Truncation


class Processor:
    """An image processor and a tokenizer of one model.

    Called as transformers' AltCLIPProcessor is on the model cards, with one difference: texts are cut to the model's
    limit unless `truncation=False` says otherwise, where the original passes a long text on and the model crashes.
    """

    model_input_names: Final = ["pixel_values", "input_ids", "attention_mask"]

    def __init__(self, image_processor: ImageProcessor, tokenizer: Tokenizer) -> None:
        self.image_processor, self.tokenizer = image_processor, tokenizer

    @classmethod
    def from_folder(cls, folder: str | Path) -> Self:
        """From the files of a model folder.

        Raises:
            LayoutError: the settings for images or the tokenizer's files are missing or damaged.
        """
        return cls(ImageProcessor.from_folder(folder), Tokenizer.from_folder(folder))

    def save(self, folder: str | Path) -> None:
        """Writes the files of both into `folder`, as transformers reads them."""
        self.image_processor.save(folder)
        self.tokenizer.save(folder)

    def __call__(
        self,
        text: str | Iterable[str] | None = None,
        images: ImageSource | Iterable[ImageSource] | None = None,
        *,
        return_tensors: TensorKind | None = None,
        padding: Padding = False,
        truncation: Truncation = True,
        max_length: int | None = None,
        split_special_tokens: bool = False,
    ) -> BatchEncoding:
        """`input_ids` and `attention_mask` (texts, tokens); `pixel_values` (images, 3, height, width).

        Raises:
            UsageError: neither texts nor images are given, or an argument is wrong.
            ImageError: an image cannot be read.
        """
        if text is None and images is None:
            raise UsageError("there is nothing to process: pass text, images, or both")
        batch = BatchEncoding()
        if text is not None:
            batch.update(
                self.tokenizer(
                    text,
                    padding=padding,
                    truncation=truncation,
                    max_length=max_length,
                    return_tensors=return_tensors,
                    split_special_tokens=split_special_tokens,
                )
            )
        if images is not None:
            batch.update(self.image_processor(images, return_tensors))
        return batch

    def decode(self, ids: Any, skip_special_tokens: bool = False) -> str:
        """The text of one row of ids."""
        return self.tokenizer.decode(ids, skip_special_tokens)

    def batch_decode(self, rows: Iterable[Any], skip_special_tokens: bool = False) -> list[str]:
        """The texts of several rows of ids."""
        return self.tokenizer.batch_decode(rows, skip_special_tokens)

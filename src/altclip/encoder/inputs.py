"""What users may pass for images and texts, told apart: one or many, checked one by one as they come."""

from __future__ import annotations

import reprlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Literal, TypeAlias, TypeGuard

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from altclip.errors import UsageError
from altclip.processing import ImageSource

Images: TypeAlias = ImageSource | Iterable[ImageSource]
BatchSize: TypeAlias = int | Literal["auto"]


def is_one_image(images: object) -> bool:
    """Whether this is one image; an array of four dimensions is many."""
    if isinstance(images, np.ndarray):
        return images.ndim != 4
    single = isinstance(images, str | Path | bytes | bytearray | memoryview | Image.Image)
    return single or hasattr(images, "read")


def many_images(images: Images) -> Iterable[ImageSource]:
    """Any number of images as an iterable; one is a list of one. Raises UsageError for what holds no images."""
    if is_one_image(images):
        return [images]  # type: ignore[list-item]
    if not isinstance(images, Iterable):
        raise UsageError(f"images cannot be a {type(images).__name__}: pass one image or several")
    return images  # type: ignore[return-value]


def many_texts(texts: str | Iterable[str]) -> Iterable[str]:
    """Any number of texts as an iterable; one is a list of one. Raises UsageError for what holds no texts."""
    if isinstance(texts, str):
        return [texts]
    if not isinstance(texts, Iterable):
        raise UsageError(f"texts cannot be a {type(texts).__name__}: pass one text or several")
    return texts


def is_embeddings(items: object) -> TypeGuard[NDArray[np.float32]]:
    """Whether this is an array of embeddings: floats in two dimensions."""
    return isinstance(items, np.ndarray) and items.ndim == 2 and np.issubdtype(items.dtype, np.floating)


def check_embeddings(what: str, rows: NDArray[np.floating], dim: int) -> None:
    """Raise UsageError unless the rows are as long as the model's embeddings, and numbers."""
    if rows.shape[1] != dim:
        raise UsageError(
            f"{what} are an array of shape {rows.shape}, read as embeddings: expected (n, {dim}) from the same model; "
            "put a grey picture into a list"
        )
    if not np.isfinite(rows).all():
        raise UsageError(f"{what} are embeddings with NaN or infinity in them: expected finite numbers")


def checked_texts(texts: Iterable[str]) -> Iterator[str]:
    """The texts; UsageError, with the position, at one that is no string."""
    for position, text in enumerate(texts):
        if not isinstance(text, str):
            raise UsageError(f"text {position} is {reprlib.repr(text)}, a {type(text).__name__}: expected a string")
        yield text


def known_length(items: Iterable[Any]) -> int | None:
    """How many there are, if that can be told without taking them."""
    try:
        return len(items)  # type: ignore[arg-type]
    except TypeError:
        return None


def check_batch_size(batch_size: object) -> None:
    """Raise UsageError unless this is "auto" or a number from 1."""
    if batch_size == "auto" or (type(batch_size) is int and batch_size >= 1):
        return
    raise UsageError(f"batch_size={batch_size!r} is not understood: expected 'auto' or a whole number from 1")

"""One photograph read for the index: its picture upright, a thumbnail, a digest, and what its file says of itself."""

from __future__ import annotations

import hashlib
import io
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from PIL import Image, UnidentifiedImageError

from altclip.errors import ImageError
from altclip.processing import open_image, opening
from altclip.search.notes import Notes, read_notes
from altclip.search.scanning import OnDisk

THUMBNAIL_SIDE: Final = 320  # pixels of the longer side
_QUALITY: Final = 80


@dataclass(frozen=True)
class Photograph:
    """A file as it was when it was read. width, height: of the file's picture, upright; digest: SHA-256 of the content.

    thumbnail: JPEG, without any of the file's metadata.
    """

    file: OnDisk
    digest: str
    width: int
    height: int
    notes: Notes
    thumbnail: bytes


def read_photograph(
    file: OnDisk, *, max_pixels: int = opening.MAX_PIXELS, side: int | None = None, gps: bool = False
) -> tuple[Photograph, Image.Image]:
    """Read one file, and its picture: RGB, upright, decoded no smaller than `side` where that is given (`open_image`).

    Raises:
        ImageError: it cannot be read, is no image, or was changed meanwhile.
    """
    path = Path(file.path)
    try:
        with path.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
            size, notes = read_header(file.path, stream, gps=gps)
            image = open_image(path, max_pixels=max_pixels, side=None if side is None else max(side, THUMBNAIL_SIDE))
            now = os.fstat(stream.fileno())
    except FileNotFoundError:
        raise ImageError(file.path, "there is no such file") from None
    except OSError as error:
        raise ImageError(file.path, f"cannot be read: {error.strerror or error}") from error
    if (now.st_size, now.st_mtime_ns) != (file.size, file.mtime_ns):
        raise ImageError(file.path, "was changed while it was read: it will be taken up the next time")
    width, height = upright(size, image)
    return Photograph(file, digest, width, height, notes, make_thumbnail(image)), image


@contextmanager
def quiet() -> Iterator[None]:
    """While many photographs are read: not a line for each with EXIF that is cut short. For the main thread."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"PIL(\.|$)")
        yield


def make_thumbnail(image: Image.Image) -> bytes:
    """A JPEG of an RGB image, the longer side at most 320 pixels."""
    small = image.copy() if max(image.size) <= THUMBNAIL_SIDE else _shrunk(image)
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=_QUALITY, optimize=True, exif=b"", icc_profile=None, comment=b"")
    return buffer.getvalue()


def _shrunk(image: Image.Image) -> Image.Image:
    factor = THUMBNAIL_SIDE / max(image.size)
    width, height = (max(1, round(side * factor)) for side in image.size)
    return image.resize((width, height), Image.Resampling.BICUBIC, reducing_gap=2.0)


def read_header(name: str, stream: BinaryIO, *, gps: bool = False) -> tuple[tuple[int, int] | None, Notes]:
    """Size and notes; None and nothing where the header is beyond reading, for `open_image` then says why."""
    stream.seek(0)
    try:
        image: Image.Image = Image.open(stream)
    except UnidentifiedImageError:
        stream.seek(0)
        head = stream.read(12)
        try:
            image = opening.open_heif(name, stream, head)
        except ImageError:
            return None, Notes()
    except Exception:  # noqa: BLE001 - Pillow raises any of a dozen types on damaged files
        return None, Notes()
    return image.size, read_notes(image, gps=gps)


def upright(size: tuple[int, int] | None, image: Image.Image) -> tuple[int, int]:
    """The size of the file's picture, turned as the decoded one is, which may be smaller."""
    width, height = size or image.size
    turned = (width > height) != (image.width > image.height) and width != height
    return (height, width) if turned else (width, height)

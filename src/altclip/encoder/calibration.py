"""What int8 is calibrated on: the user's images or bundled ones.

Bundled are pictures made of the photographs that scikit-image ships (extra `demo`): cut-outs, collages of recoloured
pieces, and drawn shapes beside them. They reach less than the user's own images: docs/engines.md has both.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image, ImageFilter, ImageOps

from altclip.data.shipped import shipped_file, shipped_photographs
from altclip.encoder.drawn import SIDE, collages, drawn_shapes, recoloured
from altclip.encoder.inputs import is_one_image
from altclip.engines import Pixels, Samples, check_enough
from altclip.engines.base import Inputs
from altclip.errors import MissingExtraError, UsageError
from altclip.processing import ImageSource, open_image

MOST: Final = 300  # of a kind: enough for the ranges of activations, and a matter of minutes at full size
_CUTS: Final = 27  # from each photograph
_COLLAGES: Final = 280
_SMALL: Final = 384  # pixels of the photographs that collages are cut from: a thousand cuts of larger ones take long
_DRAWN: Final = 50
_VERSION: Final = "bundled samples 2"  # of the bundled ones: to be raised when they change


def samples_for(
    calibration: Sequence[ImageSource] | None, prepare: Callable[[ImageSource], Pixels], settings: str = ""
) -> Samples:
    """The samples of a model. prepare: one image as its tower takes it; settings: what tells how it does that.

    No image is decoded before a graph is compiled; what can be raised then is told by `bundled_images`.
    """
    chosen = None if calibration is None else [_lasting(image) for image in _spread(calibration)]

    def make() -> list[Inputs]:
        return [[prepare(image)[None]] for image in (bundled_images() if chosen is None else chosen)]

    return Samples(lambda: f"{_told(chosen)} {settings}", make)


def check_calibration(calibration: Sequence[ImageSource] | None, precision: str) -> None:
    """Raise UsageError for what is no list of images, for fewer than are wanted, or where no precision asks for any."""
    if calibration is None:
        return
    if is_one_image(calibration) or not isinstance(calibration, Sequence | np.ndarray):
        raise UsageError(f"calibration is a {type(calibration).__name__}: expected a list of images, 32 or more")
    if precision != "int8":
        raise UsageError(f"calibration is for precision='int8', not '{precision}': leave it out")
    check_enough(len(calibration), "images")


def check_bundled() -> None:
    """Raise UsageError where the photographs that bundled images are made of are not installed."""
    for row in shipped_photographs():
        _place(row)


def bundled_images() -> Iterator[Image.Image]:
    """Cut-outs of ten photographs, collages of pieces of them, and drawn shapes: the same at every call.

    Raises UsageError where the photographs are not installed.
    """
    draw = np.random.default_rng(0)
    photographs = [open_image(_place(row)) for row in shipped_photographs()]
    for photograph in photographs:
        yield _cut_out(photograph, draw, 1.0)
        yield from (_cut_out(photograph, draw) for _ in range(1, _CUTS))

    small = [ImageOps.contain(photograph, (_SMALL, _SMALL)) for photograph in photographs]

    def piece() -> Image.Image:
        cut = _cut_out(small[draw.integers(len(small))], draw)
        return recoloured(cut.resize((SIDE, SIDE), Image.Resampling.BICUBIC), draw)

    yield from collages(_COLLAGES, draw, piece)
    yield from drawn_shapes(_DRAWN, draw)


def _place(row: Mapping[str, str | None]) -> Path:
    try:
        return shipped_file(row["package"] or "", row["file"] or "")
    except MissingExtraError as error:
        raise UsageError(
            "int8 is calibrated on images: give calibration=[...] with 300 like those to be encoded, or install "
            f"the photographs that altclip takes otherwise (pip install 'altclip[{error.extra}]')"
        ) from error


def _cut_out(photograph: Image.Image, draw: np.random.Generator, share: float | None = None) -> Image.Image:
    """A square, of that share of the shorter side (any), every other one mirrored, every other one sharpened."""
    width, height = photograph.size
    side = int(min(width, height) * (share or draw.uniform(0.15, 1)))
    left, top = int(draw.integers(0, width - side + 1)), int(draw.integers(0, height - side + 1))
    square = photograph.crop((left, top, left + side, top + side))
    if draw.random() < 0.5:
        square = square.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    if draw.random() < 0.5:
        square = square.resize((SIDE, SIDE), Image.Resampling.BICUBIC)
        square = square.filter(ImageFilter.UnsharpMask(radius=2, percent=int(draw.uniform(50, 250)), threshold=0))
    return square


def _spread(images: Sequence[ImageSource]) -> list[ImageSource]:
    """At most `MOST`, from all over the list."""
    if len(images) <= MOST:
        return list(images)
    return [images[place] for place in np.linspace(0, len(images) - 1, MOST).astype(int)]


def _lasting(image: ImageSource) -> ImageSource:
    """The bytes of an open file, which can be read once alone, and here is twice; anything else as it is."""
    if isinstance(image, str | Path | Image.Image) or not hasattr(image, "read"):
        return image
    content = image.read()
    return content if isinstance(content, bytes) else image


def _told(images: Sequence[ImageSource] | None) -> str:
    """What the samples are: of files their names, sizes and times; of other images the pixels."""
    if images is None:
        return _VERSION
    state = hashlib.sha256(_VERSION.encode())
    for image in images:
        if isinstance(image, str | Path):
            found = Path(image).stat() if Path(image).is_file() else None
            state.update(f"{image} {found and (found.st_size, found.st_mtime_ns)}\0".encode())
        else:
            state.update(np.asarray(open_image(image)).tobytes())
    return state.hexdigest()

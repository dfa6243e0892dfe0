"""Opens any picture as the RGB image that a person sees, or says in one line why it cannot.

Pillow decodes; this file decides what `transformers` leaves to chance: rotation by EXIF, transparency, 16 bits, limits.
Turning the RGB image into numbers for a model is the work of `images.py`.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Final, Protocol, TypeAlias

import numpy as np
from PIL import Image, UnidentifiedImageError

from altclip.errors import ImageError, MissingExtraError, UsageError

MAX_PIXELS: Final = 100_000_000
# Which files of a folder are taken for images. A file named by itself is always tried: its content counts.
ENDINGS: Final = (
    ".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".apng", ".webp", ".gif", ".bmp", ".dib", ".tif", ".tiff", ".heic",
    ".heif", ".avif", ".jp2", ".ppm", ".pgm", ".pbm", ".pnm", ".tga",
)  # fmt: skip

_EXIF_ORIENTATION: Final = 0x0112
_UPRIGHT: Final = {  # EXIF 2.32, tag Orientation: how the stored rows must be turned to stand upright
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_TIFF_BITS, _TIFF_PHOTOMETRIC, _WHITE_IS_ZERO = 258, 262, 0  # TIFF 6.0: two tags, and a value of the second
_HEIF_BRANDS: Final = {b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1"}
_DEEP_MODES: Final = (
    "I",
    "F",
)  # and every "I;16…": more than eight bits a pixel, which Pillow clips instead of scaling
_DRAWN_BY_OTHERS: Final = ("EPS", "WMF", "EMF")  # PostScript by Ghostscript, metafiles by Windows
_PREMULTIPLIED: Final = {"La": "LA", "RGBa": "RGBA"}

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]


class BinaryFile(Protocol):
    """An open file that gives bytes."""

    def read(self, size: int = -1, /) -> bytes: ...


ImageSource: TypeAlias = str | Path | bytes | bytearray | memoryview | Image.Image | Array | BinaryFile


def open_image(source: ImageSource, *, max_pixels: int = MAX_PIXELS, side: int | None = None) -> Image.Image:
    """The picture in `source` as an RGB image, as a viewer shows it.

    side: a JPEG may be decoded at a half, a quarter or an eighth of its size, as long as its shorter side keeps so many
    pixels; that takes a part of the time, and the pixels differ a little from those of a full picture made small. None
    never does so.

    `source` is a path, the bytes of a file, an open binary file (read to its end), a PIL image, or an array:
    (height, width), (height, width, 1), (height, width, 3) or (height, width, 4), of uint8, uint16, bool, or floats
    in [0, 1]. Channels come last: an array (3, height, width) is refused, because a guess would be silent when wrong.

    The file's content counts, not its name. Transparency is laid on white (as `transformers` 5 does), 16-bit and float
    greys are scaled to the range a screen has, an animation gives its first frame, CMYK is converted as Pillow does.
    Rotation by EXIF is applied to files and bytes only; a PIL image is taken as it stands, as `transformers` takes it.

    `max_pixels` is checked in the header of a file, before anything is decoded; Pillow's own limits stay as they are.

    Raises:
        ImageError: the source is missing, unreadable, damaged, too large, or no image.
        UsageError: the source is of a type that cannot be an image.
    """
    if isinstance(source, Image.Image):
        with _reporting(getattr(source, "filename", "") or f"PIL image of mode {source.mode}"):
            return to_rgb(source)
    if isinstance(source, np.ndarray):
        return _from_array(source)
    if max_pixels < 1:
        raise UsageError(f"max_pixels={max_pixels} lets no image through: expected a positive number")
    with _file(source) as (name, file), _reporting(name):
        return _decode(name, file, max_pixels, side)


def to_rgb(image: Image.Image) -> Image.Image:
    """`image` in mode RGB: transparency laid on white, deep greys scaled, everything else as Pillow converts it."""
    if image.width < 1 or image.height < 1:
        raise ImageError(f"PIL image of {image.width}x{image.height}", "has no pixels")
    if image.mode in _DEEP_MODES or image.mode.startswith("I;16"):
        image = Image.fromarray(_deep_grey(image))
    if image.mode in _PREMULTIPLIED:
        image = image.convert(_PREMULTIPLIED[image.mode])
    if "A" in image.getbands() or image.info.get("transparency") is not None:
        rgba = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("RGB")
    return image.convert("RGB")


@contextmanager
def _file(source: object) -> Iterator[tuple[str, BinaryIO]]:
    """The name of a source for messages, and an open file with its bytes."""
    if isinstance(source, str | Path):
        with _open_path(Path(source)) as file:
            yield str(source), file
    elif isinstance(source, bytes | bytearray | memoryview):
        yield f"<{len(source)} bytes>", io.BytesIO(source)
    elif hasattr(source, "read"):
        name = str(getattr(source, "name", "<file object>"))
        yield name, io.BytesIO(_read(name, source))  # Pillow must seek, and a download cannot
    else:
        raise UsageError(f"an image cannot be a {type(source).__name__}: pass a path, bytes, a PIL image or an array")


def _open_path(path: Path) -> BinaryIO:
    """An open file; whatever is no plain file is refused, for a pipe or a device may never end."""
    try:
        if path.is_dir():
            raise ImageError(str(path), "is a folder: expected an image file")
        if path.exists() and not path.is_file():
            raise ImageError(str(path), "is a pipe or a device: expected an image file")
        return path.open("rb")
    except FileNotFoundError:
        raise ImageError(str(path), "there is no such file") from None
    except (OSError, ValueError) as error:  # ImageError is a ValueError too; a path with a NUL in it gives a bare one
        if isinstance(error, ImageError):
            raise
        raise ImageError(str(path), f"cannot be read: {getattr(error, 'strerror', None) or error}") from error


def _read(name: str, file: Any) -> bytes:
    """The rest of an open file."""
    try:
        data = file.read()
    except OSError as error:
        raise ImageError(name, f"cannot be read: {error}") from error
    if not isinstance(data, bytes):
        raise UsageError(f"{name} is open in text mode: open it with mode 'rb'")
    return data


def _decode(name: str, file: BinaryIO, max_pixels: int, side: int | None) -> Image.Image:
    """The RGB image in an open file, upright."""
    head = file.read(12)
    file.seek(0)
    if not head:
        raise ImageError(name, "is empty (0 bytes): expected an image")
    try:
        image: Image.Image = Image.open(file)
    except UnidentifiedImageError:
        image = open_heif(name, file, head)
    except Image.DecompressionBombError as error:
        if (Image.MAX_IMAGE_PIXELS or 0) < max_pixels:
            raise
        raise ImageError(name, f"is over the limit of {max_pixels:,} pixels: raise max_pixels ({error})") from error
    if image.format in _DRAWN_BY_OTHERS:
        raise ImageError(name, f"is no picture but {image.format}, which another program would have to draw")
    _check_size(name, image.size, max_pixels)
    if side is not None and min(image.size) >= 2 * side:
        image.draft(None, (side, side))  # of JPEG alone; others take no notice
    image.load()
    orientation = _orientation(image)  # after load, which turns a TIFF upright by itself
    image = to_rgb(image)
    return image.transpose(_UPRIGHT[orientation]) if orientation in _UPRIGHT else image


def _check_size(name: str, size: tuple[int, int], max_pixels: int) -> None:
    """Refuses a picture whose header promises more than `max_pixels`."""
    pixels = size[0] * size[1]
    if pixels > max_pixels:
        raise ImageError(
            name, f"has {size[0]}x{size[1]} = {pixels:,} pixels, over the limit of {max_pixels:,}: raise max_pixels"
        )


def open_heif(name: str, file: BinaryIO, head: bytes) -> Image.Image:
    """A photograph in HEIF, which phones write and Pillow alone cannot read; ImageError where it is not that either."""
    if not (head[4:8] == b"ftyp" and head[8:12] in _HEIF_BRANDS):
        raise ImageError(name, f"is not an image that can be read, whatever its name says (it starts with {head!r})")
    try:
        from pillow_heif import HeifImageFile
    except ImportError as error:
        raise ImageError(name, f"is a HEIF photograph: {MissingExtraError('pillow-heif', 'heif')}") from error
    file.seek(0)
    image: Image.Image = HeifImageFile(file)  # type: ignore[no-untyped-call]
    return image


def _orientation(image: Image.Image) -> int:
    """The EXIF orientation, 1 (upright) where there is none or it is damaged: no viewer hides a picture for that."""
    try:
        return int(image.getexif().get(_EXIF_ORIENTATION, 1))
    except Exception:  # noqa: BLE001 - Pillow raises any of a dozen types on damaged EXIF
        return 1


@contextmanager
def _reporting(name: str) -> Iterator[None]:
    """Turns whatever Pillow raises on a damaged file into an ImageError."""
    try:
        yield
    except ImageError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        # Past twice its own limit Pillow refuses in `open`; that limit is the program's to move, not ours.
        limit = f"PIL.Image.MAX_IMAGE_PIXELS = {Image.MAX_IMAGE_PIXELS}"
        raise ImageError(name, f"has more pixels than Pillow opens ({limit}): {error}") from error
    except Exception as error:  # decoders raise OSError, SyntaxError, struct.error, IndexError, ... on damaged files
        raise ImageError(
            name, f"cannot be decoded, is it damaged or cut short? ({type(error).__name__}: {error})"
        ) from error


def _from_array(array: Array) -> Image.Image:
    """An array with channels last as an RGB image."""
    name = f"array of shape {array.shape} and type {array.dtype}"
    grey = array.ndim == 2 or (array.ndim == 3 and array.shape[2] == 1)
    if not grey and not (array.ndim == 3 and array.shape[2] in (3, 4)):
        first = array.ndim == 3 and array.shape[0] in (1, 3, 4)
        hint = "; its channels come first: use numpy.moveaxis(array, 0, -1)" if first else ""
        raise ImageError(name, f"expected (height, width), or (height, width, channels) with 1, 3 or 4 channels{hint}")
    if array.size == 0:
        raise ImageError(name, "has no pixels")
    return to_rgb(Image.fromarray(_array_to_bytes(name, array[..., 0] if grey and array.ndim == 3 else array)))


def _array_to_bytes(name: str, array: Array) -> Array:
    """Values as uint8: floats are of [0, 1], 16 bits are of [0, 65535]."""
    if array.dtype == np.uint8:
        return np.ascontiguousarray(array)
    if array.dtype == np.uint16:
        return _to_eight_bits(array, 65535)
    if array.dtype == np.bool_:
        return array.astype(np.uint8) * np.uint8(255)
    if not np.issubdtype(array.dtype, np.floating):
        raise ImageError(name, "expected uint8, uint16, bool or floats in [0, 1]: convert with array.astype('uint8')")
    low, high = float(array.min()), float(array.max())
    if not (low >= 0 and high <= 1):  # so written that NaN is refused too
        raise ImageError(name, f"has values from {low:g} to {high:g}: floats must be in [0, 1]")
    return _round_to_bytes(array * 255.0)


def _deep_grey(image: Image.Image) -> Array:
    """Greys of more than eight bits as a screen shows them, by what the file says of its range where it does."""
    tags: Any = getattr(image, "tag_v2", {})  # of a TIFF
    white = None
    if image.mode.startswith("I;16"):
        white = 2 ** int(tags.get(_TIFF_BITS, (16,))[0]) - 1
    elif image.mode == "I" and image.format == "PPM":  # which Pillow has scaled
        white = 65535
    grey = _to_eight_bits(np.asarray(image), white)
    return 255 - grey if white and tags.get(_TIFF_PHOTOMETRIC) == _WHITE_IS_ZERO else grey


def _to_eight_bits(values: Array, white: int | None) -> Array:
    """white: the value of white, if it is known.

    Else (32 bits or floats) the values tell: up to 1 (floats), up to 255 and up to 65535 are the ranges in use;
    anything else is stretched from its least value to its greatest.
    """
    if white is not None:
        return _round_to_bytes(np.minimum(values, white) * (255.0 / white))
    values = np.nan_to_num(values.astype(np.float64), posinf=0.0, neginf=0.0)
    low, high = float(values.min()), float(values.max())
    if low < 0 or high > 65535:
        return _round_to_bytes((values - low) * (255.0 / ((high - low) or 1.0)))
    if high <= 1:
        return _round_to_bytes(values * 255.0)
    return _round_to_bytes(values if high <= 255 else values / 257.0)


def _round_to_bytes(values: Array) -> Array:
    return np.rint(values).astype(np.uint8)

"""Turns pictures into the numbers that a CLIP image tower reads, by the settings of a `preprocessor_config.json`."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
from PIL import Image

from altclip.errors import LayoutError, UsageError
from altclip.processing.batches import BatchEncoding, TensorKind, as_tensor, check_kind
from altclip.processing.opening import Array, ImageSource, open_image

__all__ = ["ImageProcessor", "ImageSource", "open_image"]

CONFIG_NAME: Final = "preprocessor_config.json"
COMBINED_NAME: Final = (
    "processor_config.json"  # transformers 5 writes the same settings in here, under "image_processor"
)

OPEN_CLIP_NAME: Final = "open_clip_config.json"  # holds them under "preprocess_cfg"

CLIP_MEAN: Final = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD: Final = (0.26862954, 0.26130258, 0.27577711)

# A strip of 1 x 100,000 pixels would be blown up to 224 x 22,400,000. Past this size only the middle is enlarged.
_MAX_RESIZED_PIXELS: Final = 2**23
_NEIGHBOURS: Final = 3  # pixels to each side that a filter sees at most: Lanczos


@dataclass(frozen=True)
class ImageProcessor:
    """CLIP's image preprocessing: RGB, resize, crop the centre, scale, normalise.

    Reproduces `CLIPImageProcessorPil` of transformers 5 (the Pillow path of CLIP and AltCLIP) number for number: the
    shorter side becomes `size["shortest_edge"]`, the longer one is rounded down; a crop larger than the image is padded
    with black; float64 for the rescaling, float32 for the rest. `size` with "height" and "width" squashes the image
    to that (Chinese-CLIP). What differs, on purpose: files are turned upright and deep greys scaled (see
    `open_image`), float arrays are rounded where transformers cuts them off, and every image becomes RGB whatever
    `do_convert_rgb` says, because no image tower here reads anything else.

    crop_rounding: which way half a pixel goes where the crop cannot be in the very middle: "down" as in transformers,
    "even" as in torchvision, by which OpenAI's own code and open_clip crop.

    Fields have the names and forms of `preprocessor_config.json`; `from_dict` reads its older forms too. `other` holds
    the keys that mean nothing here and are written back on `save`.
    """

    do_resize: bool = True
    size: Mapping[str, int] = field(default_factory=lambda: {"shortest_edge": 224})
    resample: int = int(Image.Resampling.BICUBIC)
    do_center_crop: bool = True
    crop_size: Mapping[str, int] = field(default_factory=lambda: {"height": 224, "width": 224})
    do_rescale: bool = True
    rescale_factor: float = 1 / 255
    do_normalize: bool = True
    image_mean: tuple[float, ...] = CLIP_MEAN
    image_std: tuple[float, ...] = CLIP_STD
    do_convert_rgb: bool = True
    crop_rounding: str = "down"
    other: Mapping[str, Any] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        _check_sides("size", self.size, [{"shortest_edge"}, {"height", "width"}])
        _check_sides("crop_size", self.crop_size, [{"height", "width"}])
        _check_filter(self.resample)
        _check_channels("image_mean", self.image_mean)
        _check_channels("image_std", self.image_std)
        if self.crop_rounding not in _ROUNDINGS:
            raise UsageError(f"crop_rounding={self.crop_rounding!r} is not known: expected {' or '.join(_ROUNDINGS)}")

    @classmethod
    def from_dict(cls, config: Mapping[str, Any]) -> Self:
        """From the content of a `preprocessor_config.json`; a missing or null key takes CLIP's value.

        Raises:
            UsageError: a value is not of the form that its key has.
        """
        known = {f.name for f in fields(cls)} - {"other"}
        values = {key: value for key, value in config.items() if key in known and value is not None}
        for key, sides in (("size", ("shortest_edge",)), ("crop_size", ("height", "width"))):
            if isinstance(values.get(key), int):  # files of before 2022
                values[key] = dict.fromkeys(sides, values[key])
            elif isinstance(values.get(key), Mapping):
                values[key] = {side: length for side, length in values[key].items() if length is not None}
        for key in ("image_mean", "image_std"):
            if isinstance(values.get(key), list):
                values[key] = tuple(values[key])
        return cls(**values, other={key: value for key, value in config.items() if key not in known})

    def to_dict(self) -> dict[str, Any]:
        """In the form of `preprocessor_config.json`."""
        own = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "other"}
        own |= {"image_mean": list(self.image_mean), "image_std": list(self.image_std)}
        own |= {"size": dict(self.size), "crop_size": dict(self.crop_size)}
        if self.crop_rounding == "down":  # as every program does that reads this file
            del own["crop_rounding"]
        return {"image_processor_type": "CLIPImageProcessor", **self.other, **own}

    @classmethod
    def from_folder(cls, folder: str | Path) -> Self:
        """From the `preprocessor_config.json` of a model folder, the `processor_config.json` of transformers 5, or the
        `open_clip_config.json` of open_clip; the first that is there.

        Raises:
            LayoutError: none of these files is there, or it holds something else.
        """
        for name in _READ:
            if (path := Path(folder) / name).is_file():
                return cls._from_file(path)
        raise LayoutError(f"{folder} has no {CONFIG_NAME} (nor {COMBINED_NAME}): expected the settings for images")

    @classmethod
    def _from_file(cls, path: Path) -> Self:
        try:
            config = json.loads(path.read_text(encoding="utf-8"))
            return cls.from_dict(_READ[path.name](config))
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise LayoutError(f"{path} does not hold the settings of a CLIP image processor: {error}") from error

    def save(self, folder: str | Path) -> None:
        """Writes `preprocessor_config.json` into `folder`, which is made if need be."""
        path = Path(folder)
        path.mkdir(parents=True, exist_ok=True)
        (path / CONFIG_NAME).write_text(json.dumps(self.to_dict(), indent=2) + "\n", encoding="utf-8")

    def __call__(
        self, images: ImageSource | Iterable[ImageSource], return_tensors: TensorKind | None = None
    ) -> BatchEncoding:
        """One image or several as {"pixel_values": (images, 3, height, width) float32}.

        Without `return_tensors` the value is a list of arrays (3, height, width).

        Raises:
            ImageError: an image cannot be read.
            UsageError: `return_tensors` is unknown, or the images come out in different sizes and do not stack.
        """
        check_kind(return_tensors)
        arrays = [self.preprocess(image) for image in _as_list(images)]
        if return_tensors is None:
            return BatchEncoding(pixel_values=arrays)
        shapes = sorted({array.shape for array in arrays})
        if len(shapes) > 1:
            raise UsageError(
                f"images of shapes {shapes} do not stack: set do_center_crop, or a size of height and width"
            )
        stacked = np.stack(arrays) if arrays else np.zeros((0, 3, *self._crop), np.float32)
        return BatchEncoding(pixel_values=as_tensor(stacked, return_tensors))

    def preprocess(self, image: ImageSource) -> Array:
        """One image, of any form that `open_image` takes, as float32 (3, height, width)."""
        pixels = np.asarray(self._resize(open_image(image)))
        if self.do_center_crop:
            pixels = _center_crop(pixels, *self._crop, _ROUNDINGS[self.crop_rounding])
        values: Array = np.empty((3, *pixels.shape[:2]), np.float32)
        for channel, numbers in enumerate(self._numbers):
            np.take(numbers, pixels[..., channel], out=values[channel], mode="clip")  # "raise" would buffer the output
        return values

    @cached_property
    def _numbers(self) -> Array:
        """What each of the 256 levels of a channel becomes, (3, 256) float32: worked out once, looked up for pixels."""
        levels = np.arange(256, dtype=np.uint8)[:, None]
        numbers: Array = np.broadcast_to(levels.astype(np.float32), (256, 3))
        if self.do_rescale:
            numbers = np.broadcast_to((levels.astype(np.float64) * self.rescale_factor).astype(np.float32), (256, 3))
        if self.do_normalize:
            numbers = (numbers - np.array(self.image_mean, np.float32)) / np.array(self.image_std, np.float32)
        return np.ascontiguousarray(numbers.T)

    @property
    def side(self) -> int | None:
        """Pixels that the shorter side of a picture is made to; None if pictures are not resized."""
        if not self.do_resize:
            return None
        return self.size.get("shortest_edge") or max(self.size["height"], self.size["width"])

    @property
    def _crop(self) -> tuple[int, int]:
        return self.crop_size["height"], self.crop_size["width"]

    def _resize(self, image: Image.Image) -> Image.Image:
        if not self.do_resize:
            return image
        if "shortest_edge" not in self.size:
            return image.resize((self.size["width"], self.size["height"]), Image.Resampling(self.resample))
        edge, wide = self.size["shortest_edge"], image.width > image.height
        short, long = sorted(image.size)
        new_long = int(edge * long / short)
        crop = self._crop[1 if wide else 0]
        if self.do_center_crop and crop < new_long and edge * new_long > _MAX_RESIZED_PIXELS:
            return self._resize_middle(image, edge, new_long, crop)
        new_size = (new_long, edge) if wide else (edge, new_long)
        return image.resize(new_size, Image.Resampling(self.resample))

    def _resize_middle(self, image: Image.Image, edge: int, new_long: int, crop: int) -> Image.Image:
        """A long strip without its far ends, which would be gigabytes and then cropped away; the rest is the same."""
        wide, filter_ = image.width > image.height, Image.Resampling(self.resample)
        scale = max(image.size) / new_long
        first = _ROUNDINGS[self.crop_rounding]((new_long - crop) / 2)
        margin = math.ceil(_NEIGHBOURS * max(scale, 1)) + 1  # of the window's ends, which the filter sees too
        low, high = math.floor(first * scale) - margin, math.ceil((first + crop) * scale) + margin
        low, high = max(low, 0), min(high, max(image.size))
        window = (first * scale - low, (first + crop) * scale - low)
        image = image.crop((low, 0, high, image.height) if wide else (0, low, image.width, high))
        # rows before columns, as Pillow does it with the whole
        width, height = (crop, edge) if wide else (edge, crop)
        image = image.resize(
            (width, image.height), filter_, box=(window[0], 0, window[1], image.height) if wide else None
        )
        return image.resize((width, height), filter_, box=None if wide else (0, window[0], width, window[1]))


def _center_crop(pixels: Array, height: int, width: int, rounded: Callable[[float], int]) -> Array:
    """The middle (height, width) of pixels (H, W, 3); black around it where the image is smaller."""
    rows, columns = pixels.shape[:2]
    pad_y, pad_x = max(height - rows, 0), max(width - columns, 0)
    if pad_y or pad_x:  # an odd pixel goes to the top and left, as transformers rounds
        top, left = math.ceil(pad_y / 2), math.ceil(pad_x / 2)
        pixels = np.pad(pixels, ((top, pad_y - top), (left, pad_x - left), (0, 0)))
    top, left = rounded(max(rows - height, 0) / 2), rounded(max(columns - width, 0) / 2)
    return pixels[top : top + height, left : left + width]


def _of_open_clip(config: Mapping[str, Any]) -> dict[str, Any]:
    """open_clip's settings in the form of `preprocessor_config.json`; a missing one has open_clip's default.

    Raises UsageError for a way of resizing that is not known here.
    """
    given = {key: value for key, value in config.get("preprocess_cfg", {}).items() if value is not None}
    side = config["model_cfg"]["vision_cfg"].get("image_size", 224)
    height, width = (side, side) if isinstance(side, int) else side
    mode = given.get("resize_mode", "shortest")
    if mode not in ("shortest", "squash") or height != width:
        raise UsageError(f"resize_mode {mode!r} to {height}x{width}: expected 'shortest' or 'squash', and a square")
    filters = {"bilinear": Image.Resampling.BILINEAR}  # the others are bicubic when no image is augmented
    square = {"height": height, "width": width}
    return {
        "size": square if mode == "squash" else {"shortest_edge": height},
        "do_center_crop": mode == "shortest",
        "crop_size": square,
        "resample": int(filters.get(given.get("interpolation", ""), Image.Resampling.BICUBIC)),
        "image_mean": _three(given.get("mean", CLIP_MEAN)),
        "image_std": _three(given.get("std", CLIP_STD)),
        "crop_rounding": "even",
    }


def _three(values: Any) -> Any:
    """One number for each colour; open_clip writes one for all where they are equal."""
    return tuple(values) if isinstance(values, list | tuple) else (values,) * 3


_READ: Final[Mapping[str, Callable[[Mapping[str, Any]], Mapping[str, Any]]]] = {
    CONFIG_NAME: lambda config: config,
    COMBINED_NAME: lambda config: config["image_processor"],
    OPEN_CLIP_NAME: _of_open_clip,
}
_ROUNDINGS: Final[Mapping[str, Callable[[float], int]]] = {"down": math.floor, "even": round}


def _as_list(images: ImageSource | Iterable[ImageSource]) -> list[Any]:
    """One image as a list of one; an array of four dimensions is a batch."""
    if isinstance(images, np.ndarray):
        return list(images) if images.ndim == 4 else [images]
    single = isinstance(images, str | Path | bytes | bytearray | memoryview | Image.Image) or hasattr(images, "read")
    if single:
        return [images]
    if not isinstance(images, Iterable):
        raise UsageError(f"images cannot be a {type(images).__name__}: pass one image or several")
    return list(images)


def _check_sides(name: str, sides: object, forms: list[set[str]]) -> None:
    if isinstance(sides, Mapping) and set(sides) in forms and all(type(n) is int and n > 0 for n in sides.values()):
        return
    expected = " or ".join(str(sorted(form)) for form in forms)
    raise UsageError(f"{name}={sides!r} is not understood: expected whole numbers over 0 for {expected}")


def _check_filter(resample: object) -> None:
    if resample not in {int(r) for r in Image.Resampling}:
        raise UsageError(f"resample={resample!r} is no filter of Pillow: expected 0 to 5 (3 is bicubic)")


def _check_channels(name: str, values: Any) -> None:
    numbers = isinstance(values, tuple) and len(values) == 3 and all(isinstance(v, int | float) for v in values)
    if numbers and (name != "image_std" or 0 not in values):
        return
    raise UsageError(f"{name}={values!r} is not understood: expected three numbers, none of them 0 for image_std")

"""Random crops and flips of one image, drawn from a generator of its own so that a sample is the same on every run."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps


@dataclass(frozen=True)
class Augmentation:
    """scale: smallest and largest share of the image's area; ratio: widest aspect change; flip: chance of mirroring."""

    scale: tuple[float, float] = (0.5, 1.0)
    ratio: float = 1.25
    flip: float = 0.5

    def __call__(self, image: Image.Image, size: int, draw: np.random.Generator) -> Image.Image:
        """A crop resized to (size, size), bicubic."""
        width, height = image.size
        share = draw.uniform(*self.scale)
        aspect = math.exp(draw.uniform(-math.log(self.ratio), math.log(self.ratio)))
        crop_w = min(width, math.sqrt(width * height * share * aspect))
        crop_h = min(height, math.sqrt(width * height * share / aspect))
        left, top = draw.uniform(0, width - crop_w), draw.uniform(0, height - crop_h)
        crop = image.resize((size, size), Image.Resampling.BICUBIC, (left, top, left + crop_w, top + crop_h))
        return ImageOps.mirror(crop) if draw.random() < self.flip else crop


def normalise(image: Image.Image, mean: tuple[float, ...], std: tuple[float, ...]) -> NDArray[np.float32]:
    """Pixels (3, H, W): values over 255, less the mean, over the standard deviation of each channel."""
    pixels = np.asarray(image.convert("RGB"), dtype=np.float32) / 255
    centre, spread = np.array(mean, dtype=np.float32), np.array(std, dtype=np.float32)
    return np.ascontiguousarray(((pixels - centre) / spread).transpose(2, 0, 1))

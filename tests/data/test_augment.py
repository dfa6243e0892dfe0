"""Crops and flips: of the size asked for, within the image, the same for the same draw."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from altclip.data.augment import Augmentation, normalise
from altclip.processing.images import CLIP_MEAN, CLIP_STD, ImageProcessor


def ramp(width: int = 64, height: int = 32) -> Image.Image:
    """Brighter to the right in red, to the bottom in green."""
    pixels = np.zeros((height, width, 3), dtype=np.uint8)
    pixels[..., 0] = np.linspace(0, 255, width).astype(np.uint8)
    pixels[..., 1] = np.linspace(0, 255, height).astype(np.uint8)[:, None]
    return Image.fromarray(pixels)


def test_the_same_draw_gives_the_same_crop() -> None:
    crops = [Augmentation()(ramp(), 16, np.random.default_rng(seed)).tobytes() for seed in (1, 1, 2)]
    assert crops[0] == crops[1] != crops[2]


def test_nothing_is_changed_where_nothing_may_be() -> None:
    still = Augmentation(scale=(1.0, 1.0), ratio=1.0, flip=0.0)
    image = ramp(32, 32)
    assert still(image, 32, np.random.default_rng(0)).tobytes() == image.tobytes()


@pytest.mark.parametrize("size", [(64, 32), (5, 200), (1, 1)])
def test_any_image_gives_the_size_asked_for(size: tuple[int, int]) -> None:
    for seed in range(20):
        assert Augmentation((0.1, 1.0))(ramp(*size), 16, np.random.default_rng(seed)).size == (16, 16)


def test_flips_as_often_as_asked() -> None:
    mirrored = Augmentation(scale=(1.0, 1.0), ratio=1.0, flip=0.25)
    draw = np.random.default_rng(0)
    flips = sum(np.asarray(mirrored(ramp(), 16, draw))[0, 0, 0] > 128 for _ in range(400))
    assert flips == pytest.approx(100, abs=30)


def test_the_crop_keeps_the_share_of_the_area() -> None:
    """On the ramp, the range of red times that of green is the share of the area."""
    draw = np.random.default_rng(0)
    for _ in range(50):
        crop = np.asarray(Augmentation((0.3, 0.3), flip=0.0)(ramp(256, 256), 64, draw)).astype(float)
        share = np.ptp(crop[..., 0]) / 255 * np.ptp(crop[..., 1]) / 255
        assert share == pytest.approx(0.3, abs=0.02)


def test_pixels_are_those_of_the_processor() -> None:
    image = ramp(16, 16)
    processor = ImageProcessor.from_dict({"size": 16, "crop_size": 16})
    np.testing.assert_allclose(normalise(image, CLIP_MEAN, CLIP_STD), processor.preprocess(image), atol=1e-6)

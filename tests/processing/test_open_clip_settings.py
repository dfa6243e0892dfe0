"""Image settings in open_clip's form, and where a crop lies that cannot be in the very middle."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from altclip.errors import LayoutError, UsageError
from altclip.processing import ImageProcessor
from tests.processing.pictures import noise

RAW: dict[str, Any] = {"do_rescale": False, "do_normalize": False}
MODEL = {"vision_cfg": {"image_size": 40}}


def written(folder: Path, preprocessing: object, model: object = MODEL) -> Path:
    content = {"model_cfg": model, "preprocess_cfg": preprocessing}
    (folder / "open_clip_config.json").write_text(json.dumps(content), encoding="utf-8")
    return folder


def torchvision_crop(image: Image.Image, side: int) -> np.ndarray[Any, Any]:
    """torchvision's `Resize(side)` and `CenterCrop(side)` of a picture, by their formulae."""
    width, height = image.size
    size = (side, int(side * height / width)) if width <= height else (int(side * width / height), side)
    image = image.resize(size, Image.Resampling.BICUBIC)
    left, top = (round((length - side) / 2.0) for length in image.size)
    return np.asarray(image.crop((left, top, left + side, top + side))).transpose(2, 0, 1)


@pytest.mark.parametrize("size", [(40, 40), (40, 41), (40, 42), (40, 43), (45, 40), (47, 40), (90, 31), (23, 77)])
def test_open_clip_crops_as_torchvision_does(size: tuple[int, int], tmp_path: Path) -> None:
    image = noise(*size)
    read = ImageProcessor.from_folder(written(tmp_path, {"resize_mode": "shortest"}))
    ours = ImageProcessor(**RAW, size=read.size, crop_size=read.crop_size, crop_rounding=read.crop_rounding)
    np.testing.assert_array_equal(ours.preprocess(image), torchvision_crop(image, 40))


def test_the_two_roundings_differ_by_one_pixel() -> None:
    image = noise(40, 43)
    settings: dict[str, Any] = {**RAW, "size": {"shortest_edge": 40}, "crop_size": {"height": 40, "width": 40}}
    down, even = (ImageProcessor(**settings, crop_rounding=way).preprocess(image) for way in ("down", "even"))
    np.testing.assert_array_equal(down[:, 1:], even[:, :-1])
    assert not np.array_equal(down, even)


def test_settings_and_their_defaults(tmp_path: Path) -> None:
    read = ImageProcessor.from_folder(written(tmp_path, {}))
    assert (read.size, read.crop_size) == ({"shortest_edge": 40}, {"height": 40, "width": 40})
    assert (read.image_mean, read.image_std, read.resample) == (*_clip(), int(Image.Resampling.BICUBIC))
    assert read.crop_rounding == "even"
    given = {"mean": 0.5, "std": [0.5, 0.4, 0.3], "interpolation": "bilinear", "resize_mode": "squash", "fill_color": 0}
    read = ImageProcessor.from_folder(written(tmp_path, given, {"vision_cfg": {"image_size": [40, 40]}}))
    assert (read.size, read.do_center_crop) == ({"height": 40, "width": 40}, False)
    assert (read.image_mean, read.image_std) == ((0.5, 0.5, 0.5), (0.5, 0.4, 0.3))
    assert read.resample == int(Image.Resampling.BILINEAR)
    assert read.preprocess(noise(70, 20)).shape == (3, 40, 40)


def _clip() -> tuple[tuple[float, ...], tuple[float, ...]]:
    plain = ImageProcessor()
    return plain.image_mean, plain.image_std


@pytest.mark.parametrize(
    ("preprocessing", "model"),
    [
        ({"resize_mode": "longest"}, MODEL),
        ({}, {"vision_cfg": {"image_size": [40, 50]}}),
        ({}, {"vision_cfg": {"image_size": "large"}}),
        ({}, {}),
        ([], MODEL),
        ({"std": [1, 0, 1]}, MODEL),
    ],
)
def test_settings_that_are_not_known_are_refused(preprocessing: object, model: object, tmp_path: Path) -> None:
    with pytest.raises(LayoutError, match=r"open_clip_config\.json does not hold the settings"):
        ImageProcessor.from_folder(written(tmp_path, preprocessing, model))


def test_the_form_of_transformers_comes_first(tmp_path: Path) -> None:
    ImageProcessor(size={"shortest_edge": 30}).save(tmp_path)
    assert ImageProcessor.from_folder(written(tmp_path, {})).size == {"shortest_edge": 30}


def test_it_is_kept_when_saved_and_not_written_where_it_is_the_usual(tmp_path: Path) -> None:
    read = ImageProcessor.from_folder(written(tmp_path, {}))
    read.save(tmp_path / "even")
    assert ImageProcessor.from_folder(tmp_path / "even").crop_rounding == "even"
    assert "crop_rounding" not in ImageProcessor().to_dict()
    with pytest.raises(UsageError, match="crop_rounding='up' is not known: expected down or even"):
        ImageProcessor(crop_rounding="up")

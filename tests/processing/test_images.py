"""Pictures to numbers: those of transformers' Pillow CLIP processor, under all settings of a model folder."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from altclip.errors import LayoutError, UsageError
from altclip.processing import ImageProcessor, images
from tests.processing.pictures import encoded, noise, reference

SQUASH: dict[str, Any] = {"size": {"height": 50, "width": 70}, "do_center_crop": False}
RAW: dict[str, Any] = {"do_rescale": False, "do_normalize": False}


# --- the numbers -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "LA", "P", "1", "CMYK", "PA"])
@pytest.mark.parametrize("size", [(1, 1), (1, 50), (223, 224), (300, 200), (200, 301), (10, 7), (90, 3), (225, 499)])
def test_numbers_are_those_of_transformers(size: tuple[int, int], mode: str) -> None:
    image = noise(*size, mode)
    ours = ImageProcessor().preprocess(image)
    assert ours.dtype == np.float32
    assert ours.flags.c_contiguous
    np.testing.assert_array_equal(ours, reference(image))


@pytest.mark.parametrize(
    "settings",
    [
        SQUASH,
        RAW,
        {"do_resize": False},
        {"do_resize": False, "crop_size": {"height": 7, "width": 301}},
        {"size": {"shortest_edge": 30}, "crop_size": {"height": 41, "width": 28}},
        {"size": {"shortest_edge": 31}, "crop_size": {"height": 30, "width": 30}},
        {"do_center_crop": False, "resample": 2, "do_normalize": False},
        {"rescale_factor": 1 / 127.5, "image_mean": [0.5, 0.4, 0.3], "image_std": [0.5, 1.0, 2.0]},
    ],
)
@pytest.mark.parametrize("size", [(64, 48), (47, 90)])
def test_settings_mean_what_they_mean_in_transformers(size: tuple[int, int], settings: dict[str, Any]) -> None:
    image = noise(*size)
    np.testing.assert_array_equal(ImageProcessor.from_dict(settings).preprocess(image), reference(image, **settings))


def test_full_size_photographs(shared: Path) -> None:
    """The issue asks for one grey level at most and none in 99.9 % of values; it is none at all."""
    paths = sorted((shared / "data/photos/full_size").iterdir())
    assert len(paths) == 100
    raw, whole = ImageProcessor(**RAW), ImageProcessor()
    for path in paths:
        with Image.open(path) as image:
            np.testing.assert_array_equal(raw.preprocess(path), reference(image, **RAW), err_msg=path.name)
            np.testing.assert_array_equal(whole.preprocess(path), reference(image), err_msg=path.name)


def test_known_values() -> None:
    white = ImageProcessor().preprocess(Image.new("RGB", (300, 400), "white"))
    expected = [(1 - m) / s for m, s in zip(images.CLIP_MEAN, images.CLIP_STD, strict=True)]
    np.testing.assert_allclose(white[:, 100, 100], expected, rtol=1e-6)
    assert white.shape == (3, 224, 224)


def test_a_long_strip_costs_no_gigabytes() -> None:
    """Enlarged as a whole, 2 x 200,000 pixels would become 224 x 22,400,000."""
    ramp = np.repeat(np.linspace(0, 255, 200_000).astype(np.uint8)[:, None], 2, axis=1)
    start = time.perf_counter()
    tall = ImageProcessor(**RAW).preprocess(ramp)
    wide = ImageProcessor(**RAW).preprocess(ramp.T)
    assert time.perf_counter() - start < 5
    assert tall.shape == wide.shape == (3, 224, 224)
    assert set(np.unique(tall)) <= {127, 128}
    np.testing.assert_array_equal(tall.transpose(0, 2, 1), wide)


@pytest.mark.parametrize("size", [(40, 400), (400, 40), (61, 401), (3, 1001), (1999, 7), (1, 300), (224, 500)])
@pytest.mark.parametrize("crop", [224, 201])
def test_the_middle_of_a_strip_is_what_the_whole_gives(
    size: tuple[int, int], crop: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {**RAW, "crop_size": {"height": crop, "width": crop}}
    monkeypatch.setattr(images, "_MAX_RESIZED_PIXELS", 1)
    part = ImageProcessor.from_dict(settings).preprocess(noise(*size))
    assert np.abs(part - reference(noise(*size), **settings)).max() <= 1


# --- settings --------------------------------------------------------------------------------------------------------


def test_old_and_new_forms_of_the_settings() -> None:
    old = {
        "crop_size": 224,
        "do_center_crop": True,
        "do_normalize": True,
        "do_resize": True,
        "feature_extractor_type": "CLIPFeatureExtractor",
        "image_mean": [0.48145466, 0.4578275, 0.40821073],
        "image_std": [0.26862954, 0.26130258, 0.27577711],
        "resample": 3,
        "size": 224,
    }
    processor = ImageProcessor.from_dict(old)
    assert processor.size == {"shortest_edge": 224}
    assert processor.crop_size == {"height": 224, "width": 224}
    assert processor == ImageProcessor(other={"feature_extractor_type": "CLIPFeatureExtractor"})
    assert processor.to_dict()["feature_extractor_type"] == "CLIPFeatureExtractor"
    nulls = {"size": {"height": None, "shortest_edge": 32}, "crop_size": None, "do_resize": None, "data_format": None}
    assert ImageProcessor.from_dict(nulls).size == {"shortest_edge": 32}
    assert ImageProcessor.from_dict(nulls).crop_size == {"height": 224, "width": 224}
    assert ImageProcessor.from_dict({}) == ImageProcessor()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"size": "224"}, "size='224'"),
        ({"size": {"longest_edge": 5}}, r"size=\{'longest_edge': 5\}.*shortest_edge"),
        ({"size": {"shortest_edge": 224, "longest_edge": 300}}, "longest_edge"),
        ({"size": 0}, "whole numbers over 0"),
        ({"size": {"height": 10.5, "width": 3}}, "whole numbers"),
        ({"crop_size": {"shortest_edge": 9}}, r"crop_size=.*\['height', 'width'\]"),
        ({"resample": 9}, "resample=9"),
        ({"resample": "bicubic"}, "resample='bicubic'"),
        ({"image_mean": 0.5}, "image_mean=0.5.*three numbers"),
        ({"image_mean": [0.5, "x", 1]}, "image_mean"),
        ({"image_std": [1, 1]}, r"image_std=\(1, 1\)"),
        ({"image_std": [1, 1, 0]}, "none of them 0"),
    ],
)
def test_settings_that_cannot_be(settings: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=message):
        ImageProcessor.from_dict(settings)
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(settings), encoding="utf-8")
    with pytest.raises(LayoutError, match=r"preprocessor_config\.json"):
        ImageProcessor.from_folder(tmp_path)


def test_unknown_settings_survive(tmp_path: Path) -> None:
    settings = {"image_processor_type": "ChineseCLIPImageProcessor", "our_note": {"a": [1]}, **SQUASH}
    processor = ImageProcessor.from_dict(settings)
    processor.save(tmp_path / "new" / "folder")
    again = ImageProcessor.from_folder(tmp_path / "new" / "folder")
    assert again == processor
    assert settings.items() <= again.to_dict().items()


def test_transformers_reads_what_is_saved(tmp_path: Path) -> None:
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    processor = ImageProcessor.from_dict({"size": 30, "crop_size": 20, "resample": 2})
    processor.save(tmp_path)
    image = noise(50, 40)
    theirs = np.asarray(CLIPImageProcessorPil.from_pretrained(tmp_path)(image).pixel_values[0])
    np.testing.assert_array_equal(processor.preprocess(image), theirs)


def test_what_transformers_saves_is_read(tmp_path: Path) -> None:
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    theirs = CLIPImageProcessorPil(size={"shortest_edge": 40}, crop_size={"height": 32, "width": 32})
    theirs.save_pretrained(tmp_path / "alone")
    combined = {"image_processor": theirs.to_dict(), "processor_class": "AltCLIPProcessor"}
    (tmp_path / "processor_config.json").write_text(json.dumps(combined), encoding="utf-8")
    for folder in (tmp_path / "alone", tmp_path):
        assert ImageProcessor.from_folder(folder).size == {"shortest_edge": 40}
        assert ImageProcessor.from_folder(folder).crop_size == {"height": 32, "width": 32}


@pytest.mark.parametrize("content", ["", "{", "[]", "3", '{"size": }', "\udcff"])
def test_a_damaged_settings_file(content: str, tmp_path: Path) -> None:
    path = tmp_path / "preprocessor_config.json"
    path.write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(LayoutError, match=r"preprocessor_config\.json does not hold the settings"):
        ImageProcessor.from_folder(tmp_path)


def test_a_folder_without_settings(tmp_path: Path) -> None:
    with pytest.raises(LayoutError, match=r"has no preprocessor_config\.json"):
        ImageProcessor.from_folder(tmp_path)
    (tmp_path / "processor_config.json").write_text("{}", encoding="utf-8")
    with pytest.raises(LayoutError, match=r"processor_config\.json does not hold"):
        ImageProcessor.from_folder(tmp_path)


# --- the call --------------------------------------------------------------------------------------------------------


def test_one_image_or_several(tmp_path: Path) -> None:
    import torch

    image = noise(30, 20)
    image.save(tmp_path / "a.png")
    processor = ImageProcessor()
    one = processor.preprocess(image)
    for single in (image, str(tmp_path / "a.png"), tmp_path / "a.png", encoded(image, "PNG"), np.asarray(image)):
        batch = processor(single, return_tensors="np")
        np.testing.assert_array_equal(batch.pixel_values, one[None])
    batch = processor(np.stack([np.asarray(image)] * 3), return_tensors="pt")
    assert batch["pixel_values"].shape == (3, 3, 224, 224)
    assert batch["pixel_values"].dtype == torch.float32
    assert batch.to("meta").pixel_values.is_meta
    batch = ImageProcessor()(noise(30, 20), return_tensors="pt")
    assert batch.to(torch.float16).pixel_values.dtype == torch.float16
    batch["input_ids"] = torch.ones(1, 2, dtype=torch.long)
    assert batch.to("meta", torch.bfloat16).pixel_values.dtype == torch.bfloat16
    assert batch.input_ids.dtype == torch.long
    assert batch.input_ids.is_meta
    batch = processor((source for source in (image, tmp_path / "a.png")), return_tensors="np")
    np.testing.assert_array_equal(batch.pixel_values, np.stack([one, one]))
    listed = processor([image, image])["pixel_values"]
    assert [array.shape for array in listed] == [(3, 224, 224)] * 2
    assert processor([], return_tensors="np").pixel_values.shape == (0, 3, 224, 224)


def test_wrong_calls() -> None:
    uncropped = ImageProcessor(do_center_crop=False)
    assert len(uncropped([noise(30, 20), noise(20, 30)]).pixel_values) == 2
    with pytest.raises(UsageError, match="do not stack"):
        uncropped([noise(30, 20), noise(20, 30)], return_tensors="np")
    with pytest.raises(UsageError, match="return_tensors='tf'"):
        uncropped(noise(3, 3), return_tensors="tf")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="images cannot be a int"):
        uncropped(5)  # type: ignore[arg-type]
    with pytest.raises(AttributeError, match="'input_ids', only pixel_values"):
        uncropped(noise(3, 3)).input_ids  # noqa: B018


def test_torch_is_not_imported_for_pictures_and_texts() -> None:
    code = (
        "import sys, numpy, altclip.processing as p\n"
        "p.ImageProcessor()(numpy.zeros((4, 4), 'uint8'), return_tensors='np')\n"
        "assert not {'torch', 'sentencepiece', 'transformers', 'pillow_heif'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)

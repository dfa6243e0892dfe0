"""Where the photographs come from, and that what is said of the shipped ones is so."""

from __future__ import annotations

import base64
import importlib.util
import io
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from altclip.demo import of_user, shipped
from altclip.demo.pictures import thumbnails
from altclip.errors import ImageError, MissingExtraError
from altclip.processing.opening import MAX_PIXELS
from altclip.prompts import label_set
from tests.demo.conftest import ESPRESSO, TABBY


def colour(path: Path) -> float:
    """How far the mean pixel is from grey."""
    with Image.open(path) as image:
        image.thumbnail((64, 64))
        pixels = np.asarray(image.convert("RGB")).astype(float)
    return float(np.ptp(pixels, axis=2).mean())


def packaged_colour_images() -> set[str]:
    """Every image file with colours in the two packages' folders of samples."""
    found = set()
    for module, folder in (("skimage", "data"), ("sklearn", "datasets/images")):
        spec = importlib.util.find_spec(module)
        assert spec is not None
        assert spec.submodule_search_locations
        for path in (Path(spec.submodule_search_locations[0]) / folder).iterdir():
            if path.suffix in (".png", ".jpg", ".gif") and colour(path) > 2:
                found.add(path.name)
    return found


def test_every_shipped_photograph_is_there_and_in_colour() -> None:
    for photograph in shipped():
        assert photograph.path.is_file()
        assert colour(photograph.path) > 2


def test_no_colour_photograph_is_left_out() -> None:
    """What is not listed is a drawing, tiny, or the second half of a stereo pair: success does not choose."""
    no_photographs = {"color.png", "logo.png", "chessboard_RGB.png", "no_time_for_that_tiny.gif"}
    listed = {photograph.name for photograph in shipped()}
    assert packaged_colour_images() - no_photographs - {"motorcycle_right.png"} == listed


def test_what_is_known_is_among_the_labels_and_stands_first() -> None:
    wnids = [photograph.wnid for photograph in shipped()]
    known = [wnid for wnid in wnids if wnid]
    assert known == [TABBY, ESPRESSO] == wnids[: len(known)]
    labels = label_set("mini", "en")
    assert [labels[wnid] for wnid in known] == ["tabby cat", "espresso"]


def test_every_shipped_photograph_is_described_and_credited() -> None:
    for photograph in shipped():
        assert photograph.told
        assert photograph.shows
        assert photograph.credit.endswith(("(scikit-image)", "(scikit-learn)"))
        assert photograph.never_learned == (photograph.wnid is None)


def test_nothing_is_known_of_a_users_photograph(tmp_path: Path) -> None:
    [photograph] = of_user([tmp_path / "a" / "b.jpg"], tmp_path)
    assert (photograph.name, photograph.told, photograph.wnid) == ("a/b.jpg", False, None)
    assert not photograph.never_learned


@pytest.mark.parametrize(("module", "package"), [("skimage", "scikit-image"), ("sklearn", "scikit-learn")])
def test_a_missing_package_names_the_extra(monkeypatch: pytest.MonkeyPatch, module: str, package: str) -> None:
    find = importlib.util.find_spec

    def without(name: str) -> ModuleSpec | None:
        return None if name == module else find(name)

    monkeypatch.setattr("altclip.data.shipped.find_spec", without)
    with pytest.raises(MissingExtraError, match=rf"'{package}'.*altclip\[demo\]"):
        shipped()


def test_the_packages_are_found_without_being_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("skimage", "sklearn"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    shipped()
    assert not {"skimage", "sklearn"} & set(sys.modules)


def test_thumbnails_are_small_jpegs_as_a_person_sees_the_file(tmp_path: Path) -> None:
    image = Image.new("RGB", (300, 100), "red")
    image.getexif()[0x0112] = 6  # lies on its side
    image.save(tmp_path / "a.jpg", exif=image.getexif())
    [photograph] = of_user([tmp_path / "a.jpg"], tmp_path)
    large, small = thumbnails(photograph, (150, 60), max_pixels=MAX_PIXELS)
    assert [opened(uri).size for uri in (large, small)] == [(50, 150), (20, 60)]


def test_a_small_image_is_not_blown_up(tmp_path: Path) -> None:
    Image.new("RGB", (7, 5)).save(tmp_path / "a.png")
    [photograph] = of_user([tmp_path / "a.png"], tmp_path)
    assert opened(thumbnails(photograph, (150,), max_pixels=MAX_PIXELS)[0]).size == (7, 5)


def test_a_bad_file_has_no_thumbnail(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"no image")
    with pytest.raises(ImageError, match=r"a\.png"):
        thumbnails(of_user([tmp_path / "a.png"], tmp_path)[0], (10,), max_pixels=MAX_PIXELS)


def opened(uri: str) -> Image.Image:
    kind, _, content = uri.partition(",")
    assert kind == "data:image/jpeg;base64"
    return Image.open(io.BytesIO(base64.b64decode(content)))

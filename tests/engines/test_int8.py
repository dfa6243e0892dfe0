"""int8: near to float32, calibrated on what it is given, kept on disk, and refused where it would mean nothing."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from altclip import Encoder
from altclip.encoder.calibration import bundled_images, check_calibration, samples_for
from altclip.engines import OpenVINOEngine, Samples, choose
from altclip.engines import openvino as door
from altclip.errors import MissingExtraError, UsageError
from altclip.languages import LANGUAGES
from altclip.metrics import normalised
from altclip.processing import open_image
from altclip.prompts import label_set
from tests.tiny import SIDE, tiny_model, tiny_model_folder

pytest.importorskip("openvino")
pytest.importorskip("nncf")


def drawn(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((count, 3, SIDE, SIDE)).astype(np.float32)


def samples(seed: int = 0) -> Samples:
    return Samples(lambda: f"drawn {seed}", lambda: [[row[None]] for row in drawn(40, seed)])


@pytest.mark.slow
def test_int8_is_near_to_float32_and_not_the_same(tmp_path: Path) -> None:
    """A random model this small is coarse; with mini's weights the bound is that of docs/engines.md (below)."""
    model = tiny_model()
    engine = OpenVINOEngine(model, precision="int8", cache=tmp_path, samples=samples())
    exact = OpenVINOEngine(model, precision="exact", cache=tmp_path)
    given = drawn(8, seed=1)
    cosines = (normalised(engine.encode_image(given)) * normalised(exact.encode_image(given))).sum(axis=1)
    assert 0.97 < cosines.mean() < 0.999999
    ids = np.random.default_rng(3).integers(5, 90, (6, 9))
    mask = np.ones_like(ids)
    cosines = (normalised(engine.encode_text(ids, mask)) * normalised(exact.encode_text(ids, mask))).sum(axis=1)
    assert 0.999 < cosines.mean() < 0.9999999
    assert str(engine.dtype) == "torch.int8"


@pytest.mark.slow
def test_mini_in_int8_by_bundled_samples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    skimage = pytest.importorskip("skimage")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    photographs = sorted(Path(skimage.__file__).parent.glob("data/*.jpg"))
    assert photographs
    encoder, exact = Encoder("mini", precision="int8"), Encoder("mini", precision="exact")
    assert (encoder.encode_images(photographs) * exact.encode_images(photographs)).sum(axis=1).mean() > 0.99
    said = [name for language in LANGUAGES for name in label_set("cifar10", language).values()]
    assert (encoder.encode_texts(said) * exact.encode_texts(said)).sum(axis=1).mean() > 0.99


@pytest.mark.slow
def test_a_calibrated_graph_is_kept_for_its_samples_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = OpenVINOEngine(tiny_model(), precision="int8", cache=tmp_path, samples=samples()).encode_image(drawn(2))
    monkeypatch.setattr(door, "quantised", None)
    again = OpenVINOEngine(tiny_model(), precision="int8", cache=tmp_path, samples=samples())
    assert np.array_equal(again.encode_image(drawn(2)), first)
    with pytest.raises(TypeError):
        OpenVINOEngine(tiny_model(), precision="int8", cache=tmp_path, samples=samples(1)).encode_image(drawn(2))


def test_too_few_samples_are_refused(tmp_path: Path) -> None:
    few = Samples(lambda: "few", lambda: [[row[None]] for row in drawn(31)])
    with pytest.raises(UsageError, match=r"calibrated on 31 samples: expected 32 or more, better 300"):
        OpenVINOEngine(tiny_model(), precision="int8", samples=few).encode_image(drawn(1))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_an_encoder_in_int8_takes_the_users_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = tiny_model_folder(tmp_path / "model")
    pictures = [np.random.default_rng(seed).integers(0, 255, (40, 60, 3), dtype=np.uint8) for seed in range(40)]
    encoder = Encoder(folder, precision="int8", calibration=pictures)
    assert encoder.engine_reason == "openvino: the one that computes in int8"
    exact = Encoder(folder, precision="exact").encode_images(pictures)
    assert (encoder.encode_images(pictures) * exact).sum(axis=1).mean() > 0.97
    said = ["a cat", "一只猫", "un chien et un chat", "鳥"]
    assert (encoder.encode_texts(said) * Encoder(folder).encode_texts(said)).sum(axis=1).mean() > 0.9


def test_what_is_wrong_is_said_before_anything_is_loaded(tmp_path: Path) -> None:
    absent = tmp_path / "absent"
    with pytest.raises(UsageError, match="calibrated on 2 images: expected 32 or more"):
        Encoder(absent, precision="int8", calibration=["a.png", "b.png"])
    with pytest.raises(UsageError, match="calibration is for precision='int8', not 'fast'"):
        Encoder(absent, calibration=["a.png"] * 40)
    for wrong in ("/a/folder/with/many/pictures/in/it", tmp_path, (image for image in ["a.png"] * 40)):
        with pytest.raises(UsageError, match=r"calibration is a \w+: expected a list of images"):
            Encoder(absent, precision="int8", calibration=wrong)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="precision 'int8' is for engine 'openvino', not 'torch'"):
        Encoder(absent, engine="torch", precision="int8")


def test_int8_without_samples_or_its_library(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="takes samples to calibrate on"):
        choose("openvino", tiny_model(), precision="int8")
    monkeypatch.setitem(sys.modules, "nncf", None)
    with pytest.raises(MissingExtraError, match=r"altclip\[openvino\]"):
        choose("auto", tiny_model(), precision="int8", samples=samples())


@pytest.mark.slow
def test_bundled_samples_are_the_same_every_time() -> None:
    pytest.importorskip("skimage")
    first, second = (list(bundled_images()) for _ in range(2))
    assert len(first) == 10 * 27 + 280 + 50
    assert all(np.array_equal(np.asarray(one), np.asarray(other)) for one, other in zip(first, second, strict=True))


def test_without_the_photographs_int8_says_what_to_give(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(package: str, file: str) -> Path:
        raise MissingExtraError(package, "demo")

    monkeypatch.setattr("altclip.encoder.calibration.shipped_file", absent)
    with pytest.raises(UsageError, match=r"calibration=\[\.\.\.\] with 300 .*altclip\[demo\]"):
        next(bundled_images())


@pytest.mark.parametrize("form", ["open files", "one array"])
def test_samples_of_every_form_can_be_told_and_then_opened(form: str) -> None:
    pictures = np.random.default_rng(0).integers(0, 255, (32, 4, 4, 3), dtype=np.uint8)
    given: Any = pictures
    if form == "open files":
        given = [io.BytesIO() for _ in pictures]
        for file, picture in zip(given, pictures, strict=True):
            Image.fromarray(picture).save(file, "PNG")
            file.seek(0)
    check_calibration(given, "int8")
    found = samples_for(given, lambda image: np.asarray(open_image(image), np.float32))
    assert found.told() == found.told()
    assert np.array_equal(np.concatenate([row[0] for row in found.make()]), pictures)


def test_samples_are_told_apart_without_opening_them(tmp_path: Path) -> None:
    def told(images: list[Path] | None) -> str:
        return samples_for(images, never).told()

    never: Callable[..., Any] = lambda *_: pytest.fail("nothing is prepared to tell what samples are")  # noqa: E731
    files = [tmp_path / f"{number}.png" for number in range(40)]
    for file in files:
        file.write_bytes(b"1")
    first = told(files)
    assert told(files) == first != told(files[1:])
    files[7].write_bytes(b"22")
    assert len({told(files), first, told(None)}) == 3
    assert samples_for(files, never, "of 224 pixels").told() != samples_for(files, never, "of 336 pixels").told()


def test_an_encoder_tells_how_it_prepares_its_samples(tmp_path: Path) -> None:
    """Graphs of other settings are others, though the weights are the same."""
    folder = tiny_model_folder(tmp_path)
    settings = json.loads((folder / "preprocessor_config.json").read_text())
    told = []
    for mean in ([0.5, 0.5, 0.5], [0.1, 0.1, 0.1]):
        (folder / "preprocessor_config.json").write_text(json.dumps({**settings, "image_mean": mean}))
        engine: Any = Encoder(folder, precision="int8").engine
        told.append(engine.samples.told())
    assert told[0] != told[1]

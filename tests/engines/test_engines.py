"""One test of parity for all engines: each gives what the model itself gives, at every batch size and length."""

from __future__ import annotations

import hashlib
import logging
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path
from threading import Event

import numpy as np
import pytest
import torch

from altclip.engines import Engine, OpenVINOEngine, TorchEngine, onnx_library, quantising
from altclip.engines import openvino as door
from altclip.engines.telemetry import without_telemetry
from altclip.metrics import normalised
from altclip.models import DualEncoder
from altclip.silence import silenced
from tests.export.made import config_of
from tests.tiny import SIDE, tiny_model, tiny_model_folder

pytest.importorskip("openvino")
OTHERS = ("clip", "chinese-clip", "m-clip", "altclip-m18", "taiyi-classifier", "taiyi-pooler")
MODELS = ("altclip", *(pytest.param(name, marks=pytest.mark.slow) for name in OTHERS))


@pytest.fixture(scope="module", params=MODELS)
def model(request: pytest.FixtureRequest) -> DualEncoder:
    """One of each kind of text tower and read-out."""
    return tiny_model(3, config_of(request.param))


@pytest.fixture(scope="module", params=["torch", "openvino"])
def engine(request: pytest.FixtureRequest, model: DualEncoder) -> Engine:
    return TorchEngine(model) if request.param == "torch" else OpenVINOEngine(model, precision="exact")


def pixels(model: DualEncoder, count: int) -> np.ndarray:
    side = model.config.vision.image_size if model.config.vision else 0
    return np.random.default_rng(0).standard_normal((count, 3, side, side)).astype(np.float32)


def texts(count: int, length: int) -> tuple[np.ndarray, np.ndarray]:
    """Ids that end where the text ends, the shorter ones padded."""
    draw = np.random.default_rng(count)
    ids = draw.integers(5, 90, (count, length))
    mask = np.ones_like(ids)
    for row in range(1, count, 2):
        cut = max(2, length - 2 * row)
        ids[row, cut:], mask[row, cut:] = 1, 0
    return ids, mask


def test_every_engine_gives_what_the_model_gives(engine: Engine, model: DualEncoder) -> None:
    for count in (1, 3, 5):
        given = pixels(model, count)
        with torch.inference_mode():
            expected = model.encode_image(torch.from_numpy(given)).numpy()
        assert normalised(engine.encode_image(given)) == pytest.approx(normalised(expected), abs=1e-5)
    for count, length in ((1, 4), (4, 9), (2, 16)):
        ids, mask = texts(count, length)
        with torch.inference_mode():
            expected = model.encode_text(torch.from_numpy(ids), torch.from_numpy(mask)).numpy()
        assert normalised(engine.encode_text(ids, mask)) == pytest.approx(normalised(expected), abs=1e-5)
    assert engine.device.type == "cpu"
    assert engine.dtype is torch.float32


def test_a_batch_is_computed_in_parts_and_put_together_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    model = tiny_model(3)
    engine, given = OpenVINOEngine(model, precision="exact"), pixels(model, 5)
    with torch.inference_mode():
        expected = normalised(model.encode_image(torch.from_numpy(given)).numpy())
    assert normalised(engine.encode_image(given[:1])) == pytest.approx(expected[:1], abs=1e-5)
    assert engine._graphs["image"].parts == 0
    for _ in range(2):
        assert normalised(engine.encode_image(given)) == pytest.approx(expected, abs=1e-5)
        assert engine._graphs["image"].parts == 2
        with pytest.raises(RuntimeError):  # the call after one that failed is as good as the first
            engine.encode_image(given[:, :2])
    assert normalised(engine.encode_image(given[:1])) == pytest.approx(expected[:1], abs=1e-5)


@pytest.mark.slow
def test_threads_that_come_together_get_their_own_answers(tmp_path: Path) -> None:
    model = tiny_model()
    engine = OpenVINOEngine(model, precision="exact", cache=tmp_path)
    batches = [np.full((2, 3, SIDE, SIDE), value, np.float32) for value in np.linspace(-1, 1, 8)]
    alone = [engine.encode_image(batch) for batch in batches]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(engine.encode_image, batches * 3))
    assert all(np.array_equal(found, alone[number % 8]) for number, found in enumerate(together))


@pytest.mark.slow
def test_the_second_start_compiles_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = np.ones((1, 3, SIDE, SIDE), np.float32)
    first = OpenVINOEngine(tiny_model(), cache=tmp_path).encode_image(given)
    monkeypatch.setattr(door, "traced", None)
    assert np.array_equal(OpenVINOEngine(tiny_model(), cache=tmp_path).encode_image(given), first)
    with pytest.raises(TypeError):  # other weights are another graph
        OpenVINOEngine(tiny_model(1), cache=tmp_path).encode_image(given)


@pytest.mark.slow
def test_a_kept_graph_that_the_library_does_not_take_is_compiled_again(tmp_path: Path) -> None:
    given = np.ones((1, 3, SIDE, SIDE), np.float32)
    first = OpenVINOEngine(tiny_model(), cache=tmp_path).encode_image(given)
    (file,) = tmp_path.glob("*.graph")
    content = b"whole, but of another build"
    file.write_bytes(hashlib.sha256(content).digest() + content)
    assert np.array_equal(OpenVINOEngine(tiny_model(), cache=tmp_path).encode_image(given), first)
    assert file.stat().st_size > 1000


@pytest.mark.parametrize("place", [(door, "__version__"), (torch, "__version__")], ids=["altclip", "torch"])
def test_a_graph_of_another_version_is_another_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: tuple[object, str]
) -> None:
    """Other code makes other graphs of the same weights."""
    told: list[str] = []

    def noted(_cache: object, facts: list[str], _make: object, **_more: object) -> bytes:
        told.append(chr(0).join(facts))
        raise KeyboardInterrupt  # nothing need be compiled to know

    monkeypatch.setattr(door, "kept", noted)
    for version in ("1.0", "1.1"):
        monkeypatch.setattr(*place, version)
        with pytest.raises(KeyboardInterrupt):
            OpenVINOEngine(tiny_model(), cache=tmp_path).encode_image(np.ones((1, 3, SIDE, SIDE), np.float32))
    assert told[0] != told[1]


def test_threads_that_import_without_telemetry_do_not_disturb_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "openvino_telemetry", raising=False)
    inside, leave, left = Event(), Event(), Event()

    def first() -> None:
        with without_telemetry():
            inside.set()
            assert leave.wait(20)
        left.set()

    def second() -> bool:
        with without_telemetry():
            assert left.wait(20)
            return sys.modules.get("openvino_telemetry", "allowed") is None

    with ThreadPoolExecutor(2) as pool:
        one = pool.submit(first)
        assert inside.wait(20)
        other = pool.submit(second)
        time.sleep(0.1)  # until the second has come as far as it may
        leave.set()
        one.result(20)
        assert other.result(20)
    assert "openvino_telemetry" not in sys.modules


@pytest.mark.parametrize(
    ("quiet", "other_quiet"),
    [
        (quantising._quiet, quantising._quiet),
        (onnx_library._quiet, onnx_library._quiet),
        (onnx_library._quiet, silenced),
    ],
    ids=["nncf", "onnx", "onnx and another library"],
)
def test_what_is_silenced_for_a_while_is_heard_again_though_threads_overlap(
    quiet: Callable[[], AbstractContextManager[None]], other_quiet: Callable[[], AbstractContextManager[None]]
) -> None:
    def heard() -> tuple[object, ...]:
        return sys.stdout, logging.root.manager.disable, logging.getLogger("nncf").level

    inside, leave = Event(), Event()
    before = heard()

    def first() -> None:
        with quiet():
            inside.set()
            assert leave.wait(20)

    def second() -> None:
        with other_quiet():
            leave.set()
            time.sleep(0.1)  # so that the first ends meanwhile

    with ThreadPoolExecutor(2) as pool:
        one = pool.submit(first)
        assert inside.wait(20)
        other = pool.submit(second)
        time.sleep(0.1)
        leave.set()
        one.result(20)
        other.result(20)
    assert heard() == before


def test_openvino_tells_nobody() -> None:
    """Its package for telemetry is not loaded, at the import or later, so nothing can be sent."""
    code = (
        "import sys, torch; from altclip.engines.openvino import library; ov = library();"
        "ov.convert_model(torch.nn.Linear(2, 2), example_input=torch.zeros(1, 2));"
        "print('openvino_telemetry' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@pytest.mark.slow
def test_an_encoder_by_openvino(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from altclip import Encoder

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = tiny_model_folder(tmp_path / "model")
    plain, compiled = Encoder(folder), Encoder(folder, engine="openvino", precision="exact")
    assert compiled.engine_reason == "openvino: asked for by name"
    said = ["a cat", "一只猫", "un chien et un chat", "鳥"]
    assert compiled.encode_texts(said) == pytest.approx(plain.encode_texts(said), abs=1e-5)
    picture = np.random.default_rng(0).integers(0, 255, (40, 60, 3), dtype=np.uint8)
    assert compiled.encode_images(picture) == pytest.approx(plain.encode_images(picture), abs=1e-5)
    assert len(list((tmp_path / "cache/altclip/graphs").glob("*.graph"))) == 2

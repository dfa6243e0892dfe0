"""Who is measured: engines by what they compute in, and those of other tools from a file of the user's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from altclip.bench import bench, contenders
from altclip.bench.contenders import engines_here, engines_of, in_int8, known_precisions, read_peers
from altclip.checkpoints import load_model
from altclip.engines import TorchEngine
from altclip.errors import MissingExtraError, UsageError
from altclip.metrics import normalised
from tests.tiny import tiny_model

PEER = """
from altclip.checkpoints import load_model
from altclip.engines import TorchEngine

def peers(folder):
    return {"a peer": TorchEngine(load_model(folder))}
"""


class Made:
    """An engine of that name, number format and precision."""

    def __init__(self, name: str, dtype: str, precision: str = "") -> None:
        self.name, self.dtype, self.precision = name, f"torch.{dtype}", precision


@pytest.fixture
def chosen(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """What was asked for; a machine with int8, without bfloat16 and without onnx."""
    asked: list[tuple[str, str]] = []

    def choose(name: str, model: object, *, precision: str, **_: Any) -> tuple[Made, str]:
        asked.append((name, precision))
        if name == "onnx":
            raise MissingExtraError("onnxruntime", "onnx")
        return Made(name, "float32", precision), ""

    monkeypatch.setattr(contenders, "choose", choose)
    monkeypatch.setattr(contenders, "ENGINES", ("torch", "openvino", "onnx"))
    monkeypatch.setattr(contenders, "PRECISIONS", ("fast", "exact", "int8"))
    return asked


def test_what_computes_alike_is_measured_once_and_torch_in_float32_first(chosen: list[tuple[str, str]]) -> None:
    told: list[str] = []
    found = engines_here("random:tiny", tiny_model(), known_precisions(), told.append)
    assert list(found) == ["torch float32", "openvino float32", "openvino int8"]
    assert len(told) == 1  # of all precisions together
    assert "altclip[onnx]" in told[0]
    assert ("torch", "int8") not in chosen


def test_only_the_precisions_asked_for(chosen: list[tuple[str, str]]) -> None:
    assert list(engines_here("random:tiny", tiny_model(), ["fast"], lambda _: None)) == [
        "torch float32",
        "openvino float32",
    ]
    assert {precision for _, precision in chosen} == {"exact", "fast"}


def test_int8_is_calibrated_on_enough_noise_of_the_shape_that_the_tower_takes() -> None:
    pixels = contenders._noise(tiny_model())
    assert len(pixels) == 32
    assert pixels[0][0].shape == (1, 3, 32, 32)
    assert not np.array_equal(pixels[0][0], pixels[1][0])


def test_int8_of_a_model_with_weights_is_that_of_its_encoder(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[tuple[str, str]] = []

    class Opened:
        def __init__(self, name: str, *, device: str, precision: str) -> None:
            opened.append((name, precision))
            self.engine = Made("openvino", "int8", precision)

    monkeypatch.setattr(contenders, "Encoder", Opened)
    monkeypatch.setattr(contenders, "check_bundled", lambda: None)
    assert contenders.in_int8("mini", tiny_model()).name == "openvino"
    assert opened == [("mini", "int8")]


def test_int8_without_photographs_to_calibrate_on_is_left_out_and_the_others_are_measured(
    chosen: list[tuple[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def absent(package: str, file: str) -> Path:
        raise MissingExtraError(package, "demo")

    monkeypatch.setattr("altclip.encoder.calibration.shipped_file", absent)
    told: list[str] = []
    assert list(engines_here("mini", tiny_model(), known_precisions(), told.append)) == [
        "torch float32",
        "openvino float32",
    ]
    assert any("altclip[demo]" in line for line in told)
    assert ("openvino", "fast") in chosen


def test_a_peer_gets_the_same_weights(tmp_path: Path) -> None:
    (tmp_path / "peers.py").write_text(PEER, encoding="utf-8")
    model = tiny_model()
    engine: Any = engines_of(read_peers(tmp_path / "peers.py"), model)["a peer"]
    for name, weight in model.state_dict().items():
        assert weight.equal(engine.model.state_dict()[name])


def test_a_peer_is_measured_beside_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contenders, "ENGINES", ("torch",))
    monkeypatch.setattr("altclip.bench.products.MATRIX", 32)
    monkeypatch.setattr("altclip.engines.openvino.is_installed", lambda: False)
    found = bench("random:mini", runs=1, peers=lambda folder: {"a peer": TorchEngine(load_model(folder))})
    rows = [row for row in found.rows if row.how == "a peer"]
    assert [row.what for row in rows] == ["images", "texts", "one text"]
    assert all(row.cosine == pytest.approx(1) for row in rows)


@pytest.mark.parametrize(
    ("content", "wrong"),
    [
        ("", "no function `peers"),
        ("import no_such_library_1", "no_such_library_1"),
        ("def peers(:", "cannot be run"),
        (None, "no Python file"),
    ],
)
def test_a_file_without_peers_is_refused(content: str | None, wrong: str, tmp_path: Path) -> None:
    path = tmp_path / "peers.py"
    if content is not None:
        path.write_text(content, encoding="utf-8")
    with pytest.raises(UsageError, match=wrong):
        read_peers(path)
    with pytest.raises(UsageError, match="no Python file"):
        read_peers(tmp_path / "peers.txt")


def test_a_peer_that_is_not_installed_is_named() -> None:
    def absent(folder: Path) -> dict[str, Any]:
        raise ImportError("No module named 'transformers'")

    with pytest.raises(UsageError, match="transformers.*leave --peers out"):
        engines_of(absent, tiny_model())


@pytest.mark.slow
def test_int8_of_random_weights_computes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for library in ("openvino", "nncf"):
        pytest.importorskip(library)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    model = tiny_model()
    pixels = np.random.default_rng(1).standard_normal((4, 3, 32, 32), np.float32)
    exact, eight = (normalised(of.encode_image(pixels)) for of in (TorchEngine(model), in_int8("random:tiny", model)))
    cosines = (exact * eight).sum(axis=1)
    assert 0.98 < cosines.min() < 1 - 1e-7

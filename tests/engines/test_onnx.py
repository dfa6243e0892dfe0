"""The engine `onnx`: what the model gives, by graphs that are made once and hold no weights."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch

from altclip.engines import onnx_library as door
from altclip.engines.onnx import OnnxEngine
from altclip.errors import MissingExtraError
from altclip.metrics import normalised
from tests.engines.given import expected, pixels, texts
from tests.export.conftest import _operators_read_once  # noqa: F401  # a fixture: halves the time of an export
from tests.export.made import config_of
from tests.tiny import SIDE, tiny_model

for library in ("onnx", "onnxscript", "onnxruntime"):
    pytest.importorskip(library)
IMAGE = np.ones((1, 3, SIDE, SIDE), np.float32)


@pytest.fixture(scope="module")
def kept_graphs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Graphs of this module; not to be changed."""
    return tmp_path_factory.mktemp("graphs")


OTHERS = ("clip", "chinese-clip", "m-clip", "altclip-m18", "taiyi-classifier", "taiyi-pooler")


@pytest.mark.parametrize("family", ["altclip", *(pytest.param(name, marks=pytest.mark.slow) for name in OTHERS)])
def test_it_gives_what_the_model_gives(kept_graphs: Path, family: str) -> None:
    model = tiny_model(3, config_of(family))
    engine = OnnxEngine(model, cache=kept_graphs)
    assert (engine.device.type, engine.dtype, engine.name) == ("cpu", torch.float32, "onnx")
    for count in (1, 3, 5):
        given = pixels(model, count)
        assert normalised(engine.encode_image(given)) == pytest.approx(expected(model, given), abs=1e-5)
    for count, length in ((1, 4), (4, 9), (2, 16)):
        ids, mask = texts(count, length)
        assert normalised(engine.encode_text(ids, mask)) == pytest.approx(expected(model, ids, mask), abs=1e-5)


def test_the_second_start_makes_nothing(kept_graphs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny_model(3)
    first = OnnxEngine(model, cache=kept_graphs).encode_image(IMAGE)
    monkeypatch.setattr(door, "traced", None)
    assert np.array_equal(OnnxEngine(model, cache=kept_graphs).encode_image(IMAGE), first)
    other = tiny_model(1)  # other weights in the same graph
    found = OnnxEngine(other, cache=kept_graphs).encode_image(IMAGE)
    assert normalised(found) == pytest.approx(expected(other, IMAGE), abs=1e-5)
    monkeypatch.setattr(door, "versions", lambda: ["onnx 0.1"])
    with pytest.raises(TypeError):  # another version is another graph
        OnnxEngine(model, cache=kept_graphs).encode_image(IMAGE)


def test_a_half_written_graph_is_made_anew(kept_graphs: Path, tmp_path: Path) -> None:
    model = tiny_model(3)
    first = OnnxEngine(model, cache=kept_graphs).encode_image(IMAGE)
    sizes = {path.name: path.stat().st_size for path in kept_graphs.iterdir()}
    for path in kept_graphs.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes()[: sizes[path.name] // 2])
    assert np.array_equal(OnnxEngine(model, cache=tmp_path).encode_image(IMAGE), first)
    assert [path.name for path in tmp_path.iterdir() if path.stat().st_size == sizes[path.name]] != []


def test_a_kept_graph_holds_no_weights(kept_graphs: Path) -> None:
    """So a model of any size stays below protobuf's limit of 2 GB, and the disk is spared."""
    import onnx

    OnnxEngine(tiny_model(3), cache=kept_graphs).encode_image(IMAGE)
    model = tiny_model(3)
    weights = model.state_dict()
    for path in kept_graphs.iterdir():
        graph = onnx.load_model_from_string(path.read_bytes()[32:]).graph
        assert {tensor.data_location for tensor in graph.initializer if tensor.name in weights} <= {1}  # external
        assert sum(len(tensor.raw_data) for tensor in graph.initializer) < 1000
        assert not any(node.metadata_props for node in graph.node)


def test_threads_that_come_together_get_their_own_answers(kept_graphs: Path) -> None:
    engine = OnnxEngine(tiny_model(3), cache=kept_graphs)
    batches = [np.full((2, 3, SIDE, SIDE), value, np.float32) for value in np.linspace(-1, 1, 8)]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(engine.encode_image, batches * 3))
    alone = [engine.encode_image(batch) for batch in batches]
    assert all(np.array_equal(found, alone[number % 8]) for number, found in enumerate(together))


def test_later_changes_to_the_weights_do_not_count(kept_graphs: Path) -> None:
    model = tiny_model(3)
    engine = OnnxEngine(model, cache=kept_graphs)
    first = engine.encode_image(IMAGE)
    with torch.no_grad():
        model.visual_projection.weight.mul_(torch.randn(()))
        model.vision.post_norm.weight.zero_()
    assert np.array_equal(engine.encode_image(IMAGE), first)


@pytest.mark.parametrize("library", ["onnx", "onnxscript", "onnxruntime"])
def test_a_library_that_is_not_installed_names_the_extra(monkeypatch: pytest.MonkeyPatch, library: str) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(MissingExtraError, match=rf"'{library}'.*altclip\[onnx\]"):
        OnnxEngine(tiny_model())


def test_whether_it_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert door.is_installed()
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "onnxscript" else name)
    assert not door.is_installed()

"""The form `onnx`: onnxruntime gives the encoder's embeddings, at every batch size and length."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

from altclip.encoder import Encoder
from altclip.engines.onnx_library import runner, write_onnx
from altclip.errors import CheckpointError
from altclip.export import Converted, to_onnx
from altclip.metrics import normalised
from altclip.models.graphs import text_graph
from altclip.processing import ImageProcessor, Tokenizer
from tests.export.conftest import Made
from tests.export.made import TEXTS, encoder_of, photos
from tests.tiny import DIM, MAX_TOKENS, SIDE

FAMILIES = ["altclip", pytest.param("clip", marks=pytest.mark.slow)]


def session(path: Path) -> Any:
    return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])


@pytest.mark.parametrize("family", FAMILIES)
def test_texts_at_every_batch_size_and_length(made: Made, encoders: dict[str, Encoder], family: str) -> None:
    folder = made(family, "onnx", "fp32").folder
    run = session(folder / "text.onnx")
    tokenizer = Tokenizer.from_folder(folder)
    for texts in ([""], ["a"], TEXTS[:3], TEXTS, TEXTS[-1:]):
        inputs = tokenizer(texts, padding=True, truncation=True, max_length=MAX_TOKENS, return_tensors="np")
        (found,) = run.run(["embeddings"], dict(inputs))
        np.testing.assert_allclose(found, encoders[family].encode_texts(texts), atol=1e-4)


@pytest.mark.parametrize("family", FAMILIES)
def test_images_at_several_batch_sizes(made: Made, encoders: dict[str, Encoder], family: str) -> None:
    folder = made(family, "onnx", "fp32").folder
    run = session(folder / "image.onnx")
    processor = ImageProcessor.from_folder(folder)
    for images in (photos()[:1], photos()):
        (found,) = run.run(["embeddings"], {"pixel_values": processor(images, return_tensors="np")["pixel_values"]})
        np.testing.assert_allclose(found, encoders[family].encode_images(images), atol=1e-4)


@pytest.mark.slow
def test_texts_of_another_read_out(tmp_path: Path) -> None:
    """BERT's positions; the mean over tokens is tried with the graphs for Immich."""
    encoder = encoder_of("chinese-clip")
    assert encoder.tokenizer is not None
    write_onnx(text_graph(encoder.model, MAX_TOKENS), tmp_path / "text.onnx")
    run = runner(tmp_path / "text.onnx")
    for texts in (["a"], TEXTS):
        inputs = encoder.tokenizer(texts, padding=True, truncation=True, return_tensors="np")
        np.testing.assert_allclose(run(dict(inputs)), encoder.encode_texts(texts), atol=1e-4)


def test_inputs_and_outputs_are_what_the_card_says(made: Made) -> None:
    folder = made("altclip", "onnx", "fp32").folder
    found = {
        name: [(node.name, node.type, node.shape) for node in (*run.get_inputs(), *run.get_outputs())]
        for name in ("image", "text")
        for run in [session(folder / f"{name}.onnx")]
    }
    assert found["image"] == [
        ("pixel_values", "tensor(float)", ["batch", 3, SIDE, SIDE]),
        ("embeddings", "tensor(float)", ["batch", DIM]),
    ]
    assert found["text"] == [
        ("input_ids", "tensor(int64)", ["batch", "length"]),
        ("attention_mask", "tensor(int64)", ["batch", "length"]),
        ("embeddings", "tensor(float)", ["batch", DIM]),
    ]


def test_the_graphs_are_valid_and_of_a_widely_known_version(made: Made) -> None:
    for name in ("image", "text"):
        model = onnx.load(made("altclip", "onnx", "fp32").folder / f"{name}.onnx")
        onnx.checker.check_model(model, full_check=True)
        assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", 18)]


def test_what_was_measured_is_reported(made: Made, encoders: dict[str, Encoder]) -> None:
    done = made("altclip", "onnx", "fp32")
    report = json.loads((done.folder / "report.json").read_text(encoding="utf-8"))
    assert report["logit_scale"] == encoders["altclip"].logit_scale
    assert report["longest_text"] == MAX_TOKENS
    for name, rows in (("image", 10), ("text", 19)):
        assert report["checks"][name]["rows"] == rows
        assert report["checks"][name]["max_difference"] == done.checks[name].max_difference < 1e-5
    assert {path.name for path in done.folder.iterdir()} == {
        *("image.onnx", "text.onnx", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"),
        *("preprocessor_config.json", "README.md", "LICENSE.txt", "report.json"),
    }


@pytest.mark.slow
@pytest.mark.parametrize(("precision", "least", "share"), [("fp16", 0.9999, 0.75), ("int8", 0.98, 0.75)])
def test_smaller_weights_are_measured(made: Made, precision: str, least: float, share: float) -> None:
    whole, done = made("altclip", "onnx", "fp32"), made("altclip", "onnx", precision)
    report = json.loads((done.folder / "report.json").read_text(encoding="utf-8"))
    for name in ("image", "text"):
        assert least < report["checks"][name]["cosine_min"] <= report["checks"][name]["cosine_mean"] <= 1 + 1e-6
        assert report["checks"][name]["max_difference"] > whole.checks[name].max_difference
        assert size(done, name) < share * size(whole, name)
        (output,) = session(done.folder / f"{name}.onnx").get_outputs()
        assert output.type == "tensor(float)"
    assert sorted(path.name for path in done.folder.glob("*.onnx*")) == ["image.onnx", "text.onnx"]


def size(done: Converted, name: str) -> int:
    """Bytes of the weights in the file."""
    model = onnx.load(done.folder / f"{name}.onnx")
    return sum(len(tensor.raw_data) for tensor in model.graph.initializer)


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_large_weights_go_beside_the_graph(
    tmp_path: Path, precision: str, capfd: pytest.CaptureFixture[str], recwarn: pytest.WarningsRecorder
) -> None:
    encoder = encoder_of("altclip")
    assert encoder.tokenizer is not None
    logs = list(logging.root.handlers), logging.root.manager.disable
    write_onnx(text_graph(encoder.model, MAX_TOKENS), tmp_path / "text.onnx", precision=precision, external_over=1000)
    assert capfd.readouterr() == ("", "")  # the libraries' remarks are not for users
    assert not recwarn.list
    assert (list(logging.root.handlers), logging.root.manager.disable) == logs
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["text.onnx", "text.onnx.data"]
    weights = onnx.load(tmp_path / "text.onnx", load_external_data=False).graph.initializer
    assert any(tensor.data_location == onnx.TensorProto.EXTERNAL for tensor in weights)
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    for path in tmp_path.glob("text*"):  # the graph finds its data beside it, wherever that is
        path.rename(moved / path.name)
    inputs = encoder.tokenizer(TEXTS, padding=True, truncation=True, return_tensors="np")
    tolerance = 1e-4 if precision == "fp32" else 0.2
    np.testing.assert_allclose(runner(moved / "text.onnx")(dict(inputs)), encoder.encode_texts(TEXTS), atol=tolerance)


def test_external_data_is_asked_for_at_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the weights' bytes alone; a folder of such files is checked like any other."""
    asked: list[int] = []
    encoder = encoder_of("altclip")

    def note(graph: Any, path: Path, *, precision: str, external_over: int) -> None:
        asked.append(external_over)

    monkeypatch.setattr("altclip.export.onnx_folder.write_onnx", note)
    monkeypatch.setattr("altclip.export.onnx_folder.runner", lambda _: exact(encoder))
    to_onnx(encoder, tmp_path / "default")
    to_onnx(encoder, tmp_path / "small", external_over=10)
    assert asked == [2 * 10**9] * 2 + [10] * 2


def exact(encoder: Encoder, shift: float = 0.0) -> Any:
    def run(feed: dict[str, Any]) -> Any:
        if "pixel_values" in feed:
            return normalised(encoder.engine.encode_image(feed["pixel_values"])) + shift
        return normalised(encoder.engine.encode_text(feed["input_ids"], feed["attention_mask"]))

    return run


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
@pytest.mark.parametrize(("shift", "words"), [(1e-3, "gives other embeddings"), (float("nan"), "gives NaN")])
def test_a_graph_that_computes_something_else_is_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shift: float, words: str, precision: str
) -> None:
    encoder = encoder_of("altclip")
    monkeypatch.setattr("altclip.export.onnx_folder.write_onnx", lambda *_, **__: None)
    monkeypatch.setattr("altclip.export.onnx_folder.runner", lambda _: exact(encoder, shift))
    if precision == "fp16" and shift == 1e-3:  # measured, not refused
        done = to_onnx(encoder, tmp_path / "out", precision=precision)
        assert done.checks["image"].max_difference == pytest.approx(1e-3, rel=1e-3)
        return
    with pytest.raises(CheckpointError, match=f"image encoder {words}"):
        to_onnx(encoder, tmp_path / "out", precision=precision)
    assert list(tmp_path.iterdir()) == []

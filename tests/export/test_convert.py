"""The door to all forms: what is refused, and that it is refused before the work."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from altclip.checkpoints import save_model
from altclip.encoder import Encoder
from altclip.errors import AltclipError, CheckpointError, LayoutError, MissingExtraError, UsageError
from altclip.export import FORMS, convert, to_huggingface, to_immich, to_onnx, to_sentence_transformers, to_torch_export
from altclip.models import heads_of
from altclip.processing import Processor
from tests.export.made import config_of, encoder_of, processor_of
from tests.tiny import DIM, tiny_config, tiny_model, tiny_model_folder, tiny_processor


@pytest.fixture
def nothing_opens(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("the model was opened")

    monkeypatch.setattr("altclip.export.converting.Encoder", refuse)


@pytest.mark.usefixtures("nothing_opens")
@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"to": "tflite"}, "form 'tflite' is not known: expected one of hf, sentence-transformers, onnx"),
        (
            {"to": "onnx", "precision": "int4"},
            "precision 'int4' is not there for onnx: expected one of fp32, fp16, int8",
        ),
        ({"to": "hf", "precision": "int8"}, "precision 'int8' is not there for hf"),
        ({"to": "torch-export", "precision": "int8"}, "precision 'int8' is not there for torch-export"),
    ],
)
def test_wrong_arguments(tmp_path: Path, asked: dict[str, str], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        convert("mini", tmp_path / "out", **asked)  # type: ignore[arg-type]


@pytest.mark.usefixtures("nothing_opens")
def test_a_full_target_is_refused_before_the_model_is_opened(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="is not empty"):
        convert("mini", tmp_path)


@pytest.mark.usefixtures("nothing_opens")
@pytest.mark.parametrize("library", ["onnx", "onnxscript", "onnxruntime"])
@pytest.mark.parametrize("form", ["onnx", "immich", "immich-mclip"])
def test_a_missing_library_is_named_with_its_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, library: str, form: str
) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(MissingExtraError, match=rf"'{library}': pip install 'altclip\[onnx\]'"):
        convert("mini", tmp_path / "out", to=form)


def test_other_forms_need_no_extra(folders: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for library in ("onnx", "onnxscript", "onnxruntime", "sentence_transformers", "transformers"):
        monkeypatch.setitem(sys.modules, library, None)
    for form in ("hf", "sentence-transformers"):
        assert convert(folders["altclip"], tmp_path / form, to=form).folder.is_dir()


COMPUTING = [to_onnx, to_torch_export, to_immich, to_sentence_transformers]


@pytest.mark.parametrize("write", COMPUTING, ids=lambda f: f.__name__)
def test_a_text_tower_alone_wants_an_image_tower(tmp_path: Path, write: Any) -> None:
    config = tiny_config()
    alone = type(config)(vision=None, text=config.text, projection_dim=config.projection_dim, heads=config.heads)
    encoder = Encoder.from_model(tiny_model(0, alone), tiny_processor())
    with pytest.raises(UsageError, match="has no image tower: name one with image_weights"):
        write(encoder, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("write", COMPUTING, ids=lambda f: f.__name__)
def test_an_image_tower_alone_wants_texts(tmp_path: Path, write: Any) -> None:
    config = tiny_config()
    alone = type(config)(vision=config.vision, text=None, projection_dim=config.projection_dim, heads={})
    encoder = Encoder.from_model(tiny_model(0, alone), tiny_processor())
    with pytest.raises(UsageError, match="has no text tower"):
        write(encoder, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("form", ["onnx", "hf"])
def test_texts_without_a_read_out_are_refused(tmp_path: Path, form: str) -> None:
    config = tiny_config(family="text-tower")
    tower = type(config)(
        vision=None, text=config.text, projection_dim=config.projection_dim, heads=heads_of("text-tower")
    )
    folder = tmp_path / "tower"
    save_model(tiny_model(0, tower), folder)
    tiny_processor().save(folder)
    with pytest.raises(LayoutError, match="text tower without a read-out"):
        convert(folder, tmp_path / "out", to=form)
    assert [path.name for path in tmp_path.iterdir()] == ["tower"]


@pytest.mark.parametrize("write", [to_onnx, to_torch_export, to_immich], ids=lambda f: f.__name__)
def test_half_precision_is_no_reference(tmp_path: Path, write: Any) -> None:
    encoder = Encoder(tiny_model_folder(tmp_path / "model"), device="cpu", dtype="float16")
    with pytest.raises(UsageError, match="float16 on cpu: open it with device='cpu', dtype='float32'"):
        write(encoder, tmp_path / "out")


def test_a_read_out_that_looks_at_the_padding_is_refused(tmp_path: Path) -> None:
    """Taiyi as its cards compute it: no graph of one text gives such embeddings."""
    config = tiny_config(family="taiyi-pooler")
    assert config.text is not None
    text = replace(config.text, architecture="bert", hidden_size=DIM, type_vocab_size=2)
    encoder = Encoder.from_model(tiny_model(0, replace(config, text=text)), tiny_processor(), head="unmasked")
    with pytest.raises(UsageError, match="is read through 'unmasked': open it with head='retrieval'"):
        to_onnx(encoder, tmp_path / "out")


def test_a_model_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="is no folder here"):
        convert(tmp_path / "absent", tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_a_model_does_not_replace_itself(tmp_path: Path) -> None:
    folder = tiny_model_folder(tmp_path / "model")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(UsageError, match="holds the model"):
        convert(folder, folder, overwrite=True)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_a_model_does_not_replace_its_image_tower(tmp_path: Path) -> None:
    folder = tiny_model_folder(tmp_path / "models" / "clip")
    encoder = Encoder(tiny_model_folder(tmp_path / "text"))
    encoder._parts = replace(encoder._parts, image_folder=folder)
    with pytest.raises(UsageError, match="holds the model"):
        to_huggingface(encoder, tmp_path / "models", overwrite=True)
    assert (folder / "config.json").is_file()


def test_the_number_format_is_that_of_the_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the engine computes in."""
    encoder = Encoder(tiny_model_folder(tmp_path / "model"))
    monkeypatch.setattr(type(encoder), "dtype", property(lambda _: torch.bfloat16))
    done = to_huggingface(encoder, tmp_path / "out")
    assert done.precision == json.loads((tmp_path / "out" / "report.json").read_text())["precision"] == "fp32"


def test_another_way_to_crop_is_said(tmp_path: Path) -> None:
    assert to_huggingface(encoder_of("clip"), tmp_path / "as transformers").notes == ()
    given = processor_of("clip")
    processor = Processor(replace(given.image_processor, crop_rounding="even"), given.tokenizer)
    encoder = Encoder.from_model(tiny_model(3, config_of("clip")), processor)
    (note,) = to_huggingface(encoder, tmp_path / "as OpenAI").notes
    assert "differ by a shift of one pixel" in note


@pytest.mark.parametrize("form", ["hf", "sentence-transformers", "torch-export", "onnx", "immich"])
def test_a_full_disk_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str) -> None:
    """The disk fills up at the last file, the card: all the others were written."""

    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    module = {"hf": "huggingface", "sentence-transformers": "sentence", "immich": "immich"}.get(form, "towers")
    monkeypatch.setattr(f"altclip.export.{module}.write_lineage", full)
    monkeypatch.setattr("altclip.export.onnx_folder.write_onnx", lambda *_, **__: None)
    monkeypatch.setattr("altclip.export.immich.write_onnx", lambda *_, **__: None)
    monkeypatch.setattr("altclip.export.program._save", lambda *_: None)
    same = encoder_of("altclip")
    for name in ("onnx_folder", "immich"):
        monkeypatch.setattr(f"altclip.export.{name}.runner", lambda path: _as(same, path))
    monkeypatch.setattr("altclip.export.program._runner", lambda path: _as(same, path))
    folder = tiny_model_folder(tmp_path / "model", seed=3)
    with pytest.raises(CheckpointError, match="No space left on device.*make room"):
        convert(folder, tmp_path / "out", to=form)
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def _as(encoder: Encoder, path: Path) -> Any:
    """What an exact export would compute."""
    from altclip.metrics import normalised

    def run(feed: dict[str, Any]) -> Any:
        arrays = list(feed.values())
        if arrays[0].ndim == 4:
            return normalised(encoder.engine.encode_image(arrays[0]))
        ids = arrays[0].astype("int64")
        mask = arrays[1].astype("int64") if len(arrays) > 1 else (ids != 1).astype("int64")
        return normalised(encoder.engine.encode_text(ids, mask))

    return run


def test_every_form_is_one_of_errors_tree(tmp_path: Path) -> None:
    for form in FORMS:
        with pytest.raises(AltclipError):
            convert(tmp_path / "absent", tmp_path / "out", to=form)

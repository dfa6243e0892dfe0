"""`altclip convert`: the folder, what is said of it, and exit codes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from altclip.encoder import Encoder
from altclip.errors import MissingExtraError
from altclip.export import Agreement, Converted
from tests.cli.conftest import Run


def test_a_hugging_face_folder_is_the_default(run: Run, tiny_folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    code, printed, err = run("convert", tiny_folder, out)
    assert (code, err) == (0, "")
    assert printed == f"{out}: hf, fp32\n"
    assert (Encoder(out).encode_texts("a cat") == Encoder(tiny_folder).encode_texts("a cat")).all()


def test_json(run: Run, tiny_folder: Path, tmp_path: Path) -> None:
    code, printed, err = run("convert", tiny_folder, tmp_path / "out", "--precision", "fp16", "--json")
    assert (code, err) == (0, "")
    assert json.loads(printed) == {
        "folder": str(tmp_path / "out"), "form": "hf", "precision": "fp16", "checks": {}, "notes": [],
    }  # fmt: skip


def test_what_was_measured_is_printed(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked: list[Any] = []

    def convert(*names: Any, **options: Any) -> Converted:
        asked.append((*names, options))
        checks = {"text": Agreement(19, 0.0123, 0.9971, 0.9989)}
        return Converted(tmp_path / "out[red]", "immich", "int8", checks, ("fits [bold]",))

    monkeypatch.setattr("altclip.export.convert", convert)
    code, printed, _ = run(
        "convert", "mini", "out", "--to", "immich", "--precision", "int8", "--image-weights", "clip", "--force"
    )
    assert code == 0
    assert asked == [
        ("mini", Path("out"), {"to": "immich", "precision": "int8", "image_weights": "clip", "overwrite": True})
    ]
    assert printed.splitlines() == [
        f"{tmp_path / 'out[red]'}: immich, int8",
        "text encoder on 19 samples: cosine to the model at least 0.997100, 0.998900 on average; numbers differ by at "
        "most 1.2e-02",
        "fits [bold]",
    ]


def test_a_folder_that_is_not_empty(run: Run, tiny_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").touch()
    code, printed, err = run("convert", tiny_folder, tmp_path / "out")
    assert (code, printed) == (2, "")
    assert "is not empty" in err
    assert "--force" in err
    code, _, err = run("convert", tiny_folder, tmp_path / "out", "--force")
    assert (code, err) == (0, "")
    assert not (tmp_path / "out" / "mine").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--to", "tflite"], "expected one of hf, sentence-transformers, onnx"),
        (["--precision", "int8"], "precision 'int8' is not there for hf"),
        (["--image-weights", "mini"], "image_weights is for models without an image tower"),
    ],
)
def test_wrong_usage(run: Run, tiny_folder: Path, tmp_path: Path, arguments: list[str], words: str) -> None:
    code, printed, err = run("convert", tiny_folder, tmp_path / "out", *arguments)
    assert (code, printed) == (2, "")
    assert words in " ".join(err.split())
    assert not (tmp_path / "out").exists()


def test_a_full_disk_and_a_missing_library(
    run: Run, tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("altclip.export.huggingface.write_lineage", full)
    code, printed, err = run("convert", tiny_folder, tmp_path / "out")
    assert (code, printed) == (1, "")
    assert "No space left on device" in err
    assert list(tmp_path.iterdir()) == []

    def missing() -> None:
        raise MissingExtraError("onnxruntime", "onnx")

    monkeypatch.setattr("altclip.export.converting.check_installed", missing)
    code, _, err = run("convert", tiny_folder, tmp_path / "out", "--to", "onnx")
    assert code == 1
    assert "pip install 'altclip[onnx]'" in err

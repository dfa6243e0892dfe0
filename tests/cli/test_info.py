"""`altclip info`: the same facts as a table and as JSON, without loading weights."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from altclip.encoder import describe
from altclip.engines import openvino
from tests.bad import BAD_MODELS
from tests.cli.conftest import Run
from tests.tiny import DIM, tiny_model_folder


def test_the_table(run: Run, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tiny_folder.parent)
    code, out, err = run("info", "tiny")
    assert (code, err) == (0, "")
    for words in (
        "Hugging Face AltCLIP", "images of 32x32", "vocabulary of 400", "up to 24 tokens", f"{DIM} numbers",
        "head retrieval", "float32", "model.safetensors", "runs on", "starts faster in it",
        f"{describe(tiny_folder).parameters['all']:,}",
    ):  # fmt: skip
        assert words in " ".join(out.split()), words


def test_json(run: Run, tiny_folder: Path) -> None:
    code, out, err = run("info", tiny_folder, "--json")
    assert (code, err) == (0, "")
    found = json.loads(out)
    running = found.pop("running")
    assert found == json.loads(json.dumps(describe(tiny_folder).to_dict()))
    assert running["engine_reason"] == "torch: a model of 0 M parameters starts faster in it"
    assert running["device"] in running["device_reason"]
    assert running["dtype"] in ("float32", "bfloat16", "float16")


def test_engines(run: Run, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openvino, "is_installed", lambda: False)
    code, out, _ = run("info", tiny_folder, "--engines")
    assert code == 0
    assert "engine torch" in out
    assert "not installed: pip install 'altclip[openvino]'" in " ".join(out.split())
    assert "engine openvino" not in run("info", tiny_folder)[1]
    found = json.loads(run("info", tiny_folder, "--engines", "--json")[1])
    assert set(found["running"]["engines"]) == {"torch", "compiled", "openvino", "onnx"}


def test_card_and_licence(run: Run, tiny_folder: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(tiny_folder, tmp_path / "own"))
    (folder / "README.md").write_text("---\nlanguage: [en, ar]\nlicense: my[red]terms\n---\n", encoding="utf-8")
    (folder / "LICENSE").touch()
    code, out, _ = run("info", folder)
    assert code == 0
    assert "en ar" in out
    assert "my[red]terms, see LICENSE" in out


def test_sizes_taken_from_the_family_are_named(run: Run, tmp_path: Path) -> None:
    folder = tiny_model_folder(tmp_path / "own")
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    del config["vision_config"]["image_size"]
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    code, out, _ = run("info", folder)
    assert code == 0
    assert "vision_config.image_size: 224, as in the family" in " ".join(out.split())
    assert "as in the family" not in run("info", "mini")[1]


def test_a_released_model_without_network(run: Run) -> None:
    code, out, err = run("info", "altclip")
    assert (code, err) == (0, "")
    assert "864," in out
    assert "en zh" in out
    assert "fetched at the first use" in out
    assert "creativeml-openrail-m" in out


def test_another_hub_model_without_network(run: Run) -> None:
    code, out, err = run("info", "somebody/something")
    assert (code, out) == (1, "")
    assert "somebody/something could not be fetched" in err


@pytest.mark.parametrize("name", ["no config", "weights cut off", "a pickle with code", "no weights"])
def test_a_bad_folder_is_one_message(run: Run, tmp_path: Path, name: str) -> None:
    folder = tiny_model_folder(tmp_path / "model")
    BAD_MODELS[name].spoil(folder)
    code, out, err = run("info", folder)
    assert (code, out) == (1, "")
    assert BAD_MODELS[name].words in err


def test_a_device_that_is_not_here(run: Run, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALTCLIP_DEVICE", "abacus")
    code, _, err = run("info", tiny_folder)
    assert code == 2
    assert "abacus" in err

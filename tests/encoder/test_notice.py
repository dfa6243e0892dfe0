"""A licence with duties is said once when a model is opened, and goes with what is saved from it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from altclip import AltCLIPModel
from altclip.checkpoints.card import Card
from altclip.checkpoints.notice import LicenceNotice, show_duties
from altclip.encoder import Encoder, describe


@pytest.fixture
def restricted(tiny_folder: Path, tmp_path: Path) -> Path:
    """A model whose config.json names the licence of AltCLIP."""
    folder = Path(shutil.copytree(tiny_folder, tmp_path / "restricted"))
    config = json.loads((folder / "config.json").read_text())
    said = {**config, "license": "creativeml-openrail-m", "languages": ["en", "zh"]}
    (folder / "config.json").write_text(json.dumps(said))
    return folder


def test_opening_says_it_with_name_and_licence(restricted: Path) -> None:
    with pytest.warns(LicenceNotice) as said:
        Encoder(restricted, device="cpu")
    assert "restricted is under creativeml-openrail-m: its restrictions of use" in str(said[0].message)


def test_the_classes_of_the_cards_say_it_too(restricted: Path) -> None:
    with pytest.warns(LicenceNotice) as said:
        AltCLIPModel.from_pretrained(restricted)
    assert "restricted is under creativeml-openrail-m" in str(said[0].message)


def test_python_shows_it_once_in_a_process(restricted: Path) -> None:
    code = f"from altclip import Encoder\nfor _ in range(3): Encoder({str(restricted)!r}, device='cpu')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.count("restrictions of use hold for you") == 1


@pytest.mark.parametrize("licence", [None, "apache-2.0", "LicenseRef-altclip-mini-weights"])
def test_other_licences_say_nothing(licence: str | None) -> None:
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        show_duties("a model", Card(None, licence))
    assert said == []


@pytest.mark.filterwarnings("ignore::altclip.checkpoints.notice.LicenceNotice")
def test_licence_and_languages_go_with_what_is_saved(restricted: Path, tmp_path: Path) -> None:
    encoder = Encoder(restricted, device="cpu")
    assert encoder.card == Card(("en", "zh"), "creativeml-openrail-m")
    saved = describe(encoder.save(tmp_path / "saved"))
    assert (saved.languages, saved.licence) == (("en", "zh"), "creativeml-openrail-m")
    assert Encoder(tmp_path / "saved", device="cpu").card == encoder.card


def test_the_command_line_says_it_without_a_line_of_code(restricted: Path, tmp_path: Path) -> None:
    texts = tmp_path / "texts.txt"
    texts.write_text("a cat\n", encoding="utf-8")
    command = [sys.executable, "-m", "altclip", "embed", "--texts", str(texts), "--out", str(tmp_path / "texts.npz")]
    done = subprocess.run([*command, "--model", str(restricted)], capture_output=True, text=True, check=True)
    assert f"note: {restricted} is under creativeml-openrail-m" in done.stderr
    assert "warnings.warn" not in done.stderr

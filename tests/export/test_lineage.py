"""Card, licence and report go with a model into every form."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

from altclip.checkpoints.card import Card
from altclip.encoder import Encoder
from altclip.export.lineage import Lineage, lineage_of, write_lineage
from tests.export.made import encoder_of

OPENRAIL = "creativeml-openrail-m"
RELEASED = Lineage("BAAI/AltCLIP-m9", "BAAI/AltCLIP-m9", "ab" * 32, Card(("en", "zh"), OPENRAIL))


def written(lineage: Lineage, folder: Path, **facts: Any) -> tuple[dict[str, Any], str, dict[str, Any]]:
    """The head and the text of the card, and the report."""
    folder.mkdir(exist_ok=True)
    write_lineage(lineage, folder, title="a form", library="onnx", about="How to use it.", facts=facts)
    text = (folder / "README.md").read_text(encoding="utf-8")
    _, head, body = text.split("---\n", 2)
    return yaml.safe_load(head), body, json.loads((folder / "report.json").read_text(encoding="utf-8"))


def test_openrail_is_carried_over_with_its_duty(tmp_path: Path) -> None:
    head, body, report = written(RELEASED, tmp_path / "out", form="onnx")
    assert (head["license"], head["language"], head["base_model"]) == (OPENRAIL, ["en", "zh"], "BAAI/AltCLIP-m9")
    assert head["library_name"] == "onnx"
    words = " ".join(body.split())
    assert "must pass on the same restrictions (paragraph 5 and attachment A of the licence)" in words
    assert "https://huggingface.co/BAAI/AltCLIP-m9" in words
    assert "# BAAI/AltCLIP-m9: a form" in body
    assert "How to use it." in body
    assert report["made_from"] == "BAAI/AltCLIP-m9"
    assert report["made_from_digest"] == RELEASED.digest
    assert (report["licence"], report["form"]) == (OPENRAIL, "onnx")


def test_the_bundled_model_has_a_licence_of_its_own(tmp_path: Path) -> None:
    head, body, report = written(lineage_of(Encoder("mini", device="cpu")), tmp_path / "out")
    assert (head["license"], head["license_name"], head["license_link"]) == ("other", "altclip-mini-weights", "LICENSE")
    assert len(head["language"]) == 9
    assert "base_model" not in head  # the hub would look for it
    assert (tmp_path / "out" / "LICENSE").is_file()
    assert "[LICENSE](LICENSE)" in body
    assert "must pass on the same restrictions" not in body
    assert "## The card of mini" in body
    assert "Tiny-ImageNet" in body
    assert body.count("pipeline_tag") == 0
    assert report["made_from"] == "mini"


def test_a_folder_counts_by_its_name_and_its_path_is_not_told(encoders: dict[str, Encoder], tmp_path: Path) -> None:
    encoder = encoders["altclip"]
    lineage = lineage_of(encoder)
    head, body, report = written(lineage, tmp_path / "out")
    assert head["license"] == OPENRAIL
    assert "base_model" not in head
    assert (tmp_path / "out" / "LICENSE.txt").read_text(encoding="utf-8") == "the terms"
    assert "Knows nothing." in body
    assert (report["made_from"], report["made_from_digest"]) == ("tiny-altclip", encoder.digest)
    assert str(encoder.folder) not in body + json.dumps(report)


def test_a_model_in_memory_has_no_licence_to_tell(tmp_path: Path) -> None:
    head, body, report = written(lineage_of(encoder_of("altclip")), tmp_path / "out")
    assert "license" not in head
    assert "do not say under which licence" in body
    assert report["licence"] is None
    assert report["made_from"] == "a DualEncoder in memory"


def test_the_image_towers_licence_comes_too(folders: dict[str, Path], tmp_path: Path) -> None:
    lineage = replace(RELEASED, folder=folders["altclip"], image_folder=folders["clip"])
    _, body, report = written(lineage, tmp_path / "out")
    assert {path.name for path in (tmp_path / "out").glob("*.txt")} == {"LICENSE.txt", "image-tower-LICENSE.txt"}
    assert "image tower is that of `tiny-clip`" in body
    assert report["image_tower_from"] == "tiny-clip"


@pytest.mark.parametrize("name", ['a"b: c', "x`y](http://z)\n---\nlicense: mit"])
def test_names_of_users_stay_names(tmp_path: Path, name: str) -> None:
    lineage = Lineage(name, None, "00", Card((name,), name))
    head, body, _ = written(lineage, tmp_path / "out")
    assert (head["license"], head["license_name"], head["language"]) == ("other", name, [name])
    assert "](http" not in body
    assert "\nlicense: mit" not in body

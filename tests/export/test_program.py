"""The form `torch-export`: programs that torch loads and runs, equal to the encoder."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from altclip.encoder import Encoder
from altclip.errors import CheckpointError
from altclip.export import to_torch_export
from altclip.processing import ImageProcessor, Tokenizer
from tests.export.conftest import Made
from tests.export.made import TEXTS, encoder_of, photos
from tests.tiny import MAX_TOKENS


@pytest.mark.slow
@pytest.mark.parametrize("family", ["altclip", "clip"])
def test_the_programs_give_the_encoders_embeddings(made: Made, encoders: dict[str, Encoder], family: str) -> None:
    done = made(family, "torch-export", "fp32")
    image, text = (torch.export.load(done.folder / f"{name}.pt2").module() for name in ("image", "text"))
    processor, tokenizer = ImageProcessor.from_folder(done.folder), Tokenizer.from_folder(done.folder)
    for images in (photos()[:1], photos()):
        with torch.no_grad():
            found = image(processor(images, return_tensors="pt")["pixel_values"])
        np.testing.assert_allclose(found.numpy(), encoders[family].encode_images(images), atol=1e-6)
    for texts in ([""], ["a"], TEXTS[:3], TEXTS, TEXTS[-1:]):
        inputs = tokenizer(texts, padding=True, truncation=True, max_length=MAX_TOKENS, return_tensors="pt")
        with torch.no_grad():
            found = text(inputs["input_ids"], inputs["attention_mask"])
        np.testing.assert_allclose(found.numpy(), encoders[family].encode_texts(texts), atol=1e-6)
    assert max(agreement.max_difference for agreement in done.checks.values()) < 1e-6


def test_a_text_over_the_limit_is_refused_by_the_program(made: Made) -> None:
    text = torch.export.load(made("altclip", "torch-export", "fp32").folder / "text.pt2").module()
    ids = torch.full((1, MAX_TOKENS + 1), 5)
    with pytest.raises((AssertionError, RuntimeError)):
        text(ids, torch.ones_like(ids))


def test_the_report_tells_the_form(made: Made) -> None:
    folder = made("altclip", "torch-export", "fp32").folder
    report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    assert (report["form"], report["longest_text"]) == ("torch-export", MAX_TOKENS)
    assert {path.name for path in folder.glob("*.pt2")} == {"image.pt2", "text.pt2"}


def test_torchs_own_word_for_a_full_disk_is_understood(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise RuntimeError("PytorchStreamWriter failed writing file data/0: file write failed")

    monkeypatch.setattr("altclip.export.program.traced", lambda graph: graph)
    monkeypatch.setattr(torch.export, "save", full)
    with pytest.raises(CheckpointError, match="image.pt2 cannot be written.*make room"):
        to_torch_export(encoder_of("altclip"), tmp_path / "out")
    assert list(tmp_path.iterdir()) == []

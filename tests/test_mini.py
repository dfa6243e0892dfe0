"""The bundled model: that it is whole, small, says what it is, and tells photographs it was never shown apart."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import torch

import altclip
from altclip import Encoder, prompts
from altclip.languages import LANGUAGES

FOLDER = Path(altclip.__file__).parent / "assets" / "mini"


@pytest.fixture(scope="module")
def mini() -> Encoder:
    return Encoder()


def test_it_is_small_and_carries_its_licence_and_card() -> None:
    assert sum(file.stat().st_size for file in FOLDER.rglob("*") if file.is_file()) <= 20 * 2**20
    assert "research" in (FOLDER / "LICENSE").read_text(encoding="utf-8")
    assert "BAAI/AltCLIP-m9" in (FOLDER / "README.md").read_text(encoding="utf-8")


def test_its_config_tells_what_made_it() -> None:
    config = json.loads((FOLDER / "config.json").read_text(encoding="utf-8"))
    facts = config["altclip_training"]
    assert facts["recipe"] == "mini"
    assert {"seed", "data", "stage"} <= set(facts)
    digest = hashlib.sha256((FOLDER / "tokenizer.json").read_bytes()).hexdigest()
    assert config["tokenizer_sha256"] == digest


def test_it_knows_nine_languages(mini: Encoder) -> None:
    assert mini.languages is not None
    assert set(mini.languages) == set(LANGUAGES)
    assert mini.dim == 256


def test_no_network_is_asked_for(mini: Encoder) -> None:
    assert mini.folder == FOLDER


@pytest.mark.parametrize("language", [language for language in LANGUAGES if language != "en"])
def test_labels_of_one_meaning_lie_close(mini: Encoder, language: str) -> None:
    english = mini.encode_texts(list(prompts.label_set("mini", "en").values()))
    other = mini.encode_texts(list(prompts.label_set("mini", language).values()))  # type: ignore[arg-type]
    nearest = (other @ english.T).argmax(1)
    assert (nearest == np.arange(len(english))).mean() > 0.5  # by chance 0.005


def test_transformers_opens_it_with_equal_outputs(mini: Encoder) -> None:
    transformers = pytest.importorskip("transformers")
    peer = transformers.AltCLIPModel.from_pretrained(FOLDER, dtype=torch.float32).eval()
    texts = ["goldfish", "金鱼", "سمكة ذهبية"]
    batch = mini.tokenizer(texts, padding=True, return_tensors="pt")  # type: ignore[misc]
    pixels = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        theirs = peer(pixel_values=pixels, **batch).logits_per_image
        images, words = mini.model.encode_image(pixels), mini.model.encode_text(**batch)
        ours = mini.model.logit_scale.exp() * torch.cosine_similarity(images[:, None], words[None], dim=-1)
    torch.testing.assert_close(ours, theirs, atol=1e-3, rtol=0)


def test_it_tells_a_photograph_that_it_was_never_shown(mini: Encoder) -> None:
    """Among 200 labels, of each language; by chance it would be the first of one in 200."""
    photograph = pytest.importorskip("skimage.data").coffee()
    for language in LANGUAGES:
        labels = prompts.label_set("mini", language)
        ((best, *_),) = mini.classify([photograph], list(labels.values()), language=language)
        assert best.label == labels["n07920052"], language

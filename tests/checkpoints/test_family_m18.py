"""AltCLIP-m18: two heads and a larger image tower under AltCLIP's names.

The text side is diffusers' class with `has_pre_transformation`, read for retrieval by the formula; the image side that
of transformers, with the activation of the released tower.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor

from altclip import AltCLIPModel
from altclip.checkpoints import load_model, load_with_report
from altclip.checkpoints.layouts import layout_for
from altclip.checkpoints.opening import without_memory
from altclip.encoder import Encoder, describe
from altclip.errors import HubError, WeightsError
from altclip.models import DualEncoder, heads_of, preset
from tests.checkpoints.families import (
    assert_close,
    assert_round_trip,
    cosines,
    inputs,
    logits,
    with_image_settings,
    with_xlm_tokenizer,
    written,
)
from tests.checkpoints.test_family_altdiffusion import text_encoder
from tests.models import oracles

TEXT = {**oracles.TEXT, "project_dim": 24, "hidden_act": "gelu"}
VISION = {**oracles.VISION, "hidden_act": "gelu"}
SETTINGS = {
    "_name_or_path": "BAAI/AltCLIP", "architectures": ["AltCLIPModel"], "direct_kd": False, "model_type": "altclip",
    "num_layers": 3, "projection_dim": 16, "text_config": TEXT, "vision_config": VISION,
}  # fmt: skip


class Theirs(NamedTuple):
    """The text encoder of diffusers, the rest of transformers, and all tensors under FlagAI's names."""

    text: Any
    rest: Any
    tensors: dict[str, Tensor]

    def retrieval(self, ids: Tensor, mask: Tensor) -> Tensor:
        last = self.text(ids, attention_mask=mask, return_dict=True).last_hidden_state
        pooled = self.text.transformation(self.text.pre_LN(last[:, 0]))
        return self.rest.text_projection(pooled)


@pytest.fixture(scope="module")
def theirs() -> Theirs:
    text, rest = text_encoder("altdiffusion-m18"), oracles.altclip(vision={"hidden_act": "gelu"})
    image_side = {key: t for key, t in rest.state_dict().items() if not key.startswith("text_model.")}
    tensors = {**{f"text_model.{key}": t for key, t in text.state_dict().items()}, **image_side}
    return Theirs(text, rest, tensors)


@pytest.fixture
def folder(theirs: Theirs, tmp_path: Path) -> Path:
    """As the hub has it: config.json of AltCLIP, a pickle."""
    return written(tmp_path / "m18", SETTINGS, theirs.tensors, pickle=True)


def test_both_heads_and_the_image_tower(theirs: Theirs, folder: Path, tmp_path: Path) -> None:
    model, report = load_with_report(folder)
    assert report.ok
    assert report.layout == "AltCLIP-m18"
    assert all("pooler" in key or "position_ids" in key for key in report.ignored)
    assert model.config.heads == heads_of("altclip-m18")
    ids, mask, pixels = inputs()
    with torch.no_grad():
        text, image = model.encode_text(ids, mask), model.encode_image(pixels)
        expected = theirs.rest.get_image_features(pixels).pooler_output
        assert_close(text, theirs.retrieval(ids, mask))
        assert_close(image, expected)
        scale = theirs.rest.logit_scale.exp()
        assert_close(logits(model, image, text), scale * cosines(expected, theirs.retrieval(ids, mask)))
        diffusion = theirs.text(ids, attention_mask=mask, return_dict=True).projection_state
        assert_close(model.encode_text(ids, mask, "diffusion"), diffusion)
    assert_round_trip(model, tmp_path / "ours")


def test_what_is_saved_has_the_names_of_flagai(theirs: Theirs, folder: Path, tmp_path: Path) -> None:
    assert_round_trip(load_model(folder), tmp_path)
    saved = load_file(tmp_path / "model.safetensors")
    spelt = {key.replace("vision_model.encoder.layer.", "vision_model.encoder.layers."): key for key in theirs.tensors}
    assert {spelt[key] for key in saved} == {key for key in theirs.tensors if "pooler" not in key}
    assert all(torch.equal(tensor, theirs.tensors[spelt[key]]) for key, tensor in saved.items())


def test_the_class_of_the_cards_reads_its_retrieval_side(theirs: Theirs, folder: Path) -> None:
    model = AltCLIPModel.from_pretrained(folder)
    ids, mask, _ = inputs()
    with torch.no_grad():
        assert_close(model.get_text_features(ids, mask), theirs.retrieval(ids, mask))


def test_absent_values_are_those_of_the_released_model(theirs: Theirs, tmp_path: Path) -> None:
    """transformers' class would take quick_gelu without a word."""
    vision = {key: value for key, value in VISION.items() if key != "hidden_act"}
    folder = written(tmp_path, {**SETTINGS, "vision_config": vision}, theirs.tensors)
    model, report = load_with_report(folder)
    assert report.filled == {"vision_config.hidden_act": "gelu"}
    _, _, pixels = inputs()
    with torch.no_grad():
        assert_close(model.encode_image(pixels), theirs.rest.get_image_features(pixels).pooler_output)


def test_the_class_of_the_cards_takes_them_too_and_says_what_it_does_not_save(theirs: Theirs, tmp_path: Path) -> None:
    vision = {key: value for key, value in VISION.items() if key != "hidden_act"}
    model = AltCLIPModel.from_pretrained(
        written(tmp_path / "from", {**SETTINGS, "vision_config": vision}, theirs.tensors)
    )
    assert model.config.vision_config.hidden_act == "gelu"
    _, _, pixels = inputs()
    with torch.no_grad():
        assert_close(model.get_image_features(pixels), theirs.rest.get_image_features(pixels).pooler_output)
    with pytest.warns(UserWarning, match=r"text_model\.transformation_pre\.weight.*not saved"):
        model.save_pretrained(tmp_path / "to")


def test_a_contradiction_names_the_key_and_both_sizes(theirs: Theirs, tmp_path: Path) -> None:
    settings = {**SETTINGS, "text_config": {**TEXT, "project_dim": 16}, "projection_dim": 24}
    with pytest.raises(WeightsError) as raised:
        load_model(written(tmp_path, settings, theirs.tensors))
    assert "text project_dim is 16, the tensors have 24" in str(raised.value)
    assert "projection_dim is 24, the tensors have 16" in str(raised.value)


@pytest.mark.parametrize(
    "lost", ["text_model.pre_LN.weight", "text_projection.weight", "text_model.transformation.bias"]
)
def test_a_lost_tensor_is_named(lost: str, theirs: Theirs, tmp_path: Path) -> None:
    tensors = {key: tensor for key, tensor in theirs.tensors.items() if key != lost}
    with pytest.raises(WeightsError, match=f"1 missing: {lost}"):
        load_model(written(tmp_path, SETTINGS, tensors))


def test_without_the_second_map_it_is_an_altclip(theirs: Theirs, tmp_path: Path) -> None:
    """As transformers leaves it when it saves one, and half a map is a damaged file."""
    tensors = {key: tensor for key, tensor in theirs.tensors.items() if "transformation_pre" not in key}
    assert load_model(written(tmp_path / "without", SETTINGS, tensors)).config.heads == heads_of("altclip")
    half = {key: tensor for key, tensor in theirs.tensors.items() if key != "text_model.transformation_pre.bias"}
    with pytest.raises(WeightsError, match=r"unexpected: text_model\.transformation_pre\.weight"):
        load_model(written(tmp_path / "half", SETTINGS, half))


def test_the_encoder_opens_it_and_saves_it(tmp_path: Path, theirs: Theirs) -> None:
    wide = {**theirs.tensors, "text_model.roberta.embeddings.word_embeddings.weight": torch.randn(320, 32)}
    settings = {**SETTINGS, "text_config": {**TEXT, "vocab_size": 320}}
    folder = with_image_settings(with_xlm_tokenizer(written(tmp_path / "whole", settings, wide, pickle=True)))
    encoder = Encoder(folder, device="cpu")
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (45, 61, 3), np.uint8))
    again = Encoder(encoder.save(tmp_path / "saved"), device="cpu")
    np.testing.assert_array_equal(again.similarity(image, ["a cat", "猫"]), encoder.similarity(image, ["a cat", "猫"]))
    assert again.model.config.heads == heads_of("altclip-m18")
    json.loads((tmp_path / "saved" / "config.json").read_text())


def test_the_preset_has_the_size_of_the_released_file() -> None:
    """4.78 GB of float32 on its page."""
    with without_memory():
        model = DualEncoder(preset("altclip-m18"))
    assert sum(p.numel() for p in model.parameters()) * 4 / 1e9 == pytest.approx(4.78, abs=0.01)
    assert layout_for(preset("altclip-m18")).name == "AltCLIP-m18"


def test_its_card(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_hub(*_: object, **__: object) -> Path:
        raise HubError("no network")

    monkeypatch.setattr("altclip.encoder.description.resolve", no_hub)
    found = describe("altclip-m18")
    assert found.languages is not None
    assert len(set(found.languages)) == 18
    assert {"th", "hi", "uk", "tr", "vi", "pl", "nl", "pt", "de"} < set(found.languages)
    assert found.licence is None  # its page names none

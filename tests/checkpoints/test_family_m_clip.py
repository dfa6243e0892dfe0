"""M-CLIP: XLM-RoBERTa of transformers with the formula of its read-out, and diffusers' class of the same name."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from altclip.checkpoints import load_model, load_with_report, read_settings, save_model
from altclip.checkpoints.layouts.m_clip import M_CLIP
from altclip.encoder import Encoder
from altclip.encoder.companions import COMPANIONS, wanted_image_tower
from altclip.errors import LayoutError, UsageError, WeightsError
from altclip.models import ModelConfig, TextConfig, heads_of, preset
from altclip.processing import Tokenizer
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
from tests.models import oracles

WIDTH, DIM = 32, 16  # of the states, and of an embedding
# The whole of a released config.json, but for the heads: 64 numbers each, which a tiny model has not.
SETTINGS = {
    "modelBase": "xlm-roberta-large", "model_type": "M-CLIP", "numDims": DIM, "transformerDimensions": WIDTH,
    "transformers_version": "4.8.1", "num_attention_heads": 4,
}  # fmt: skip


class Theirs(NamedTuple):
    tower: Any
    linear: torch.nn.Linear

    def embedding(self, ids: Tensor, mask: Tensor) -> Tensor:
        """As the authors' `forward`: the mean over the tokens that are not padding, then the linear map."""
        states = self.tower(ids, attention_mask=mask)[0]
        return self.linear((states * mask[..., None]).sum(1) / mask.sum(1)[:, None])

    @property
    def tensors(self) -> dict[str, Tensor]:
        tower = {f"transformer.{key}": tensor for key, tensor in self.tower.state_dict().items()}
        return {**tower, **{f"LinearTransformation.{key}": t for key, t in self.linear.state_dict().items()}}


@pytest.fixture(scope="module")
def theirs() -> Theirs:
    tower = oracles.text_tower("XLMRobertaModel", vocab_size=320, layer_norm_eps=1e-5, pad_token_id=1)
    return Theirs(tower, oracles.randomised(torch.nn.Linear(WIDTH, DIM)))


@pytest.fixture
def folder(theirs: Theirs, tmp_path: Path) -> Path:
    return with_xlm_tokenizer(written(tmp_path / "text", SETTINGS, theirs.tensors, pickle=True))


def test_the_formula(theirs: Theirs, folder: Path, tmp_path: Path) -> None:
    model, report = load_with_report(folder)
    assert report.ok
    assert report.layout == "M-CLIP text encoder"
    assert sorted(report.ignored) == sorted(key for key in theirs.tensors if "pooler" in key or "_ids" in key)
    assert model.config.vision is None
    ids, mask, _ = inputs()
    with torch.no_grad():
        assert_close(model.encode_text(ids, mask), theirs.embedding(ids, mask))
        assert_close(model.encode_text(ids), theirs.embedding(ids, torch.ones_like(ids)))
    assert_round_trip(model, tmp_path / "ours")


def test_sizes_come_from_the_tensors_and_from_the_base_model(theirs: Theirs, folder: Path) -> None:
    text = load_model(folder).config.text
    assert text is not None
    sizes = {"vocab_size": 320, "num_hidden_layers": 3, "intermediate_size": 37, "max_position_embeddings": 40}
    assert {key: getattr(text, key) for key in sizes} == sizes
    assert (text.hidden_act, text.layer_norm_eps, text.pad_token_id) == ("gelu", 1e-5, 1)
    assert (text.hidden_size, text.project_dim) == (WIDTH, DIM)


@pytest.mark.parametrize(("width", "heads"), [(768, 12), (1024, 16)])
def test_attention_heads_are_those_of_xlm_roberta(width: int, heads: int) -> None:
    """No tensor tells them."""
    shapes = {"text.tower.words.weight": (100, width), "text.linears.LinearTransformation.weight": (640, width)}
    text = M_CLIP.read({"modelBase": "FacebookAI/xlm-roberta-base", "model_type": "M-CLIP"}, shapes).text
    assert text is not None
    assert (text.num_attention_heads, text.hidden_size, text.project_dim) == (heads, width, 640)


def test_a_released_configuration_is_xlm_roberta_large() -> None:
    released = {"modelBase": "xlm-roberta-large", "model_type": "M-CLIP", "numDims": 768, "transformerDimensions": 1024}
    assert M_CLIP.read(released, {}).text == TextConfig(initializer_factor=0.02)


def kandinsky() -> Any:
    from diffusers.pipelines.kandinsky.text_encoder import MCLIPConfig, MultilingualCLIP

    sizes = {**oracles.TEXT, "layer_norm_eps": 1e-5, "pad_token_id": 1}
    return oracles.randomised(MultilingualCLIP(MCLIPConfig(numDims=DIM, transformerDimensions=WIDTH, **sizes)))


def test_the_class_of_diffusers_both_ways(tmp_path: Path) -> None:
    theirs = kandinsky()
    model = load_model(oracles.saved(theirs, tmp_path / "theirs"))
    ids, mask, _ = inputs()
    with torch.no_grad():
        expected = theirs(ids, mask)[0]
        assert_close(model.encode_text(ids, mask), expected)
        save_model(model, tmp_path / "ours")
        again, info = type(theirs).from_pretrained(tmp_path / "ours", output_loading_info=True)
        assert all("pooler" in key for key in info["missing_keys"])
        assert not info["unexpected_keys"]
        assert not info["mismatched_keys"]
        assert_close(again.eval()(ids, mask)[0], expected)


@pytest.mark.parametrize(
    ("changes", "kind", "words"),
    [
        ({"modelBase": "sentence-transformers/LaBSE"}, LayoutError, "modelBase is 'sentence-transformers/LaBSE'"),
        ({"transformerDimensions": 1024}, WeightsError, "text hidden_size is 1024, the tensors have 32"),
        ({"numDims": 768}, WeightsError, "text project_dim is 768, the tensors have 16"),
        ({"numDims": "many"}, LayoutError, "'many': expected an integer"),
        ({"num_attention_heads": 5}, LayoutError, "32 does not divide into 5 attention heads"),
    ],
)
def test_a_configuration_that_cannot_be(
    changes: Mapping[str, Any], kind: type[Exception], words: str, theirs: Theirs, tmp_path: Path
) -> None:
    with pytest.raises(kind, match=words):
        load_model(written(tmp_path, {**SETTINGS, **changes}, theirs.tensors))


def test_a_lost_and_a_strange_tensor_are_named(theirs: Theirs, tmp_path: Path) -> None:
    tensors = {key: t for key, t in theirs.tensors.items() if key != "LinearTransformation.bias"}
    with pytest.raises(WeightsError) as raised:
        load_model(written(tmp_path, SETTINGS, {**tensors, "LinearTransformation.scale": torch.ones(1)}))
    assert "1 missing: LinearTransformation.bias" in str(raised.value)
    assert "1 unexpected: LinearTransformation.scale" in str(raised.value)


def test_the_tokenizer_is_that_of_transformers(folder: Path) -> None:
    import transformers

    reference, ours = transformers.XLMRobertaTokenizer.from_pretrained(folder), Tokenizer.from_folder(folder)
    texts = ["la niña come una manzana", "两个孩子在海边放风筝", "고양이가 자고 있다", ""]
    expected = reference(texts, padding=True, return_tensors="pt")
    found = ours(texts, padding=True, return_tensors="pt")
    assert torch.equal(found["input_ids"], expected["input_ids"])
    assert torch.equal(found["attention_mask"], expected["attention_mask"])


@pytest.fixture(scope="module")
def clip() -> Any:
    return oracles.clip()


class TestBesideAnImageTower:
    @pytest.fixture
    def image_folder(self, clip: Any, tmp_path: Path) -> Path:
        return with_image_settings(oracles.saved(clip, tmp_path / "clip"))

    def test_text_image_and_logits(
        self, theirs: Theirs, clip: Any, folder: Path, image_folder: Path, tmp_path: Path
    ) -> None:
        encoder = Encoder(folder, image_weights=image_folder, device="cpu")
        ids, mask, pixels = inputs()
        with torch.no_grad():
            text, image = encoder.model.encode_text(ids, mask), encoder.model.encode_image(pixels)
            expected = clip.get_image_features(pixels).pooler_output
            assert_close(text, theirs.embedding(ids, mask))
            assert_close(image, expected)
            scaled = clip.logit_scale.exp() * cosines(expected, theirs.embedding(ids, mask))
            assert_close(logits(encoder.model, image, text), scaled)
        assert_round_trip(encoder.model, tmp_path / "both")

    def test_both_are_saved_as_one_folder(self, folder: Path, image_folder: Path, tmp_path: Path) -> None:
        encoder = Encoder(folder, image_weights=image_folder, device="cpu")
        saved = encoder.save(tmp_path / "both")
        assert read_settings(saved)["model_type"] == "altclip-m-clip"
        _, report = load_with_report(saved)
        assert report.layout == "M-CLIP with its image tower"
        again = Encoder(saved, device="cpu")
        image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (45, 61, 3), np.uint8))
        np.testing.assert_array_equal(
            again.similarity(image, ["a cat", "猫"]), encoder.similarity(image, ["a cat", "猫"])
        )
        assert again.logit_scale == encoder.logit_scale

    def test_one_of_another_width_is_refused(self, theirs: Theirs, image_folder: Path, tmp_path: Path) -> None:
        tensors = {**theirs.tensors, "LinearTransformation.weight": torch.ones(24, WIDTH)}
        settings = {**SETTINGS, "numDims": 24}
        text = written(tmp_path / "wide", settings, {**tensors, "LinearTransformation.bias": torch.ones(24)})
        with pytest.raises(LayoutError, match="24 numbers, image embeddings 16"):
            Encoder(with_xlm_tokenizer(text), image_weights=image_folder, device="cpu")


WANTED = {
    512: "openai/clip-vit-base-patch32",
    640: "timm/vit_base_patch16_plus_clip_240.laion400m_e32",
    768: "openai/clip-vit-large-patch14",
}


@pytest.mark.parametrize("dim", WANTED)
def test_the_wanted_image_tower_is_named_by_the_width(dim: int) -> None:
    config = ModelConfig(vision=None, text=TextConfig(project_dim=dim), heads=heads_of("m-clip"))
    assert f'image_weights="{WANTED[dim]}"' in wanted_image_tower(config)


def test_where_none_is_known_the_option_is_named(folder: Path) -> None:
    with pytest.raises(UsageError, match="has no image tower: name one with image_weights="):
        Encoder(folder, device="cpu").encode_images([])  # of 16 numbers there is no released one
    assert wanted_image_tower(ModelConfig(vision=None, text=None)) == "name one with image_weights="


def test_every_row_of_the_table_is_of_a_family() -> None:
    for row in COMPANIONS:
        assert heads_of(row.family)
        assert row.weights.count("/") == 1
    assert preset("altclip-m18").heads not in [heads_of(row.family) for row in COMPANIONS]


def test_the_error_of_images_names_the_tower(theirs: Theirs, tmp_path: Path) -> None:
    tensors = {**theirs.tensors, "LinearTransformation.weight": torch.ones(512, WIDTH)}
    settings = {**SETTINGS, "numDims": 512}
    folder = written(tmp_path, settings, {**tensors, "LinearTransformation.bias": torch.ones(512)})
    encoder = Encoder(with_xlm_tokenizer(folder), device="cpu")
    assert encoder.encode_texts(["a cat"]).shape == (1, 512)
    with pytest.raises(UsageError) as raised:
        encoder.encode_images(["cat.jpg"])
    assert 'ViT-B/32: open it with image_weights="openai/clip-vit-base-patch32"' in str(raised.value)
    json.dumps(read_settings(folder))

"""Every spelling of names is read, and a layout is a two-way table."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from altclip import AltCLIPModel, AltCLIPTextModel, AltCLIPVisionModel
from altclip.checkpoints import load_model, load_with_report
from altclip.checkpoints.layouts import LAYOUTS, Layout, layout_for, layout_of
from altclip.checkpoints.opening import without_memory
from altclip.encoder.loading import text_dim
from altclip.errors import LayoutError
from altclip.models import PRESETS, DualEncoder, ModelConfig, heads_of, preset
from tests.models import oracles


def rewritten(folder: Path, spelling: Callable[[str], str | None], target: Path) -> Path:
    """The same model with its tensors under other names; those spelt None are left out."""
    target.mkdir()
    (target / "config.json").write_bytes((folder / "config.json").read_bytes())
    tensors = load_file(folder / "model.safetensors")
    save_file({name: t for key, t in tensors.items() if (name := spelling(key))}, target / "model.safetensors")
    return target


def version_4(key: str) -> str:
    return key.replace("vision_model.encoder.layer.", "vision_model.encoder.layers.")


def all_layers(key: str) -> str:
    return key.replace("encoder.layer.", "encoder.layers.")


@pytest.mark.parametrize("spelling", [str, version_4, all_layers], ids=["transformers 5", "transformers 4", "mixed"])
def test_both_towers_in_every_spelling(
    written: tuple[Any, Path], spelling: Callable[[str], str], tmp_path: Path
) -> None:
    theirs, folder = written
    ours = load_model(rewritten(folder, spelling, tmp_path / "model"))
    ids_BL, pixels = oracles.ids(), oracles.images()
    with torch.no_grad():
        assert torch.allclose(ours.encode_text(ids_BL), theirs.get_text_features(ids_BL).pooler_output, atol=1e-5)
        assert torch.allclose(ours.encode_image(pixels), theirs.get_image_features(pixels).pooler_output, atol=1e-5)


def test_transformers_writes_the_spelling_that_is_said_of_it(written: tuple[Any, Path]) -> None:
    """Otherwise the test above would read one spelling three times."""
    keys = load_file(written[1] / "model.safetensors").keys()
    assert any(key.startswith("vision_model.encoder.layer.0.") for key in keys)
    assert not any("encoder.layers." in key for key in keys)


def no_prefix(key: str) -> str | None:
    return key.removeprefix("text_model.") if key.startswith("text_model.") else None


SPELLINGS_OF_TEXT: list[Callable[[str], str | None]] = [
    no_prefix,  # transformers 4
    lambda key: all_layers(name) if (name := no_prefix(key)) else None,  # transformers 5
    lambda key: key if key.startswith("text_model.") else None,  # cut out of a dual model
]


@pytest.mark.parametrize("spelling", SPELLINGS_OF_TEXT, ids=["4", "5", "prefixed"])
def test_the_text_tower_alone(written: tuple[Any, Path], spelling: Callable[[str], str | None], tmp_path: Path) -> None:
    theirs, folder = written
    alone = rewritten(folder, spelling, tmp_path / "model")
    settings = json.loads((folder / "config.json").read_text())["text_config"]
    (alone / "config.json").write_text(json.dumps(settings))
    ours, ids_BL = load_model(alone), oracles.ids()
    assert ours.config.vision is None
    with torch.no_grad():
        expected = theirs.text_model(ids_BL)
        assert torch.allclose(ours.encode_text(ids_BL, head="tokens")[:, 0], expected.pooler_output, atol=1e-5)
        oracles.assert_equal(AltCLIPTextModel.from_pretrained(alone)(ids_BL), expected)


def test_the_text_tower_alone_gives_no_embeddings(written: tuple[Any, Path], tmp_path: Path) -> None:
    """Without its projection, whatever the width."""
    AltCLIPTextModel.from_pretrained(written[1]).save_pretrained(tmp_path)
    with pytest.raises(LayoutError, match=r"without a read-out \(heads: tokens\)"):
        text_dim(load_model(tmp_path).config)


@pytest.mark.parametrize("prefix", ["", "vision_model."], ids=["5", "4"])
def test_the_image_tower_alone(written: tuple[Any, Path], prefix: str, tmp_path: Path) -> None:
    theirs, folder = written

    def spelling(key: str) -> str | None:
        return prefix + key.removeprefix("vision_model.") if key.startswith("vision_model.") else None

    alone = rewritten(folder, spelling, tmp_path / "model")
    settings = json.loads((folder / "config.json").read_text())["vision_config"]
    (alone / "config.json").write_text(json.dumps(settings))
    pixels = oracles.images()
    with torch.no_grad():
        oracles.assert_equal(AltCLIPVisionModel.from_pretrained(alone)(pixels), theirs.vision_model(pixels))


def test_one_tower_out_of_a_dual_folder(written: tuple[Any, Path]) -> None:
    """transformers 5.23 leaves the weights of this text model random without a word."""
    theirs, folder = written
    text, vision = AltCLIPTextModel.from_pretrained(folder), AltCLIPVisionModel.from_pretrained(folder)
    ids_BL, pixels = oracles.ids(), oracles.images()
    with torch.no_grad():
        oracles.assert_equal(text(ids_BL), theirs.text_model(ids_BL))
        oracles.assert_equal(vision(pixels), theirs.vision_model(pixels))


@pytest.mark.parametrize(
    ("kind", "layout"),
    [
        ("XLMRobertaModel", "Hugging Face XLM-RoBERTa"),
        ("XLMRobertaForMaskedLM", "Hugging Face XLM-RoBERTa"),
        ("BertModel", "Hugging Face BERT"),
        ("BertForMaskedLM", "Hugging Face BERT"),
        ("BertForPreTraining", "Hugging Face BERT"),
    ],
)
def test_text_towers_with_any_head_on_them(kind: str, layout: str, tmp_path: Path) -> None:
    theirs = oracles.text_tower(kind)
    ours, report = load_with_report(oracles.saved(theirs, tmp_path))
    assert report.ok
    assert report.layout == layout
    assert len(report.used) + len(report.ignored) == len(load_file(tmp_path / "model.safetensors"))
    assert all(re.search("pooler|lm_head|cls", key) for key in report.ignored)
    assert report.ignored
    ids_BL = oracles.ids(padded=False)
    with torch.no_grad():
        expected = theirs.base_model(ids_BL).last_hidden_state
        assert torch.allclose(ours.text.tower(ids_BL), expected, atol=1e-5)
    assert ours.logit_scale.item() == pytest.approx(2.6592)


def test_the_altclip_text_tower_without_its_readout(written: tuple[Any, Path], tmp_path: Path) -> None:
    theirs, _ = written
    inner = theirs.text_model.roberta
    ours = load_model(oracles.saved(inner, tmp_path))
    ids_BL = oracles.ids()
    with torch.no_grad():
        assert torch.allclose(ours.text.tower(ids_BL), inner(ids_BL).last_hidden_state, atol=1e-5)


def test_norms_of_the_first_bert_files(tmp_path: Path) -> None:
    theirs = oracles.text_tower("BertModel")
    tensors = {
        f"bert.{key}".replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): t
        for key, t in oracles.saved_tensors(theirs, tmp_path).items()
    }
    save_file(tensors, tmp_path / "model.safetensors")
    ids_BL = oracles.ids(padded=False)
    with torch.no_grad():
        expected = theirs(ids_BL).last_hidden_state
        assert torch.allclose(load_model(tmp_path).text.tower(ids_BL), expected, atol=1e-5)


def test_stored_buffers_are_ignored_by_name(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    extra = {
        "text_model.roberta.embeddings.position_ids": torch.arange(40)[None],
        "text_model.roberta.embeddings.token_type_ids": torch.zeros(1, 40, dtype=torch.long),
        "vision_model.embeddings.position_ids": torch.arange(26)[None],
        "text_model.roberta.pooler.dense.weight": torch.zeros(32, 32),
        "text_model.roberta.pooler.dense.bias": torch.zeros(32),
    }
    save_file({**tensors, **extra}, folder / "model.safetensors")
    _, report = load_with_report(folder)
    assert report.ok
    assert sorted(report.ignored) == sorted(extra)
    load_model(folder)


READ_ONLY = ("Chinese-CLIP of its authors", "open_clip", "OpenAI CLIP state dict")  # tests of their own have these


@pytest.mark.parametrize(
    "layout", [layout for layout in LAYOUTS if layout.name not in READ_ONLY], ids=lambda layout: layout.name
)
def test_a_name_goes_there_and_back(layout: Layout) -> None:
    """No two of our tensors have the same place, and what is written is told as the same layout."""
    config = layout.read({}, {})
    names = parameter_names(config)
    placed = {there for name in names if (there := layout.theirs(name))}
    assert [name for name in names if not layout.theirs(name)] in ([], ["logit_scale"])
    assert len(placed) == sum(layout.theirs(name) is not None for name in names)
    assert {layout.canonical(name) for name in placed} == placed
    assert not any(layout.is_ignored(name) for name in placed)
    assert layout_of(layout.write(config), placed) is layout


def parameter_names(config: ModelConfig) -> list[str]:
    with without_memory():
        return [name for name, _ in DualEncoder(config).named_parameters()]


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_has_a_layout(name: str) -> None:
    layout = layout_for(preset(name))
    assert all(layout.theirs(ours) for ours in parameter_names(preset(name)))
    assert layout.read(layout.write(preset(name)), {}) == preset(name)


def test_written_names_are_those_of_transformers_4() -> None:
    layout = layout_for(preset("altclip"))
    expected = {
        "vision.layers.23.attention.query.weight": "vision_model.encoder.layers.23.self_attn.q_proj.weight",
        "vision.class_embedding": "vision_model.embeddings.class_embedding",
        "vision.pre_norm.bias": "vision_model.pre_layrnorm.bias",
        "text.tower.layers.11.norm1.bias": "text_model.roberta.encoder.layer.11.attention.output.LayerNorm.bias",
        "text.tower.words.weight": "text_model.roberta.embeddings.word_embeddings.weight",
        "text.norms.pre_LN.weight": "text_model.pre_LN.weight",
        "text.linears.transformation.bias": "text_model.transformation.bias",
        "text.projections.text_projection.weight": "text_projection.weight",
        "visual_projection.weight": "visual_projection.weight",
        "logit_scale": "logit_scale",
    }
    assert {ours: layout.theirs(ours) for ours in expected} == expected
    assert layout.theirs("text.tower.layers.x.norm1.bias") is None
    assert layout.theirs("visual_projections.weight") is None


def test_no_layout_fits_says_what_each_missed() -> None:
    with pytest.raises(LayoutError) as raised:
        layout_of({"model_type": "gpt2"}, ["wte.weight", "h.0.attn.c_attn.weight"])
    message = str(raised.value)
    assert "2 tensors (h.0.attn.c_attn.weight, wte.weight" in message
    for layout in LAYOUTS:
        assert f"- {layout.name}: no tensor" in message
    assert "model_type is 'gpt2', not 'bert'" in message


def test_the_family_is_told_by_names_where_they_tell_it(written: tuple[Any, Path]) -> None:
    keys = load_file(written[1] / "model.safetensors").keys()
    for model_type in ("altclip", "clip", "chinese_clip", None):
        assert layout_of({"model_type": model_type}, keys).name == "Hugging Face AltCLIP"


def test_xlm_roberta_and_bert_have_the_same_names_and_are_told_by_model_type() -> None:
    keys = ["embeddings.word_embeddings.weight", "encoder.layer.0.output.dense.bias"]
    assert layout_of({"model_type": "bert"}, keys).name == "Hugging Face BERT"
    assert layout_of({"model_type": "xlm-roberta"}, keys).name == "Hugging Face XLM-RoBERTa"
    with pytest.raises(LayoutError, match="model_type is None, not 'bert'"):
        layout_of({}, keys)


def test_a_model_that_no_layout_holds_is_named() -> None:
    with pytest.raises(LayoutError, match=r"an image tower, xlm-roberta text tower and the heads retrieval, diffusion"):
        layout_for(ModelConfig(heads={**heads_of("altclip"), **heads_of("altdiffusion")}))
    with pytest.raises(LayoutError, match="no image tower, no text tower"):
        layout_for(ModelConfig(vision=None, text=None, heads={}))


def test_another_family_is_refused_by_the_classes_of_the_cards(tmp_path: Path) -> None:
    folder = oracles.saved(oracles.clip(), tmp_path)
    with pytest.raises(LayoutError, match=r"'clip' model, expected altclip.*Encoder"):
        AltCLIPModel.from_pretrained(folder)
    with pytest.raises(LayoutError, match="'clip' model"):
        AltCLIPTextModel.from_pretrained(folder)

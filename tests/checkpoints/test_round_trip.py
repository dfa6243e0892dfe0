"""What is saved is what was loaded, for us and for transformers, in every kind of file."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from altclip import AltCLIPModel, AltCLIPTextModel, AltCLIPVisionModel
from altclip.checkpoints import load_model, load_with_report, read_settings, save_model
from altclip.models import DualEncoder, Head, ModelConfig, TextConfig, VisionConfig, initialise
from tests.models import oracles


def same(a: DualEncoder, b: DualEncoder) -> bool:
    x, y = a.state_dict(), b.state_dict()
    return x.keys() == y.keys() and all(torch.equal(x[key], y[key]) for key in x)


def ours(**changes: Any) -> DualEncoder:
    torch.manual_seed(0)
    text = TextConfig.from_dict({**oracles.TEXT, "project_dim": 24, **changes})
    config = ModelConfig(vision=VisionConfig.from_dict(oracles.VISION), text=text, projection_dim=16)
    return oracles.randomised(initialise(DualEncoder(config)))


def opened_by_transformers(kind: str, folder: Path) -> Any:
    """With no weight missing, left over or of another shape."""
    import transformers

    model, info = getattr(transformers, kind).from_pretrained(folder, output_loading_info=True)
    assert not any(info.values()), info
    return model.eval()


def test_transformers_opens_what_we_save(tmp_path: Path) -> None:
    model = ours()
    save_model(model, tmp_path)
    theirs = opened_by_transformers("AltCLIPModel", tmp_path)
    ids_BL, pixels = oracles.ids(), oracles.images()
    mask_BL = (ids_BL != oracles.PAD).long()
    with torch.no_grad():
        expected = AltCLIPModel.from_pretrained(tmp_path)(ids_BL, pixels, mask_BL)
        oracles.assert_equal(theirs(ids_BL, pixels, mask_BL), expected)
        assert torch.allclose(
            model.encode_text(ids_BL, mask_BL), theirs.get_text_features(ids_BL, mask_BL).pooler_output, atol=1e-5
        )


def test_transformers_opens_a_clip_that_we_save(tmp_path: Path) -> None:
    model = load_model(oracles.saved(oracles.clip(), tmp_path / "first"))
    save_model(model, tmp_path / "second")
    theirs = opened_by_transformers("CLIPModel", tmp_path / "second")
    ids_BL, pixels = oracles.clip_ids(), oracles.images()
    with torch.no_grad():
        assert torch.allclose(model.encode_text(ids_BL), theirs.get_text_features(ids_BL).pooler_output, atol=1e-5)
        assert torch.allclose(model.encode_image(pixels), theirs.get_image_features(pixels).pooler_output, atol=1e-5)


@pytest.mark.parametrize("kind", ["XLMRobertaModel", "BertModel"])
def test_transformers_opens_a_text_tower_that_we_save(kind: str, tmp_path: Path) -> None:
    import transformers

    tower = load_model(oracles.saved(oracles.text_tower(kind), tmp_path / "first"))
    save_model(tower, tmp_path / "second")
    theirs = getattr(transformers, kind).from_pretrained(tmp_path / "second").eval()
    ids_BL = oracles.ids(padded=False)
    with torch.no_grad():
        assert torch.allclose(tower.text.tower(ids_BL), theirs(ids_BL).last_hidden_state, atol=1e-5)


def test_transformers_opens_the_towers_that_we_save_alone(written: tuple[Any, Path], tmp_path: Path) -> None:
    ids_BL, pixels = oracles.ids(), oracles.images()
    for kind, inputs in ((AltCLIPTextModel, ids_BL), (AltCLIPVisionModel, pixels)):
        alone = kind.from_pretrained(written[1])
        alone.save_pretrained(tmp_path / kind.__name__)
        theirs = opened_by_transformers(kind.__name__, tmp_path / kind.__name__)
        with torch.no_grad():
            oracles.assert_equal(alone(inputs), theirs(inputs))
            oracles.assert_equal(alone(inputs), kind.from_pretrained(tmp_path / kind.__name__)(inputs))


def test_a_model_comes_back_as_it_was(tmp_path: Path) -> None:
    model = ours()
    assert save_model(model, tmp_path / "new" / "folder") == tmp_path / "new" / "folder"
    loaded = load_model(tmp_path / "new" / "folder")
    assert same(model, loaded)
    assert loaded.config == model.config
    assert not loaded.training
    assert all(p.requires_grad for p in loaded.parameters())


def test_saving_leaves_the_model_as_it_is(tmp_path: Path) -> None:
    model = ours().train()
    save_model(model, tmp_path, dtype=torch.float16)
    assert model.training
    assert {p.dtype for p in model.parameters()} == {torch.float32}


@pytest.mark.parametrize("pickled", [False, True], ids=["safetensors", "bin"])
@pytest.mark.parametrize("tool", ["ours", "transformers"])
def test_shards(tool: str, pickled: bool, tmp_path: Path) -> None:
    model = ours()
    if tool == "ours":
        save_model(model, tmp_path, max_shard_size=40_000)
        from transformers import AltCLIPModel as Theirs

        theirs = Theirs.from_pretrained(tmp_path).eval()
        with torch.no_grad():
            features = theirs.get_text_features(oracles.ids()).pooler_output
        assert torch.allclose(model.encode_text(oracles.ids()), features, atol=1e-5)
    else:
        save_model(model, tmp_path / "whole")
        from transformers import AltCLIPModel as Theirs

        Theirs.from_pretrained(tmp_path / "whole").save_pretrained(tmp_path, max_shard_size="40KB")
    files = sorted(tmp_path.glob("model-*-of-*.safetensors"))
    assert len(files) > 2
    assert max(file.stat().st_size for file in files) < 50_000
    if pickled:
        as_pickles(tmp_path)
    assert same(model, load_model(tmp_path))
    assert same(model.half(), load_model(tmp_path, dtype=torch.float16))


def as_pickles(folder: Path) -> None:
    """Turn safetensors, whole or in shards, into what transformers 4 wrote."""
    for file in folder.glob("model*.safetensors"):
        name = file.name.replace("model", "pytorch_model").replace(".safetensors", ".bin")
        torch.save(load_file(file), folder / name)
        file.unlink()
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        text = index.read_text().replace("model-", "pytorch_model-").replace(".safetensors", ".bin")
        (folder / "pytorch_model.bin.index.json").write_text(text)
        index.unlink()


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "before torch 1.6"])
def test_pickles(zipped: bool, tmp_path: Path) -> None:
    model = ours()
    save_model(model, tmp_path)
    tensors = load_file(tmp_path / "model.safetensors")
    torch.save(tensors, tmp_path / "pytorch_model.bin", _use_new_zipfile_serialization=zipped)
    (tmp_path / "model.safetensors").unlink()
    assert same(model, load_model(tmp_path))
    assert same(model.half(), load_model(tmp_path, dtype=torch.float16))


@pytest.mark.parametrize("name", ["weights.safetensors", "epoch_3.pt"])
def test_a_lone_weight_file_of_any_name(name: str, tmp_path: Path) -> None:
    model = ours()
    save_model(model, tmp_path)
    if name.endswith(".pt"):
        torch.save(load_file(tmp_path / "model.safetensors"), tmp_path / name)
        (tmp_path / "model.safetensors").unlink()
    else:
        (tmp_path / "model.safetensors").rename(tmp_path / name)
    assert same(model, load_model(tmp_path))


def test_safetensors_come_before_pickles(tmp_path: Path) -> None:
    model = ours()
    save_model(model, tmp_path)
    (tmp_path / "pytorch_model.bin").write_bytes(b"never opened")
    assert same(model, load_model(tmp_path))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_a_format_asked_for(dtype: torch.dtype, tmp_path: Path) -> None:
    model = ours()
    save_model(model, tmp_path)
    assert same(model.to(dtype), load_model(tmp_path, dtype=dtype))


def test_a_format_in_the_files_is_kept_or_changed(tmp_path: Path) -> None:
    model = ours()
    save_model(model, tmp_path, dtype=torch.float16)
    assert read_settings(tmp_path)["torch_dtype"] == "float16"
    assert {p.dtype for p in load_model(tmp_path).parameters()} == {torch.float16}
    assert same(model.half().float(), load_model(tmp_path, dtype=torch.float32))


def test_of_several_formats_in_one_file_the_widest_is_taken(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    halved = {key: t.half() if key != "logit_scale" else t for key, t in tensors.items()}
    save_file(halved, folder / "model.safetensors")
    assert {p.dtype for p in load_model(folder).parameters()} == {torch.float32}


def test_a_conversion_that_overflows_is_named(folder: Path) -> None:
    from altclip.errors import WeightsError

    tensors = load_file(folder / "model.safetensors")
    tensors["text_projection.weight"][0, 0] = 1e6
    save_file(tensors, folder / "model.safetensors")
    load_model(folder)
    with pytest.raises(WeightsError, match="1 with NaN or infinity in them: text_projection.weight"):
        load_model(folder, dtype=torch.float16)


def test_a_model_may_be_saved_where_it_was_loaded_from(tmp_path: Path) -> None:
    """Its weights are mapped to the very file that is replaced."""
    save_model(ours(), tmp_path)
    loaded = load_model(tmp_path)
    before = {key: tensor.clone() for key, tensor in loaded.state_dict().items()}
    with torch.no_grad():
        loaded.visual_projection.weight.mul_(2)
    save_model(loaded, tmp_path)
    save_model(load_model(tmp_path), tmp_path)
    after = load_model(tmp_path).state_dict()
    assert torch.equal(after.pop("visual_projection.weight"), 2 * before.pop("visual_projection.weight"))
    assert all(torch.equal(before[key], after[key]) for key in before)
    assert all(torch.equal(before[key], loaded.state_dict()[key]) for key in before)


def test_the_file_may_be_deleted_while_the_model_is_in_use(tmp_path: Path) -> None:
    model = ours()
    save_model(model, tmp_path)
    loaded = load_model(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    assert torch.equal(model.encode_text(oracles.ids()), loaded.encode_text(oracles.ids()))


def test_training_a_loaded_model_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    save_model(ours(), tmp_path)
    content = (tmp_path / "model.safetensors").read_bytes()
    loaded = load_model(tmp_path)
    loaded.encode_text(oracles.ids()).sum().backward()
    torch.optim.SGD(loaded.parameters(), lr=1.0).step()
    assert (tmp_path / "model.safetensors").read_bytes() == content
    assert not same(loaded, load_model(tmp_path))


def test_entries_added_to_the_configuration(tmp_path: Path) -> None:
    save_model(ours(), tmp_path, extra={"seed": 7, "data_digest": "ab12"})
    settings = read_settings(tmp_path)
    assert (settings["seed"], settings["data_digest"], settings["model_type"]) == (7, "ab12", "altclip")
    load_model(tmp_path)


def test_the_format_is_said_in_the_file(tmp_path: Path) -> None:
    """transformers refuses safetensors without it."""
    save_model(ours(), tmp_path)
    with safe_open(tmp_path / "model.safetensors", "pt") as file:
        assert file.metadata() == {"format": "pt"}
    assert json.loads((tmp_path / "config.json").read_text())["architectures"] == ["AltCLIPModel"]


def test_the_report_of_a_whole_model(folder: Path) -> None:
    model, report = load_with_report(folder)
    assert report.ok
    assert report.used["text_projection.weight"] == "text.projections.text_projection.weight"
    assert set(report.used.values()) == set(model.state_dict())
    assert "read as Hugging Face AltCLIP" in report.describe()


def test_heads_that_no_layout_has_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    from altclip.errors import LayoutError

    towers = {"vision": oracles.VISION, "text": oracles.TEXT}
    config = replace(ModelConfig.from_dict(towers), heads={"retrieval": Head(tokens="mean", norm="pre_LN")})
    with pytest.raises(LayoutError, match="no layout holds"):
        save_model(DualEncoder(config), tmp_path / "model")
    assert not (tmp_path / "model").exists()

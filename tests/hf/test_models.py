"""The model classes of the cards: opening, saving, calling, and their mistakes. Equality is tested in tests/models."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import torch

import altclip
from altclip import AltCLIPConfig, AltCLIPModel, AltCLIPProcessor, AltCLIPTextModel, AltCLIPVisionModel
from altclip.checkpoints import load_model
from altclip.errors import LayoutError, UsageError
from tests.models import oracles
from tests.tiny import SIDE, tiny_model_folder

IDS = torch.tensor([[0, 40, 41, 2], [0, 50, 2, 1], [0, 60, 61, 2]])


@pytest.fixture(scope="module")
def model(model_folder: Path) -> AltCLIPModel:
    return AltCLIPModel.from_pretrained(model_folder)


@pytest.fixture
def inputs() -> dict[str, Any]:
    return {"input_ids": IDS, "attention_mask": (IDS != 1).long(), "pixel_values": torch.randn(2, 3, SIDE, SIDE)}


def test_outputs_by_attribute_key_and_index(model: AltCLIPModel, inputs: dict[str, Any]) -> None:
    output = model(**inputs)
    assert output.logits_per_image is output["logits_per_image"] is output[0]
    assert output.logits_per_text is output[1]
    assert output.loss is None
    assert output.logits_per_image.shape == (2, 3)
    assert torch.equal(output.logits_per_image, output.logits_per_text.T)
    assert output.text_embeds.norm(dim=1).tolist() == pytest.approx([1] * 3)
    assert output.text_model_output.hidden_states is None
    assert output.text_model_output.last_hidden_state.shape == (3, 4, 16)
    assert output.vision_model_output.pooler_output.shape == (2, 32)


def test_tuples_instead(model: AltCLIPModel, inputs: dict[str, Any]) -> None:
    """As transformers 4 returned with `return_dict=False`."""
    named = model(**inputs, output_hidden_states=True)
    plain = model(**inputs, output_hidden_states=True, return_dict=False)
    assert type(plain) is tuple
    assert len(plain) == 6
    assert torch.equal(plain[0], named.logits_per_image)
    assert type(plain[4]) is tuple
    assert torch.equal(plain[4][0], named.text_model_output.last_hidden_state)
    assert len(plain[5][2]) == 3
    text = model.text_model(IDS, return_dict=False)
    assert torch.equal(text[1], model.text_model(IDS).pooler_output)


def test_the_configuration_chooses_what_is_returned(model_folder: Path, inputs: dict[str, Any]) -> None:
    wordy = AltCLIPModel.from_pretrained(model_folder, output_hidden_states=True, output_attentions=True)
    assert len(wordy(**inputs).text_model_output.hidden_states) == 3
    assert len(wordy(**inputs).vision_model_output.attentions) == 2
    assert wordy(**inputs, output_hidden_states=False).text_model_output.hidden_states is None


def test_the_loss_is_there_on_request(model: AltCLIPModel, inputs: dict[str, Any]) -> None:
    inputs["pixel_values"] = torch.randn(3, 3, SIDE, SIDE)
    output = model(**inputs, return_loss=True)
    assert output[0] is output.loss
    assert output.loss.shape == ()
    with pytest.raises(UsageError, match="2 image and 3 text features"):
        model(**{**inputs, "pixel_values": torch.randn(2, 3, SIDE, SIDE)}, return_loss=True)


def test_one_side_missing(model: AltCLIPModel) -> None:
    with pytest.raises(UsageError, match=r"both input_ids and pixel_values.*get_text_features"):
        model(input_ids=IDS)
    with pytest.raises(UsageError, match="both input_ids and pixel_values"):
        model(pixel_values=torch.zeros(1, 3, SIDE, SIDE))


def test_an_opened_model_is_ready_for_use(model: AltCLIPModel, model_folder: Path) -> None:
    assert not model.training
    assert not any(module.training for module in model.modules())
    assert model.device == torch.device("cpu")
    assert model.dtype == torch.float32
    assert isinstance(model.config, AltCLIPConfig)
    assert model.config.text_config.hidden_size == 32
    assert model.num_parameters() == sum(p.numel() for p in load_model(model_folder).parameters())
    assert altclip.AltCLIP is AltCLIPModel


def test_a_new_model_is_drawn_from_the_seed(model: AltCLIPModel) -> None:
    torch.manual_seed(0)
    first = AltCLIPModel(model.config)
    torch.manual_seed(0)
    second = AltCLIPModel(model.config)
    assert first.training
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))
    assert AltCLIPTextModel(model.config.text_config).text.config == model.dual.text.config
    assert AltCLIPVisionModel(model.config.vision_config).vision.config == model.dual.vision.config


@pytest.mark.parametrize("option", ["dtype", "torch_dtype"])
@pytest.mark.parametrize(
    ("name", "expected"),
    [(None, torch.float32), ("auto", torch.float16), (torch.bfloat16, torch.bfloat16), ("float64", torch.float64)],
)
def test_formats(option: str, name: Any, expected: torch.dtype, model_folder: Path, tmp_path: Path) -> None:
    """None is float32 whatever the file has, as when the cards were written."""
    AltCLIPModel.from_pretrained(model_folder).half().save_pretrained(tmp_path)
    options: dict[str, Any] = {option: name}
    model = AltCLIPModel.from_pretrained(tmp_path, **options)
    assert {p.dtype for p in model.parameters()} == {expected}
    assert model.dtype == expected


def test_options_of_transformers_that_mean_nothing_here(model_folder: Path) -> None:
    AltCLIPModel.from_pretrained(model_folder, low_cpu_mem_usage=True, trust_remote_code=True, use_safetensors=True)
    assert AltCLIPModel.from_pretrained(model_folder, device_map="cpu").device.type == "cpu"
    with pytest.raises(UsageError, match="no option 'revison': did you mean 'revision'"):
        AltCLIPModel.from_pretrained(model_folder, revison="main")
    with pytest.raises(UsageError, match="dtype 'float17'"):
        AltCLIPModel.from_pretrained(model_folder, dtype="float17")


def test_another_configuration_than_the_one_in_the_folder(model_folder: Path) -> None:
    config = AltCLIPConfig.from_pretrained(model_folder)
    config.text_config.pad_token_id = 3
    assert AltCLIPModel.from_pretrained(model_folder, config=config).dual.text.config.pad_token_id == 3


def test_the_scale_in_the_file_is_taken_and_not_the_initial_one(model_folder: Path, tmp_path: Path) -> None:
    model = AltCLIPModel.from_pretrained(model_folder)
    with torch.no_grad():
        model.logit_scale.fill_(4.5)
    model.save_pretrained(tmp_path)
    assert AltCLIPModel.from_pretrained(tmp_path).logit_scale.item() == 4.5


def test_saving_keeps_what_the_configuration_says(model_folder: Path, tmp_path: Path) -> None:
    model = AltCLIPModel.from_pretrained(model_folder)
    model.config.my_note = "x"
    model.save_pretrained(tmp_path, max_shard_size=30_000)
    settings = json.loads((tmp_path / "config.json").read_text())
    assert (settings["my_note"], settings["model_type"], settings["architectures"]) == (
        "x",
        "altclip",
        ["AltCLIPModel"],
    )
    assert len(list(tmp_path.glob("*.safetensors"))) > 1
    again = AltCLIPModel.from_pretrained(tmp_path)
    assert again.config.my_note == "x"
    assert torch.equal(again.get_text_features(IDS), model.get_text_features(IDS))


def test_a_folder_of_transformers_5_is_saved_with_one_format_only(tmp_path: Path) -> None:
    """It says `dtype`, 4 `torch_dtype`; two that disagree would mislead."""
    oracles.saved(oracles.altclip(), tmp_path / "first")
    AltCLIPModel.from_pretrained(tmp_path / "first", dtype="float16").save_pretrained(tmp_path / "second")
    settings = json.loads((tmp_path / "second" / "config.json").read_text())
    assert "dtype" not in settings
    assert settings["torch_dtype"] == "float16"


def test_the_towers_are_the_same_weights(model_folder: Path) -> None:
    model = AltCLIPModel.from_pretrained(model_folder).train()
    assert model.text_model.text.tower is model.dual.text.tower
    assert model.text_model is model.text_model
    assert model.vision_model.vision is model.dual.vision
    for parameter in model.text_model.parameters():
        parameter.requires_grad_(False)
    model.text_model.eval()
    model(IDS, torch.randn(3, 3, SIDE, SIDE), return_loss=True).loss.backward()
    assert {name for name, p in model.dual.text.named_parameters() if p.grad is not None} == {
        "projections.text_projection.weight"
    }
    assert model.visual_projection.weight.grad is not None
    assert not model.dual.text.tower.training  # the call has not undone it
    assert not model.text_model.training
    assert model.vision_model.training


def test_parts_that_are_replaced_are_used_and_saved(model_folder: Path, tmp_path: Path) -> None:
    model: Any = AltCLIPModel.from_pretrained(model_folder)
    names = {name for name, _ in model.named_parameters()}
    model.text_projection = torch.nn.Linear(16, 16, bias=False)
    model.visual_projection = torch.nn.Linear(32, 16, bias=False)
    model.logit_scale = torch.nn.Parameter(torch.tensor(1.5))
    assert {name for name, _ in model.named_parameters()} == names
    pixels = torch.randn(3, 3, SIDE, SIDE)
    expected = model.text_projection(model.text_model(IDS).pooler_output)
    assert torch.equal(model.get_text_features(IDS), expected)
    torch.testing.assert_close(
        model.get_image_features(pixels), model.visual_projection(model.vision_model(pixels).pooler_output)
    )
    model.save_pretrained(tmp_path)
    again = AltCLIPModel.from_pretrained(tmp_path)
    assert torch.equal(again.get_text_features(IDS), expected)
    assert again.logit_scale.item() == 1.5
    with pytest.raises(UsageError, match="cannot be replaced"):
        model.text_model = model.vision_model


def test_hooks_on_the_towers_are_called_and_towers_are_saved(
    model_folder: Path, inputs: dict[str, Any], tmp_path: Path
) -> None:
    model = copy.deepcopy(AltCLIPModel.from_pretrained(model_folder))
    called: list[str] = []
    for name in ("text_model", "vision_model"):
        tower = getattr(model, name)
        tower.register_forward_hook(lambda *_, name=name: called.append(name))
        tower.save_pretrained(tmp_path / name)
        assert all(p is q for p, q in zip(tower.parameters(), getattr(model, name).parameters(), strict=True))
    model(**inputs)
    assert called == ["text_model", "vision_model"]
    text = AltCLIPTextModel.from_pretrained(tmp_path / "text_model")
    assert torch.equal(text(IDS).pooler_output, model.text_model(IDS).pooler_output)
    assert {id(p) for p in model.text_model.parameters()} < {id(p) for p in model.dual.text.parameters()}


def test_outputs_are_made_anew_by_accelerate_and_by_data_parallel(model: AltCLIPModel, inputs: dict[str, Any]) -> None:
    """As the one does for mixed precision, and the other when it gathers."""
    operations = pytest.importorskip("accelerate.utils.operations")
    half = copy.deepcopy(model).bfloat16()
    whole = operations.convert_to_fp32(half(**{**inputs, "pixel_values": inputs["pixel_values"].bfloat16()}))
    assert whole.logits_per_image is whole[0]
    assert whole.text_model_output.pooler_output.dtype == torch.float32
    pairs = type(whole)((name, whole[name]) for name in whole)
    assert list(pairs) == list(whole)


def test_gradient_checkpointing_by_transformers_names(model_folder: Path) -> None:
    model = AltCLIPModel.from_pretrained(model_folder)
    for part in (model, model.text_model, model.vision_model):
        part.gradient_checkpointing_enable()
    assert model.dual.text.tower.layers.gradient_checkpointing
    assert model.dual.vision.layers.gradient_checkpointing
    for part in (model.text_model, model.vision_model):
        part.gradient_checkpointing_disable()
    assert not model.dual.text.tower.layers.gradient_checkpointing
    assert not model.dual.vision.layers.gradient_checkpointing


def test_moving_a_model(model_folder: Path) -> None:
    model = AltCLIPModel.from_pretrained(model_folder).to("meta")
    assert model.device.type == "meta"


def test_a_folder_of_another_family(tmp_path: Path) -> None:
    folder = oracles.saved(oracles.text_tower("XLMRobertaModel"), tmp_path)
    for kind in (AltCLIPModel, AltCLIPTextModel, AltCLIPVisionModel):
        with pytest.raises(LayoutError, match=r"'xlm-roberta' model, expected altclip"):
            kind.from_pretrained(folder)


def test_the_processor_goes_there_and_back(model_folder: Path, tmp_path: Path) -> None:
    from transformers import AltCLIPProcessor as Theirs

    processor = AltCLIPProcessor.from_pretrained(model_folder, revision=None, use_fast=True)
    processor.save_pretrained(tmp_path / "new" / "folder")
    again = AltCLIPProcessor.from_pretrained(tmp_path / "new" / "folder")
    texts = ["a photo of a cat", "一只猫", "x " * 100]
    batch = again(text=texts, padding=True, return_tensors="pt")
    assert torch.equal(batch["input_ids"], processor(text=texts, padding=True, return_tensors="pt")["input_ids"])
    assert batch["input_ids"].shape[1] == processor.tokenizer.model_max_length
    theirs = Theirs.from_pretrained(tmp_path / "new" / "folder")
    assert theirs(text=texts[:2])["input_ids"] == again(text=texts[:2])["input_ids"]
    with pytest.raises(UsageError, match="no option 'projection_dim'"):
        AltCLIPProcessor.from_pretrained(model_folder, projection_dim=3)
    with pytest.raises(UsageError, match="nothing to process"):
        again()


def test_model_and_processor_in_one_folder(tmp_path: Path) -> None:
    folder = tiny_model_folder(tmp_path / "first")
    AltCLIPModel.from_pretrained(folder).save_pretrained(tmp_path / "second")
    AltCLIPProcessor.from_pretrained(folder).save_pretrained(tmp_path / "second")
    model = AltCLIPModel.from_pretrained(tmp_path / "second")
    processor = AltCLIPProcessor.from_pretrained(tmp_path / "second")
    inputs = processor(
        text=["un chat"], images=torch.zeros(3, 40, 40).numpy().transpose(1, 2, 0).astype("uint8"), return_tensors="pt"
    )
    assert model(**inputs).logits_per_image.shape == (1, 1)

"""AltCLIP and AltCLIP-m9 in the form that FlagAI and the first files of the hub have, against transformers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from altclip.checkpoints import load_model, load_with_report
from altclip.encoder import Encoder
from altclip.errors import WeightsError
from altclip.models import heads_of
from altclip.processing import Processor
from tests.checkpoints.families import (
    assert_close,
    assert_round_trip,
    inputs,
    logits,
    with_xlm_tokenizer,
    written,
)
from tests.models import oracles

TEXT = {
    **oracles.TEXT, "vocab_size": 320, "project_dim": 24, "hidden_act": "gelu", "pooler_fn": "cls",
    "learn_encoder": False,
}  # fmt: skip
XLM_R = {**TEXT, "model_type": "xlm-roberta", "pad_token_id": 1, "layer_norm_eps": 1e-5}
VISION = {**oracles.VISION, "model_type": "clip_vision_model", "hidden_act": "quick_gelu"}
TOP = {"_name_or_path": "openai/clip-vit-large-patch14", "num_layers": 3, "direct_kd": False, "projection_dim": 16}
CONFIGURATIONS: dict[str, Mapping[str, Any]] = {
    "FlagAI": {
        **TOP, "architectures": ["AltCLIP"], "model_type": "clip", "variant": "invert", "text_config": XLM_R,
        "vision_config": VISION, "text_config_dict": None, "vision_config_dict": None,
    },
    "ChineseCLIP": {
        **TOP, "architectures": ["ChineseCLIP"], "model_type": "altclip", "text_config_dict": XLM_R,
        "vision_config_dict": VISION,
    },
    "transformers": {**TOP, "architectures": ["AltCLIPModel"], "text_config": TEXT, "vision_config": VISION},
}  # fmt: skip


@pytest.fixture(scope="module")
def theirs() -> Any:
    return oracles.altclip(text={"vocab_size": 320})


@pytest.fixture(scope="module")
def tensors(theirs: Any) -> dict[str, Tensor]:
    """Under FlagAI's names: layers of the image tower in the plural."""
    state = theirs.state_dict()
    return {key.replace("vision_model.encoder.layer.", "vision_model.encoder.layers."): t for key, t in state.items()}


# XLM-R's pooler, the buffers that older versions of transformers stored, and what FlagAI trains beside the read-out.
BESIDE = {
    "text_model.roberta.embeddings.position_ids": torch.arange(40)[None],
    "text_model.roberta.pooler.dense.weight": torch.ones(32, 32),
    "text_model.roberta.pooler.dense.bias": torch.ones(32),
    "text_model.encoder_tfm.weight": torch.ones(24, 32),
    "text_model.encoder_tfm.bias": torch.ones(24),
    "text_model.lm_head.dense.weight": torch.ones(32, 32),
    "vision_model.embeddings.position_ids": torch.arange(26)[None],
}


@pytest.mark.parametrize("form", CONFIGURATIONS)
def test_every_form_gives_the_numbers_of_transformers(
    form: str, theirs: Any, tensors: dict[str, Tensor], tmp_path: Path
) -> None:
    folder = written(tmp_path / "old", CONFIGURATIONS[form], {**tensors, **BESIDE}, pickle=True)
    model, report = load_with_report(folder)
    assert report.ok
    assert report.layout == "Hugging Face AltCLIP"
    assert sorted(report.ignored) == sorted(BESIDE)
    assert model.config.heads == heads_of("altclip")
    ids, mask, pixels = inputs()
    with torch.no_grad():
        expected = theirs(ids, pixels, mask)
        text, image = model.encode_text(ids, mask), model.encode_image(pixels)
        assert_close(text, theirs.get_text_features(ids, mask).pooler_output)
        assert_close(image, theirs.get_image_features(pixels).pooler_output)
        assert_close(logits(model, image, text), expected.logits_per_image)
    assert_round_trip(model, tmp_path / "ours")


def test_sizes_that_a_file_leaves_out_are_those_of_transformers_and_are_reported(
    tensors: dict[str, Tensor], tmp_path: Path
) -> None:
    cut = {key: value for key, value in CONFIGURATIONS["FlagAI"].items() if key != "projection_dim"}
    cut["vision_config"] = {key: value for key, value in VISION.items() if key != "hidden_act"}
    _, report = load_with_report(written(tmp_path, cut, tensors))
    assert report.filled == {"projection_dim": 768, "vision_config.hidden_act": "quick_gelu"}
    assert "projection_dim is 768, the tensors have 16" in report.contradictions
    with pytest.raises(WeightsError, match="taken from the family: projection_dim 768"):
        load_model(tmp_path)


@pytest.mark.parametrize(
    ("section", "key", "value", "words"),
    [
        ("text_config", "hidden_size", 64, "text hidden_size is 64, the tensors have 32"),
        ("text_config", "project_dim", 16, "text project_dim is 16, the tensors have 24"),
        ("vision_config", "patch_size", 5, "vision patch_size is 5, the tensors have 6"),
    ],
)
def test_sizes_that_contradict_the_tensors_are_named(
    section: str, key: str, value: int, words: str, tensors: dict[str, Tensor], tmp_path: Path
) -> None:
    settings = json.loads(json.dumps(CONFIGURATIONS["FlagAI"]))
    settings[section][key] = value
    with pytest.raises(WeightsError, match=words):
        load_model(written(tmp_path, settings, tensors))


def test_a_missing_and_a_strange_tensor_are_named(tensors: dict[str, Tensor], tmp_path: Path) -> None:
    spoilt = {key: tensor for key, tensor in tensors.items() if key != "text_model.pre_LN.bias"}
    spoilt["text_model.pre_ln.bias"] = tensors["text_model.pre_LN.bias"]
    with pytest.raises(WeightsError) as raised:
        load_model(written(tmp_path, CONFIGURATIONS["FlagAI"], spoilt))
    assert "1 missing: text_model.pre_LN.bias (there is text_model.pre_ln.bias)" in str(raised.value)
    assert "1 unexpected: text_model.pre_ln.bias" in str(raised.value)


OLD_IMAGE_SETTINGS = {
    "feature_extractor_type": "CLIPFeatureExtractor", "do_resize": True, "size": 30, "resample": 3,
    "do_center_crop": True, "crop_size": 30, "do_normalize": True, "do_convert_rgb": True,
    "image_mean": [0.48145466, 0.4578275, 0.40821073], "image_std": [0.26862954, 0.26130258, 0.27577711],
    "processor_class": "AltCLIPProcessor",
}  # fmt: skip
SENTENCES = ["la niña come una manzana", "两个孩子在海边放风筝", "a small dog", "الولد يقرأ"]


@pytest.fixture
def folder(tensors: dict[str, Tensor], tmp_path: Path) -> Path:
    """A whole folder as the hub has it."""
    whole = with_xlm_tokenizer(written(tmp_path / "whole", CONFIGURATIONS["FlagAI"], {**tensors, **BESIDE}))
    (whole / "preprocessor_config.json").write_text(json.dumps(OLD_IMAGE_SETTINGS))
    return whole


def test_the_processor_is_that_of_transformers(folder: Path) -> None:
    import transformers

    tokenizer = transformers.XLMRobertaTokenizer.from_pretrained(folder)
    image_processor = transformers.CLIPImageProcessorPil.from_pretrained(folder)
    processor = Processor.from_folder(folder)
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (45, 61, 3), np.uint8))
    ours = processor(text=SENTENCES, images=image, return_tensors="pt", padding=True)
    expected = tokenizer(SENTENCES, return_tensors="pt", padding=True)
    assert torch.equal(ours["input_ids"], expected["input_ids"])
    assert torch.equal(ours["attention_mask"], expected["attention_mask"])
    assert_close(ours["pixel_values"], image_processor(image, return_tensors="pt")["pixel_values"])


def test_the_encoder_reads_the_whole_folder(theirs: Any, folder: Path, tmp_path: Path) -> None:
    encoder = Encoder(folder, device="cpu")
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (45, 61, 3), np.uint8))
    inputs = Processor.from_folder(folder)(text=SENTENCES, images=image, return_tensors="pt", padding=True)
    with torch.no_grad():
        expected = theirs(**inputs).logits_per_image.softmax(1)[0]
    found = {row.label: row.probability for row in encoder.classify(image, SENTENCES, templates=None)}
    assert [found[sentence] for sentence in SENTENCES] == pytest.approx(expected.tolist(), abs=1e-5)
    again = Encoder(encoder.save(tmp_path / "saved"), device="cpu")
    np.testing.assert_array_equal(again.encode_texts(SENTENCES), encoder.encode_texts(SENTENCES))
    np.testing.assert_array_equal(again.encode_images(image), encoder.encode_images(image))

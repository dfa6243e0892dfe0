"""config.json read as transformers reads it: its defaults, its old forms; and what is no model of ours is refused."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import pytest

from altclip.checkpoints.layouts import Layout, altclip, clip, text_towers
from altclip.checkpoints.layouts.sections import Section
from altclip.errors import LayoutError
from altclip.models import TextConfig, VisionConfig

SECTIONS: dict[str, Section[Any]] = {
    "AltCLIPTextConfig": altclip.TEXT,
    "AltCLIPVisionConfig": altclip.VISION,
    "CLIPTextConfig": clip.TEXT,
    "CLIPVisionConfig": clip.VISION,
    "XLMRobertaConfig": text_towers.XLM_R,
    "BertConfig": text_towers.BERT,
}


@pytest.mark.parametrize("name", SECTIONS)
def test_defaults_are_those_of_the_class(name: str) -> None:
    import transformers

    theirs = getattr(transformers, name)().to_dict()
    section = SECTIONS[name]
    assert {key: theirs[key] for key in section.defaults} == dict(section.defaults)
    assert theirs["model_type"] == section.model_type


@pytest.mark.parametrize("name", ["AltCLIPConfig", "CLIPConfig"])
def test_defaults_of_both_towers_together(name: str) -> None:
    import transformers

    theirs = getattr(transformers, name)().to_dict()
    for key, value in (altclip.DUAL if name == "AltCLIPConfig" else clip.DUAL).items():
        assert theirs[key] == value


@pytest.mark.parametrize("name", SECTIONS)
def test_a_tower_goes_there_and_back(name: str) -> None:
    section = SECTIONS[name]
    config = section.read({"hidden_size": 64, "num_attention_heads": 4, "hidden_act": "relu", "unknown": 1})
    assert (config.hidden_size, config.hidden_act) == (64, "relu")
    assert section.read(section.write(config)) == config
    assert section.read(json.loads(json.dumps(section.write(config)))) == config


def test_every_field_of_ours_is_written_or_implied() -> None:
    """One forgotten in a table would be lost when a model is saved."""
    unused = {  # by that architecture
        "CLIPTextConfig": {"hidden_dropout_prob", "project_dim"},
        "XLMRobertaConfig": {"project_dim", "initializer_factor"},
        "BertConfig": {"project_dim", "initializer_factor", "bos_token_id", "eos_token_id"},
    }
    for name, section in SECTIONS.items():
        fields = set(asdict(section.kind()))
        mapped = {section.renamed.get(key, key) for key in section.defaults} | set(section.fixed)
        assert fields - mapped == unused.get(name, set()), name


LARGE = {"hidden_size": 1024, "num_attention_heads": 16, "patch_size": 14, "num_hidden_layers": 24}
OLD_FORMS: list[Mapping[str, Any]] = [
    {"vision_config": LARGE, "text_config": {"vocab_size": 300}},
    {"vision_config_dict": LARGE, "text_config_dict": {"vocab_size": 300}},
    {"vision_config": LARGE, "vision_config_dict": None, "text_config": {"vocab_size": 300}},
    # where both stand the old one wins, and takes its defaults with it
    {
        "vision_config": {"hidden_size": 32, "image_size": 336},
        "vision_config_dict": LARGE,
        "text_config": {"vocab_size": 7, "hidden_size": 48},
        "text_config_dict": {"vocab_size": 300},
    },
    {"text_config": None, "vision_config": None},
    {},
]


@pytest.mark.parametrize("settings", OLD_FORMS)
@pytest.mark.parametrize("kind", ["AltCLIP", "CLIP"])
def test_old_forms_are_read_as_transformers_reads_them(kind: str, settings: dict[str, Any]) -> None:
    import transformers

    theirs = getattr(transformers, f"{kind}Config").from_dict(json.loads(json.dumps(settings)))
    layout: Layout = altclip.ALTCLIP if kind == "AltCLIP" else clip.CLIP
    text, vision = (altclip.TEXT, altclip.VISION) if kind == "AltCLIP" else (clip.TEXT, clip.VISION)
    ours = layout.read(settings, {})
    assert ours.text == text.read(theirs.text_config.to_dict())
    assert ours.vision == vision.read(theirs.vision_config.to_dict())
    assert (ours.projection_dim, ours.logit_scale_init_value) == (theirs.projection_dim, theirs.logit_scale_init_value)


def test_an_altclip_configuration_without_sizes_is_vit_b_32() -> None:
    vision = altclip.ALTCLIP.read({}, {}).vision
    assert vision is not None
    assert (vision.hidden_size, vision.patch_size, vision.num_hidden_layers) == (768, 32, 12)
    assert VisionConfig().patch_size == 14  # our own default is the released model's


def test_null_means_the_default() -> None:
    assert altclip.TEXT.read({"layer_norm_eps": None, "pad_token_id": None}) == altclip.TEXT.read({})


def test_sizes_as_pairs() -> None:
    assert clip.VISION.read({"image_size": [336, 336], "patch_size": (14, 14)}).image_size == 336


def test_an_integer_is_a_number_too() -> None:
    assert altclip.TEXT.read({"hidden_dropout_prob": 0}).hidden_dropout_prob == 0


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"image_size": [224, 336]}, r"image_size is \[224, 336\]: expected an integer"),
        ({"hidden_size": "768"}, "hidden_size is '768': expected an integer"),
        ({"num_hidden_layers": 1.5}, "num_hidden_layers is 1.5: expected an integer"),
        ({"num_hidden_layers": True}, "num_hidden_layers is True"),
        ({"hidden_act": None, "layer_norm_eps": "small"}, "layer_norm_eps is 'small': expected a number"),
        ({"hidden_act": 3}, "hidden_act is 3: expected a name"),
        ({"hidden_size": 30, "num_attention_heads": 4}, "hidden_size 30 does not divide into 4"),
    ],
)
def test_values_that_make_no_tower_are_named(values: dict[str, Any], message: str) -> None:
    with pytest.raises(LayoutError, match=message):
        altclip.VISION.read(values)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"position_embedding_type": "relative_key"}, r"'relative_key': only 'absolute'"),
        ({"is_decoder": True}, "is_decoder is true"),
        ({"eos_token_id": [2, 3]}, r"eos_token_id is \[2, 3\]"),
    ],
)
def test_variants_that_would_compute_something_else_are_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(LayoutError, match=message):
        text_towers.XLM_R.read(values)
    text_towers.XLM_R.read({"position_embedding_type": "absolute", "is_decoder": False})


def test_a_tower_that_is_no_object_is_named() -> None:
    with pytest.raises(LayoutError, match="text_config is 'large': expected the values"):
        altclip.ALTCLIP.read({"text_config": "large"}, {})
    with pytest.raises(LayoutError, match="projection_dim is 'wide': expected a number"):
        altclip.ALTCLIP.read({"projection_dim": "wide"}, {})


def test_a_written_configuration_is_read_alike_by_transformers() -> None:
    import transformers

    config = altclip.ALTCLIP.read({"projection_dim": 12, "text_config": {"vocab_size": 300, "project_dim": 20}}, {})
    theirs: Any = transformers.AltCLIPConfig.from_dict(altclip.ALTCLIP.write(config))
    assert theirs.projection_dim == 12
    assert altclip.TEXT.read(theirs.text_config.to_dict()) == config.text
    assert altclip.VISION.read(theirs.vision_config.to_dict()) == config.vision


def test_roberta_sizes() -> None:
    """The limit of a text counts from the pad id, and xlm-roberta-large is as its configuration says."""
    large = {
        "vocab_size": 250002, "hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16,
        "intermediate_size": 4096, "max_position_embeddings": 514, "type_vocab_size": 1, "layer_norm_eps": 1e-5,
    }  # fmt: skip
    assert text_towers.XLM_R.read(large) == TextConfig()

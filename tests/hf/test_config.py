"""Configurations behave as transformers' do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from altclip import AltCLIPConfig, AltCLIPTextConfig, AltCLIPVisionConfig
from altclip.errors import CheckpointError, LayoutError, UsageError
from altclip.hf.config import Config

CLASSES: list[type[Config]] = [AltCLIPConfig, AltCLIPTextConfig, AltCLIPVisionConfig]


@pytest.mark.parametrize("kind", CLASSES)
def test_defaults_are_those_of_transformers(kind: type[Config]) -> None:
    import transformers

    theirs = getattr(transformers, kind.__name__)()
    for name, value in kind().to_dict().items():
        expected = getattr(theirs, name)
        if name.endswith("_config"):
            expected = {key: getattr(expected, key) for key in value}
        assert value == expected, name


@pytest.mark.parametrize("kind", CLASSES)
def test_transformers_reads_what_is_written_and_the_other_way_round(kind: type[Config], tmp_path: Path) -> None:
    import transformers

    changes: dict[str, Any] = {"initializer_factor": 0.5}
    if kind is AltCLIPConfig:
        changes = {"projection_dim": 12, "text_config": {"vocab_size": 300}, "vision_config": {"patch_size": 16}}
    ours = kind(**changes)
    ours.save_pretrained(tmp_path / "ours")
    theirs = getattr(transformers, kind.__name__).from_pretrained(tmp_path / "ours")
    theirs.save_pretrained(tmp_path / "theirs")
    again = kind.from_pretrained(tmp_path / "theirs")
    assert again.model_config() == ours.model_config()
    assert kind.from_pretrained(tmp_path / "ours") == ours


def test_values_are_attributes_that_may_be_set() -> None:
    config = AltCLIPConfig()
    config.text_config.num_hidden_layers = 2
    config.vision_config.patch_size = 16
    config.projection_dim = 99
    made = config.model_config()
    assert made.text is not None
    assert made.vision is not None
    assert (made.text.num_hidden_layers, made.vision.patch_size, made.projection_dim) == (2, 16, 99)
    assert config.to_dict()["text_config"]["num_hidden_layers"] == 2


def test_two_configurations_share_nothing() -> None:
    AltCLIPConfig().text_config.hidden_size = 1
    assert AltCLIPConfig().text_config.hidden_size == 1024
    text = AltCLIPTextConfig()
    config = AltCLIPConfig.from_text_vision_configs(text, AltCLIPVisionConfig())
    config.text_config.hidden_size = 1
    assert text.hidden_size == 1024
    content = config.to_dict()
    content["text_config"]["hidden_size"] = 3
    assert config.text_config.hidden_size == 1


def test_unknown_values_are_kept(tmp_path: Path) -> None:
    config = AltCLIPConfig(architectures=["AltCLIPModel"], my_own={"a": [1]}, text_config={"note": "x"})
    assert config.my_own == {"a": [1]}
    config.save_pretrained(tmp_path / "new" / "folder")
    again = AltCLIPConfig.from_pretrained(tmp_path / "new" / "folder")
    assert again == config
    assert again.text_config.note == "x"


def test_an_attribute_that_is_not_there() -> None:
    with pytest.raises(AttributeError):
        _ = AltCLIPConfig().hidden_sizes


def test_a_configuration_object_is_kept_as_it_is() -> None:
    text = AltCLIPTextConfig(vocab_size=5)
    assert AltCLIPConfig(text_config=text).text_config is text


def test_old_names_of_the_towers() -> None:
    import transformers

    old: dict[str, Any] = {"text_config_dict": {"vocab_size": 7}, "vision_config_dict": {"patch_size": 8}}
    ours = AltCLIPConfig(**old)
    theirs: Any = transformers.AltCLIPConfig(**old)
    assert ours.text_config.vocab_size == theirs.text_config.vocab_size == 7
    assert ours.vision_config.patch_size == theirs.vision_config.patch_size == 8
    assert "text_config_dict" not in ours.to_dict()


def test_a_tower_out_of_the_configuration_of_both(tmp_path: Path) -> None:
    AltCLIPConfig(text_config={"vocab_size": 7}, vision_config={"patch_size": 8}).save_pretrained(tmp_path)
    assert AltCLIPTextConfig.from_pretrained(tmp_path).vocab_size == 7
    assert AltCLIPVisionConfig.from_pretrained(tmp_path).patch_size == 8
    assert AltCLIPTextConfig.from_pretrained(tmp_path).model_type == "altclip_text_model"


def test_values_changed_while_opening(tmp_path: Path) -> None:
    AltCLIPConfig().save_pretrained(tmp_path)
    assert AltCLIPConfig.from_pretrained(tmp_path, projection_dim=5).projection_dim == 5
    with pytest.raises(UsageError, match=r"no option 'projection_dims': did you mean 'projection_dim'\?"):
        AltCLIPConfig.from_pretrained(tmp_path, projection_dims=5)
    with pytest.raises(UsageError, match="no option 'subfolder': known are cache_dir, "):
        AltCLIPConfig.from_pretrained(tmp_path, subfolder="text")


@pytest.mark.parametrize("kind", CLASSES)
def test_a_configuration_of_another_class(kind: type[Config], tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "gpt2"}')
    with pytest.raises(LayoutError, match=r"of a 'gpt2' model, expected altclip.*Encoder opens"):
        kind.from_pretrained(tmp_path)


def test_a_folder_without_configuration(tmp_path: Path) -> None:
    with pytest.raises(LayoutError, match=r"has no config\.json"):
        AltCLIPConfig.from_pretrained(tmp_path)


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CheckpointError, match="cannot be written"):
        AltCLIPConfig().save_pretrained(tmp_path / "file")


def test_the_text_form_is_json() -> None:
    config = AltCLIPConfig()
    assert json.loads(config.to_json_string()) == config.to_dict()
    assert repr(config).startswith("AltCLIPConfig {")
    assert config != AltCLIPConfig(projection_dim=5)
    assert AltCLIPTextConfig() != AltCLIPVisionConfig()

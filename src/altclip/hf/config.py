"""Configurations with the names, defaults and ways of transformers' classes; values that they do not know are kept."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final, Self

from altclip.checkpoints.layouts import altclip as layout
from altclip.checkpoints.layouts.sections import part
from altclip.checkpoints.save import save_settings
from altclip.hf.options import check_model_type, settings_of, sort_options
from altclip.models import ModelConfig

# What every configuration of transformers also says; they choose what `forward` returns.
OUTPUTS: Final[Mapping[str, bool]] = {"output_attentions": False, "output_hidden_states": False, "return_dict": True}


class Config(ABC):
    """Base of the three. Values are plain attributes; `to_dict` gives them as config.json holds them."""

    model_type: ClassVar[str]
    defaults: ClassVar[Mapping[str, Any]]
    accepted: ClassVar[tuple[str, ...]]  # values of model_type in files that this class opens

    def __init__(self, **values: Any) -> None:
        values.pop("model_type", None)
        vars(self).update({**self.defaults, **values})

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any: ...
        def __setattr__(self, name: str, value: Any) -> None: ...

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], **changes: Any) -> Self:
        """From the content of a config.json. Raises LayoutError if it is of another class."""
        check_model_type(values, cls.accepted)
        return cls(**{**deepcopy(dict(values)), **changes})

    @classmethod
    def from_pretrained(cls, path_or_id: str | Path, **options: Any) -> Self:
        """From a folder or hub id. options: those of `altclip.checkpoints.resolve`, and values to change."""
        hub, changes = sort_options(options, {*cls.defaults, *OUTPUTS})
        return cls.from_dict(settings_of(path_or_id, hub), **changes)

    def save_pretrained(self, folder: str | Path) -> None:
        """Write config.json into a folder, which is made if absent."""
        save_settings(self.to_dict(), folder)

    def to_dict(self) -> dict[str, Any]:
        values = {name: v.to_dict() if isinstance(v, Config) else deepcopy(v) for name, v in vars(self).items()}
        return {**values, "model_type": self.model_type}

    def to_json_string(self) -> str:
        return json.dumps(self.to_dict(), indent=2, sort_keys=True, ensure_ascii=False) + "\n"

    @abstractmethod
    def model_config(self) -> ModelConfig:
        """The same as a configuration of `altclip.models`. Raises LayoutError for values that make no model."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Config) and type(self) is type(other) and self.to_dict() == other.to_dict()

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"{type(self).__name__} {self.to_json_string()}"


class _Tower(Config):
    part_name: ClassVar[str]

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], **changes: Any) -> Self:
        """From a config.json of this tower, or of a model with both."""
        if any(f"{cls.part_name}_config{old}" in values for old in ("", "_dict")):
            check_model_type(values, AltCLIPConfig.accepted)
            return cls(**{**deepcopy(dict(part(values, cls.part_name, cls.defaults))), **changes})
        return super().from_dict(values, **changes)


class AltCLIPTextConfig(_Tower):
    """The text tower; defaults: XLM-R large with 768 wide features."""

    model_type = layout.TEXT.model_type
    defaults = layout.TEXT.defaults
    accepted = (layout.TEXT.model_type,)
    part_name = "text"

    def model_config(self) -> ModelConfig:
        return layout.ALTCLIP_TEXT.read(self.to_dict(), {})


class AltCLIPVisionConfig(_Tower):
    """The image tower; the defaults are those of transformers, ViT-B/32, while the released models are ViT-L/14."""

    model_type = layout.VISION.model_type
    defaults = layout.VISION.defaults
    accepted = (layout.VISION.model_type, "clip_vision_model")
    part_name = "vision"

    def model_config(self) -> ModelConfig:
        return ModelConfig(vision=layout.VISION.read(self.to_dict()), text=None, heads={})


class AltCLIPConfig(Config):
    """Both towers and the space they meet in."""

    model_type = "altclip"
    defaults = layout.DUAL
    accepted = ("altclip",)
    text_config: AltCLIPTextConfig
    vision_config: AltCLIPVisionConfig

    def __init__(
        self,
        text_config: AltCLIPTextConfig | Mapping[str, Any] | None = None,
        vision_config: AltCLIPVisionConfig | Mapping[str, Any] | None = None,
        **values: Any,
    ) -> None:
        old = {name: values.pop(name, None) for name in ("text_config_dict", "vision_config_dict")}
        super().__init__(**values)
        if not isinstance(text_config, AltCLIPTextConfig):
            given = {"text_config": text_config, **old}
            text_config = AltCLIPTextConfig(**part(given, "text", layout.TEXT.defaults))
        if not isinstance(vision_config, AltCLIPVisionConfig):
            given = {"vision_config": vision_config, **old}
            vision_config = AltCLIPVisionConfig(**part(given, "vision", layout.VISION.defaults))
        self.text_config, self.vision_config = text_config, vision_config

    @classmethod
    def from_text_vision_configs(
        cls, text_config: AltCLIPTextConfig, vision_config: AltCLIPVisionConfig, **values: Any
    ) -> Self:
        """From the configurations of two towers, which are copied."""
        return cls(text_config=text_config.to_dict(), vision_config=vision_config.to_dict(), **values)

    def model_config(self) -> ModelConfig:
        return layout.ALTCLIP.read(self.to_dict(), {})

"""Sizes and choices of a model, as frozen dataclasses with the Hugging Face field names.

A family of the literature is a row of such data (see `heads.py` and `presets.py`), never a flag in the code.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal, Self

from altclip.errors import UsageError
from altclip.models.heads import Head, heads_of

TextArchitecture = Literal["xlm-roberta", "bert", "clip"]


@dataclass(frozen=True)
class Config:
    """Base: to and from plain dictionaries; keys that are not fields are passed over."""

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        known = {f.name for f in fields(cls)}
        return cls(**{key: value for key, value in values.items() if key in known})

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class VisionConfig(Config):
    """A ViT image tower. Defaults: ViT-L/14 of CLIP, which AltCLIP and AltCLIP-m9 carry."""

    hidden_size: int = 1024
    intermediate_size: int = 4096
    num_hidden_layers: int = 24
    num_attention_heads: int = 16
    image_size: int = 224
    patch_size: int = 14
    num_channels: int = 3
    hidden_act: str = "quick_gelu"
    layer_norm_eps: float = 1e-5
    attention_dropout: float = 0.0
    initializer_range: float = 0.02
    initializer_factor: float = 1.0

    def __post_init__(self) -> None:
        check_heads(self.hidden_size, self.num_attention_heads)

    @property
    def grid_size(self) -> int:
        """Patches along one side of the image."""
        return self.image_size // self.patch_size


@dataclass(frozen=True)
class TextConfig(Config):
    """A text tower. Defaults: XLM-R large. `architecture` decides positions, norm order and mask (see `text.py`)."""

    architecture: TextArchitecture = "xlm-roberta"
    vocab_size: int = 250002
    hidden_size: int = 1024
    intermediate_size: int = 4096
    num_hidden_layers: int = 24
    num_attention_heads: int = 16
    max_position_embeddings: int = 514
    type_vocab_size: int = 1
    hidden_act: str = "gelu"
    layer_norm_eps: float = 1e-5
    hidden_dropout_prob: float = 0.1
    attention_probs_dropout_prob: float = 0.1
    initializer_range: float = 0.02
    initializer_factor: float = 0.02
    pad_token_id: int = 1
    bos_token_id: int = 0
    eos_token_id: int = 2
    project_dim: int = 768

    def __post_init__(self) -> None:
        check_heads(self.hidden_size, self.num_attention_heads)

    @property
    def max_length(self) -> int:
        """Longest usable text in tokens; XLM-R loses the rows up to its pad id (514 rows, 512 tokens)."""
        offset = self.pad_token_id + 1 if self.architecture == "xlm-roberta" else 0
        return self.max_position_embeddings - offset


@dataclass(frozen=True)
class ModelConfig(Config):
    """A dual encoder: two towers, the heads its text tower can be read through, and the shared space."""

    vision: VisionConfig | None = field(default_factory=VisionConfig)
    text: TextConfig | None = field(default_factory=TextConfig)
    projection_dim: int = 768
    logit_scale_init_value: float = 2.6592
    heads: Mapping[str, Head] = field(default_factory=lambda: heads_of("altclip"))

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        nested: dict[str, Any] = dict(values)
        for key, kind in (("vision", VisionConfig), ("text", TextConfig)):
            if nested.get(key) is not None:
                nested[key] = kind.from_dict(nested[key])
        if "heads" in nested:
            nested["heads"] = {name: Head(**row) for name, row in nested["heads"].items()}
        return super().from_dict(nested)


def check_heads(hidden_size: int, num_attention_heads: int) -> None:
    """Raise UsageError unless the width divides into the attention heads."""
    if num_attention_heads < 1 or hidden_size % num_attention_heads:
        raise UsageError(
            f"hidden_size {hidden_size} does not divide into {num_attention_heads} attention heads: "
            "choose a hidden_size that is a multiple of num_attention_heads"
        )

"""Configuration classes of transformers as data: their defaults, and our configurations from and to their values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final, Generic, TypeVar

from altclip.checkpoints.layouts.base import Settings
from altclip.errors import LayoutError, UsageError
from altclip.models import TextConfig, VisionConfig

C = TypeVar("C", TextConfig, VisionConfig)

# What makes a model another one; the rest (rates of dropout, widths of random values) only matters to training.
SIZES: Final = frozenset(
    {
        "vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "image_size",
        "patch_size", "max_position_embeddings", "project_dim", "projection_dim", "hidden_act",
    }
)  # fmt: skip


@dataclass(frozen=True)
class Section(Generic[C]):
    """One such class. A value absent from a file (or null) means the class's default, as for transformers.

    kind: our class; renamed: their field -> ours, where the names differ; fixed: fields of ours that the class implies.
    """

    kind: type[C]
    model_type: str
    defaults: Mapping[str, Any]
    renamed: Mapping[str, str] = field(default_factory=dict)
    fixed: Mapping[str, Any] = field(default_factory=dict)

    def read(self, values: Mapping[str, Any]) -> C:
        """Our configuration. Raises LayoutError for a value of another type, or a variant that we do not compute."""
        _refuse_variants(values)
        given = {key: value for key, value in values.items() if key in self.defaults and value is not None}
        ours = {self.renamed.get(key, key): value for key, value in {**self.defaults, **given}.items()}
        known = asdict(self.kind())
        fitting = {key: typed(key, value, known[key]) for key, value in ours.items() if key in known}
        try:
            return self.kind(**fitting, **self.fixed)
        except UsageError as error:
            raise LayoutError(f"the sizes do not fit together: {error}") from error

    def write(self, config: C, **more: Any) -> Settings:
        """Their values. more: values of fields that ours has not, used where the class has such a field."""
        ours = {**asdict(config), **more}
        values = {key: ours.get(self.renamed.get(key, key), value) for key, value in self.defaults.items()}
        return {**values, "model_type": self.model_type}

    def absent(self, values: Mapping[str, Any]) -> Settings:
        """The sizes that a file leaves out, with the values taken instead."""
        return {key: value for key, value in self.defaults.items() if key in SIZES and values.get(key) is None}


def part(settings: Mapping[str, Any], name: str, defaults: Mapping[str, Any]) -> Mapping[str, Any]:
    """The values of one tower in a file for both.

    Files of 2022 nest them as `text_config_dict`; where that stands beside `text_config`, it wins together with the
    defaults it leaves out (the rule of transformers).
    """
    values = _mapping(settings, f"{name}_config")
    old = _mapping(settings, f"{name}_config_dict")
    return {**values, **defaults, **old} if old else values


def number(settings: Mapping[str, Any], name: str, default: float) -> float:
    """A number of the top level. Raises LayoutError for anything else."""
    value = settings.get(name)
    return default if value is None else float(typed(name, value, float(default)))


def _mapping(settings: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = settings.get(name) or {}
    if not isinstance(value, Mapping):
        raise LayoutError(f"{name} is {value!r}: expected the values of a tower")
    return value


def typed(name: str, value: Any, example: Any) -> Any:
    """The value if it is of the example's type; a pair of equal integers counts as one (image and patch sizes).

    Raises LayoutError for another type.
    """
    if isinstance(value, list | tuple) and len(value) == 2 and value[0] == value[1]:
        value = value[0]
    kinds = (int, float) if isinstance(example, float) else type(example)
    if not isinstance(value, kinds) or isinstance(value, bool):
        raise LayoutError(f"{name} is {value!r}: expected {_KINDS[type(example)]}")
    return value


_KINDS: Final = {int: "an integer", float: "a number", str: "a name"}


def _refuse_variants(values: Mapping[str, Any]) -> None:
    """Options of the original classes that change what a tower computes, and that no family here uses."""
    positions = values.get("position_embedding_type") or "absolute"
    if positions != "absolute":
        raise LayoutError(f"position_embedding_type is {positions!r}: only 'absolute' is known here")
    if values.get("is_decoder"):
        raise LayoutError("is_decoder is true: text towers here see the whole text; expected an encoder")

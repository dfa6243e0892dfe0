"""What a layout is: how one kind of folder names its tensors and writes its configuration, both ways, as data."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeAlias

from altclip.models import ModelConfig

Settings = dict[str, Any]  # the content of a config.json
Rows = tuple[tuple[str, str], ...]  # (our prefix, theirs); `{}` stands for the number of a layer
Shapes: TypeAlias = Mapping[str, tuple[int, ...]]  # by our names


def _nothing(_settings: Mapping[str, Any]) -> Mapping[str, Any]:
    return {}


def _unwritten(_config: ModelConfig) -> Settings:
    raise NotImplementedError("this layout is only read")  # as `holds` says of every model


def _never(_config: ModelConfig) -> bool:
    return False


@dataclass(frozen=True)
class Layout:
    """One layout. `rows` is the two-way table of names; the first row whose prefix fits a name maps it.

    read: a configuration from config.json and the shapes of the tensors; some layouts have the one, some the other.
    write, holds: the configuration written, and which models it can hold: none, for layouts that are only read.
    absent: what config.json leaves out, with the values of the family that are taken instead.
    aliases: (regular expression, replacement), applied in turn to the names in a file: other spellings of the same.
    ignored: regular expressions of names that may stand in a file and are not used.
    fused: (regular expression, replacements): a tensor that is several of ours, one below the other.
    transposed: regular expressions of matrices that lie there the other way round.
    starts: beginnings that some name of the file must have each; lacks: beginnings that none may have.
    model_types: where two layouts share all names, what `model_type` in config.json must be.
    needs_config: whether a folder without config.json cannot be of this layout.
    """

    name: str
    rows: Rows
    starts: tuple[str, ...]
    read: Callable[[Mapping[str, Any], Shapes], ModelConfig]
    write: Callable[[ModelConfig], Settings] = _unwritten
    holds: Callable[[ModelConfig], bool] = _never
    absent: Callable[[Mapping[str, Any]], Mapping[str, Any]] = _nothing
    lacks: tuple[str, ...] = ()
    model_types: tuple[str, ...] = ()
    aliases: tuple[tuple[str, str], ...] = ()
    ignored: tuple[str, ...] = ()
    fused: tuple[tuple[str, tuple[str, ...]], ...] = ()
    transposed: tuple[str, ...] = ()
    needs_config: bool = True

    def theirs(self, ours: str) -> str | None:
        """Their name of one of our tensors; None where this layout has no place for it."""
        return _renamed(self.rows, ours)

    def ours(self, canonical: str) -> str | None:
        """Our name of one of their tensors, in canonical spelling; None where it is none of ours."""
        return _renamed(tuple((theirs, ours) for ours, theirs in self.rows), canonical)

    def canonical(self, key: str) -> str:
        """A name found in a file, in the spelling that `theirs` gives."""
        for pattern, replacement in self.aliases:
            key = re.sub(pattern, replacement, key)
        return key

    def is_ignored(self, canonical: str) -> bool:
        return any(re.search(pattern, canonical) for pattern in self.ignored)

    def misses(self, settings: Mapping[str, Any], keys: Iterable[str]) -> list[str]:
        """Why a folder is not of this layout; nothing if it is."""
        names = {self.canonical(key) for key in keys}
        reasons = ["there is no config.json"] if self.needs_config and not settings else []
        reasons += [f"no tensor '{s}...'" for s in self.starts if not any(n.startswith(s) for n in names)]
        reasons += [f"there are tensors '{s}...'" for s in self.lacks if any(n.startswith(s) for n in names)]
        model_type = settings.get("model_type")
        if self.model_types and model_type not in self.model_types:
            reasons.append(f"model_type is {model_type!r}, not {' or '.join(map(repr, self.model_types))}")
        return reasons


def _renamed(rows: Rows, name: str) -> str | None:
    for pattern, target in _compiled(rows):
        if found := pattern.fullmatch(name):
            *numbers, rest = found.groups()
            return target.format(*numbers) + (rest or "")
    return None


@lru_cache
def _compiled(rows: Rows) -> tuple[tuple[re.Pattern[str], str], ...]:
    return tuple((re.compile(re.escape(a).replace(r"\{\}", r"(\d+)") + r"(\..+)?"), b) for a, b in rows)

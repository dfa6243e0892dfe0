"""What a layout is: how one kind of folder names its tensors and writes its configuration, both ways, as data."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from altclip.models import ModelConfig

Settings = dict[str, Any]  # the content of a config.json
Rows = tuple[tuple[str, str], ...]  # (our prefix, theirs); `{}` stands for the number of a layer


@dataclass(frozen=True)
class Layout:
    """One layout. `rows` is the two-way table of names; the first row whose prefix fits a name maps it.

    aliases: (regular expression, replacement), applied in turn to the names in a file: other spellings of the same.
    ignored: regular expressions of names that may stand in a file and are not used.
    starts: beginnings that some name of the file must have each; lacks: beginnings that none may have.
    model_types: where two layouts share all names, what `model_type` in config.json must be.
    """

    name: str
    rows: Rows
    starts: tuple[str, ...]
    read: Callable[[Mapping[str, Any]], ModelConfig]
    write: Callable[[ModelConfig], Settings]
    holds: Callable[[ModelConfig], bool]
    lacks: tuple[str, ...] = ()
    model_types: tuple[str, ...] = ()
    aliases: tuple[tuple[str, str], ...] = ()
    ignored: tuple[str, ...] = ()

    def theirs(self, ours: str) -> str | None:
        """Their name of one of our tensors; None where this layout has no place for it."""
        for pattern, target in _compiled(self.rows):
            if found := pattern.fullmatch(ours):
                *numbers, rest = found.groups()
                return target.format(*numbers) + (rest or "")
        return None

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
        reasons = [f"no tensor '{s}...'" for s in self.starts if not any(n.startswith(s) for n in names)]
        reasons += [f"there are tensors '{s}...'" for s in self.lacks if any(n.startswith(s) for n in names)]
        model_type = settings.get("model_type")
        if self.model_types and model_type not in self.model_types:
            reasons.append(f"model_type is {model_type!r}, not {' or '.join(map(repr, self.model_types))}")
        return reasons


@lru_cache
def _compiled(rows: Rows) -> tuple[tuple[re.Pattern[str], str], ...]:
    return tuple((re.compile(re.escape(ours).replace(r"\{\}", r"(\d+)") + r"(\..+)?"), theirs) for ours, theirs in rows)

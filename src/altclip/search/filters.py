"""Conditions on rows as the filter language of the store; every value is escaped, none is ever pasted as it is."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from altclip.errors import UsageError
from altclip.search.text import fold


@dataclass(frozen=True)
class Where:
    """What rows must be: all that is given holds.

    folder: the indexed root, or any folder below one. taken_from, taken_to: from the first on, before the second.
    name_contains: a part of the file's name, whatever its case and accents. extra: keys with the value each must have.
    """

    folder: str | Path | None = None
    taken_from: datetime | None = None
    taken_to: datetime | None = None
    name_contains: str | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)

    def to_filter(self) -> str | None:
        """The condition, None where there is none."""
        parts = []
        if self.folder is not None:
            root = str(self.folder).rstrip("/\\") or "/"
            below = quoted(root if root == "/" else root + "/")
            parts.append(f"(folder = {quoted(root)} OR starts_with(path, {below}))")
        if self.taken_from is not None:
            parts.append(f"taken >= {_moment(self.taken_from)}")
        if self.taken_to is not None:
            parts.append(f"taken < {_moment(self.taken_to)}")
        if self.name_contains:
            parts.append(f"contains(folded, {quoted(fold(self.name_contains))})")
        parts += [f"array_has(facts, {quoted(fact(key, value))})" for key, value in self.extra.items()]
        return " AND ".join(parts) or None


def quoted(value: str) -> str:
    """A string of the filter language.

    Raises:
        UsageError: the value holds a character that the language cannot hold.
    """
    if "\0" in value or any("\ud800" <= c <= "\udfff" for c in value):
        raise UsageError(f"a filter cannot hold {value!r}: leave out NUL and broken characters")
    return "'" + value.replace("'", "''") + "'"


def one_of(column: str, values: Iterable[str]) -> str:
    """`column` is one of the values."""
    return f"{column} IN ({', '.join(map(quoted, values)) or 'NULL'})"


def fact(key: str, value: Any) -> str:
    """One entry of a row's own metadata, as it is kept and looked for: 5 and "5" differ, 5 and 5.0 do not."""
    plain = int(value) if isinstance(value, float) and value.is_integer() else value
    return json.dumps([key, plain], ensure_ascii=False, sort_keys=True)


def facts(extra: Mapping[str, Any]) -> list[str]:
    """All entries of `extra`; a list among the values counts by each of its members too."""
    found = []
    for key, value in extra.items():
        found.append(fact(key, value))
        found += [fact(key, member) for member in value] if isinstance(value, list | tuple) else []
    return found


def _moment(moment: datetime) -> str:
    """A time of the filter language. Raises UsageError for anything but a datetime."""
    if not isinstance(moment, datetime):
        raise UsageError(f"{moment!r} is no time: expected a datetime.datetime")
    return f"timestamp '{moment.replace(tzinfo=None).isoformat(sep=' ', timespec='microseconds')}'"

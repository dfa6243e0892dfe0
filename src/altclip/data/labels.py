"""Names of classes and concepts by language, from a JSON-lines file with one line a class.

    {"wnid": "n01443537", "names": {"en": "goldfish", "zh": "金鱼"}, "synonyms": {"zh": "鲫鱼"}}

A field holds, by language, one name or a list of them. The first field's first name is the class's name; the rest are
used for training only.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from altclip.errors import DataError


@dataclass(frozen=True)
class Labels:
    """names[key][language]: the name first, then others, no repeats."""

    names: Mapping[str, Mapping[str, tuple[str, ...]]]

    def keys_in(self, languages: Collection[str]) -> list[str]:
        """Keys that have a name in every one of these languages, in file order."""
        return [key for key, by_language in self.names.items() if all(by_language.get(lang) for lang in languages)]

    def adding(self, others: Mapping[str, Mapping[str, str]]) -> Labels:
        """The same labels with one more name by language and key, last, where it is a new one; other keys are left."""
        return Labels(
            {
                key: {
                    language: tuple(dict.fromkeys([*by_language.get(language, ()), *own]))
                    for language in {**by_language, **others}
                    if (own := [others[language][key]] if key in others.get(language, {}) else [])
                    or by_language.get(language)
                }
                for key, by_language in self.names.items()
            }
        )


def read_labels(path: Path, key: str, fields: Sequence[str] = ("names", "synonyms")) -> Labels:
    """Read such a file. Raises DataError naming the file and line that cannot be used."""
    names: dict[str, dict[str, tuple[str, ...]]] = {}
    for number, line in enumerate(_lines(path), 1):
        try:
            row = json.loads(line)
            names[str(row[key])] = _names(row, fields)
        except (json.JSONDecodeError, KeyError, AttributeError, TypeError) as error:
            raise DataError(
                f"{path}, line {number}: {error!r}; expected '{key}' and {list(fields)} by language"
            ) from error
    return Labels(names)


def _lines(path: Path) -> list[str]:
    try:
        return [line for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"labels file {path} cannot be read: {error}") from error


def _names(row: Mapping[str, Mapping[str, str | Sequence[str]]], fields: Sequence[str]) -> dict[str, tuple[str, ...]]:
    names: dict[str, dict[str, None]] = {}
    for field in fields:
        for language, value in row.get(field, {}).items():
            listed = [value] if isinstance(value, str) else value
            names.setdefault(language, {}).update(dict.fromkeys(name.strip() for name in listed if name.strip()))
    return {language: tuple(listed) for language, listed in names.items()}


def says_nothing(key: str) -> bool:
    """Whether a class's key is a number, or an id such as n01443537, and no name."""
    return re.fullmatch(r"\w?\d+", key) is not None or not any(character.isalpha() for character in key)

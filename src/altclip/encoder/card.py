"""A model's languages and licence, from config.json, from its card, or as known of the released ones."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from altclip.checkpoints.hub import REPOSITORIES
from altclip.languages import LANGUAGES


@dataclass(frozen=True)
class Card:
    """languages: codes such as "en", or None where nothing says; licence: its name, or None."""

    languages: tuple[str, ...] | None = None
    licence: str | None = None


# From the models' own pages. The heads of their cards name one language where the text names all.
_RELEASED: Final[Mapping[str, Card]] = {
    "BAAI/AltCLIP": Card(("en", "zh"), "creativeml-openrail-m"),
    "BAAI/AltCLIP-m9": Card(LANGUAGES, "creativeml-openrail-m"),
    "openai/clip-vit-large-patch14": Card(("en",), None),
}


def card_of(name: str, folder: Path | None, settings: Mapping[str, Any]) -> Card:
    """What is known of a model: by what the user called it, the folder it lies in, and the content of its config.json.

    In this order: `languages` and `license` of config.json, the list of released models, the head of README.md.
    """
    released = _RELEASED.get(REPOSITORIES.get(name, name), Card())
    head = _head(folder / "README.md") if folder is not None else Card()
    languages = settings.get("languages")
    stated = tuple(map(str, languages)) if isinstance(languages, Sequence) and not isinstance(languages, str) else None
    return Card(
        stated or released.languages or head.languages,
        settings.get("license") or released.licence or head.licence,
    )


def _head(readme: Path) -> Card:
    """The two entries of a card's YAML head that are wanted; a head of another form says nothing."""
    try:
        text = readme.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return Card()
    found = re.match(r"---\r?\n(.*?)\r?\n---\s", text, re.DOTALL)
    if not found:
        return Card()
    licences = _values(found[1], "license_name") or _values(found[1], "license")
    return Card(tuple(_values(found[1], "language")) or None, licences[0] if licences else None)


def _values(head: str, key: str) -> list[str]:
    """The values of `key: a`, `key: [a, b]`, or `key:` with `- a` in the lines that follow."""
    found = re.search(rf"^{key}:[ \t]*(.*)((?:\r?\n[ \t]*- .*)*)", head, re.MULTILINE)
    if not found:
        return []
    listed = found[1].strip().strip("[]").split(",") if found[1].strip() else re.findall(r"- (.*)", found[2])
    return [value.strip().strip("'\"") for value in listed if value.strip()]

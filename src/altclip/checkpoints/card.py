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

    def to_settings(self) -> dict[str, Any]:
        """What is known, as entries of config.json that `card_of` reads."""
        languages = {} if self.languages is None else {"languages": list(self.languages)}
        return languages | ({} if self.licence is None else {"license": self.licence})


_M18: Final = (
    "en", "zh", "ja", "th", "ko", "hi", "uk", "ar", "tr", "vi", "pl", "nl", "pt", "it", "es", "de", "fr", "ru",
)  # fmt: skip
# By the head of M-CLIP's cards; its tables show Korean too.
_M_CLIP: Final = (
    "af", "sq", "am", "ar", "az", "bn", "bs", "bg", "ca", "zh", "hr", "cs", "da", "nl", "en", "et", "fr", "de", "el",
    "hi", "hu", "is", "id", "it", "ja", "mk", "ml", "mr", "pl", "pt", "ro", "ru", "sr", "sl", "es", "sw", "sv", "tl",
    "te", "tr", "tk", "uk", "ur", "ug", "uz", "vi", "xh",
)  # fmt: skip
# From the models' own pages and FlagAI's. The heads of their cards name one language where the text names all.
_RELEASED: Final[Mapping[str, Card]] = {
    "BAAI/AltCLIP": Card(("en", "zh"), "creativeml-openrail-m"),
    "BAAI/AltCLIP-m9": Card(LANGUAGES, "creativeml-openrail-m"),
    # m18's cards name no licence: the first versions of AltCLIP-m18's said creativeml-openrail-m, and it was taken out
    "BAAI/AltCLIP-m18": Card(_M18, None),
    "BAAI/AltDiffusion": Card(("en", "zh"), "creativeml-openrail-m"),
    "BAAI/AltDiffusion-m9": Card(LANGUAGES, "creativeml-openrail-m"),
    "BAAI/AltDiffusion-m18": Card(_M18, None),
    "M-CLIP/XLM-Roberta-Large-Vit-B-32": Card(_M_CLIP, None),  # of the authors' code it is MIT
    "M-CLIP/XLM-Roberta-Large-Vit-B-16Plus": Card(_M_CLIP, None),
    "M-CLIP/XLM-Roberta-Large-Vit-L-14": Card(_M_CLIP, None),
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

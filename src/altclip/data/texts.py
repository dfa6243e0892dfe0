"""Which text goes with a row: a name of its class, filled into a template at times, or one of its captions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from altclip import prompts
from altclip.data.labels import Labels
from altclip.errors import DataError


class TextChooser(Protocol):
    """Draws a text for a row; `key` is what rows of one meaning share."""

    def key(self, row: Mapping[str, Any]) -> str: ...
    def choose(self, row: Mapping[str, Any], draw: np.random.Generator) -> str: ...


@dataclass(frozen=True)
class ClassNames:
    """A name of the row's class: language at random, the first name or another with equal chance, sometimes in a template."""

    labels: Labels
    column: str
    languages: Sequence[str]
    template_share: float = 0.5

    def key(self, row: Mapping[str, Any]) -> str:
        return str(row[self.column])

    def choose(self, row: Mapping[str, Any], draw: np.random.Generator) -> str:
        names = self.labels.names.get(self.key(row))
        languages = [language for language in self.languages if names and names.get(language)]
        if not names or not languages:
            raise DataError(f"no name in {', '.join(self.languages)} for {self.column} = {self.key(row)!r}")
        language = languages[draw.integers(len(languages))]
        return name_text(names[language], language, self.template_share, draw)


def name_text(names: Sequence[str], language: str, template_share: float, draw: np.random.Generator) -> str:
    """One of a class's names (the first half of the time), in a template of its language in `template_share` of cases."""
    name = names[0] if len(names) == 1 or draw.random() < 0.5 else names[draw.integers(1, len(names))]
    if draw.random() >= template_share:
        return name
    templates = prompts.templates(language)
    return prompts.fill(templates[draw.integers(len(templates))], name)


@dataclass(frozen=True)
class Captions:
    """One of the row's captions: a language at random, then one of its captions. columns: column of each language."""

    columns: Mapping[str, str]

    def key(self, row: Mapping[str, Any]) -> str:
        return repr([row[column] for column in self.columns.values()])

    def choose(self, row: Mapping[str, Any], draw: np.random.Generator) -> str:
        given = {language: _listed(row[column]) for language, column in self.columns.items()}
        languages = [language for language, texts in given.items() if texts]
        if not languages:
            raise DataError(f"no caption in the columns {', '.join(self.columns.values())}")
        texts = given[languages[draw.integers(len(languages))]]
        return texts[draw.integers(len(texts))]


def _listed(value: object) -> list[str]:
    """Captions of a cell that holds one, several, or none."""
    texts = [value] if isinstance(value, str) else list(value) if isinstance(value, Sequence) else []
    return [text for text in texts if isinstance(text, str) and text.strip()]

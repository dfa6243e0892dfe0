"""Which text goes with a row: a name of its class, filled into a template at times, or one of its captions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from altclip import prompts
from altclip.data.labels import Labels
from altclip.errors import DataError
from altclip.languages import Language
from altclip.prompts.catalogue import check_language


class TextChooser(Protocol):
    """Draws a text for a row; `columns` are those it reads, `key` is what rows of one meaning share."""

    @property
    def columns(self) -> list[str]: ...
    def key(self, row: Mapping[str, Any]) -> str: ...
    def choose(self, row: Mapping[str, Any], draw: np.random.Generator) -> str: ...


@dataclass(frozen=True)
class ClassNames:
    """A name of the row's class: language at random, its first name or another with equal chance, or in a template.

    class_names: what the integers of the column stand for, where it holds integers (folders of an image folder).
    """

    labels: Labels
    column: str
    languages: Sequence[str]
    template_share: float = 0.5
    class_names: Sequence[str] = ()

    @property
    def columns(self) -> list[str]:
        return [self.column]

    def key(self, row: Mapping[str, Any]) -> str:
        value = row[self.column]
        return self.class_names[value] if self.class_names and isinstance(value, int) else str(value)

    def choose(self, row: Mapping[str, Any], draw: np.random.Generator) -> str:
        names = self.labels.names.get(self.key(row))
        languages = [language for language in self.languages if names and names.get(language)]
        if not names or not languages:
            raise DataError(f"no name in {', '.join(self.languages)} for {self.column} = {self.key(row)!r}")
        language = languages[draw.integers(len(languages))]
        return name_text(names[language], language, self.template_share, draw)


def name_text(names: Sequence[str], language: str, template_share: float, draw: np.random.Generator) -> str:
    """One of a class's names (half of the time the first), in `template_share` of cases in a template."""
    name = names[0] if len(names) == 1 or draw.random() < 0.5 else names[int(draw.integers(1, len(names)))]
    if draw.random() >= template_share:
        return name
    templates = prompts.templates(check_language(language))
    return prompts.fill(templates[draw.integers(len(templates))], name)


@dataclass(frozen=True)
class Captions:
    """One of the row's captions: a language at random, then one of its captions.

    by_language: column of each language.
    """

    by_language: Mapping[Language, str]

    @property
    def columns(self) -> list[str]:
        return list(self.by_language.values())

    def key(self, row: Mapping[str, Any]) -> str:
        return repr([row[column] for column in self.columns])

    def choose(self, row: Mapping[str, Any], draw: np.random.Generator) -> str:
        given = {language: _listed(row[column]) for language, column in self.by_language.items()}
        languages = [language for language, texts in given.items() if texts]
        if not languages:
            raise DataError(f"no caption in the columns {', '.join(self.columns)}")
        texts = given[languages[draw.integers(len(languages))]]
        return texts[draw.integers(len(texts))]


def _listed(value: object) -> list[str]:
    """Captions of a cell that holds one, several, or none."""
    texts = [value] if isinstance(value, str) else list(value) if isinstance(value, Sequence) else []
    return [text for text in texts if isinstance(text, str) and text.strip()]

"""What the nine JSON files hold: templates and label sets, read when first asked for and then kept."""

from __future__ import annotations

import functools
import json
from importlib.resources import files
from typing import Final, TypedDict

from altclip.errors import UsageError
from altclip.languages import LANGUAGES, Language

NEUTRAL: Final[tuple[str, ...]] = ("{}",)
"""The templates of a label whose language is not known: the label alone."""


class _Entry(TypedDict):
    language: Language
    templates: list[str]
    labels: dict[str, dict[str, str]]


def templates(language: Language | None) -> tuple[str, ...]:
    """The templates of one language, each with one `{}` for the label; None gives `("{}",)`, the label alone.

    Raises UsageError for a language that is not one of the nine.
    """
    return NEUTRAL if language is None else tuple(_entry(check_language(language))["templates"])


def label_sets() -> tuple[str, ...]:
    """The names of the label sets: those of CIFAR-10, CIFAR-100 and of the bundled model's 200 classes."""
    return tuple(_entry("en")["labels"])


def label_set(name: str, language: Language) -> dict[str, str]:
    """Id to label of one set in one language, in the order of the data set's class indices.

    The ids are the same in every language: the fine label names of CIFAR, and for `mini` the wnids in sorted order.
    The dictionary is the caller's own. Raises UsageError for an unknown set or language.
    """
    labels = _entry(check_language(language))["labels"]
    if name not in labels:
        raise UsageError(f"unknown label set {name!r}: expected one of {', '.join(labels)}; or give labels of your own")
    return dict(labels[name])


def check_language(language: str) -> Language:
    """The language given, if it is one of the nine; UsageError otherwise."""
    for known in LANGUAGES:
        if known == language:
            return known
    raise UsageError(
        f"unknown language {language!r}: expected one of {', '.join(LANGUAGES)}; "
        "for any other leave the language out, and the label is used without a template"
    )


@functools.cache
def _entry(language: Language) -> _Entry:
    text = files("altclip.prompts").joinpath(f"{language}.json").read_text(encoding="utf-8")
    entry: _Entry = json.loads(text)
    return entry

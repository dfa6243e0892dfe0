"""Prompts for labels: which templates a label gets, and putting it in.

1. Templates given by the caller are used for every label; None means the labels as they are.
2. "auto" takes the templates of the label's language: the language given, else the one its script tells.
3. A script is judged over the whole label set (see `altclip.languages.detect`): 鳥 beside ネコ is Japanese.
4. Where nothing tells the language (Latin letters, digits) the label stands alone; none is guessed.
"""

from __future__ import annotations

import reprlib
from collections.abc import Sequence
from typing import Literal

from altclip.errors import UsageError
from altclip.languages import Language, detect
from altclip.prompts.catalogue import check_language
from altclip.prompts.catalogue import templates as templates_of
from altclip.prompts.labels import check_texts

_SLOT = "{}"


def fill(template: str, label: str) -> str:
    """The template with `label` in place of its `{}`. Both are plain text: other braces mean nothing, in either.

    Raises UsageError for a template without exactly one `{}`.
    """
    if template.count(_SLOT) != 1:
        raise UsageError(
            f"template {reprlib.repr(template)} has {template.count(_SLOT)} places for the label: "
            "expected exactly one {}, as in 'a photo of {}'; add it or remove the others"
        )
    before, _, after = template.partition(_SLOT)
    return before + label + after


def prompts_for(
    labels: Sequence[str],
    *,
    templates: Literal["auto"] | Sequence[str] | None = "auto",
    language: Language | Sequence[Language | None] | None = None,
) -> list[list[str]]:
    """One list of prompts a label, in the order of `labels`; never an empty one.

    `templates`: "auto" for those of the label's language, None for the label alone, or your own for every label.
    `language`: one for all labels, one a label, or None to tell each by its script; a None in a list likewise.
    Labels that occur twice are filled twice (`check_labels` refuses them).
    Raises UsageError for no labels, an empty label, an unknown language, or templates that cannot be used.
    """
    check_texts(labels)
    languages = _languages(labels, language)
    if templates == "auto":
        return [[fill(t, label) for t in templates_of(of)] for label, of in zip(labels, languages, strict=True)]
    if templates is None:
        return [[label] for label in labels]
    own = _own(templates)
    return [[fill(template, label) for template in own] for label in labels]


def _languages(labels: Sequence[str], language: Language | Sequence[Language | None] | None) -> list[Language | None]:
    """The language of each label: the one given, else by script over the whole set."""
    if isinstance(language, str):
        return [check_language(language)] * len(labels)
    told = detect(labels)
    if language is None:
        return told
    if len(language) != len(labels):
        raise UsageError(
            f"{len(language)} languages for {len(labels)} labels: expected one a label; give one language for all, "
            "or None where the script should tell"
        )
    return [
        check_language(given) if given is not None else script for given, script in zip(language, told, strict=True)
    ]


def _own(templates: Sequence[str]) -> Sequence[str]:
    if isinstance(templates, str):
        raise UsageError(
            f"templates is the text {reprlib.repr(templates)}: expected 'auto', None, or a list of templates; "
            "put a single template in a list"
        )
    if not templates:
        raise UsageError("templates is an empty list: expected at least one template; use None for the labels alone")
    return templates

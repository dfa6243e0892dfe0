"""Labels as people give them: split from one line, and refused where they cannot be told apart."""

from __future__ import annotations

import re
import reprlib
import unicodedata
from collections import Counter
from collections.abc import Sequence
from typing import Final

from altclip.errors import UsageError

_COMMAS: Final = re.compile("[,\uff0c\u3001\u060c]")  # Latin, full-width, ideographic, Arabic


def split_labels(text: str) -> list[str]:
    """The labels of one line: split at the commas `,` `，` `、` `،`, trimmed, empty pieces left out."""
    return [piece for piece in (part.strip() for part in _COMMAS.split(text)) if piece]


def check_labels(labels: Sequence[str]) -> None:
    """Refuse labels that no one could choose among: none, an empty one, or the same one twice.

    Two labels are the same if only outer spaces or the composition of accents tell them apart. Raises UsageError.
    """
    check_texts(labels)
    counts = Counter(unicodedata.normalize("NFC", label.strip()) for label in labels)
    twice = [reprlib.repr(label) for label, count in counts.items() if count > 1]
    if twice:
        raise UsageError(
            f"labels given more than once: {', '.join(twice)}; expected each label once, or the probability is "
            "divided among equals: remove the repeats, or make them more specific"
        )


def check_texts(labels: Sequence[str]) -> None:
    """Refuse labels that are no list of texts, no labels at all, and labels without a visible character."""
    if isinstance(labels, str):
        raise UsageError(
            f"labels are one text, {reprlib.repr(labels)}: expected a list; altclip.prompts.split_labels() makes one"
        )
    if len(labels) == 0:
        raise UsageError(
            "no labels: expected at least one; give labels of your own, or take altclip.prompts.label_set()"
        )
    for place, label in enumerate(labels):
        if not isinstance(label, str):
            raise UsageError(f"label {place} is {reprlib.repr(label)}: expected a text; convert it with str()")
        if not any(_visible(character) for character in label):
            raise UsageError(f"label {place} is {reprlib.repr(label)}, an empty text: expected a word; leave it out")


def _visible(character: str) -> bool:
    """Whether a character shows: not a space, a control character or a format mark such as the zero-width space."""
    return unicodedata.category(character) not in {"Zs", "Zl", "Zp", "Cc", "Cf"}

"""What charts call models, methods and languages: matplotlib draws boxes for many scripts and reverses Arabic."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

LONGEST: Final = 28
# no dollar sign or backslash, which start formulas in matplotlib, and no underscore first, which hides a label
_LATIN: Final = re.compile(rf"[A-Za-z0-9À-ÖØ-öø-ɏ][A-Za-z0-9À-ÖØ-öø-ɏ .,:;()+*@#/=_-]{{0,{LONGEST - 1}}}")


def chart_names(given: Sequence[str], kind: str) -> dict[str, str]:
    """A name for the charts each: itself if short and Latin, else `model 2` for the second of the kind "model".

    A name that looks like such a number is given its own, so that no two can be mistaken for each other.
    """
    numbered = re.compile(rf"{re.escape(kind)} \d+")
    return {
        name: name if _LATIN.fullmatch(name) and not numbered.fullmatch(name) else f"{kind} {number}"
        for number, name in enumerate(given, 1)
    }

"""Published results, to print beside ours: `published.json`, in percent as their papers and cards print them."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Any


@dataclass(frozen=True)
class Row:
    """A method's figures in one language, in percent by metric; source: where they are printed."""

    language: str
    method: str
    figures: Mapping[str, float]
    source: str


def published(name: str) -> list[Row]:
    """The rows of a set, in the order of the papers; none for a set of which nothing is known."""
    return [
        Row(row["language"], row["method"], row["figures"], row["source"])
        for row in _content()["rows"]
        if name in row["sets"]
    ]


@functools.cache
def _content() -> dict[str, Any]:
    content: dict[str, Any] = json.loads(files("altclip.evaluate.suites").joinpath("published.json").read_text("utf-8"))
    return content

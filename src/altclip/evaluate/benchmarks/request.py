"""What a reader is asked for: a set, the files found for it, and the languages wanted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Request:
    """found: a path for each key that the reader's form wants; keys that begin with `images` are folders of images.

    partial: what lacks a caption or name in one of the languages is left out by name instead of refused.
    """

    name: str
    root: Path
    found: Mapping[str, Path]
    languages: tuple[str, ...]
    partial: bool = False

    @property
    def images(self) -> list[Path]:
        return [path for key, path in self.found.items() if key.startswith("images")]

    def captions(self) -> dict[str, Path]:
        """The caption file of each language: `captions zh`."""
        return {language: self.found[f"captions {language}"] for language in self.languages}

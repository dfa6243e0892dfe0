"""What a suite measures: a TOML file that lists benchmark sets, where their files lie, and languages.

title = "Flickr30k, English and Chinese"

[[sets]]
dataset = "flickr30k"          # a name of docs/evaluation.md
root = "flickr30k"             # from --root, or from the folder of this file

[[sets]]
dataset = "flickr30k_cn"
root = "flickr30k_cn"
languages = ["zh"]             # all that the set has, if left out
"""

from __future__ import annotations

import tomllib
from importlib.resources import files
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from altclip.errors import ConfigError, DataError, UsageError
from altclip.evaluate.benchmarks import BENCHMARKS
from altclip.mistakes import nearest, problems_of


class SetChoice(BaseModel):
    """title: what the report calls the set; its own title if empty.

    partial: images without a caption, and classes without a name, in one of the languages are left out by name instead
    of refused; such images stand for choice.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    dataset: str
    root: Path = Path()
    languages: tuple[str, ...] = ()
    title: str = ""
    partial: bool = False

    @field_validator("dataset")
    @classmethod
    def _known(cls, name: str) -> str:
        if name not in BENCHMARKS:
            raise ValueError(f"no such set{nearest(name, BENCHMARKS)}")
        return name

    @property
    def shown(self) -> str:
        return self.title or BENCHMARKS[self.dataset].title


class Suite(BaseModel):
    """One set or more, under different titles."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    title: str
    sets: list[SetChoice] = Field(min_length=1)

    @model_validator(mode="after")
    def _told_apart(self) -> Suite:
        titles = [of.shown for of in self.sets]
        if twice := {title for title in titles if titles.count(title) > 1}:
            raise ValueError(f"sets of one title: {', '.join(sorted(twice))}; tell them apart by `title`")
        return self


def suite_of(dataset: str, root: Path, languages: tuple[str, ...] = ()) -> Suite:
    """A suite of one set. Raises UsageError for a set that is not known."""
    if dataset not in BENCHMARKS:
        raise UsageError(f"unknown data set {dataset!r}: expected one of {', '.join(BENCHMARKS)}")
    return Suite(title=BENCHMARKS[dataset].title, sets=[SetChoice(dataset=dataset, root=root, languages=languages)])


def read_suite(name: str, root: Path | None = None) -> Suite:
    """The suite of a TOML file, or a shipped one by name, with every `root` made whole.

    root: where the sets' folders are told from; the folder of the file if None, the current one for a shipped suite.
    Raises DataError if there is no such file, ConfigError with every mistake in it.
    """
    shipped = name in SHIPPED
    path = Path(name)
    content = _parsed(files("altclip.evaluate.suites") / f"{name}.toml" if shipped else path)
    try:
        suite = Suite.model_validate(content)
    except ValidationError as error:
        raise ConfigError([f"{name}: {problem}" for problem in problems_of(error, Suite, "the suite")]) from error
    base = root or (Path() if shipped else path.parent)
    return suite.model_copy(update={"sets": [of.model_copy(update={"root": base / of.root}) for of in suite.sets]})


def _parsed(path: Any) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"suite {path} cannot be read ({error}): give a TOML file, or one of {', '.join(SHIPPED)}"
        ) from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError([f"{path} is not TOML: {error}"]) from error


SHIPPED = ("mini",)

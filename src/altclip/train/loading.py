"""From a recipe's name or file and some `--set a.b=c` to a checked `Recipe`."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from altclip.errors import ConfigError, UsageError
from altclip.mistakes import nearest, problems_of
from altclip.train.config import Recipe
from altclip.train.surgery import swap_towers


def shipped_recipes() -> list[str]:
    """The names of the recipes inside the package."""
    folder = files("altclip.train") / "recipes"
    return sorted(entry.name.removesuffix(".toml") for entry in folder.iterdir() if entry.name.endswith(".toml"))


def load_recipe(
    name_or_path: str | Path, changes: Sequence[str] = (), *, image: str | None = None, text: str | None = None
) -> Recipe:
    """The recipe of that name or in that TOML file, with changes of the form `a.b=c` made to it.

    A value is read as TOML (`3`, `0.5`, `true`, `[1, 2]`, `{}`); what is no TOML is taken as text. A number in a path
    is a place in a list: `stages.align.pairs.0.weight=2`. image, text: models to start from, one's image side with the
    other's text tower (`surgery.swap_towers`).

    Raises:
        UsageError: no such recipe, or a file that is not TOML; one of image and text without the other.
        ConfigError: mistakes in the recipe or in the changes, all of them.
    """
    table = _read(name_or_path)
    if image or text:
        table = swap_towers(table, image, text)
    problems = [problem for change in changes if (problem := _change(table, change))]
    try:
        recipe = Recipe.model_validate(table)
    except ValidationError as error:
        raise ConfigError([*problems, *problems_of(error, Recipe)]) from error
    if problems:
        raise ConfigError(problems)
    return recipe


def _read(name_or_path: str | Path) -> dict[str, Any]:
    name = str(name_or_path)
    path = Path(name_or_path)
    try:
        if name in shipped_recipes() and not path.is_file():
            return tomllib.loads((files("altclip.train") / "recipes" / f"{name}.toml").read_text(encoding="utf-8"))
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, IsADirectoryError):
        raise UsageError(f"no recipe '{name}'{nearest(name, shipped_recipes())}, or give a TOML file") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"recipe {name} cannot be read: {error}") from error


def _change(table: dict[str, Any], change: str) -> str | None:
    """Make one change; returns what is wrong with it."""
    path, equals, text = change.partition("=")
    *above, last = keys = path.strip().split(".")
    if not equals or not all(keys):
        return f"--set {change}: expected a.b=value"
    place: Any = table
    for depth, key in enumerate(above):
        if isinstance(place, dict) and depth == 1 and above[0] == "stages" and key not in place:
            return f"--set {change}: no stage `{key}`{nearest(key, place)}"
        place = place.setdefault(key, {}) if isinstance(place, dict) else _item(place, key)
    if isinstance(place, dict):
        place[last] = _value(text.strip())
    elif _item(place, last) is not None:
        place[int(last)] = _value(text.strip())
    else:
        return f"--set {change}: there is nothing at {path.strip()}"
    return None


def _item(place: Any, key: str) -> Any:
    """The entry of a list that a key names; None where there is none."""
    return place[int(key)] if isinstance(place, list) and key.isdecimal() and int(key) < len(place) else None


def _value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text

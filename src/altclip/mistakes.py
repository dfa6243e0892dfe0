"""Mistakes of a TOML file in words: where each is, what it is, and what was probably meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from types import UnionType
from typing import Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError


def detail(kind: str, message: str, place: tuple[int | str, ...], value: Any) -> InitErrorDetails:
    """A mistake for pydantic's list of them."""
    plain = message.replace("{", "{{").replace("}", "}}")  # a message is a template there
    return InitErrorDetails(type=PydanticCustomError(kind, plain), loc=place, input=value)


def problems_of(error: ValidationError, root: type[BaseModel], whole: str = "the recipe") -> list[str]:
    """Every mistake in a line: where it is (`whole` for the file), what it is, for an unknown key the nearest known."""
    problems = []
    for mistake in error.errors():
        *above, last = mistake["loc"] or ("",)
        place = ".".join(map(str, mistake["loc"])) or whole
        if mistake["type"] == "extra_forbidden":
            problems.append(f"{place}: no such key{nearest(str(last), _known(root, above))}")
        elif mistake["type"] in ("missing", "needs"):
            problems.append(f"{place}: {mistake['msg'][:1].lower()}{mistake['msg'][1:]}")
        else:
            message = mistake["msg"].removeprefix("Value error, ")
            problems.append(f"{place} = {mistake['input']!r}: {message[:1].lower()}{message[1:]}")
    return problems


def nearest(name: str, known: Iterable[str]) -> str:
    """`; did you mean ...?` where something known is near, else what is known."""
    known = list(known)
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f"; did you mean `{close[0]}`?" if close else f"; expected one of {', '.join(known)}" * bool(known)


def _known(root: type[BaseModel], place: Iterable[int | str]) -> list[str]:
    """The keys of the section at a place, told by the annotations on the way."""
    kind: Any = root
    for part in place:
        inner = kind.model_fields[str(part)].annotation if _is_section(kind) else get_args(kind)[-1]
        kind = next((choice for choice in get_args(inner) if _is_section(choice)), inner) if _is_union(inner) else inner
    return list(kind.model_fields) if _is_section(kind) else []


def _is_section(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def _is_union(kind: Any) -> bool:
    return get_origin(kind) in (Union, UnionType)

"""What all tables of a recipe have in common: unknown keys are refused, and all mistakes come in one go.

pydantic checks how keys go together only after each key alone is right. Here both kinds of mistakes come together: what
a section needs is asked of the raw table (`needs`), whether or not its keys are right.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    ValidationError,
    model_validator,
)

from altclip.mistakes import detail


def _compiles(pattern: str) -> str:
    try:
        re.compile(pattern)
    except re.error as error:
        raise ValueError(f"no regular expression: {error}") from error
    return pattern


Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[int, Field(ge=1)]
Above0 = Annotated[float, Field(gt=0)]
Pattern = Annotated[str, AfterValidator(_compiles)]


class Section(BaseModel):
    """A table of a recipe."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @classmethod
    def needs(cls, data: Mapping[str, Any]) -> list[str]:
        """What is wrong with how the keys of a table go together. The values may be of any type."""
        del data
        return []

    @model_validator(mode="wrap")
    @classmethod
    def _all_mistakes(cls, data: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        needs = cls.needs(data) if isinstance(data, Mapping) else []
        found = [detail("needs", message, (), data) for message in needs]
        try:
            made = handler(data)
        except ValidationError as error:
            found += [detail(e["type"], e["msg"], e["loc"], e["input"]) for e in error.errors()]
        if found:
            raise ValidationError.from_exception_data(cls.__name__, found)
        return made

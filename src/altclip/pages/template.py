"""The door to jinja2: templates that escape every string and show every control character as a code."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from altclip.errors import MissingExtraError

if TYPE_CHECKING:
    from jinja2 import Template

# C0 and C1 controls but for tab and line ends, which are white space to HTML; lone halves of surrogate pairs
_UNSAFE: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")


def template(source: str, extra: str, filters: Mapping[str, Callable[..., Any]] | None = None) -> Template:
    """A template of this text, with filters of one's own; a name that it is not given is an error.

    Raises MissingExtraError, naming `extra`, if jinja2 is not installed.
    """
    try:
        import jinja2
    except ImportError as error:
        raise MissingExtraError("jinja2", extra) from error
    environment: Any = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True, finalize=harmless
    )
    environment.filters.update(filters or {})
    made: Template = environment.from_string(source)
    return made


def harmless(value: Any) -> Any:
    r"""Text without control characters and unpaired surrogates, which are written as codes (`\x1b`, `\udc80`)."""
    if not isinstance(value, str) or hasattr(value, "__html__"):
        return value
    return _UNSAFE.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), value)

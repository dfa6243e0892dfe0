"""The results as one HTML file that needs nothing else: pictures, styles and all are inside, and no script is.

The template escapes every string; a content security policy forbids the page to fetch anything.
"""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Final

from altclip import __version__
from altclip.demo.pictures import LARGE, SMALL, thumbnails
from altclip.demo.results import Results
from altclip.languages import NAMES, RIGHT_TO_LEFT
from altclip.pages.files import check_target, write
from altclip.pages.template import template
from altclip.processing.opening import MAX_PIXELS

if TYPE_CHECKING:
    from jinja2 import Template

__all__ = ["check", "percent", "render", "write"]

TEMPLATE: Final = "page.html.jinja"


def check(path: Path) -> None:
    """Raise what would keep the page from being written, before the work rather than after it.

    Raises:
        MissingExtraError: jinja2 is not installed.
        UsageError: `path` is a folder, or lies in none.
    """
    _template()
    check_target(path)


def render(results: Results, *, max_pixels: int = MAX_PIXELS) -> str:
    """The page. Raises ImageError if a photograph cannot be opened any more."""
    pictures = [thumbnails(photograph, (LARGE, SMALL), max_pixels=max_pixels) for photograph in results.photographs]
    shows = list(enumerate(results.photographs))
    return _template().render(
        results=results,
        large=[large for large, _ in pictures],
        small=[small for _, small in pictures],
        learned=[(index, photograph) for index, photograph in shows if not photograph.never_learned],
        never_learned=[(index, photograph) for index, photograph in shows if photograph.never_learned],
        names=NAMES,
        direction={language: "rtl" if language in RIGHT_TO_LEFT else "ltr" for language in NAMES},
        version=__version__,
    )


def percent(probability: float) -> str:
    """A probability for people: 43%, 4.3%, <0.1%. Without a space, so that right-to-left text keeps it together."""
    if probability < 0.001:
        return "<0.1%"
    return f"{100 * probability:.0f}%" if probability >= 0.0995 else f"{100 * probability:.1f}%"


def _template() -> Template:
    source = files("altclip.demo").joinpath(TEMPLATE).read_text(encoding="utf-8")
    return template(source, "demo", {"percent": percent})

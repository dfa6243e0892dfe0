"""The page: a report in, one HTML text out; pictures, charts and styles are inside, and no script is.

The template escapes every string; a content security policy forbids the page to fetch anything.
"""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from altclip.evaluate.page.latin import chart_names
from altclip.evaluate.page.pictures import Gallery
from altclip.evaluate.page.sections import section
from altclip.evaluate.suites.report import SuiteReport
from altclip.languages import NAMES, RIGHT_TO_LEFT
from altclip.pages import drawing
from altclip.pages.files import check_target
from altclip.pages.template import template
from altclip.processing.opening import MAX_PIXELS

if TYPE_CHECKING:
    from jinja2 import Template

TEMPLATE: Final = "page.html.jinja"
STYLES: Final = "page.css"
EXTRA: Final = "report"
_RIGHT_TO_LEFT: Final = RIGHT_TO_LEFT | {"fa", "he", "ur"}  # benchmark sets have more languages than the nine
_DIGITS: Final = 12  # of a digest: enough to tell two apart


def check(path: Path) -> None:
    """Raise what would keep the page from being written, before the work rather than after it.

    Raises:
        MissingExtraError: jinja2 or matplotlib is not installed.
        UsageError: `path` is a folder, or lies in none.
    """
    _template()
    drawing.check()
    check_target(path)


def render(report: SuiteReport, *, max_pixels: int = MAX_PIXELS) -> str:
    """The page, equal for equal reports. max_pixels: of an image of a set.

    Raises:
        MissingExtraError: jinja2 or matplotlib is not installed.
        ImageError: an image of a contact sheet cannot be opened any more.
    """
    gallery, models = Gallery(max_pixels), chart_names([model.label for model in report.models], "model")
    return _template().render(
        report=report,
        interval=report.to_dict()["interval"],
        models=models,
        sections=[section(of, models, gallery) for of in report.sets],
        pictures=gallery.sources,
        styles=_text(STYLES),
        names=NAMES,
    )


def direction(language: str) -> str:
    """`rtl` or `ltr`, for rows of pictures; texts find their own."""
    return "rtl" if language.partition("-")[0] in _RIGHT_TO_LEFT else "ltr"


def _template() -> Template:
    filters: dict[str, Any] = {"direction": direction, "short": lambda digest: str(digest)[:_DIGITS]}
    return template(_text(TEMPLATE), EXTRA, filters)


def _text(name: str) -> str:
    return files("altclip.evaluate.page").joinpath(name).read_text(encoding="utf-8")

"""The door to matplotlib: figures without a screen, and SVG that is equal for equal figures, light and dark.

An SVG in an <img> does not see the page's styles, so the colours become variables that follow the reader's choice.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from altclip.errors import MissingExtraError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# light: dark
INK: Final = "#1d1f24"
SOFT: Final = "#5c6069"
LINE: Final = "#dedcd4"
CARD: Final = "#fffffe"
_SERIES: Final = {
    "#2f4bc4": "#8fa3ff", "#d1660a": "#ff9f4a", "#10803c": "#5fd490", "#b3261e": "#ff7b72",
    "#7a3fb8": "#c29bff", "#0b8a9a": "#4fd0de", "#c2387f": "#ff86bd", "#8a6d0b": "#dcbf4f",
    "#4a4f57": "#c9d0da", "#3f8fd9": "#79c0ff", "#6b9e1f": "#b0d94f", "#8c4a2f": "#d99a7c",
}  # fmt: skip
SERIES: Final = tuple(_SERIES)
_COLOURS: Final = {INK: "#eceef2", SOFT: "#a3a9b5", LINE: "#3a404b", CARD: "#1b1e24", **_SERIES}
_SETTINGS: Final[dict[str, Any]] = {
    "svg.hashsalt": "altclip",
    "svg.fonttype": "path",  # the reader's machine may not have the font
    "font.size": 9,
    "text.color": INK, "axes.labelcolor": SOFT, "axes.titlecolor": INK, "axes.edgecolor": LINE,
    "xtick.color": SOFT, "ytick.color": SOFT, "grid.color": LINE, "grid.linewidth": 0.7,
    "axes.spines.top": False, "axes.spines.right": False, "axes.axisbelow": True,
    "axes.titlesize": 10, "axes.titleweight": "bold", "axes.titlelocation": "left",
    "legend.facecolor": CARD, "legend.edgecolor": CARD, "legend.framealpha": 0.8, "legend.fontsize": 8,
}  # fmt: skip


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of this size in inches. Raises MissingExtraError if matplotlib is not installed."""
    figure: Figure = _matplotlib()[1](figsize=(width, height), layout="constrained")
    return figure


@dataclass(frozen=True)
class Chart:
    """source: a data URI; alt: the chart in words; width, height: in pixels at which its text has its size."""

    source: str
    alt: str
    width: int
    height: int


@contextmanager
def style() -> Iterator[None]:
    """What is made and saved in here looks alike on every machine, whatever its user has set for matplotlib."""
    mpl = _matplotlib()[0]
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(_SETTINGS)
        yield


def check() -> None:
    """Raises MissingExtraError if matplotlib is not installed."""
    _matplotlib()


def chart(figure: Figure, words: str) -> Chart:
    """The figure for the page."""
    width, height = figure.get_size_inches()
    source = "data:image/svg+xml;base64," + base64.b64encode(svg(figure).encode("utf-8")).decode("ascii")
    return Chart(source, words, round(96 * width), round(96 * height))


def percent_axis(axes: Axes, label: str, top: float) -> None:
    """Shares upwards from 0."""
    axes.set_ylim(0, top * 1.02)
    axes.set_ylabel(label)
    axes.grid(axis="y")


def svg(figure: Figure) -> str:
    """The figure as one <svg> element, in colours that follow the reader's choice of light or dark."""
    file = io.StringIO()
    nothing_of_the_day = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    figure.savefig(file, format="svg", transparent=True, metadata=nothing_of_the_day)
    text = file.getvalue()
    text = text[text.index("<svg") :].strip()
    light, dark = [], []
    for number, (of_light, of_dark) in enumerate(_COLOURS.items()):
        text = text.replace(of_light, f"var(--c{number})")
        light.append(f"--c{number}:{of_light}")
        dark.append(f"--c{number}:{of_dark}")
    rules = f"svg{{{';'.join(light)}}}@media (prefers-color-scheme:dark){{svg{{{';'.join(dark)}}}}}"
    start = text.index(">") + 1
    return f"{text[:start]}<style>{rules}</style>{text[start:]}"


def _matplotlib() -> tuple[Any, Any]:
    try:
        import matplotlib as mpl
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtraError("matplotlib", "report") from error
    return mpl, Figure

"""The report as one PNG: bars a second by engine, with the slowest and the fastest run, and what precisions change."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from altclip.bench.measures import Row
from altclip.bench.price import MEAN, Price
from altclip.errors import UsageError
from altclip.pages import drawing
from altclip.pages.files import check_target
from altclip.whole import write_whole

if TYPE_CHECKING:
    from matplotlib.axes import Axes

UNITS: Final = {
    "matrix products": "GFLOP/s",
    "texts": "texts/s",
    "texts to embeddings": "texts/s",
    "one text": "texts/s",
}
_WIDTH: Final = 8.0  # inches
_BAR: Final = 0.27
_TITLE: Final = 0.75  # of a panel, with its axis
_DOTS: Final = 160  # an inch


def check(path: Path) -> None:
    """Find out before the work. Raises UsageError for what is no .png in a folder, MissingExtraError for matplotlib."""
    if path.suffix.lower() != ".png":
        raise UsageError(f"--picture {path}: expected a name that ends in .png")
    check_target(path)
    drawing.check()


def draw(title: str, rows: Sequence[Row], prices: Sequence[Price], path: Path) -> None:
    """Write the picture, whole or not at all. title: what was measured on what; letters beyond Latin become codes."""
    panels: dict[str, list[Row]] = {}
    for row in rows:
        panels.setdefault(row.what, []).append(row)
    means = [price for price in prices if price.language == MEAN] or list(prices)
    sizes = [len(of) for of in panels.values()] + ([len(means)] if means else [])
    heights = [_TITLE + _BAR * size for size in sizes]
    with drawing.style():
        figure = drawing.new_figure(_WIDTH, sum(heights) + 0.5)
        figure.set_facecolor("white")
        figure.suptitle(_latin(title), x=0.01, ha="left", fontsize=11, color=drawing.INK)
        axes = figure.subplots(len(sizes), 1, height_ratios=heights, squeeze=False)[:, 0]
        for of, (what, panel) in zip(axes, panels.items(), strict=False):
            _bars(of, what, panel, _colours(rows))
        if means:
            _changes(axes[-1], means)
        file = io.BytesIO()
        figure.savefig(file, format="png", dpi=_DOTS, facecolor="white", metadata={"Software": "altclip bench"})
    write_whole(path, file.getvalue())


def _bars(axes: Axes, what: str, rows: Sequence[Row], colours: Mapping[str, str]) -> None:
    names = [_latin(row.how) for row in rows]
    values = [row.per_second for row in rows]
    reach = [[row.per_second - row.slowest for row in rows], [row.fastest - row.per_second for row in rows]]
    axes.barh(range(len(rows)), values, height=0.7, color=[colours[row.how] for row in rows])
    axes.errorbar(values, range(len(rows)), xerr=reach, fmt="none", ecolor=drawing.INK, elinewidth=0.9, capsize=2)
    most = max(row.fastest for row in rows)
    for place, row in enumerate(rows):
        axes.text(
            row.fastest + most * 0.012, place, f"{row.per_second:,.4g}", va="center", fontsize=8, color=drawing.INK
        )
    _labelled(axes, names, f"{what}, {UNITS.get(what, 'images/s')}")
    axes.set_xlim(0, most * 1.12)
    axes.grid(axis="x")


def _changes(axes: Axes, prices: Sequence[Price]) -> None:
    """Differences to exact arithmetic with their intervals, in percentage points."""
    values = [100 * price.difference.value for price in prices]
    reach = [
        [100 * (price.difference.value - price.difference.low) for price in prices],
        [100 * (price.difference.high - price.difference.value) for price in prices],
    ]
    places = range(len(prices))
    axes.errorbar(values, places, xerr=reach, fmt="o", color=drawing.SERIES[0], elinewidth=1.2, capsize=3, markersize=5)
    axes.axvline(0, color=drawing.INK, linewidth=0.9)
    names = [f"{price.precision}: {price.figure}" for price in prices]
    means = all(price.language == MEAN for price in prices)
    _labelled(axes, names, f"change to exact arithmetic{', mean over languages' * means}, percentage points (95 %)")
    axes.grid(axis="x")
    furthest = max([0.1, *(abs(100 * of) for price in prices for of in (price.difference.low, price.difference.high))])
    axes.set_xlim(-1.1 * furthest, 1.1 * furthest)


def _labelled(axes: Axes, names: Sequence[str], title: str) -> None:
    axes.set_yticks(range(len(names)), names)
    axes.tick_params(axis="y", length=0, labelcolor=drawing.INK)
    axes.set_ylim(len(names) - 0.4, -0.6)  # the first on top
    axes.set_title(title)


def _colours(rows: Sequence[Row]) -> dict[str, str]:
    """One a way of computing, the same in every panel."""
    names = list(dict.fromkeys(row.how for row in rows))
    return {name: drawing.SERIES[place % len(drawing.SERIES)] for place, name in enumerate(names)}


def _latin(text: str) -> str:
    """What matplotlib can draw: other scripts as codes, and no sign that starts a formula."""
    return text.encode("ascii", "backslashreplace").decode("ascii").replace("\\", "/").replace("$", "S")

"""A picture of what a stage measured, by matplotlib (extra `report`)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from altclip.errors import MissingExtraError
from altclip.pages.drawing import new_figure

PICTURE_NAME = "curves.png"


def draw_curves(folder: Path, entries: Sequence[dict[str, Any]], report: Callable[[str], None]) -> None:
    """`curves.png` with one curve a measure; without matplotlib, a line that says what to install.

    A run that took hours is not to fail for want of its picture.
    """
    try:
        figure = _figure(entries)
    except MissingExtraError as error:
        report(f"no {PICTURE_NAME}: {error}")
        return
    figure.savefig(folder / PICTURE_NAME, dpi=120)


def _figure(entries: Sequence[dict[str, Any]]) -> Any:
    names = [name for name in (entries[0] if entries else {}) if name != "step"]
    figure = new_figure(9, 2.2 * max(1, len(names)))
    for place, name in enumerate(names, 1):
        axes = figure.add_subplot(len(names), 1, place)
        points = [(entry["step"], entry[name]) for entry in entries if name in entry]
        axes.plot(*zip(*points, strict=True), linewidth=1)
        axes.set_ylabel(name.replace("_", " "))
        axes.grid(alpha=0.3)
        if place == len(names):
            axes.set_xlabel("step")
    return figure

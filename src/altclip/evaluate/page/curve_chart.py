"""Draws how recall grows with k: a small panel with a line for each language, or for each model."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

from altclip.evaluate.page.chart_data import Panel
from altclip.pages.drawing import SERIES, Chart, chart, new_figure, percent_axis, style

_INCHES: Final = (3.7, 2.8)
_TICKS: Final = (1, 2, 5, 10, 20, 50, 100)
_LEGEND_ROWS: Final = 4


def draw_panel(panel: Panel, models: Mapping[str, str], languages: Mapping[str, str]) -> Chart:
    """The chart, k on a logarithmic axis; every name stands in it as the mappings say (see `latin.chart_names`)."""
    titles, names = (models, languages) if panel.of_model else (languages, models)
    last = max(int(line.ks[-1]) for line in panel.lines)
    with style():
        figure = new_figure(*_INCHES)
        axes = figure.subplots()
        for line, colour in zip(panel.lines, SERIES, strict=False):
            mark = "o" if len(line.ks) == 1 else ""  # a line of one point is none
            axes.plot(line.ks, line.shares, color=colour, linewidth=1.5, marker=mark, label=names[line.name])
        axes.set_xscale("log")
        ticks = [tick for tick in _TICKS if tick <= last]
        axes.set_xticks(ticks, [str(tick) for tick in ticks])
        axes.minorticks_off()
        axes.set_xlim(0.95, max(last, 1.1) * 1.05)
        axes.set_xlabel("k")
        percent_axis(axes, "within the first k, %", 100.0)
        axes.set_title(titles[panel.of])
        columns = (
            math.ceil(len(panel.lines) / _LEGEND_ROWS) if panel.of_model else 1
        )  # codes are short, labels may be long
        axes.legend(loc="best", ncols=columns, columnspacing=1)
        return chart(figure, _words(panel))


def _words(panel: Panel) -> str:
    parts = []
    for line in panel.lines:
        shares = [f"{line.shares[k - 1]:.1f} at {k}" for k in (1, 10, 100) if k <= line.ks[-1]]
        parts.append(f"{line.name}: {', '.join(shares)}")
    return f"Recall in percent within the first k, {panel.of}. {'; '.join(parts)}."

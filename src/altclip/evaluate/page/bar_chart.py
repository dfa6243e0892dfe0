"""Draws the bars of a set: a group a language, a bar a model, and what was published beside them as marks."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from altclip.evaluate.page.chart_data import Bars
from altclip.metrics import Estimate
from altclip.pages.drawing import SERIES, SOFT, Chart, chart, new_figure, percent_axis, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# inches
_LEAST_WIDTH: Final = 5.2
_WIDTH: Final = 9.5  # to be filled, if bars need not be narrower or wider for it than these
_BAR: Final = (0.16, 0.3)
_AXIS: Final = 0.9
_HEIGHT: Final = 2.7  # without the legend
_LEGEND_LINE: Final = 0.17
_CHARACTER: Final = 0.068
_MARK: Final = 0.35

# bars
_GAP: Final = 1.2  # between the languages
_STEP: Final = 0.6  # from one published mark to the next

_MARKS: Final = ("o", "s", "D", "^", "v", "P", "X", "*", "<", ">", "p", "h")


@dataclass(frozen=True)
class _Places:
    """Where each language's group starts and how wide it is, in bars; printed: its published figures by method."""

    starts: list[float]
    widths: list[float]
    printed: list[dict[str, float]]

    @property
    def end(self) -> float:
        return self.starts[-1] + self.widths[-1]


def draw_bars(data: Bars, models: Mapping[str, str], languages: Mapping[str, str], methods: Mapping[str, str]) -> Chart:
    """The chart; every name stands in it as the mappings say (see `latin.chart_names`)."""
    places = _places(data)
    names = [
        *(models[label] for label in data.models),
        *(f"{methods[method]} (published)" for method in data.published),
    ]
    width = max(_LEAST_WIDTH, _AXIS + places.end * min(_BAR[1], max(_BAR[0], (_WIDTH - _AXIS) / places.end)))
    columns = max(1, int(width / (_CHARACTER * max(map(len, names)) + _MARK)))
    with style():
        figure = new_figure(width, _HEIGHT + _LEGEND_LINE * math.ceil(len(names) / columns))
        axes = figure.subplots()
        drawn = _models(axes, data, places) + _methods(axes, data, places)
        middles = [start + (width - 1) / 2 for start, width in zip(places.starts, places.widths, strict=True)]
        axes.set_xticks(middles, [languages[code] for code in data.languages])
        axes.tick_params(axis="x", length=0)
        axes.set_xlim(-1, places.end)
        percent_axis(axes, f"{data.metric}, %", _top(data))
        _legend(figure, drawn, names, columns)
        return chart(figure, _words(data))


def _places(data: Bars) -> _Places:
    printed = [
        {method: value for method, of in data.published.items() if (value := of[place]) is not None}
        for place in range(len(data.languages))
    ]
    widths = [len(data.models) + _STEP * len(of) for of in printed]
    starts = [sum(widths[:place]) + _GAP * place for place in range(len(widths))]
    return _Places(starts, widths, printed)


def _models(axes: Axes, data: Bars, places: _Places) -> list[Any]:
    """Bars with their intervals; returns what stands for each model in the legend."""
    drawn = []
    for number, (estimates, colour) in enumerate(zip(data.models.values(), itertools.cycle(SERIES), strict=False)):
        known = [(s + number, of) for s, of in zip(places.starts, estimates, strict=True) if of is not None]
        drawn.append(axes.bar([x for x, _ in known], [of.value for _, of in known], width=0.9, color=colour))
        _intervals(axes, [(x, of) for x, of in known if not math.isnan(of.low)])
    return drawn


def _intervals(axes: Axes, known: Sequence[tuple[float, Estimate]]) -> None:
    values = [of.value for _, of in known]
    reach = [[max(0.0, of.value - of.low) for _, of in known], [max(0.0, of.high - of.value) for _, of in known]]
    axes.errorbar([x for x, _ in known], values, reach, fmt="none", ecolor=SOFT, elinewidth=0.9, capsize=1.5)


def _methods(axes: Axes, data: Bars, places: _Places) -> list[Any]:
    """Marks right of the bars; returns what stands for each method in the legend."""
    drawn = []
    for method, mark in zip(data.published, itertools.cycle(_MARKS), strict=False):
        points = [
            (start + len(data.models) - 0.5 + _STEP * (list(of).index(method) + 0.5), of[method])
            for start, of in zip(places.starts, places.printed, strict=True)
            if method in of
        ]
        drawn += axes.plot(
            [x for x, _ in points], [y for _, y in points], linestyle="", marker=mark, markersize=4.5,
            markerfacecolor="none", markeredgecolor=SOFT, markeredgewidth=0.9,
        )  # fmt: skip
    return drawn


def _legend(figure: Figure, drawn: list[Any], names: list[str], columns: int) -> None:
    figure.legend(
        drawn, names, loc="outside upper left", ncols=min(columns, len(names)), columnspacing=1.2, handlelength=1.2
    )


def _top(data: Bars) -> float:
    """Of the axis: 100 %, or less where all are far below."""
    values = [value for of in data.published.values() for value in of if value is not None]
    for estimates in data.models.values():
        values += [of.value if math.isnan(of.high) else of.high for of in estimates if of is not None]
    return min(100.0, 10 * math.ceil(max(values) / 10 + 0.2))


def _words(data: Bars) -> str:
    parts = []
    for place, language in enumerate(data.languages):
        own = [f"{label} {value.value:.1f}" for label, of in data.models.items() if (value := of[place]) is not None]
        parts.append(f"{language}: {', '.join(own)}")
    return f"Bars of {data.metric} in percent, by language. {'; '.join(parts)}."

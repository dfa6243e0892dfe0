"""What the charts show, as numbers: bars by language and model, and how recall grows with k."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from altclip.evaluate.suites.figures import MEAN_RECALL, Figure
from altclip.evaluate.suites.outcomes import Kind, Outcome
from altclip.evaluate.suites.report import Measured, SetReport
from altclip.metrics import Estimate, Ranks

MOST_K: Final = 100
MOST_LINES: Final = 12  # of one panel: as many colours as are told apart
_OF_BARS: Final = (MEAN_RECALL, "T2I R@10", "T2I R@5", "T2I R@1", "top-1")  # the first that a set has
_PROMPTS: Final = (None, "templates", "names")
_DIRECTIONS: Final[tuple[tuple[Kind, ...], ...]] = (("T2I",), ("I2T",), ("templates", "names"))


@dataclass(frozen=True)
class Bars:
    """One metric in percent, by language: of each model with its interval, of each published method without.

    names_alone: languages of a set of classes that were asked for without templates.
    """

    metric: str
    languages: tuple[str, ...]
    models: dict[str, tuple[Estimate | None, ...]]
    published: dict[str, tuple[float | None, ...]]
    names_alone: tuple[str, ...]


def bars(report: SetReport) -> Bars | None:
    """None if no model has a metric of which bars are drawn."""
    figures = {of.model.label: of.findings.figures for of in report.measured}
    present = {figure.metric for each in figures.values() for figure in each}
    metric = next((each for each in _OF_BARS if each in present), None)
    if metric is None:
        return None
    found = {label: _by_language(each, metric) for label, each in figures.items()}
    languages = tuple(language for language in report.languages if any(language in of for of in found.values()))
    if not languages:
        return None
    rows = [row for row in report.published if metric in row.figures and row.language in languages]
    printed = {(row.method, row.language): row.figures[metric] for row in rows}
    return Bars(
        metric,
        languages,
        {label: tuple(_percent(of.get(language)) for language in languages) for label, of in found.items()},
        {row.method: tuple(printed.get((row.method, language)) for language in languages) for row in rows},
        tuple(each for each in languages if any(of[each].prompts == "names" for of in found.values() if each in of)),
    )


def _by_language(figures: Sequence[Figure], metric: str) -> dict[str, Figure]:
    """A set of classes is asked for with templates and by names alone: the first counts where there is one."""
    asked = sorted((f for f in figures if f.metric == metric), key=lambda f: _PROMPTS.index(f.prompts), reverse=True)
    return {figure.language: figure for figure in asked if not math.isnan(figure.estimate.value)}


def _percent(figure: Figure | None) -> Estimate | None:
    if figure is None:
        return None
    return Estimate(100 * figure.estimate.value, 100 * figure.estimate.low, 100 * figure.estimate.high)


def recall_curve(ranks: Ranks, choices: int, most: int = MOST_K) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """k = 1, 2, ... up to `most` or the number of choices, and the share of queries (Q,) of a rank below k.

    Ranks count from 0, so that a query of rank 0 is within the first 1.
    """
    ks = np.arange(1, min(most, choices) + 1)
    return ks, np.searchsorted(np.sort(ranks), ks, side="left") / len(ranks)


@dataclass(frozen=True)
class Line:
    """name: a model, or a language; shares (K,) in percent."""

    name: str
    ks: NDArray[np.int64]
    shares: NDArray[np.float64]


@dataclass(frozen=True)
class Panel:
    """kind: what is looked for; of: the model if lines are languages, the language if lines are models."""

    kind: Kind
    of: str
    of_model: bool
    lines: tuple[Line, ...]


def panels(report: SetReport) -> list[Panel]:
    """One a direction and model with a line per language, or the other way where there are no more languages.

    Lines that are too many to be told apart are dealt to several panels, of about as many each.
    """
    made = []
    for kinds in _DIRECTIONS:
        found = {of.model.label: _outcomes(of, kinds) for of in report.measured}
        languages = list(dict.fromkeys(language for of in found.values() for language in of))
        of_model = len(languages) > len(found)
        for title in found if of_model else languages:
            cells = found[title] if of_model else {label: of[title] for label, of in found.items() if title in of}
            lines = [Line(name, *_in_percent(outcome)) for name, outcome in cells.items()]
            made += [Panel(kinds[0], title, of_model, part) for part in _dealt(lines)]
    return made


def _outcomes(measured: Measured, kinds: Iterable[Kind]) -> dict[str, Outcome]:
    """By language, in the order of the findings: the first kind that a language has."""
    outcomes = [of for of in measured.findings.outcomes if len(of.ranks)]
    found: dict[str, Outcome] = {}
    for language in dict.fromkeys(of.language for of in outcomes):
        of_kind = {of.kind: of for of in outcomes if of.language == language}
        if kind := next((kind for kind in kinds if kind in of_kind), None):
            found[language] = of_kind[kind]
    return found


def _in_percent(outcome: Outcome) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    ks, shares = recall_curve(outcome.ranks, outcome.choices)
    return ks, 100 * shares


def _dealt(lines: Sequence[Line]) -> list[tuple[Line, ...]]:
    if not lines:
        return []
    size = math.ceil(len(lines) / math.ceil(len(lines) / MOST_LINES))
    return [tuple(lines[start : start + size]) for start in range(0, len(lines), size)]

"""The tables of a set: one a kind of figure; of a language the published rows first, then each model's."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from altclip.evaluate.embedding import PROMPTS
from altclip.evaluate.suites.figures import ACCURACIES, MEAN_RECALL, RANKS, RECALLS, SHARES, SPACES, Figure
from altclip.evaluate.suites.published import Row
from altclip.evaluate.suites.report import SetReport
from altclip.evaluate.tables import NOTHING, TITLES, Table

PUBLISHED: Final = " (published)"
_EITHER: Final = "R@10"  # published without its direction


def set_tables(report: SetReport) -> list[Table]:
    """In the order in which they are read; shares in percent, every figure with its 95 % interval."""
    recalls = (*RECALLS, MEAN_RECALL)
    either = (_EITHER,) if any(_EITHER in row.figures for row in report.published) else ()
    made = [
        _table(report, f"{report.title}, retrieval", (*recalls, *either)),
        _table(report, f"{report.title}, ranks", RANKS),
        _table(report, f"{report.title}, how texts lie to images and to English texts", SPACES),
        *(_table(report, f"{report.title}, {TITLES[kind]}", ACCURACIES, kind) for kind in PROMPTS),
    ]
    return [table for table in made if table is not None]


def _table(report: SetReport, title: str, metrics: Sequence[str], prompts: str | None = None) -> Table | None:
    """None where no model has a figure for it."""
    found = {
        (of.model.label, f.language, f.metric): f
        for of in report.measured
        for f in of.findings.figures
        if f.prompts == prompts
    }
    kept = [metric for metric in metrics if metric == _EITHER or any(metric == key[2] for key in found)]
    if not any(metric != _EITHER for metric in kept):
        return None
    rows = []
    for language in report.languages:
        rows += [_published(row, kept) for row in report.published if row.language == language]
        for of in report.measured:
            cells = [shown(found.get((of.model.label, language, metric))) for metric in kept]
            rows.append((language, of.model.label, *cells))
    return Table(title, ("language", "method", *kept), tuple(row for row in rows if any(c != NOTHING for c in row[2:])))


def _published(row: Row, metrics: Sequence[str]) -> tuple[str, ...]:
    cells = [f"{row.figures[metric]:.1f}" if metric in row.figures else NOTHING for metric in metrics]
    return row.language, f"{row.method}{PUBLISHED}", *cells


def shown(figure: Figure | None) -> str:
    """`48.1 (46.7–49.5)` in percent; ranks and distances as they are."""
    if figure is None or math.isnan(figure.estimate.value):
        return NOTHING
    estimate, digits, factor = figure.estimate, (1 if figure.metric in (*SHARES, *RANKS) else 3), 1.0
    if figure.metric in SHARES:
        factor = 100.0
    value, low, high = (f"{factor * number:.{digits}f}" for number in (estimate.value, estimate.low, estimate.high))
    return value if math.isnan(estimate.low) else f"{value} ({low}–{high})"

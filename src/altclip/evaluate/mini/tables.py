"""The tables of a report: a summary, then one for each thing measured, models side by side; as Markdown too."""

from __future__ import annotations

import math

from altclip.evaluate.embedding import PROMPTS, Prompts
from altclip.evaluate.mini.report import Model, Report
from altclip.evaluate.mini.results import ALL_LANGUAGES, LEFT_OUT, OTHERS, OVER_ENGLISH, Result, Task
from altclip.evaluate.tables import NOTHING, TITLES, Table


def tables(report: Report) -> list[Table]:
    """All tables, in the order in which they are read; shares in percent, every figure with its 95 % interval."""
    made = [_summary(report), *(_photographs(report, kind) for kind in PROMPTS), _full_size(report), _drawings(report)]
    if report.settings.left_out:
        made += [_left_out(report, kind) for kind in PROMPTS]
    return made


def shown(result: Result | None) -> str:
    """`48.1 (46.7–49.5)`: a share in percent; `0.97 (0.95–0.99)`: a ratio."""
    if result is None or math.isnan(result.estimate.value):
        return NOTHING
    estimate, is_ratio = result.estimate, OVER_ENGLISH in result.metric
    numbers = (estimate.value, estimate.low, estimate.high)
    value, low, high = (f"{number:.2f}" if is_ratio else f"{100 * number:.1f}" for number in numbers)
    return f"{value} ({low}–{high})"


def _find(
    model: Model, task: Task, metric: str, prompts: Prompts, language: str = "en", group: str = ""
) -> Result | None:
    wanted = (task, metric, prompts, language, group)
    return next((r for r in model.results if (r.task, r.metric, r.prompts, r.language, r.group) == wanted), None)


def _photographs(report: Report, kind: Prompts) -> Table:
    """A row for each language and model; how many classes the language has names for."""
    metrics = ("top-1", "top-5", f"top-1 {OVER_ENGLISH}")
    rows = []
    for language in report.settings.languages:
        for model in report.models:
            found = [_find(model, "photographs", metric, kind, language) for metric in metrics]
            classes = next((str(result.choices) for result in found if result), NOTHING)
            rows.append((language, model.label, classes, *map(shown, found)))
    return Table(f"Photographs, {TITLES[kind]}", ("language", "model", "classes", *metrics), tuple(rows))


def _drawings(report: Report) -> Table:
    """A row for each language and model."""
    metrics = ("R@1", "R@5", "R@10", f"R@10 {OVER_ENGLISH}")
    rows = [
        (language, model.label, *(shown(_find(model, "drawings", metric, "names", language)) for metric in metrics))
        for language in report.settings.languages
        for model in report.models
    ]
    counts = {result.choices for model in report.models for result in model.results if result.task == "drawings"}
    among = ", ".join(f"{count:,}" for count in sorted(counts))
    title = f"Drawings found by name, style {report.settings.style}, among {among}"
    return Table(title, ("language", "model", *metrics), tuple(rows))


def _full_size(report: Report) -> Table:
    rows = [
        (TITLES[kind], model.label, *(shown(_find(model, "full size", metric, kind)) for metric in ("top-1", "top-5")))
        for kind in PROMPTS
        for model in report.models
    ]
    return Table("Full-size photographs, English", ("prompts", "model", "top-1", "top-5"), tuple(rows))


def _left_out(report: Report, kind: Prompts) -> Table:
    """What a language keeps of English on names that training left out, beside the others."""
    metric = f"top-1 {OVER_ENGLISH}"
    rows = [
        (
            language,
            model.label,
            *(shown(_find(model, "left out", metric, kind, language, g)) for g in (LEFT_OUT, OTHERS)),
        )
        for language in (*report.settings.languages, ALL_LANGUAGES)
        for model in report.models
        if language != "en"
    ]
    title = f"Top-1 over English where every {report.settings.left_out}th name was left out of training, {TITLES[kind]}"
    return Table(title, ("language", "model", "names left out", "other names"), tuple(rows))


def _summary(report: Report) -> Table:
    rows = []
    for kind in PROMPTS:
        rows.append(_line(report, f"photographs, top-1, English, {TITLES[kind]}", "photographs", "top-1", kind))
        rows.append(
            _lowest(report, f"its lowest other language over English, {TITLES[kind]}", "photographs", "top-1", kind)
        )
    rows += [
        _line(report, f"full-size photographs, top-5, English, {TITLES[k]}", "full size", "top-5", k) for k in PROMPTS
    ]
    rows.append(_line(report, "drawings, R@10, English", "drawings", "R@10", "names"))
    rows.append(_lowest(report, "its lowest other language over English", "drawings", "R@10", "names"))
    if report.settings.left_out:
        for kind in PROMPTS:
            found = [
                _find(m, "left out", f"top-1 {OVER_ENGLISH}", kind, ALL_LANGUAGES, LEFT_OUT) for m in report.models
            ]
            rows.append((f"names left out of training, over English, {TITLES[kind]}", *map(shown, found)))
    return Table("Summary", ("measure", *(model.label for model in report.models)), tuple(rows))


def _line(report: Report, name: str, task: Task, metric: str, kind: Prompts) -> tuple[str, ...]:
    return name, *(shown(_find(model, task, metric, kind)) for model in report.models)


def _lowest(report: Report, name: str, task: Task, metric: str, kind: Prompts) -> tuple[str, ...]:
    """The other language that keeps least of English, by model."""
    cells = []
    for model in report.models:
        ratios = [
            _find(model, task, f"{metric} {OVER_ENGLISH}", kind, language) for language in report.settings.languages
        ]
        told = [result for result in ratios if result and not math.isnan(result.estimate.value)]
        lowest = min(told, key=lambda result: result.estimate.value, default=None)
        cells.append(f"{lowest.language} {shown(lowest)}" if lowest else NOTHING)
    return name, *cells

"""A set's part of the page, as the template reads it: everything chosen, ordered and counted before."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from altclip.evaluate.page.bar_chart import draw_bars
from altclip.evaluate.page.chart_data import Panel, bars, panels
from altclip.evaluate.page.curve_chart import draw_panel
from altclip.evaluate.page.latin import chart_names
from altclip.evaluate.page.pictures import Gallery
from altclip.evaluate.page.sheets import SEARCHES, ShownSheet, shown_sheet
from altclip.evaluate.page.tables import PageTable, page_tables
from altclip.evaluate.suites.findings import Findings
from altclip.evaluate.suites.report import SetReport
from altclip.evaluate.suites.sights import Confusion
from altclip.pages.drawing import Chart

_PROMPTS: Final = {"templates": "with templates", "names": "by names alone"}


@dataclass(frozen=True)
class LanguagePart:
    """What can be seen of one language; one is shown at a time."""

    language: str
    confusion: Confusion | None
    prompts: str
    sheets: tuple[ShownSheet, ...]


@dataclass(frozen=True)
class Section:
    """One set. curves: by what looks for what. renamed: who stands in charts by another name."""

    report: SetReport
    tables: list[PageTable]
    sources: dict[str, list[str]]
    bars: Chart | None
    metric: str
    names_alone: tuple[str, ...]
    curves: list[tuple[str, list[Chart]]]
    renamed: dict[str, str]
    looked_at: str
    parts: list[LanguagePart]


def section(report: SetReport, models: Mapping[str, str], gallery: Gallery) -> Section:
    """models: what charts call each. Raises ImageError if an image cannot be opened any more."""
    last = report.measured[-1] if report.measured else None
    found = bars(report)
    languages = chart_names(report.languages, "language")
    methods = chart_names(list(found.published) if found else [], "method")
    return Section(
        report,
        page_tables(report),
        _sources(report),
        draw_bars(found, models, languages, methods) if found else None,
        found.metric if found else "",
        found.names_alone if found and len(found.names_alone) < len(found.languages) else (),
        _curves(panels(report), models, languages),
        {name: given for names in (models, languages, methods) for given, name in names.items() if name != given},
        last.model.label if last else "",
        _parts(report, last.findings, gallery) if last else [],
    )


def _sources(report: SetReport) -> dict[str, list[str]]:
    """The methods printed in each source."""
    sources: dict[str, list[str]] = {}
    for row in report.published:
        if row.language in report.languages and row.method not in sources.setdefault(row.source, []):
            sources[row.source].append(row.method)
    return sources


def _curves(
    found: Iterable[Panel], models: Mapping[str, str], languages: Mapping[str, str]
) -> list[tuple[str, list[Chart]]]:
    by_kind: dict[str, list[Chart]] = {}
    for panel in found:
        by_kind.setdefault(SEARCHES[panel.kind], []).append(draw_panel(panel, models, languages))
    return list(by_kind.items())


def _parts(report: SetReport, findings: Findings, gallery: Gallery) -> list[LanguagePart]:
    parts = []
    for language in report.languages:
        confusions = {of.prompts: of for of in findings.confusions if of.language == language and of.classes}
        confusion = next((confusions[prompts] for prompts in _PROMPTS if prompts in confusions), None)
        sheets = tuple(shown_sheet(report, of, findings, gallery) for of in findings.sheets if of.language == language)
        if confusion or sheets:
            parts.append(LanguagePart(language, confusion, _PROMPTS[confusion.prompts] if confusion else "", sheets))
    return parts

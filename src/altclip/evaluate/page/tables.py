"""Tables for the page: rows by language, published ones told apart, the best of ours marked."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

from altclip.evaluate.suites.figures import RANKS, SHARES
from altclip.evaluate.suites.report import SetReport
from altclip.evaluate.suites.tables import PUBLISHED, set_tables
from altclip.evaluate.tables import NOTHING, Table

_ERROR: Final = "calibration error"
_LESS_IS_BETTER: Final = frozenset({*RANKS, _ERROR})
_COMPARED: Final = SHARES | _LESS_IS_BETTER  # cosines say nothing of which model is better


@dataclass(frozen=True)
class Cell:
    """A figure and its interval, as the table shows them; best: of ours in its column and language."""

    value: str
    interval: str
    best: bool


@dataclass(frozen=True)
class TableRow:
    """method: with the ending of published ones."""

    method: str
    published: bool
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class PageTable:
    """columns: of figures; groups: a language each, with its rows."""

    title: str
    columns: tuple[str, ...]
    groups: tuple[tuple[str, tuple[TableRow, ...]], ...]


def page_tables(report: SetReport) -> list[PageTable]:
    """Those of `set_tables`, in its order."""
    labels = [of.model.label for of in report.measured]
    return [_page_table(table, labels) for table in set_tables(report)]


def _page_table(table: Table, labels: Collection[str]) -> PageTable:
    groups = []
    for language, rows in itertools.groupby(table.rows, key=lambda row: row[0]):
        groups.append((language, _rows(list(rows), table.columns[2:], labels)))
    return PageTable(table.title, table.columns[2:], tuple(groups))


def _rows(rows: Sequence[tuple[str, ...]], columns: Sequence[str], labels: Collection[str]) -> tuple[TableRow, ...]:
    published = [row[1].endswith(PUBLISHED) and row[1] not in labels for row in rows]
    none = [None] * len(columns)
    best = [
        _best([row[2 + place] for row, printed in zip(rows, published, strict=True) if not printed], column)
        for place, column in enumerate(columns)
    ]
    return tuple(
        TableRow(row[1], printed, tuple(_cell(*pair) for pair in zip(row[2:], none if printed else best, strict=True)))
        for row, printed in zip(rows, published, strict=True)
    )


def _best(cells: Sequence[str], metric: str) -> float | None:
    """None where none is better than another; what is equal as shown is equally good."""
    values = {float(_value(cell)) for cell in cells if cell != NOTHING}
    if metric not in _COMPARED or len(values) < 2:
        return None
    return min(values) if metric in _LESS_IS_BETTER else max(values)


def _cell(text: str, best: float | None) -> Cell:
    value, gap, interval = text.partition(" ")
    return Cell(value, gap and interval, best is not None and text != NOTHING and float(value) == best)


def _value(cell: str) -> str:
    return cell.partition(" ")[0]

"""Tables as data, and as Markdown; what they call the models."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from altclip.errors import UsageError
from altclip.evaluate.embedding import Prompts

TITLES: dict[Prompts, str] = {"names": "names alone", "templates": "with templates"}
NOTHING = "–"


@dataclass(frozen=True)
class Table:
    """Cells are plain text, never markup: labels and paths of users stand in them."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def markdown(made: Iterable[Table]) -> str:
    """The tables as Markdown, a heading each."""
    return "\n".join(line for table in made for line in _markdown_lines(table))


def _markdown_lines(table: Table) -> list[str]:
    rows = (table.columns, ("---",) * len(table.columns), *table.rows)
    cells = [[cell.replace("\\", "\\\\").replace("|", "\\|").replace("\n", " ") for cell in row] for row in rows]
    return [f"## {table.title}", "", *(f"| {' | '.join(row)} |" for row in cells), ""]


def labels_for(sources: Sequence[str], given: Sequence[str]) -> list[str]:
    """What tables call each model: the labels given, one a model, else the models as they were named.

    Raises UsageError for another number of labels than models, or one label twice.
    """
    labels = list(given or sources)
    if len(labels) != len(sources):
        raise UsageError(f"{len(labels)} labels for {len(sources)} models: give one each, in the same order, or none")
    if len(set(labels)) < len(labels):
        raise UsageError(f"models of one label: {', '.join(labels)}; tell them apart by a label each")
    return labels

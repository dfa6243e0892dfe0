"""`altclip compare`: what changed between two reports of `altclip evaluate`, and whether it is more than noise."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import typer

from altclip.cli.output import escape, print_json, progress_console, results
from altclip.cli.reporting import show_tables

EXAMPLE: Final = "altclip compare before.json after.json"


def command(
    first: Annotated[Path, typer.Argument(metavar="A.json", help="A JSON file of altclip evaluate --dataset/--suite.")],
    second: Annotated[
        Path | None, typer.Argument(metavar="[B.json]", help="Another; left out, two models of the first.")
    ] = None,
    label: Annotated[
        list[str] | None, typer.Option(help="The model in A, then the one in B; needed where a file has several.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Compare two models measured on the same data, figure by figure, by a paired bootstrap (95 %).

    What is drawn is an image with everything that was asked about it, as it went for both models, so a difference far
    smaller than each figure's own interval can be told from noise. The file of ranks that evaluate writes beside its
    JSON file must be there.
    """
    from altclip.evaluate import compare

    found = compare(first, second or first, label or ())
    if as_json:
        print_json(found.to_dict())
        return
    show_tables(found.tables())
    for note in found.notes:
        progress_console().print(escape(note))
    results().print(escape(found.verdict()), soft_wrap=True)

"""`altclip bench`: how fast this machine runs a model, by each engine and precision."""

from __future__ import annotations

from typing import Annotated, Final

import typer

from altclip.cli.output import escape, print_json, progress_console, results

EXAMPLE: Final = "altclip bench random:altclip"


def command(
    model: Annotated[
        str, typer.Argument(metavar="[MODEL]", help="A folder, preset or hub id; random:altclip needs no weights.")
    ] = "mini",
    runs: Annotated[int, typer.Option(min=1, help="Of each measurement; the median counts.")] = 5,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Measure this machine: matrix products, each engine and precision, decoding, files to embeddings.

    Engines are timed in turns, after a run that does not count. In the table, cosine is the least to the embeddings of
    torch in float32, and first the seconds until the first answer, with compiling where the graph is not kept yet.
    """
    from altclip.bench import bench

    found = bench(model, runs=runs, report=lambda line: progress_console().print(escape(line)))
    if as_json:
        print_json(found.to_dict())
        return
    from rich import box
    from rich.table import Table

    threads = f"{found.machine['threads']} threads"
    title = f"{found.model}, {found.parameters / 1e6:,.1f} M parameters, on {found.machine['cpu']}, {threads}"
    table = Table(title=escape(title), title_justify="left", title_style="bold", box=box.SIMPLE_HEAD)
    for column in ("measured", "by", "a second", "slowest to fastest", "cosine", "first"):
        table.add_column(column, justify="left" if column in ("measured", "by") else "right")
    for row in found.rows:
        unit = " GFLOP" if row.what == "matrix products" else ""
        table.add_row(
            row.what, row.how, f"{row.per_second:,.1f}{unit}", f"{row.slowest:,.1f} to {row.fastest:,.1f}",
            "" if row.cosine is None else f"{row.cosine:.6f}", "" if row.first is None else f"{row.first:.2f} s",
        )  # fmt: skip
    results().print(table)

"""`altclip bench`: how fast this machine runs a model, by each engine and precision, and what a precision changes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from altclip.cli.output import escape, print_json, progress_console, results

if TYPE_CHECKING:
    from altclip.bench import Report

EXAMPLE: Final = "altclip bench mini --dataset mini_photos --root data --picture bench.png"


def command(
    model: Annotated[
        str, typer.Argument(metavar="[MODEL]", help="A folder, preset or hub id; random:altclip needs no weights.")
    ] = "mini",
    runs: Annotated[int, typer.Option(min=1, help="Of each measurement; the median counts.")] = 5,
    precisions: Annotated[str, typer.Option(help="Of exact, fast and int8, such as exact,fast; all if empty.")] = "",
    dataset: Annotated[
        str, typer.Option(help="A set of altclip evaluate in --root; tells what each precision changes.")
    ] = "",
    root: Annotated[Path | None, typer.Option(help="The folder with the files of --dataset.")] = None,
    peers: Annotated[
        Path | None,
        typer.Option(metavar="FILE.py", help="Other tools to measure beside: a file with peers(folder); it is run."),
    ] = None,
    picture: Annotated[
        Path | None, typer.Option(metavar="FILE.png", help="Draw the table too; needs the extra report.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Measure this machine: matrix products, each engine and precision, decoding, files and texts to embeddings.

    Engines are timed in turns, after a run that does not count. In the table, cosine is the least to the embeddings of
    torch in float32, and first the seconds until the first answer, with compiling where the graph is not kept yet.

    altclip opens no other tool by itself: benchmarks/encode_peers.py is a file for --peers that opens transformers.
    benchmarks/encode.py measures at length beside it, sentence-transformers and others.
    """
    from altclip.bench import bench
    from altclip.bench import picture as drawn
    from altclip.bench.contenders import read_peers
    from altclip.prompts import split_labels

    if picture is not None:
        drawn.check(picture)
    found = bench(
        model, runs=runs, precisions=split_labels(precisions), dataset=dataset, root=root,
        peers=read_peers(peers) if peers else None, report=lambda line: progress_console().print(escape(line)),
    )  # fmt: skip
    if picture is not None:
        drawn.draw(_title(found), found.rows, found.prices, picture)
    if as_json:
        print_json(found.to_dict())
        return
    _show_rows(found)
    if found.dataset:
        _show_prices(found)


def _title(found: Report) -> str:
    threads = f"{found.machine['threads']} thread{'s' * (found.machine['threads'] != 1)}"
    return f"{found.model}, {found.parameters / 1e6:,.1f} M parameters, on {found.machine['cpu']}, {threads}"


def _show_rows(found: Report) -> None:
    rows = []
    for row in found.rows:
        unit = " GFLOP" if row.what == "matrix products" else ""
        rows.append((
            row.what, row.how, f"{row.per_second:,.1f}{unit}", f"{row.slowest:,.1f} to {row.fastest:,.1f}",
            "" if row.cosine is None else f"{row.cosine:.6f}", "" if row.first is None else f"{row.first:.2f} s",
        ))  # fmt: skip
    _show(_title(found), ("measured", "by", "a second", "slowest to fastest", "cosine", "first"), 2, rows)


def _show_prices(found: Report) -> None:
    near = [
        (of.precision, f"{of.count:,} {of.kind}", f"{of.least_cosine:.6f}", f"{of.mean_cosine:.6f}")
        for of in found.agreements
    ]
    _show(f"{found.dataset}, cosine to exact arithmetic", ("precision", "of", "least", "mean"), 2, near)
    changes = []
    for price in found.prices:
        of = price.difference
        value, low, high = (f"{100 * number:+.2f}" for number in (of.value, of.low, of.high))
        changes.append((
            price.precision, price.language, price.figure, f"{100 * price.exact:.1f}", f"{value} ({low} to {high})"
        ))  # fmt: skip
    title = f"{found.dataset}, in percent, and the change in percentage points with its paired 95 % interval"
    _show(title, ("precision", "language", "figure", "exact", "change (95 %)"), 3, changes)


def _show(title: str, columns: Sequence[str], words: int, rows: Sequence[Sequence[str]]) -> None:
    """words: how many columns from the left are no numbers."""
    from rich import box
    from rich.table import Table

    table = Table(title=escape(title), title_justify="left", title_style="bold", box=box.SIMPLE_HEAD)
    for place, column in enumerate(columns):
        table.add_column(column, justify="left" if place < words else "right")
    for row in rows:
        table.add_row(*map(escape, row))
    results().print(table)

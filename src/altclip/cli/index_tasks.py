"""`altclip index status|remove|duplicates|compact|export|verify|tune`: what is done with an index that is there."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from altclip.cli.output import escape, print_json, results, show_error
from altclip.errors import UsageError
from altclip.search.duplicates import LEAST_COSINE

if TYPE_CHECKING:
    from altclip.search.index import Index

Place = Annotated[
    Path | None, typer.Option("--index", metavar="DIR", help="Where it is; else ALTCLIP_INDEX, else your data folder.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]


def status(index: Place = None, as_json: AsJson = False) -> None:
    """Tell what the index holds, of which folders, and which model made it."""
    found = _open(index).status()
    folders = [{"folder": folder, "there": Path(folder).is_dir()} for folder in found.folders]
    if as_json:
        print_json({**dataclasses.asdict(found), "folder": str(found.folder), "folders": folders})
        return
    tuned = found.tuned
    kind = f"approximate, recall@10 {tuned.recall:.3f} when built" if tuned else "exact: every row is compared"
    _show({
        "index": str(found.folder),
        "pictures": f"{found.rows:,}",
        "model": f"{found.model} ({found.digest[:12]}), vectors of {found.dim}",
        "folders": "\n".join(f"{f['folder']}{'' if f['there'] else ' (not there now)'}" for f in folders) or "none",
        "search": kind,
        "on disk": f"{found.size_bytes / 1e6:,.1f} MB",
    })  # fmt: skip


def remove(
    paths: Annotated[list[Path], typer.Argument(metavar="PATH", help="Folders or files that were indexed.")],
    index: Place = None,
    as_json: AsJson = False,
) -> None:
    """Forget folders or files: their rows go from the index. The files themselves are left alone."""
    from altclip.search.scanning import below

    opened = _open(index)
    asked = [str(path.expanduser().resolve()) for path in paths]
    roots = [root for root in opened.folders if any(below(root, path) for path in asked)]
    ids = [row.id for row in opened.known() if row.path and any(below(row.path, path) for path in asked)]
    if not ids and not roots:
        raise UsageError(f"nothing in the index lies at {', '.join(asked)}: altclip index status tells its folders")
    with opened.writing() as writer:
        writer.remove(ids)
        for root in roots:
            writer.remove_folder(root)
    if as_json:
        print_json({"removed": len(ids), "folders": roots})
    else:
        results().print(f"{len(ids)} pictures forgotten; the files themselves are where they were", soft_wrap=True)


def duplicates(
    least_cosine: Annotated[
        float, typer.Option(min=0.5, max=1, help="How alike: 1 is the same picture, 0.96 another shot of a scene.")
    ] = LEAST_COSINE,
    index: Place = None,
    as_json: AsJson = False,
) -> None:
    """List pictures that are nearly the same, in groups, the largest first. Every pair is compared."""
    opened = _open(index)
    groups = opened.near_duplicates(least_cosine=least_cosine)
    names = {row.id: row.path or row.id for row in opened.known()}  # one that a writer removed meanwhile is left out
    found = [sorted(names[one] for one in group if one in names) for group in groups]
    if as_json:
        print_json({"groups": found})
        return
    for group in found:
        results().print("\n".join(map(escape, group)), end="\n\n", soft_wrap=True)
    results().print(f"{sum(map(len, found))} pictures in {len(found)} groups", soft_wrap=True)


def compact(index: Place = None, as_json: AsJson = False) -> None:
    """Make the index small and quick again: join its files, delete what earlier versions left."""
    opened = _open(index)
    before = opened.status().size_bytes
    opened.compact()
    after = opened.status().size_bytes
    if as_json:
        print_json({"bytes_before": before, "bytes_after": after})
    else:
        results().print(f"{before / 1e6:,.1f} MB before, {after / 1e6:,.1f} MB now", soft_wrap=True)


def export(
    out: Annotated[Path, typer.Argument(metavar="FILE", help="X.parquet (everything), X.npz or X.jsonl.")],
    index: Place = None,
    as_json: AsJson = False,
) -> None:
    """Write all rows as a file that other programs read. It appears when whole."""
    rows = _open(index).export(out)
    if as_json:
        print_json({"out": str(out), "rows": rows})
    else:
        results().print(escape(f"{out}: {rows} pictures"), soft_wrap=True)


def verify(index: Place = None, as_json: AsJson = False) -> None:
    """Read the whole index and tell what is damaged; exit code 1 if anything is."""
    problems = _open(index).verify()
    if as_json:
        print_json({"problems": problems})
    elif not problems:
        results().print("the index is whole")
    for problem in problems:
        show_error(problem)
    if problems:
        raise typer.Exit(1)


def tune(index: Place = None, as_json: AsJson = False) -> None:
    """Measure the approximate index: how many of the 10 nearest it finds, and how long it takes."""
    opened = _open(index)
    points, tuned = opened.tune(), opened.status().tuned
    if as_json:
        print_json({"points": [dataclasses.asdict(point) for point in points]})
        return
    if not points:
        results().print("the index is small enough to compare every row: recall is 1, and there is nothing to tune")
        return
    from rich.table import Table

    table = Table()
    for title in ("ef", "recall@10", "p50 ms", "p99 ms", ""):
        table.add_column(title, justify="right")
    for point in points:
        used = tuned is not None and point.ef == tuned.ef
        figures = (f"{point.recall:.3f}", f"{point.p50_ms:.1f}", f"{point.p99_ms:.1f}")
        table.add_row(str(point.ef), *figures, "in use" if used else "")
    results().print(table)


TASKS: Final[dict[str, tuple[Callable[..., None], str]]] = {
    "status": (status, ""),
    "remove": (remove, " ~/Pictures/2019"),
    "duplicates": (duplicates, " --least-cosine 0.98"),
    "compact": (compact, ""),
    "export": (export, " pictures.parquet"),
    "verify": (verify, ""),
    "tune": (tune, ""),
}


def load(name: str) -> Any:
    """The parser of a task."""
    function, arguments = TASKS[name]
    single = typer.Typer(
        rich_markup_mode=None, add_completion=False, context_settings={"help_option_names": ["--help", "-h"]}
    )
    single.command(name, epilog=f"\b\nExample:\n  altclip index {name}{arguments}")(function)
    return typer.main.get_command(single)


def _open(place: Path | None) -> Index:
    from altclip.search.index import Index, default_folder

    return Index.open((place or default_folder()).expanduser())


def _show(rows: dict[str, str]) -> None:
    from rich.table import Table

    table = Table(show_header=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for name, value in rows.items():
        table.add_row(name, escape(value) if "\n" not in value else "\n".join(map(escape, value.split("\n"))))
    results().print(table)

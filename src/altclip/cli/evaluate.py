"""`altclip evaluate`: models measured side by side, as tables on the terminal, Markdown and JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, TypedDict

import typer

from altclip.cli.output import escape, plain, progress_console, results
from altclip.errors import UsageError

if TYPE_CHECKING:
    from altclip.evaluate import DatasetReport, Report, Table

EXAMPLE: Final = (
    "altclip evaluate run/distill/model mini --label 'stage 1' --label 'stage 2' --data data --json out.json"
)


def command(
    models: Annotated[list[str], typer.Argument(metavar="MODEL", help="Folders, presets or hub ids.")],
    data: Annotated[
        Path | None,
        typer.Option(
            "--data", "--root", help="Folder with photos/ and emoji/, as docs/mini-data.md says; or the set's folder."
        ),
    ] = None,
    dataset: Annotated[
        str, typer.Option(help="A benchmark set in --root, such as flickr30k_cn; docs/evaluation.md lists them.")
    ] = "",
    label: Annotated[list[str] | None, typer.Option(help="What to call a model; once for each, in order.")] = None,
    languages: Annotated[
        str, typer.Option(help="Such as zh,ja; all if empty. English always, without --dataset.")
    ] = "",
    style: Annotated[str, typer.Option(help="Style of the drawings: twemoji, noto or openmoji.")] = "twemoji",
    left_out: Annotated[int, typer.Option(min=0, help="N, if training left out every N-th name; measures those.")] = 0,
    json_file: Annotated[Path | None, typer.Option("--json", help="File to write every figure to.")] = None,
    markdown_file: Annotated[Path | None, typer.Option("--markdown", help="File to write the tables to.")] = None,
    cache: Annotated[
        Path | None, typer.Option(help="Folder for image embeddings; your cache folder if left out.")
    ] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda, mps, or auto.")] = "auto",
) -> None:
    """Measure models side by side: zero-shot classification and retrieval, by language, with 95 % intervals.

    Photographs of 200 classes, by names alone and with templates; full-size photographs; drawings found by name; each
    other language over English on the names that both have. With --dataset NAME --root DIR: a benchmark set, as its
    authors hand it out, in every language that it has, beside the published figures.
    """
    for path in (json_file, markdown_file):
        _check_target(path)
    options: _Shared = {"labels": label or (), "cache": cache, "device": device, "report": _say}
    if dataset:
        if data is None or style != "twemoji" or left_out:
            raise UsageError(
                "--dataset needs --root DIR, the folder with its files, and takes no --style or --left-out"
            )
        _on_dataset(models, dataset, data, languages, options, json_file, markdown_file)
        return
    if data is None:
        raise UsageError(
            "evaluate needs --data DIR, a folder with photos/val.parquet, photos/classes.jsonl, photos/full_size, "
            "emoji/images.parquet and emoji/concepts.jsonl; docs/mini-data.md tells where each is had"
        )
    from altclip.evaluate import Settings, evaluate_models, markdown, tables
    from altclip.evaluate.suite import choose_languages
    from altclip.prompts import split_labels

    settings = Settings(choose_languages(split_labels(languages)), style, left_out)
    report = evaluate_models(models, data, settings, **options)
    made = tables(report)
    for table in made:
        _show(table)
    _write(json_file, json.dumps(report.to_dict(), ensure_ascii=False, indent=1, allow_nan=False) + "\n")
    _write(markdown_file, _heading(report) + markdown(made))


class _Shared(TypedDict):
    """What both kinds of evaluation take."""

    labels: Sequence[str]
    cache: Path | None
    device: str
    report: Callable[[str], None]


def _say(line: str) -> None:
    progress_console().print(escape(line))


def _on_dataset(
    models: list[str],
    name: str,
    root: Path,
    languages: str,
    options: _Shared,
    json_file: Path | None,
    markdown_file: Path | None,
) -> None:
    """One benchmark set: tables, what was left out, JSON and Markdown."""
    from altclip.evaluate import dataset_tables, evaluate_dataset, markdown
    from altclip.prompts import split_labels

    report = evaluate_dataset(models, name, root, split_labels(languages), **options)
    made = dataset_tables(report)
    for table in made:
        _show(table)
    for note in report.notes:
        _say(note)
    _write(json_file, json.dumps(report.to_dict(), ensure_ascii=False, indent=1, allow_nan=False) + "\n")
    _write(markdown_file, _dataset_heading(report) + markdown(made))


def _dataset_heading(report: DatasetReport) -> str:
    """What the figures were made with and on, and what was left out."""
    made_with = ", ".join(f"{name} {number}" for name, number in report.versions.items())
    lines = [
        f"# {report.title}",
        "",
        "Shares in percent, with 95 % intervals; rows marked (published) are printed as their authors give them.",
        f"Made with {made_with}; commit {report.commit or 'unknown'}.",
        "",
        *(f"- {plain(model.label)}: {plain(model.source)}, digest {model.digest[:16]}" for model in report.models),
        f"- {report.data['images']:,} images, SHA-256 {str(report.data['digest'])[:16]}",
        *(f"- {plain(note)}" for note in report.notes),
    ]
    return "\n".join([*lines, "", ""])


def _show(table: Table) -> None:
    from rich import box
    from rich.table import Table as RichTable

    drawn = RichTable(title=escape(table.title), title_justify="left", title_style="bold", box=box.SIMPLE_HEAD)
    for column in table.columns:
        drawn.add_column(escape(column), overflow="fold")
    for row in table.rows:
        drawn.add_row(*map(escape, row))
    results().print(drawn)


def _heading(report: Report) -> str:
    """What the figures were made with and on."""
    made_with = ", ".join(f"{name} {number}" for name, number in report.versions.items())
    lines = [
        "# Evaluation",
        "",
        "Shares in percent, with 95 % intervals: Wilson for shares, paired bootstrap for ratios.",
    ]
    lines += [f"Made with {made_with}; commit {report.commit or 'unknown'}.", ""]
    lines += [f"- {plain(model.label)}: {plain(model.source)}, digest {model.digest[:16]}" for model in report.models]
    lines += [f"- {name}: SHA-256 {digest[:16]}" for name, digest in report.data.items()]
    return "\n".join([*lines, "", ""])


def _check_target(path: Path | None) -> None:
    """A file that cannot be written is better known before the work than after it."""
    if path is not None and (path.is_dir() or not path.absolute().parent.is_dir()):
        raise UsageError(f"{path} cannot be written: it is a folder, or the folder it should be in does not exist")


def _write(path: Path | None, text: str) -> None:
    """The whole file or none: written beside, then put in its place."""
    if path is None:
        return
    partial = path.with_name(f".{path.name}.part")
    try:
        partial.write_text(text, encoding="utf-8")
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)

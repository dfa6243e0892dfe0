"""`altclip evaluate`: models measured side by side, as tables on the terminal, JSON, Markdown and an HTML page."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Final, TypedDict

import typer

from altclip.cli.opening import device_name
from altclip.cli.output import escape, progress_console
from altclip.cli.reporting import check_targets, heading, show_tables, write_json, write_markdown, write_suite
from altclip.errors import UsageError

EXAMPLE: Final = (
    "altclip evaluate run/distill/model mini --label 'stage 1' --label 'stage 2' --suite mini --root data "
    "--json out.json --report out.html"
)


def command(
    models: Annotated[list[str], typer.Argument(metavar="MODEL", help="Folders, presets or hub ids.")],
    data: Annotated[
        Path | None,
        typer.Option(
            "--data",
            "--root",
            help="Folder with photos/ and emoji/, as docs/mini-data.md says; or of the sets.",
        ),
    ] = None,
    dataset: Annotated[
        str, typer.Option(help="A benchmark set in --root, such as flickr30k_cn; docs/evaluation.md lists them.")
    ] = "",
    suite: Annotated[
        str, typer.Option(help="A TOML file that lists several sets, or mini; folders in it are told from --root.")
    ] = "",
    label: Annotated[list[str] | None, typer.Option(help="What to call a model; once for each, in order.")] = None,
    languages: Annotated[
        str, typer.Option(help="Such as zh,ja; all if empty. English always, without --dataset.")
    ] = "",
    style: Annotated[str, typer.Option(help="Style of the drawings: twemoji, noto or openmoji.")] = "twemoji",
    left_out: Annotated[int, typer.Option(min=0, help="N, if training left out every N-th name; measures those.")] = 0,
    json_file: Annotated[Path | None, typer.Option("--json", help="File to write every figure to.")] = None,
    reports: Annotated[
        list[Path] | None, typer.Option("--report", help="A .md or .html file to write; repeatable.")
    ] = None,
    device: Annotated[
        str | None, typer.Option(help="cpu, cuda, cuda:1 or mps; else ALTCLIP_DEVICE or the best.")
    ] = None,
) -> None:
    """Measure models side by side: zero-shot classification and retrieval, by language, with 95 % intervals.

    With --data alone: photographs of 200 classes, by names alone and with templates; full-size photographs; drawings
    found by name; each other language over English on the names that both have. With --dataset NAME --root DIR: a set
    as its authors hand it out, in every language that it has, beside the published figures. With --suite: several.
    """
    from altclip.prompts import split_labels

    options: _Shared = {"labels": label or (), "device": device or device_name(), "report": _say}
    asked, written = split_labels(languages), (json_file, list(reports or ()))
    if dataset or suite:
        if (dataset and suite) or style != "twemoji" or left_out:
            raise UsageError("one of --dataset and --suite, without --style and --left-out, which are of --data alone")
        check_targets(*written)
        _on_suite(models, dataset, suite, data, asked, options, *written)
        return
    check_targets(*written, page=False)
    if data is None:
        raise UsageError(
            "evaluate needs --data DIR, a folder with photos/val.parquet, photos/classes.jsonl, photos/full_size, "
            "emoji/images.parquet and emoji/concepts.jsonl; docs/mini-data.md tells where each is had"
        )
    from altclip.evaluate import Settings, evaluate_models, tables
    from altclip.evaluate.mini.measures import choose_languages

    report = evaluate_models(models, data, Settings(choose_languages(asked), style, left_out), **options)
    made = tables(report)
    show_tables(made)
    write_json(json_file, report.to_dict())
    for path in written[1]:
        write_markdown(path, heading(report), made)


class _Shared(TypedDict):
    """What every kind of evaluation takes."""

    labels: Sequence[str]
    device: str
    report: Callable[[str], None]


def _say(line: str) -> None:
    progress_console().print(escape(line))


def _on_suite(
    models: Sequence[str],
    dataset: str,
    suite: str,
    root: Path | None,
    languages: Sequence[str],
    options: _Shared,
    json_file: Path | None,
    reports: Sequence[Path],
) -> None:
    """One benchmark set or several: tables, what was left out, and files."""
    from altclip.evaluate import evaluate_suite, read_suite, set_tables, suite_of

    if dataset:
        if root is None:
            raise UsageError("--dataset needs --root DIR, the folder with its files")
        chosen = suite_of(dataset, root, tuple(languages))
    else:
        if languages:
            raise UsageError("--languages is not for --suite: its file says `languages` for each set")
        chosen = read_suite(suite, root)
    report = evaluate_suite(models, chosen, **options)
    made = [table for of in report.sets for table in set_tables(of)]
    show_tables(made)
    for of in report.sets:
        for note in of.notes:
            _say(f"{of.title}: {note}")
    write_suite(report, made, json_file, reports)

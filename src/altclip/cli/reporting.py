"""What `evaluate` and `compare` leave behind: tables on the terminal; JSON, Markdown and HTML files, whole or not."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from altclip.cli.output import escape, plain, results
from altclip.errors import UsageError
from altclip.pages.files import check_target
from altclip.whole import write_whole

if TYPE_CHECKING:
    from altclip.evaluate import Report, SuiteReport, Table

REPORTS: Final = (".md", ".html")


def check_targets(json_file: Path | None, reports: Sequence[Path], *, page: bool = True) -> None:
    """A file that cannot be written is better known before the work than after it.

    page: whether there can be an HTML page. Raises UsageError for another ending, a folder, or a file in no folder;
    MissingExtraError where what a page needs is not installed.
    """
    for path in [*([json_file] if json_file else []), *reports]:
        check_target(path)
    for path in reports:
        if path.suffix not in REPORTS or (path.suffix == ".html" and not page):
            wanted = f"expected a name that ends in {' or '.join(REPORTS)}"
            raise UsageError(f"--report {path}: {wanted if page else 'a page is of --suite or --dataset, take .md'}")
        if path.suffix == ".html":
            from altclip.evaluate import page as html

            html.check(path)


def show_tables(made: Sequence[Table]) -> None:
    """The tables on stdout."""
    from rich import box
    from rich.table import Table as RichTable

    for table in made:
        drawn = RichTable(title=escape(table.title), title_justify="left", title_style="bold", box=box.SIMPLE_HEAD)
        for column in table.columns:
            drawn.add_column(escape(column), overflow="fold")
        for row in table.rows:
            drawn.add_row(*map(escape, row))
        results().print(drawn)


def write_json(path: Path | None, content: Mapping[str, Any]) -> None:
    """One JSON document; nothing for no path."""
    if path is not None:
        write_whole(path, (json.dumps(content, ensure_ascii=False, indent=1, allow_nan=False) + "\n").encode())


def write_suite(report: SuiteReport, made: Sequence[Table], json_file: Path | None, reports: Sequence[Path]) -> None:
    """A suite's figures, with the ranks of every query beside them, and its reports."""
    if json_file is not None:
        content, (name, ranks) = report.files(json_file.stem)
        write_whole(json_file.with_name(name), ranks)  # first: a JSON file never names ranks that are not there
        write_json(json_file, content)
    for path in reports:
        if path.suffix == ".html":
            from altclip.evaluate import page as html

            html.write(html.render(report), path)
        else:
            write_markdown(path, suite_heading(report), made)


def write_markdown(path: Path, heading: str, made: Sequence[Table]) -> None:
    """What the figures were made with and on, and the tables."""
    from altclip.evaluate import markdown

    write_whole(path, (heading + markdown(made)).encode("utf-8", "backslashreplace"))


def suite_heading(report: SuiteReport) -> str:
    """What the figures were made with and on, and what was left out."""
    lines = [
        f"# {plain(report.title)}",
        "",
        "Shares in percent, with 95 % intervals; rows marked (published) are printed as their authors give them.",
        _made_with(report.versions, report.commit),
        "",
        *(f"- {plain(model.label)}: {plain(model.source)}, digest {model.digest[:16]}" for model in report.models),
    ]
    for of in report.sets:
        lines.append(f"- {plain(of.title)}: {of.data['images']:,} images, SHA-256 {str(of.data['digest'])[:16]}")
        lines += [f"  - {plain(note)}" for note in of.notes]
    return "\n".join([*lines, "", ""])


def heading(report: Report) -> str:
    """What the figures on the bundled model's own data were made with and on."""
    lines = [
        "# Evaluation",
        "",
        "Shares in percent, with 95 % intervals: Wilson for shares, paired bootstrap for ratios.",
        _made_with(report.versions, report.commit),
        "",
        *(f"- {plain(model.label)}: {plain(model.source)}, digest {model.digest[:16]}" for model in report.models),
        *(f"- {name}: SHA-256 {digest[:16]}" for name, digest in report.data.items()),
    ]
    return "\n".join([*lines, "", ""])


def _made_with(versions: Mapping[str, str], commit: str | None) -> str:
    named = ", ".join(f"{name} {number}" for name, number in versions.items())
    return f"Made with {named}; commit {commit or 'unknown'}."

"""`altclip demo`: what a model sees in photographs, as a table per language and as one HTML page."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from altclip.cli.finding import Failure, find_images, show_failures
from altclip.cli.opening import open_encoder
from altclip.cli.output import escape, print_json, progress_console, results
from altclip.errors import InputError, UsageError

if TYPE_CHECKING:
    from rich.table import Table

    from altclip.demo import Guess, Guesses, InLanguage, Photograph, Results

EXAMPLE: Final = "altclip demo holiday-photos --languages zh,ar --output holiday.html"
_OUTPUT: Final = Path("altclip-demo.html")
_LIMIT: Final = 100
# A mark without width that reads from left to right. On both sides of a column's border it keeps a terminal that turns
# Arabic around from turning the columns around with it.
_LEFT_TO_RIGHT: Final = "\u200e"


def command(
    folder: Annotated[
        Path | None, typer.Argument(metavar="FOLDER", help="Your photographs; those of scikit-image if left out.")
    ] = None,
    model: Annotated[str, typer.Option(help="Folder, preset or hub id; the bundled model if left out.")] = "mini",
    output: Annotated[Path, typer.Option(help="The page to write.")] = _OUTPUT,
    languages: Annotated[str, typer.Option(help="Such as zh,ja; all nine if empty.")] = "",
    limit: Annotated[int, typer.Option(min=1, help="Show so many photographs of the folder, the first ones.")] = _LIMIT,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON in place of the tables.")] = False,
    open_page: Annotated[
        bool, typer.Option("--open", help="Search them in your browser instead, until Ctrl-C: FOLDER or the ten.")
    ] = False,
) -> None:
    """Show what the bundled model sees in photographs: labels and searches in nine languages.

    Prints a table per language, and writes one HTML page that needs no network. The labels offered are always all 200
    that the bundled model was made for; things it never learned are marked as such.
    """
    if open_page:
        from altclip.cli.demo_page import show_page

        if as_json or languages or limit != _LIMIT or output != _OUTPUT:
            raise UsageError("--open stands with FOLDER and --model alone: it writes and prints no page")
        show_page(folder, model)
        return
    from altclip.demo import choose, look, page
    from altclip.prompts import split_labels

    chosen = choose(split_labels(languages))
    page.check(output)
    photographs, failures = _photographs(folder)
    encoder = open_encoder(model)
    found = look(encoder, photographs, chosen, limit=limit, report=lambda line: progress_console().print(escape(line)))
    page.write(page.render(found, max_pixels=encoder.max_pixels), output)
    if as_json:
        print_json({**found.to_dict(), "page": str(output)})
    else:
        _show(found, output)
    failures += [Failure(*failure) for failure in found.failures]
    show_failures(failures)
    if failures:
        raise typer.Exit(1)


def _photographs(folder: Path | None) -> tuple[list[Photograph], list[Failure]]:
    """Those that are shipped, or those in the folder with the folders below it that cannot be read."""
    from altclip.demo import of_user, shipped

    if folder is None:
        return shipped(), []
    if not folder.is_dir():
        raise UsageError(f"{folder} is no folder: expected one with photographs; for single files: altclip classify")
    found = find_images([folder])
    if not found.files:
        raise InputError("\n".join(failure.error for failure in found.failures))
    return of_user(found.files, folder), found.failures


def _show(found: Results, output: Path) -> None:
    for part in found.languages:
        _print_table(_table(found, part), part)
        results().print()
    for line in _notes(found, output):
        results().print(escape(line), soft_wrap=True)


def _table(found: Results, part: InLanguage) -> Table:
    """A row a photograph; those of things that no label names come last, below a row that says so."""
    from rich.box import MINIMAL
    from rich.table import Table

    from altclip.languages import NAMES

    title = f"{NAMES[part.language]} ({part.language})"
    table = Table(
        title=title, title_justify="left", title_style="bold", expand=True, box=MINIMAL, show_lines=True, pad_edge=False
    )
    table.caption, table.caption_justify = _score(part), "left"
    table.add_column("photograph", overflow="fold", ratio=3)
    for place in range(1, 6):
        table.add_column(str(place), overflow="fold", ratio=2)
    rows = list(zip(found.photographs, part.guesses, strict=True))
    for photograph, guesses in rows:
        if not photograph.never_learned:
            table.add_row(_subject(photograph, guesses), *_cells(guesses))
    unknown = [(photograph, guesses) for photograph, guesses in rows if photograph.never_learned]
    if unknown:
        table.add_row("[yellow]never learned, no label is right:[/]")
    for photograph, guesses in unknown:
        table.add_row(_subject(photograph, guesses), *_cells(guesses), style="dim")
    return table


def _score(part: InLanguage) -> str | None:
    """How often the right label came first and among the five, and what words found, where the right is known."""
    places = [guesses.right.place for guesses in part.guesses if guesses.right]
    if not places:
        return None
    first, five = (sum(place <= most for place in places) for most in (1, 5))
    finds = (f"{escape(search.words)} at place {search.place}" for search in part.searches if search.place)
    return (
        f"Right labels: {first} of {len(places)} came first, {five} among the first five.\n"
        f"Found by words among {len(part.guesses)} photographs: {', '.join(finds)}."
    )


def _subject(photograph: Photograph, guesses: Guesses) -> str:
    """What stands in front of a row: the file, and what is known of it."""
    lines = [f"[bold]{escape(photograph.name)}[/]"]
    if guesses.right:
        lines.append(f"[green]place {guesses.right.place}: {escape(guesses.right.label)}[/]")
    elif photograph.told:
        lines.append(escape(photograph.shows))
    return "\n".join(lines)


def _cells(guesses: Guesses) -> list[str]:
    return [_cell(guess, guesses.right) for guess in guesses.top]


def _cell(guess: Guess, right: Guess | None) -> str:
    """The number has a line of its own: beside Arabic letters a terminal would take it for a part of them."""
    from altclip.demo.page import percent

    if right and guess.wnid == right.wnid:
        return f"[bold green]{percent(guess.probability)} ✓\n{escape(guess.label)}[/]"
    return f"{percent(guess.probability)}\n{escape(guess.label)}"


def _print_table(table: Table, part: InLanguage) -> None:
    from altclip.languages import RIGHT_TO_LEFT

    if part.language not in RIGHT_TO_LEFT:
        results().print(table)
        return
    with results().capture() as drawn:
        results().print(table)
    for line in drawn.get().splitlines():
        print(_LEFT_TO_RIGHT + line.replace("│", f"{_LEFT_TO_RIGHT}│{_LEFT_TO_RIGHT}"))


def _notes(found: Results, output: Path) -> list[str]:
    """What a reader may want to know or do next."""
    notes = []
    if any(part.language == "ar" for part in found.languages):
        notes.append("Not every terminal joins Arabic letters and turns them to run from the right; the page does.")
    if found.left_out:
        notes.append(f"More photographs, left out: {found.left_out}. --limit moves the limit.")
    if found.model == "mini":
        notes.append("mini is a small model for research and demonstration; for real use take a released checkpoint.")
    return [
        *notes,
        f"The page, with the pictures and what words find: {output}",
        "",
        "search them yourself   altclip demo --open",
        "your photographs       altclip demo FOLDER",
        'labels of your own     altclip classify PHOTO... --labels "cat,狗,птица"',
        "a released checkpoint  altclip demo --model BAAI/AltCLIP-m9",
    ]

"""`altclip index`: photographs found, embedded and kept for `altclip search`; and what else is done with an index."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from typer.core import TyperCommand

from altclip.cli.opening import MAX_PIXELS, open_encoder
from altclip.cli.output import escape, print_json, progress_console, results, show_error, show_note
from altclip.errors import UsageError

if TYPE_CHECKING:
    from altclip.encoder import Encoder
    from altclip.search.indexing import Outcome, Settings

EXAMPLE: Final = "altclip index ~/Pictures\n  altclip index status"
_MOST_NAMED: Final = 20


class Kind(TyperCommand):
    """The command, unless its first word is one of the tasks of `index_tasks`."""

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:
        """The context of the task, or of the command itself."""
        from altclip.cli import index_tasks

        if args and args[0] in index_tasks.TASKS:
            task = index_tasks.load(args[0])
            return task.make_context(f"{info_name} {args[0]}", args[1:], parent=parent, **extra)
        return super().make_context(info_name, args, parent=parent, **extra)


def command(
    folders: Annotated[
        list[Path] | None, typer.Argument(metavar="FOLDER", help="Left out: all that were indexed before.")
    ] = None,
    index: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where the index is; else ALTCLIP_INDEX, else your data folder.")
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="A folder, a preset, or a hub id. Left out: the index's, or mini.")
    ] = None,
    gps: Annotated[
        bool, typer.Option("--gps", help="Keep where they were taken, too, of those read from now on.")
    ] = False,
    watch: Annotated[bool, typer.Option("--watch", help="Stay, and keep the index current until Ctrl-C.")] = False,
    prune: Annotated[
        bool, typer.Option("--prune", help="Drop the rows of folders that are missing or empty, too.")
    ] = False,
    from_table: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Pictures of a .parquet or .tar, or embeddings (.npy, .parquet)."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was done as JSON.")] = False,
    max_pixels: Annotated[int, typer.Option(min=1, help="Refuse images with more pixels.")] = MAX_PIXELS,
    engine: Annotated[
        str | None, typer.Option(help="auto, or one of altclip info --engines; else ALTCLIP_ENGINE.")
    ] = None,
) -> None:
    """Find the photographs in folders and index them for `altclip search`.

    Run again, only what is new, changed, moved or deleted is looked at. It may be stopped at any moment.

    \b
    Also, with the options --index and --json:
      altclip index status          what the index holds
      altclip index remove PATH...  forget folders or files (the files stay)
      altclip index duplicates      pictures that are nearly the same, in groups
      altclip index compact         make it small and quick again
      altclip index export FILE     write it as .parquet, .npz or .jsonl
      altclip index verify          read everything, tell what is damaged
      altclip index tune            recall of the approximate index against its time
    A folder of such a name: altclip index ./status
    """  # noqa: D301 - \b keeps the lines as they are
    from altclip.search.index import default_folder
    from altclip.search.indexing import Settings

    place = (index or default_folder()).expanduser().absolute()
    settings = Settings(gps=gps, prune=prune, max_pixels=max_pixels)
    opening = functools.cache(functools.partial(open_encoder, max_pixels=max_pixels, engine=engine))
    named = _absolute(model)
    if from_table is not None:
        if folders or watch or prune:
            raise UsageError("--from-table FILE stands alone: expected no FOLDER, --watch or --prune beside it")
        outcome = _from_table(place, from_table, opening, named, settings)
        roots: Sequence[Path] = ()
    else:
        if watch and as_json:
            raise UsageError("--watch tells what happens line by line: leave out --json")
        roots = folders or _indexed_folders(place)
        outcome = _update(place, roots, opening, named, settings)
    _show(place, outcome, as_json)
    if watch:
        _watch(place, roots, opening, named, settings)
    elif outcome.failures or outcome.away:
        raise typer.Exit(1)


def _absolute(model: str | None) -> str | None:
    """A folder by a name that holds in every working directory."""
    return str(Path(model).resolve()) if model and Path(model).is_dir() else model


def _indexed_folders(place: Path) -> list[Path]:
    from altclip.search.about import read_about
    from altclip.search.indexing import exists

    folders = [Path(folder) for folder in read_about(place).folders] if exists(place) else []
    if not folders:
        what = f"no folder has been indexed into {place}" if exists(place) else "nothing has been indexed so far"
        raise UsageError(f"{what}: expected a folder with photographs: altclip index FOLDER")
    return folders


def _update(
    place: Path, folders: Sequence[Path], opening: Callable[[str], Encoder], model: str | None, settings: Settings
) -> Outcome:
    from altclip.search.indexing import Update

    with bar() as tell:
        update = Update(place, folders, opening, model=model, settings=settings, tell=tell)
        with _told_if_stopped(update.outcome):
            return update.run()


def _from_table(
    place: Path, table: Path, opening: Callable[[str], Encoder], model: str | None, settings: Settings
) -> Outcome:
    from altclip.search.indexing import Outcome
    from altclip.search.tables import import_ready, is_ready, update_from_table

    if is_ready(table):
        with bar("embeddings") as tell:
            return import_ready(place, table, opening, model=model, tell=tell)
    outcome = Outcome()
    with bar() as tell, _told_if_stopped(outcome):
        return update_from_table(place, table, opening, model=model, settings=settings, tell=tell, outcome=outcome)


@contextmanager
def _told_if_stopped(outcome: Outcome) -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        written = outcome.new + outcome.changed
        show_note(f"stopped; {written} pictures of this run are in the index, and the same command goes on from there")
        raise


def _watch(
    place: Path, roots: Sequence[Path], opening: Callable[[str], Encoder], model: str | None, settings: Settings
) -> None:
    from altclip.search.indexing import Update, exists
    from altclip.search.watching import watch

    resolved = [str(root.expanduser().resolve()) for root in roots]

    def update(folders: list[str]) -> None:
        looked = folders if exists(place) else resolved  # the first to be indexed become its roots
        outcome = Update(place, looked, opening, model=model, settings=settings).run()
        if outcome.done or outcome.failures or outcome.away:
            _show(place, outcome, as_json=False)

    progress_console().print("watching; Ctrl-C ends it")
    try:
        watch(
            resolved, update, apart=(str(place.resolve()),), waiting=lambda error: show_note(f"{error}; trying again")
        )
    except KeyboardInterrupt:
        progress_console().print("no longer watching")


def _show(place: Path, outcome: Outcome, as_json: bool) -> None:
    """What was done on stdout, and what went wrong on stderr."""
    from altclip.search.index import Index
    from altclip.search.indexing import exists

    status = Index.open(place).status() if exists(place) else None
    if as_json:
        rows = {"rows": status.rows, "model": status.model} if status else {"rows": 0, "model": None}
        print_json({"index": str(place), **rows, **outcome.to_dict()})
    else:
        results().print(escape(_sentence(outcome)), soft_wrap=True)
        if status:
            line = f"the index {place} holds {status.rows} pictures, embedded by {status.model}"
            results().print(escape(line), soft_wrap=True)
    _show_problems(outcome)


def _sentence(outcome: Outcome) -> str:
    """`3 new, 1 moved; 26 unchanged`."""
    words = {
        "new": "new",
        "changed": "changed",
        "moved": "moved",
        "touched": "of a new date alone",
        "deleted": "deleted",
    }
    done = ", ".join(f"{getattr(outcome, name)} {said}" for name, said in words.items() if getattr(outcome, name))
    rest = f"{outcome.unchanged} unchanged" if outcome.unchanged else ""
    kept = f"{outcome.kept} out of sight and kept" if outcome.kept else ""
    if not (done or rest or kept):
        return "no photographs were found" if not outcome.failures else "no photograph could be read"
    return "; ".join(filter(None, (done or "nothing to do", rest, kept)))


def _show_problems(outcome: Outcome) -> None:
    problems = [problem.reason for problem in (*outcome.away, *outcome.failures)]
    for reason in problems[:_MOST_NAMED]:
        show_error(reason)
    if len(problems) > _MOST_NAMED:
        show_error(f"and {len(problems) - _MOST_NAMED} more of such; --json names all")
    if outcome.passed_over:
        progress_console().print(f"other files in the folders, passed over: {outcome.passed_over}")
    if outcome.links_out:
        progress_console().print(f"links that lead out of the folders, not followed: {outcome.links_out}")


@contextmanager
def bar(of: str = "photographs") -> Iterator[Callable[[int, int], None]]:
    """A function that shows how many of how many are done, how fast it goes, and how long it will take."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, TextColumn, TimeRemainingColumn
    from rich.text import Text

    class Rate(ProgressColumn):
        def render(self, task: Any) -> Text:
            return Text(f"{task.speed or task.finished_speed or 0:.1f}/s")

    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), Rate(), TextColumn("left"),
        TimeRemainingColumn(),
    )  # fmt: skip
    if not progress_console().is_terminal:
        yield lambda *_: None
        return
    with Progress(*columns, console=progress_console(), transient=True) as bar:
        task = bar.add_task(of, total=None, visible=False)

        def tell(done: int, total: int) -> None:
            after = "putting the index in order" if 0 < total <= done else of  # takes minutes of many rows
            bar.update(task, completed=done, total=total or None, visible=True, description=after)

        yield tell

"""The table of commands, loaded one at a time, and how errors become messages and exit codes.

Exit codes: 0 done, 1 failed, 2 wrong usage, 130 interrupted.
"""

from __future__ import annotations

import gc
import importlib
import io
import os
import sys
import warnings
from typing import Annotated, Any, Final, NoReturn

import typer
from typer.core import TyperGroup

from altclip import __version__
from altclip.errors import AltclipError, UsageError

# name of the command and of its file -> the line that `altclip --help` shows, without importing the file
COMMANDS: Final[dict[str, str]] = {
    "demo": "Show what the bundled model sees in photographs, in 9 languages.",
    "classify": "Say which of your labels fits each image best.",
    "embed": "Write the embeddings of images or texts to a file.",
    "index": "Index folders of photographs for search, and keep that current.",
    "search": "Find indexed photographs by a text, a picture, or both.",
    "serve": "Serve embeddings, classification and search over HTTP.",
    "train": "Train or fine-tune a model by a recipe.",
    "merge": "Blend a model with its fine-tuned form, or merge an adapter.",
    "probe": "Measure what frozen image embeddings tell of classes.",
    "evaluate": "Measure a model: zero-shot classification and retrieval.",
    "compare": "Tell what changed between two evaluations, and what is noise.",
    "generate": "Draw pictures from words with an AltDiffusion model.",
    "convert": "Write a model as a folder that another tool opens.",
    "bench": "Measure how fast this machine runs a model, by each engine.",
    "info": "Tell what a model is, what it can do, and under which licence.",
}

# After how many new objects Python looks for rings of dead ones. At its own 700 it does so hundreds of times while
# torch is imported, and finds none.
_NEW_OBJECTS: Final = 100_000

_python_shows = warnings.showwarning


class LazyGroup(TyperGroup):
    """A group that knows its commands by name and help line, and imports one only when it is called."""

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """The command to run; the placeholder that stood for it gives way to the real one."""
        name, placeholder, rest = super().resolve_command(ctx, args)
        return name, placeholder if name is None else load(name), rest


# Plain help: rich's would cost as long to import as everything else together, and reads [a,b] in a help text as markup.
app = typer.Typer(
    cls=LazyGroup,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["--help", "-h"]},
    epilog="altclip COMMAND --help tells the options of a command, with an example.",
)


def load(name: str) -> Any:
    """Import the command `name` and build its parser, with the example at the end of its help."""
    module = importlib.import_module(f"altclip.cli.{name}")
    single = typer.Typer(
        rich_markup_mode=None,
        add_completion=False,
        context_settings={"help_option_names": ["--help", "-h"]},
    )
    # \b keeps the lines as they are
    single.command(name, cls=getattr(module, "Kind", None), epilog=f"\b\nExample:\n  {module.EXAMPLE}")(module.command)
    return typer.main.get_command(single)


def _placeholder() -> None:
    """Stands in the table for a command that is not loaded."""


def _show_version(wanted: bool) -> None:
    if wanted:
        print(f"altclip {__version__}")
        raise typer.Exit


@app.callback()
def _altclip(
    _version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_show_version, help="Print the version and leave.")
    ] = False,
) -> None:
    """Images and texts of nine languages in one space: classify, embed, train, evaluate."""


for _name, _summary in COMMANDS.items():
    app.command(_name, help=_summary)(_placeholder)


def main() -> NoReturn:
    """Run the command line and leave with its exit code; this is the console script `altclip`."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a terminal without the letters shows their codes
    gc.set_threshold(_NEW_OBJECTS, 10, 10)
    code = _run()
    gc.freeze()  # Python would look through them all once more before it leaves: a fifth of a short command's time
    sys.exit(code)


def _run() -> int:
    try:
        try:
            with warnings.catch_warnings():
                warnings.showwarning = _show_warning
                app(prog_name="altclip")
        finally:
            if sys.stdout:  # none where it was closed by the shell
                sys.stdout.flush()  # here, where a broken pipe is still ours to answer
    except SystemExit as leaving:
        return leaving.code if isinstance(leaving.code, int) else int(leaving.code is not None)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # the reader (`| head`) has seen enough
        _silence()
        return 1
    except (AltclipError, OSError) as error:
        return _report(error)
    return 0


def _show_warning(message: Warning | str, category: type[Warning], *where: Any, **more: Any) -> None:
    """Our own warnings are meant for people and come without the line of code; those of others stay as they are."""
    if category.__module__.startswith("altclip."):
        from altclip.cli.output import show_note

        show_note(str(message))
    else:
        _python_shows(message, category, *where, **more)


def _silence() -> None:
    """Send what is left in the buffer of stdout to nowhere, or the interpreter's last flush would complain."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _report(error: Exception) -> int:
    """Say on stderr what went wrong; the exit code. Errors of other kinds are bugs and keep their traceback."""
    from altclip.cli.output import show_error

    show_error(str(error))
    return 2 if isinstance(error, UsageError) else 1

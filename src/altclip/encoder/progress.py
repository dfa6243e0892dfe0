"""A progress bar on stderr for work that takes longer than two seconds."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, Literal, TypeAlias

from altclip.errors import UsageError

ShowProgress: TypeAlias = bool | Literal["auto"]
_PATIENCE: Final = 2.0  # seconds


@contextmanager
def shown(what: str, total: int | None, progress: ShowProgress) -> Iterator[Callable[[int], None]]:
    """A function to call with the number of things done; a bar shows their sum.

    progress: True shows the bar at once, False never, "auto" after two seconds if stderr is a terminal.
    """
    if progress not in (True, False, "auto"):
        raise UsageError(f"progress={progress!r} is not understood: expected True, False or 'auto'")
    if progress is False or (progress == "auto" and not (sys.stderr and sys.stderr.isatty())):
        yield _nothing
        return
    with _bar(what, total, 0.0 if progress is True else _PATIENCE) as advance:
        yield advance


def _nothing(count: int) -> None:
    """What is told where no bar is shown."""


@contextmanager
def _bar(what: str, total: int | None, patience: float) -> Iterator[Callable[[int], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    bar = Progress(*columns, console=Console(stderr=True), transient=True)
    task = bar.add_task(what, total=total)
    timer = threading.Timer(patience, bar.start)  # a first batch may itself take longer than that
    timer.daemon = True
    timer.start()
    try:
        yield lambda count: bar.advance(task, count)
    finally:
        timer.cancel()
        timer.join()
        bar.stop()

"""Keeps an index current while photographs come and go, as the operating system tells of it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from altclip.errors import MissingExtraError, SearchError
from altclip.processing.opening import ENDINGS
from altclip.search.scanning import below

_QUIET: Final = 1600  # milliseconds that events are gathered for: a camera's card comes as thousands
_AGAIN: Final = 5000  # milliseconds until what could not be done is tried again


def watch(
    folders: Sequence[str],
    update: Callable[[list[str]], object],
    *,
    apart: Sequence[str] = (),
    waiting: Callable[[SearchError], object] = lambda _: None,
    stop: threading.Event | None = None,
) -> None:
    """Call `update` with the folders in which something has changed, again and again, until `stop` is set.

    The first time it is called with all of them, for what has happened before the system was asked to tell.
    An update that fails, because another process is writing or the disk is full, is told to `waiting` and tried again.

    Args:
        folders: the roots, absolute and without links; those that are missing are left out.
        update: takes folders that exist, each a root or below one.
        apart: folders in which changes are none of ours, such as the index.
        waiting: called with what keeps an update from being done.
        stop: None goes on for ever.

    Raises:
        MissingExtraError: without the library `watchfiles`.
    """
    there = [folder for folder in folders if Path(folder).is_dir()]
    open_work = set(there)
    for paths in _events(there, apart, stop):
        open_work |= {where for path in paths if (where := _folder_of(path, there))}
        if not open_work:
            continue
        try:
            update(sorted(open_work))
        except SearchError as error:
            waiting(error)
        else:
            open_work.clear()


def _events(folders: Sequence[str], apart: Sequence[str], stop: threading.Event | None) -> Iterator[list[str]]:
    """Paths that have changed, time after time; an empty list now and then."""
    watchfiles = _library()

    def ours(change: Any, path: str) -> bool:
        gone = change == watchfiles.Change.deleted
        return _concerns(path, folders, gone=gone) and not any(below(path, folder) for folder in apart)

    for changes in watchfiles.watch(
        *folders, watch_filter=ours, debounce=_QUIET, rust_timeout=_AGAIN, yield_on_timeout=True, stop_event=stop,
        ignore_permission_denied=True,
    ):  # fmt: skip
        yield [path for _, path in changes]


def _concerns(path: str, folders: Iterable[str], *, gone: bool = False) -> bool:
    """Whether this may be a photograph, or a folder: nothing hidden, and no file of another kind.

    gone: it is there no more, and may have been a folder whatever its name (`2019.05 Rome`).
    """
    root = next((folder for folder in folders if below(path, folder)), None)
    if root is None or any(part.startswith(".") for part in Path(path).relative_to(root).parts):
        return False
    suffix = Path(path).suffix.lower()
    return gone or suffix in ENDINGS or not suffix or Path(path).is_dir()


def _folder_of(path: str, roots: Iterable[str]) -> str | None:
    """The folder to look into: the path if it is one, else the nearest above it that exists."""
    root = next((folder for folder in roots if below(path, folder)), None)
    where = Path(path)
    while root is not None and not where.is_dir() and str(where) != root:
        where = where.parent
    return str(where) if root is not None else None


def _library() -> Any:
    try:
        import watchfiles
    except ImportError as error:
        raise MissingExtraError("watchfiles", "search") from error
    return watchfiles

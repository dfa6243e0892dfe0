"""One writer at a time: a lock that ends with the process that holds it, and tells which process that is."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from filelock import FileLock, Timeout

from altclip.errors import SearchError

_LOCK: Final = "writer.lock"
_HOLDER: Final = "writer.pid"


@contextmanager
def only_writer(folder: Path) -> Iterator[None]:
    """Hold the lock of the index in `folder`.

    Raises:
        SearchError: another process (named) holds it, or the folder may not be written to.
    """
    lock = FileLock(folder / _LOCK, timeout=0, thread_local=False)
    try:
        lock.acquire()
    except Timeout:
        raise SearchError(f"{folder} is being written to{_holder(folder)}: wait for it to end, or stop it") from None
    except OSError as error:
        raise SearchError(f"{folder} cannot be written to ({error.strerror}): check the folder's rights") from error
    try:
        _tell(folder)
        yield
    finally:
        lock.release()


def _tell(folder: Path) -> None:
    """Leave our process id for others. Raises SearchError."""
    try:
        (folder / _HOLDER).write_text(str(os.getpid()), encoding="ascii")
    except OSError as error:
        raise SearchError(
            f"{folder} cannot be written to ({error.strerror}): make room, or check its rights"
        ) from error


def _holder(folder: Path) -> str:
    """` by process 123`, or nothing where that cannot be read."""
    try:
        return f" by process {int((folder / _HOLDER).read_text(encoding='ascii'))}"
    except (OSError, ValueError):
        return ""

"""Where a page goes: found out before the work, and written whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

from altclip.errors import UsageError
from altclip.whole import write_whole


def check_target(path: Path) -> None:
    """Raises UsageError if `path` is a folder, or lies in none or in one that may not be written to."""
    if path.is_dir() or not path.absolute().parent.is_dir():
        raise UsageError(f"{path} cannot be written: it is a folder, or the folder it should be in does not exist")
    if not os.access(path.absolute().parent, os.W_OK):
        raise UsageError(f"{path} cannot be written: the folder may not be written to")


def write(page: str, path: Path) -> None:
    """A text, whole or not at all. What is no valid Unicode is written as codes."""
    write_whole(path, page.encode("utf-8", "backslashreplace"))

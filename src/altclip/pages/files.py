"""Where a page goes: found out before the work, and written whole or not at all."""

from __future__ import annotations

from pathlib import Path

from altclip.errors import UsageError


def check_target(path: Path) -> None:
    """Raises UsageError if `path` is a folder, or lies in none."""
    if path.is_dir() or not path.absolute().parent.is_dir():
        raise UsageError(f"{path} cannot be written: it is a folder, or the folder it should be in does not exist")


def write(page: str, path: Path) -> None:
    """A text, whole or not at all. What is no valid Unicode is written as codes."""
    write_whole(path, page.encode("utf-8", "backslashreplace"))


def write_whole(path: Path, content: bytes) -> None:
    """The whole file or none: written beside, then put in its place."""
    beside = path.with_name(f".{path.name}.part")
    try:
        beside.write_bytes(content)
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)

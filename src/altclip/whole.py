"""Files that are there whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def in_place_of(path: Path) -> Iterator[Path]:
    """Another name beside `path` to write to; at the end the file is on the disk and has its own name.

    Nothing is left of it where writing fails, and what was there before stays. Raises OSError.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield partial
        with partial.open("rb+") as file:
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        if path.parent.is_dir():
            partial.unlink(missing_ok=True)


def write_whole(path: Path, content: bytes) -> None:
    """The whole file or none. Raises OSError."""
    with in_place_of(path) as partial:
        partial.write_bytes(content)

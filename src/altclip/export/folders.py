"""A folder that is there whole or not at all: filled under another name beside its place, then renamed."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from altclip.errors import CheckpointError, UsageError


def check_target(target: str | Path, *, overwrite: bool, sources: Sequence[Path] = ()) -> Path:
    """The place to write to, as a whole path; found out before the work, not after it.

    sources: the folders of the model that is converted, which must not be inside what is replaced.

    Raises:
        UsageError: a file is there, a folder with something in it (unless `overwrite`), or no folder to put it into;
            or replacing it would remove the model, the home folder or the working directory.
        CheckpointError: the folder around it may not be written to.
    """
    place = Path(target).expanduser().resolve()
    if place.exists() and not place.is_dir():
        raise UsageError(f"{place} is a file: give the name of a folder to make")
    if not place.parent.is_dir():
        raise UsageError(f"{place} cannot be made, as {place.parent} is no folder: make that first")
    if place.is_dir() and any(place.iterdir()):
        if not overwrite:
            raise UsageError(f"{place} is not empty: give another folder, or --force (overwrite=True) to replace all")
        _check_replaceable(place, sources)
    if not os.access(place.parent, os.W_OK):
        raise CheckpointError(f"{place.parent} may not be written to: give another folder")
    return place


@contextmanager
def whole_folder(place: Path) -> Iterator[Path]:
    """An empty folder to fill. When the block ends, it takes its place; if it ends in an error, nothing is left.

    What stood there before stays until the new folder is whole and on the disk.

    Raises:
        CheckpointError: the disk is full, or the place is read-only.
    """
    mark = uuid.uuid4().hex[:8]
    fresh, old = (place.with_name(f".{place.name}.{mark}.{end}") for end in ("part", "old"))
    try:
        fresh.mkdir()
        yield fresh
        _flush(fresh)
        _swap(fresh, place, old)
    except OSError as error:
        raise CheckpointError(
            f"{place} cannot be written ({error}): make room or give another folder; nothing was left there, and what "
            "was there before is whole"
        ) from error
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def _check_replaceable(place: Path, sources: Sequence[Path]) -> None:
    models = [("the model", source) for source in sources]
    for what, inside in (*models, ("your home folder", Path.home()), ("the working directory", Path())):
        if inside.resolve().is_relative_to(place):
            raise UsageError(f"{place} holds {what}, and would be replaced with all that is in it: give another folder")


def _swap(fresh: Path, place: Path, old: Path) -> None:
    if not place.exists():
        fresh.rename(place)
        return
    place.rename(old)
    try:
        fresh.rename(place)
    except OSError:
        old.rename(place)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _flush(folder: Path) -> None:
    """Wait until the files are on the disk: a name that is there after a power cut must have its content."""
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb+") as file:
                os.fsync(file.fileno())

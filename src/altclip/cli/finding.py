"""The images that PATH... names, what went wrong with some, and the lines of text files."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from altclip.cli.output import progress_console, show_error
from altclip.errors import InputError


@dataclass(frozen=True)
class Failure:
    """Something that could not be used: its name and what is wrong, the name included."""

    name: str
    error: str


@dataclass
class Found:
    """files: to be opened, each once; passed_over: how many others folders hold; failures: folders without images."""

    files: list[Path] = field(default_factory=list)
    passed_over: int = 0
    failures: list[Failure] = field(default_factory=list)


def find_images(paths: Iterable[Path], *, strict: bool = False) -> Found:
    """The files named, and those in the folders named that end as images do, in the order of their names.

    Raises InputError, if strict, at the first folder that cannot be read or holds no images.
    """
    found = Found()
    for path in paths:
        if path.is_dir():
            _add_folder(found, path)
        else:
            found.files.append(path)
    found.files = list(dict.fromkeys(found.files))
    if strict and found.failures:
        raise InputError(found.failures[0].error)
    return found


def _add_folder(found: Found, folder: Path) -> None:
    from altclip.processing.opening import ENDINGS  # brings Pillow, which `--help` can do without

    unreadable: list[Failure] = []
    files, others = [], 0
    for path in _walk(folder, unreadable):
        if path.suffix.lower() in ENDINGS and not path.name.startswith("."):
            files.append(path)
        else:
            others += 1
    found.files += files
    found.passed_over += others
    found.failures += unreadable
    if not files and not unreadable:
        what = f"{others} files, none with the ending of an image" if others else "nothing"
        found.failures.append(
            Failure(str(folder), f"{folder}: the folder holds {what}: expected photographs or other images")
        )


def _walk(folder: Path, unreadable: list[Failure]) -> Iterator[Path]:
    """All files below a folder in the order of their names; hidden folders are not entered, nor links to folders."""

    def note(error: OSError) -> None:
        unreadable.append(Failure(str(error.filename), f"{error.filename}: cannot be read: {error.strerror}"))

    for root, folders, names in os.walk(folder, onerror=note):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (Path(root) / name for name in sorted(names))


def failures_of(files: Sequence[Path], bad: dict[int, InputError]) -> list[Failure]:
    """What an encoder noted, by position, as failures by name."""
    return [Failure(str(files[position]), str(error)) for position, error in sorted(bad.items())]


def without(files: Sequence[Path], bad: dict[int, InputError]) -> list[Path]:
    """The files that were read."""
    return [file for position, file in enumerate(files) if position not in bad]


def show_failures(failures: Sequence[Failure], passed_over: int = 0) -> None:
    """Name on stderr what could not be used, and count what was passed over."""
    for failure in failures:
        show_error(failure.error)
    if passed_over:
        progress_console().print(f"other files in the folders, passed over: {passed_over}")


def read_lines(path: Path) -> list[str]:
    """The lines of a UTF-8 file, without their ends. Raises InputError if it cannot be read."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 (byte {error.start}): expected a text file, one entry a line") from error
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error
    return text.removesuffix("\n").split("\n") if text else []

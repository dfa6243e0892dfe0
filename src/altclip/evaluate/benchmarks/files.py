"""Reads what sets are made of: lines, JSON, folders of images, archives; every fault named by file and line."""

from __future__ import annotations

import gzip
import hashlib
import json
import re
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from altclip.errors import DataError
from altclip.evaluate.benchmarks.content import shown
from altclip.evaluate.images import ImageSet

IMAGE_SUFFIXES: Final = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff"})
# str.splitlines would also part a caption at a form feed or a Unicode line separator in it
_LINE_END: Final = re.compile("\r\n|\n|\r")


def read_text(path: Path) -> str:
    """A UTF-8 file, packed with gzip if it is named so. Raises DataError naming a line of another encoding."""
    content = _content(path)
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise DataError(
            f"{path}, line {line}: not UTF-8{_other_encoding(content)}; save it as UTF-8, or get it anew"
        ) from error


def read_lines(path: Path) -> list[str]:
    r"""Its lines, whether they end with \n, \r\n or \r, or some so and some so; no line after the last end."""
    lines = _LINE_END.split(read_text(path))
    return lines[:-1] if not lines[-1] else lines


def read_json(path: Path) -> Any:
    """Raises DataError where it breaks off."""
    try:
        return json.loads(read_text(path))
    except json.JSONDecodeError as error:
        raise DataError(f"{path}, line {error.lineno}: {error.msg}; the file is damaged or cut short") from error


def read_json_lines(path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Where each row stands, and the row. Raises DataError naming a line that is no JSON object."""
    for number, line in enumerate(read_lines(path), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise DataError(f"{path}, line {number}: {error.msg}; the file is damaged or cut short") from error
        if not isinstance(row, dict):
            raise DataError(f"{path}, line {number}: {line[:40]!r} is no JSON object")
        yield f"line {number} of {path.name}", row


def image_folder(name: str, folders: Sequence[Path], files: Mapping[str, str], kind: str = "images") -> ImageSet:
    """The images of these ids: each file in the first of the folders that has it.

    files: file name by id, in the order of the set. Raises DataError naming what is missing or empty.
    """
    paths, lost = [], []
    for file in files.values():
        found = next((folder / file for folder in folders if (folder / file).is_file()), None)
        if found is None or not found.stat().st_size:
            lost.append(file if found is None else f"{file} (empty)")
        else:
            paths.append(found)
    if lost:
        places = " or ".join(map(str, folders))
        raise DataError(f"{name}: {len(lost):,} of {len(files):,} {kind} are missing in {places}: {shown(lost)}")
    return ImageSet(name, paths.__getitem__, tuple(files), digest_files(paths))


def digest_files(paths: Iterable[Path]) -> str:
    """SHA-256 of names and contents."""
    state = hashlib.sha256()
    for path in paths:
        with path.open("rb") as stream:
            state.update(f"{path.name} {hashlib.file_digest(stream, 'sha256').hexdigest()}\n".encode())
    return state.hexdigest()


def image_name(key: str) -> str:
    """The file of an image's id: the id itself where it ends like a file, else the id and `.jpg`."""
    return key if Path(key).suffix.lower() in IMAGE_SUFFIXES else f"{key}.jpg"


def _content(path: Path) -> bytes:
    try:
        return gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DataError(f"{path} cannot be unpacked ({error}): it is damaged or cut short; get it anew") from error
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error}") from error


def _other_encoding(content: bytes) -> str:
    """What it looks like instead."""
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return ", but UTF-16"
    try:
        content.decode("gb18030")
    except UnicodeDecodeError:
        return ""
    return ", perhaps GB18030"

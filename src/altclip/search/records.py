"""The rows of a data set as they are wanted: parquet and webdataset (.tar) read here, others by the extra `train`."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, TypeAlias

from altclip.data.reading import open_rows
from altclip.errors import DataError
from altclip.processing.opening import ENDINGS

Cells: TypeAlias = dict[str, Any]

IMAGE: Final = "image"
_ROWS: Final = 16  # of parquet at a time: each may hold a picture
_WORDS: Final = ("txt", "text", "caption", "title")


def records(path: str | Path) -> Iterator[Cells]:
    """Column -> cell, row after row; a glob names several files. Raises DataError if one cannot be read."""
    place = Path(path)
    kind = place.suffix.lower()
    if kind not in (".parquet", ".tar"):
        yield from open_rows(path, streaming=True)
        return
    files = [place] if place.is_file() else sorted(place.parent.glob(place.name))
    if not files:
        raise DataError(f"data file {path} does not exist")
    for file in files:
        yield from _of_parquet(file) if kind == ".parquet" else _of_tar(file)


def _of_parquet(path: Path) -> Iterator[Cells]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(_ROWS):
                yield from batch.to_pylist()
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"data set {path} cannot be read as parquet: {error}") from error


def _of_tar(path: Path) -> Iterator[Cells]:
    """Files that follow each other and share a name up to its first dot are one row, `__key__` that name.

    Its picture is the cell `image`, whatever its ending; other files are cells by their endings, words and JSON read.
    """
    row: Cells = {}
    try:
        with tarfile.open(path) as tar:
            for member in tar:
                tar.members = []  # type: ignore[attr-defined]  # else it keeps all it has seen
                if not member.isfile():
                    continue
                folder, _, name = member.name.rpartition("/")
                stem, _, ending = name.partition(".")
                key = f"{folder}/{stem}" if folder else stem
                if row and row["__key__"] != key:
                    yield row
                    row = {}
                row = {**row, "__key__": key, **_cell(path, member.name, ending, _content(tar, member))}
    except (tarfile.TarError, OSError) as error:
        raise DataError(f"data set {path} cannot be read as webdataset: {error}") from error
    if row:
        yield row


def _content(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = tar.extractfile(member)
    return file.read() if file else b""


def _cell(path: Path, name: str, ending: str, content: bytes) -> Cells:
    last = ending.rpartition(".")[2].lower()
    if "." not in ending and f".{last}" in ENDINGS:
        return {IMAGE: content}
    if last in _WORDS:
        return {ending: content.decode("utf-8", "replace")}
    if last != "json":
        return {ending: content}
    try:
        return {ending: json.loads(content)}
    except ValueError as error:
        raise DataError(f"{path}: {name} is no JSON ({error})") from error

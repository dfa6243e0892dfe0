"""Opens data sets through the `datasets` library: parquet, webdataset, json(l), csv, tsv, image folders, hub ids."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from altclip.errors import DataError, MissingExtraError

_BUILDERS = {
    ".parquet": "parquet",
    ".json": "json",
    ".jsonl": "json",
    ".csv": "csv",
    ".tsv": "csv",
    ".tar": "webdataset",
}


def open_rows(path: str | Path, *, streaming: bool = False, split: str = "train", columns: Sequence[str] = ()) -> Any:
    """A `datasets.Dataset` (or IterableDataset when streaming) of a file, a glob, a folder or a hub id.

    Image columns stay encoded: they are decoded where they are used. Raises DataError if it is missing, cannot be read,
    or lacks one of `columns`.
    """
    datasets = _library()
    kind, files = _builder(Path(path))
    try:
        rows = datasets.load_dataset(kind, **files, split=split, streaming=streaming)
    except Exception as error:  # the library raises many kinds, its own and those of the readers below it
        raise DataError(f"data set {path} cannot be opened as {kind}: {error}") from error
    if lost := [column for column in columns if rows.column_names and column not in rows.column_names]:
        raise DataError(f"data set {path} has no column {', '.join(lost)}: it has {', '.join(rows.column_names)}")
    return _undecoded(rows, datasets)


def _undecoded(rows: Any, datasets: Any) -> Any:
    for name, feature in (rows.features or {}).items():
        if isinstance(feature, datasets.Image):
            rows = rows.cast_column(name, datasets.Image(decode=False))
    return rows


def _builder(path: Path) -> tuple[str, dict[str, Any]]:
    """Name of the `datasets` builder for a path, and its arguments."""
    suffix = path.suffix.lower()
    if suffix in _BUILDERS:
        if "*" not in str(path) and not path.is_file():
            raise DataError(f"data file {path} does not exist")
        separator = {"sep": "\t"} if suffix == ".tsv" else {}
        return _BUILDERS[suffix], {"data_files": str(path), **separator}
    if path.is_dir():
        return "imagefolder", {"data_dir": str(path)}
    if path.is_absolute() or str(path).startswith("."):
        raise DataError(f"data folder {path} does not exist")
    return str(path), {}


def _library() -> Any:
    try:
        import datasets
    except ImportError as error:
        raise MissingExtraError("datasets", "train") from error
    return datasets

"""Opens data sets by the `datasets` library: parquet, webdataset, json(l), csv, tsv, folders, the hub, CIFAR-10."""

from __future__ import annotations

import glob
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from altclip.data.cifar import class_ids, read_records
from altclip.errors import DataError, MissingExtraError

_BUILDERS: Final = {
    ".parquet": "parquet",
    ".json": "json",
    ".jsonl": "json",
    ".csv": "csv",
    ".tsv": "csv",
    ".tar": "webdataset",
    ".bin": "binary",  # ours: CIFAR-10's own form
}
# As `datasets` names them.
_SPLITS: Final = frozenset(
    {"train", "training", "validation", "valid", "dev", "val", "test", "testing", "eval", "evaluation"}
)


def open_rows(
    path: str | Path, *, hub: bool = False, streaming: bool = False, split: str = "train", columns: Sequence[str] = ()
) -> Any:
    """A `datasets.Dataset` (or IterableDataset when streaming) of a file, a glob, a folder or, with `hub`, a hub id.

    A folder of images is read as `datasets` reads it: classes by sub-folder in the column `label`, or the columns of a
    metadata.csv or metadata.jsonl in it; what files and classes are called tells no splits, but sub-folders named like
    splits that hold folders, or metadata of their own, are such. Image columns stay encoded: they are decoded where
    they are used.

    Raises DataError if it is missing, cannot be read, or lacks one of `columns`.
    """
    datasets = _library()
    kind, files = (str(path), {}) if hub else _builder(Path(path))
    try:
        if kind == "binary":
            rows = _binary(Path(path), datasets)
        else:
            rows = datasets.load_dataset(kind, **files, split=split, streaming=streaming)
        names = rows.column_names or list(next(iter(rows), ()))
    except DataError:
        raise
    except Exception as error:  # the library raises many kinds, its own and those of the readers below it
        raise DataError(f"data set {path} cannot be opened as {kind}: {error}") from error
    if lost := [column for column in columns if column not in names]:
        raise DataError(f"data set {path} has no column {', '.join(lost)}: it has {', '.join(names)}")
    return _undecoded(rows, datasets)


def class_names(rows: Any, column: str) -> list[str]:
    """What the integers of a column of classes stand for; nothing for any other column."""
    return list(getattr((rows.features or {}).get(column), "names", None) or ())


def _undecoded(rows: Any, datasets: Any) -> Any:
    for name, feature in (rows.features or {}).items():
        if isinstance(feature, datasets.Image):
            rows = rows.cast_column(name, datasets.Image(decode=False))
    return rows


def _builder(path: Path) -> tuple[str, dict[str, Any]]:
    """Name of the `datasets` builder for a path, and its arguments."""
    suffix = path.suffix.lower()
    if suffix in _BUILDERS:
        if not any(path.parent.glob(path.name)) and not any(Path(path.anchor).glob(str(path.relative_to(path.anchor)))):
            raise DataError(f"data file {path} does not exist")
        separator = {"sep": "\t"} if suffix == ".tsv" else {}
        return _BUILDERS[suffix], {"data_files": str(path), **separator}
    if path.is_dir():
        if _has_splits(path):
            return "imagefolder", {"data_dir": str(path)}
        return "imagefolder", {"data_files": {"train": f"{glob.escape(str(path.resolve()))}/**"}}
    kinds = ", ".join(_BUILDERS)
    raise DataError(f"data set {path} is neither a folder of images nor a file of a known kind ({kinds})")


def _has_splits(folder: Path) -> bool:
    """Whether sub-folders are splits. Left to itself the library takes any name with such a word in it for one."""
    below = (child for child in folder.iterdir() if child.is_dir() and child.name.lower() in _SPLITS)
    return any(inner.is_dir() or inner.name.startswith("metadata.") for split in below for inner in split.iterdir())


def _binary(path: Path, datasets: Any) -> Any:
    """The rows of CIFAR-10's binary files, in memory (3 kB an image)."""
    rows = read_records(sorted(path.parent.glob(path.name)))
    features = {"img": datasets.Image(), "label": datasets.ClassLabel(names=class_ids())}
    return datasets.Dataset.from_dict(rows, features=datasets.Features(features))


def _library() -> Any:
    try:
        import datasets
    except ImportError as error:
        raise MissingExtraError("datasets", "train") from error
    return datasets

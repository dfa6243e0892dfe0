"""Embeddings with their names as one file, .npz or .parquet: whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from altclip.errors import InputError, MissingExtraError, UsageError
from altclip.whole import in_place_of

if TYPE_CHECKING:
    from altclip.engines import Features

_LARGEST_NAMES: Final = 2**30  # bytes; NumPy gives every string the room of the longest


@dataclass(frozen=True)
class Table:
    """One row each: a name (path or text) and an embedding; which model made them."""

    names: Sequence[str]
    embeddings: Features
    model: str
    digest: str


def check_target(path: Path) -> None:
    """Find out before the work, not after it, whether the file can be written.

    Raises:
        UsageError: another ending, or no folder to put the file into.
        MissingExtraError: .parquet without the library for it.
    """
    if path.suffix.lower() not in _WRITERS:
        raise UsageError(f"--out {path}: expected a name that ends in {' or '.join(_WRITERS)}")
    if path.is_dir() or not path.absolute().parent.is_dir():
        raise UsageError(f"--out {path}: it is a folder, or the folder it should be in does not exist; make that first")
    if not os.access(path.absolute().parent, os.W_OK):
        raise UsageError(f"--out {path}: the folder may not be written to; name another")
    if path.suffix.lower() == ".parquet":
        _pyarrow()


def write_table(path: Path, table: Table) -> None:
    """Write the file under another name, and give it its own when it is whole and on the disk."""
    with in_place_of(path) as partial:
        _WRITERS[path.suffix.lower()](partial, table)


def _write_npz(path: Path, table: Table) -> None:
    import numpy as np

    longest = max(map(len, table.names))
    if longest * 4 * len(table.names) > _LARGEST_NAMES:
        raise InputError(
            f"one of the {len(table.names)} texts has {longest:,} characters, and .npz gives all of them the room of "
            "the longest: write .parquet"
        )
    with path.open("wb") as file:
        np.savez(
            file,
            names=np.array(table.names, np.str_),
            embeddings=table.embeddings,
            model=np.array(table.model),
            digest=np.array(table.digest),
        )


def _write_parquet(path: Path, table: Table) -> None:
    pyarrow, parquet = _pyarrow()
    # a file name that is not UTF-8 comes with unpaired surrogates, for which the format has no letters
    names = [_utf8(name) for name in table.names]
    flat = pyarrow.array(table.embeddings.reshape(-1))
    columns = {
        "name": pyarrow.array(names, pyarrow.string()),
        "embedding": pyarrow.FixedSizeListArray.from_arrays(flat, table.embeddings.shape[1]),
    }
    metadata = {"model": _utf8(table.model), "digest": table.digest}
    parquet.write_table(pyarrow.table(columns).replace_schema_metadata(metadata), path)


def _utf8(name: str) -> str:
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _pyarrow() -> tuple[Any, Any]:
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError as error:
        raise MissingExtraError("pyarrow", "train") from error
    return pa, parquet


_WRITERS: Final[dict[str, Callable[[Path, Table], None]]] = {".npz": _write_npz, ".parquet": _write_parquet}

"""Rows as the columns that the store keeps, and back."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import numpy as np

from altclip.errors import UsageError
from altclip.search.filters import facts
from altclip.search.rows import Row, Vector
from altclip.search.text import fold, stored

# What a search returns of a row: all but the two that are large, and those made for searching. It is kept twice: as
# columns, and as one column of JSON (`CARD`), since reading one column of ten rows takes a tenth of the time of all.
CARD: Final = "card"
SHOWN: Final = (
    "id", "path", "folder", "name", "size", "mtime_ns", "digest", "width", "height", "taken", "orientation",
    "latitude", "longitude", "text", "extra",
)  # fmt: skip


def schema(dim: int) -> Any:
    """The columns of an index with vectors of length `dim`, as Arrow names them."""
    import pyarrow as pa

    text, whole, real = pa.string(), pa.int64(), pa.float64()
    kinds = {
        "id": text, "vector": pa.list_(pa.float32(), dim), "path": text, "folder": text, "name": text, "size": whole,
        "mtime_ns": whole, "digest": text, "width": pa.int32(), "height": pa.int32(), "taken": pa.timestamp("us"),
        "orientation": pa.int8(), "latitude": real, "longitude": real, "text": text, "thumbnail": pa.large_binary(),
        "extra": text, "facts": pa.list_(text), "folded": text, "grams": text, CARD: text,
    }  # fmt: skip
    return pa.schema([pa.field(name, kind, nullable=name not in ("id", "vector")) for name, kind in kinds.items()])


def to_table(rows: Sequence[Row], dim: int) -> Any:
    """Rows as an Arrow table; of rows with one id the last counts.

    Raises:
        UsageError: a row without vector, with one that is of another length, not finite or zero, or with values that
            cannot be kept.
    """
    import pyarrow as pa

    latest = list({row.id: row for row in rows}.values())
    vectors = _vectors(latest, dim)
    columns: dict[str, Any] = {name: [getattr(row, name) for row in latest] for name in (*SHOWN, "thumbnail")}
    columns["taken"] = [row.taken.replace(tzinfo=None) if row.taken else None for row in latest]
    columns["folded"] = [fold(row.name) for row in latest]
    columns["grams"] = [stored(_words(row)) for row in latest]
    columns["facts"], columns["extra"] = _facts(latest), [_json(row) for row in latest]
    columns["vector"] = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), dim)
    columns[CARD] = [_card(row, extra) for row, extra in zip(latest, columns["extra"], strict=True)]
    try:
        return pa.table({field.name: columns[field.name] for field in schema(dim)}, schema=schema(dim))
    except (pa.ArrowException, UnicodeError, OverflowError) as error:
        raise UsageError(
            f"a row holds what an index cannot keep ({error}): look at {latest[0].id} and the next"
        ) from error


def to_row(card: str) -> Row:
    """A row as it was put, without its vector and thumbnail."""
    given = json.loads(card)
    taken = datetime.fromisoformat(given["taken"]) if given["taken"] else None
    return Row(**{**given, "taken": taken, "extra": json.loads(given["extra"])})


def to_whole_row(record: Mapping[str, Any]) -> Row:
    """A row of a record with all columns, as it was put."""
    vector = np.array(record["vector"], np.float32)
    return replace(to_row(record[CARD]), vector=vector, thumbnail=record["thumbnail"] or b"")


def _card(row: Row, extra: str) -> str:
    given = {name: getattr(row, name) for name in SHOWN}
    taken = row.taken.replace(tzinfo=None).isoformat() if row.taken else None
    return json.dumps({**given, "taken": taken, "extra": extra}, ensure_ascii=False, default=_number)


def _number(value: Any) -> Any:
    """A number of numpy's as one that JSON knows."""
    return value.item() if isinstance(value, np.generic) else str(value)


def _words(row: Row) -> str:
    """What the full text is made of: the names of the file and of the folders below the indexed one, and the text."""
    parents = Path(row.path).parents if row.path and row.folder else ()
    below = [parent.name for parent in parents if parent != Path(row.folder) and parent.is_relative_to(row.folder)]
    return " ".join((row.name, *below, row.text))


def _json(row: Row) -> str:
    """Raises UsageError."""
    try:
        return json.dumps(dict(row.extra), ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise UsageError(f"the extra of row {row.id} is nothing that JSON holds ({error})") from error


def _facts(rows: Sequence[Row]) -> list[list[str]]:
    return [facts(json.loads(_json(row))) for row in rows]


def _vectors(rows: Sequence[Row], dim: int) -> Vector:
    """(rows, dim) of length 1."""
    vectors = np.empty((len(rows), dim), np.float32)
    for place, row in enumerate(rows):
        if row.vector is None or np.shape(row.vector) != (dim,):
            shape = "no vector" if row.vector is None else f"a vector of shape {np.shape(row.vector)}"
            raise UsageError(f"row {row.id} ({row.path or row.name}) has {shape}; this index holds vectors of {dim}")
        vectors[place] = row.vector
    return unit_length(vectors, [f"{row.id} ({row.path or row.name})" for row in rows])


def unit_length(vectors: Vector, names: Sequence[str]) -> Vector:
    """The vectors (n, dim), each divided by its length, but those that have length 1 as they are.

    Raises:
        UsageError: one is zero or not finite; `names` tells which.
    """
    lengths = np.linalg.norm(vectors.astype(np.float64), axis=1)
    bad = np.flatnonzero(~np.isfinite(lengths) | (lengths < 1e-12))
    if bad.size:
        what = "zero" if lengths[bad[0]] == 0 else "not finite, or nearly zero"
        raise UsageError(
            f"the vector of row {names[bad[0]]} is {what}, and so are {bad.size - 1} more: none of these "
            f"{len(names)} rows was put"
        )
    lengths[np.abs(lengths - 1) < 1e-5] = 1
    scaled: Vector = (vectors / lengths[:, None]).astype(np.float32)
    return scaled

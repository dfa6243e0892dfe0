"""Embeddings that were made elsewhere, read a batch at a time: .npy and .parquet of any size."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from altclip.errors import UsageError
from altclip.search.rows import Row, make_id, plain

Ready: TypeAlias = str | Path | NDArray[np.floating[Any]]

_VECTOR: Final = ("vector", "embedding", "embeddings")
_OF_ROWS: Final = ("path", "name", "text")
EXPORTED: Final = b"altclip_digest"  # what a .parquet of `Index.export` tells of itself


def ready_rows(source: Ready, ids: Any, metadata: Any, dim: int, batch: int) -> Iterator[list[Row]]:
    """Rows in lots of `batch`. Raises UsageError; see `Writer.import_vectors`."""
    if isinstance(source, str | Path) and Path(source).suffix.lower() == ".parquet":
        if ids is not None or metadata is not None:
            raise UsageError("a .parquet file has its ids and metadata in its own columns: leave out ids and metadata")
        yield from _from_parquet(Path(source), dim, batch)
        return
    vectors = _array(source)
    if vectors.ndim != 2 or vectors.shape[1] != dim:
        raise UsageError(f"the embeddings have the shape {vectors.shape}; this index takes (rows, {dim})")
    names, notes = _each(ids, len(vectors), "ids"), _each(metadata, len(vectors), "metadata")
    origin = _origin(source)
    for start in range(0, len(vectors), batch):
        part = np.array(vectors[start : start + batch], np.float32)
        if isinstance(source, str | Path):
            vectors = _array(source)  # mapped anew: pages that were read would stay in memory as long as the mapping
        own = list(islice(names, len(part))) if names else [None] * len(part)
        facts = list(islice(notes, len(part))) if notes else [{}] * len(part)
        _check_whole(own, facts, len(part))
        numbered = zip(part, own, facts, strict=True)
        yield [_row(v, name, origin, start + place, dict(extra)) for place, (v, name, extra) in enumerate(numbered)]
    if (names and next(names, None) is not None) or (notes and next(notes, None) is not None):
        raise UsageError(f"there are more ids or metadata than the {len(vectors)} embeddings")


class _Origin(NamedTuple):
    """Where rows without ids of their own come from. key: tells one source from another; file: its name, or none."""

    key: str
    file: str | None


def _origin(source: Ready) -> _Origin:
    """A file is told by its place, an array by its content."""
    if isinstance(source, str | Path):
        return _Origin(str(Path(source).resolve()), Path(source).name)
    return _Origin(hashlib.sha256(np.ascontiguousarray(source).data).hexdigest(), None)


def row_id(source: Ready, number: int) -> str:
    """The id of a row without one of its own: the same source again replaces its rows, another adds to them."""
    return make_id("row of", _origin(source).key, str(number))


def _row(vector: NDArray[np.float32], own: Any, origin: _Origin, number: int, extra: dict[str, Any]) -> Row:
    given: dict[str, Any] = {key: str(extra.pop(key) or "") for key in _OF_ROWS if key in extra}
    extra = plain(extra)
    if own is None:
        told = {} if origin.file is None else {"file": origin.file, "row": number}
        return Row(id=make_id("row of", origin.key, str(number)), vector=vector, extra={**told, **extra}, **given)
    return Row(id=make_id("own", str(own)), vector=vector, extra={**extra, "id": str(own)}, **given)


def _check_whole(own: Sequence[Any], facts: Sequence[Any], length: int) -> None:
    if len(own) != length or len(facts) != length:
        raise UsageError("there are fewer ids or metadata than embeddings: one for each, in the same order")
    wrong = next((fact for fact in facts if not isinstance(fact, Mapping)), None)
    if wrong is not None:
        raise UsageError(f"metadata is one mapping for each embedding, not {wrong!r}")


def _array(source: Ready) -> NDArray[np.floating[Any]]:
    """The embeddings, a file of them mapped and not loaded."""
    if not isinstance(source, str | Path):
        return np.asarray(source)
    if Path(source).suffix.lower() != ".npy":
        raise UsageError(f"{source}: embeddings are read from .npy or .parquet")
    try:
        array = np.load(source, mmap_mode="r")
    except (OSError, ValueError) as error:
        raise UsageError(f"{source} cannot be read as .npy ({error})") from error
    if array.dtype.kind != "f":
        raise UsageError(f"{source} holds {array.dtype}; embeddings are floats")
    return array  # type: ignore[no-any-return]


def _each(source: Any, length: int, what: str) -> Iterator[Any] | None:
    """The entries of a sequence or a file, one after another; a sequence of another length is refused at once."""
    if source is None:
        return None
    if not isinstance(source, str | Path):
        if len(source) != length:
            raise UsageError(f"{len(source)} {what} for {length} embeddings: one for each, in the same order")
        each: Iterator[Any] = iter(source)
        return each
    path = Path(source)
    if not path.is_file():
        raise UsageError(f"{path}: no such file with {what}")
    if path.suffix.lower() == ".parquet":
        return (record for batch in _parquet(path, 4096) for record in batch.to_pylist())
    return _lines(path, parsed=path.suffix.lower() == ".jsonl")


def _lines(path: Path, *, parsed: bool) -> Iterator[Any]:
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            try:
                yield json.loads(line) if parsed else line.rstrip("\r\n")
            except ValueError as error:
                raise UsageError(f"{path}, line {number} is no JSON ({error})") from error


def _from_parquet(path: Path, dim: int, batch: int) -> Iterator[list[Row]]:
    number, origin = 0, _origin(path)
    for table in _parquet(path, batch):
        column = next((name for name in _VECTOR if name in table.schema.names), None)
        if column is None:
            raise UsageError(f"{path} has no column {' or '.join(_VECTOR)}; it has {', '.join(table.schema.names)}")
        vectors = _matrix(table.column(column), path, dim)
        records = table.drop_columns([column]).to_pylist() or [{}] * len(vectors)
        exported = EXPORTED in (table.schema.metadata or {})
        yield [
            _exported(vector, record)
            if exported
            else _row(vector, record.pop("id", None), origin, number + place, record)
            for place, (vector, record) in enumerate(zip(vectors, map(dict, records), strict=True))
        ]
        number += len(vectors)


def _exported(vector: NDArray[np.float32], record: Mapping[str, Any]) -> Row:
    """A row as it was when an index was exported."""
    try:
        given = {**record, "extra": json.loads(record["extra"]), "thumbnail": record["thumbnail"] or b""}
        return Row(**{**given, "vector": vector})
    except (KeyError, TypeError, ValueError) as error:
        raise UsageError(f"an export of an index has other columns than altclip gave it ({error})") from error


def _matrix(column: Any, path: Path, dim: int) -> NDArray[np.float32]:
    lengths = {len(entry) if entry is not None else 0 for entry in column}
    if lengths != {dim}:
        raise UsageError(f"{path} has embeddings of lengths {sorted(lengths)[:5]}; this index takes {dim}")
    flat = column.flatten().to_numpy(zero_copy_only=False).astype(np.float32)
    return flat.reshape(-1, dim)  # type: ignore[no-any-return]


def _parquet(path: Path, batch: int) -> Iterator[Any]:
    """Arrow batches. Raises UsageError."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            yield from (part for part in file.iter_batches(batch) if part.num_rows)
    except (pa.ArrowException, OSError) as error:
        raise UsageError(f"{path} cannot be read as parquet ({error})") from error

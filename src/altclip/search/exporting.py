"""All rows of an index as one file that other programs read."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np

from altclip.errors import UsageError
from altclip.search.about import About
from altclip.search.columns import SHOWN
from altclip.search.store import Store, guarded
from altclip.search.tuning import vectors_of
from altclip.whole import in_place_of


def export(store: Store, path: Path, about: About) -> int:
    """Write the file under another name, and give it its own when it is whole; see `Index.export`."""
    write = _WRITERS.get(path.suffix.lower())
    if write is None:
        raise UsageError(f"{path}: expected a name that ends in {' or '.join(_WRITERS)}")
    if not path.absolute().parent.is_dir():
        raise UsageError(f"{path}: the folder it should be in does not exist; make that first")
    with guarded(store.folder, f"exported to {path}"), in_place_of(path) as partial:
        return write(store, partial, about)


def _parquet(store: Store, path: Path, about: About) -> int:
    """Everything, thumbnails too; the file tells which model the vectors are of."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows, writer = 0, None
    try:
        for batch in store.batches([*SHOWN, "thumbnail", "vector"]):
            table = pa.Table.from_batches([batch])
            told = {"altclip_model": about.model, "altclip_digest": about.digest}
            writer = writer or pq.ParquetWriter(path, table.schema.with_metadata(told))
            writer.write_table(table.cast(writer.schema))
            rows += batch.num_rows
        if writer is None:
            raise UsageError(f"the index {store.folder} has no rows to export")
    finally:
        if writer is not None:
            writer.close()
    return rows


def _npz(store: Store, path: Path, about: About) -> int:
    ids: list[str] = []
    paths: list[str] = []
    vectors = [np.empty((0, about.dim), np.float32)]
    for batch in store.batches(["id", "path", "vector"]):
        ids += batch.column("id").to_pylist()
        paths += batch.column("path").to_pylist()
        vectors.append(np.array(vectors_of(batch)))
    told: dict[str, Any] = {"model": np.array(about.model), "digest": np.array(about.digest)}
    with path.open("wb") as file:
        embeddings = np.concatenate(vectors)
        np.savez(file, ids=np.array(ids, np.str_), names=np.array(paths, np.str_), embeddings=embeddings, **told)
    return len(ids)


def _jsonl(store: Store, path: Path, _about: About) -> int:
    rows = 0
    with path.open("w", encoding="utf-8") as file:
        for batch in store.batches([*SHOWN, "vector"]):
            for record in batch.to_pylist():
                file.write(json.dumps(_plain(record), ensure_ascii=False) + "\n")
            rows += batch.num_rows
    return rows


def _plain(record: dict[str, Any]) -> dict[str, Any]:
    taken = record["taken"].isoformat() if record["taken"] else None
    return {**record, "taken": taken, "extra": json.loads(record["extra"])}


_WRITERS: Final[dict[str, Callable[[Store, Path, About], int]]] = {
    ".parquet": _parquet,
    ".npz": _npz,
    ".jsonl": _jsonl,
}

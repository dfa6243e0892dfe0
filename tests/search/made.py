"""Rows and indexes for tests: small, the same each time."""

from __future__ import annotations

import io
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from altclip.search import Index, Part, Query, Row, make_id

DIM = 8
DIGEST = "d" * 64
_buffer = io.BytesIO()
Image.new("RGB", (8, 8), "red").save(_buffer, "JPEG")
JPEG = _buffer.getvalue()


def vectors(number: int, dim: int = DIM, seed: int = 0) -> NDArray[np.float32]:
    """(number, dim) of length 1."""
    drawn = np.random.default_rng(seed).normal(size=(number, dim))
    return (drawn / np.linalg.norm(drawn, axis=1, keepdims=True)).astype(np.float32)


def made_row(number: int, vector: NDArray[np.float32], **changes: Any) -> Row:
    """A row of which every value tells its number."""
    given: dict[str, Any] = {
        "id": made_id(number),
        "vector": vector,
        "path": f"/photos/{number}.jpg",
        "folder": "/photos",
        "name": f"{number}.jpg",
        "size": 1000 + number,
        "mtime_ns": 10**18 + number,
        "digest": f"{number:064x}",
        "width": 640,
        "height": 480 + number,
        "taken": datetime(2020, 1, 1 + number % 28, 12),
        "orientation": 1 + number % 8,
        "text": "",
        "thumbnail": JPEG + bytes([number % 256]),
        "extra": {"number": number},
    }
    return Row(**{**given, **changes})


def vector_of(row: Row) -> NDArray[np.float32]:
    """The vector that the row was made with."""
    assert row.vector is not None
    return row.vector


def made_id(number: int) -> str:
    return make_id("test", str(number))


def made_rows(number: int, **changes: Any) -> list[Row]:
    return [made_row(place, vector, **changes) for place, vector in enumerate(vectors(number))]


def made_index(folder: Path, rows: list[Row] | None = None, dim: int = DIM) -> Index:
    index = Index.create(folder, model="tiny", digest=DIGEST, dim=dim)
    if rows:
        with index.writing() as writer:
            writer.put(rows)
    return index


def asks(vector: NDArray[np.float32], **changes: Any) -> Query:
    return Query(parts=(Part(vector),), **changes)


def ids_of(index: Index) -> list[str]:
    return sorted(entry.id for entry in index.known())

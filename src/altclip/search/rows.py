"""What an index keeps of a picture: `Row`, and the ids that rows are known by."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

ID_LENGTH: Final = 26

Vector = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True, eq=False)
class Row:
    """One picture (or one row of a table of embeddings).

    id: 26 characters, of `make_id`. vector: (dim,), None in what a search returns. path: absolute, "" for rows of
    tables. folder: the indexed root it was found under. digest: SHA-256 of the file. width, height: in pixels, as a
    person sees it. taken: the camera's own clock, without a zone. orientation: EXIF's, 1 to 8. text: captions and
    keywords for full-text search; the name of the file is searched without being in it. thumbnail: JPEG or WebP, empty
    in what a search returns. extra: the user's own metadata, of whatever JSON holds.
    """

    id: str
    vector: Vector | None = None
    path: str = ""
    folder: str = ""
    name: str = ""
    size: int = 0
    mtime_ns: int = 0
    digest: str = ""
    width: int = 0
    height: int = 0
    taken: datetime | None = None
    orientation: int = 1
    latitude: float | None = None
    longitude: float | None = None
    text: str = ""
    thumbnail: bytes = b""
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Known:
    """What tells whether the file of a row is still the same; see `Index.known`."""

    id: str
    path: str
    folder: str
    size: int
    mtime_ns: int
    digest: str


@dataclass(frozen=True)
class Place:
    """Where a moved file is now; see `Writer.moved`."""

    path: str
    folder: str
    name: str
    mtime_ns: int


def plain(cells: Mapping[str, Any]) -> dict[str, Any]:
    """What JSON can hold of the cells of a table: dates as strings; no bytes, no other objects, no NaN."""
    found = {}
    for name, value in cells.items():
        if value is None or isinstance(value, bytes):
            continue
        try:
            found[name] = json.loads(json.dumps(value, allow_nan=False, default=_written))
        except (TypeError, ValueError):
            continue
    return found


def _written(value: Any) -> str:
    """A date as a string; other objects, such as decoded pictures, are no metadata."""
    if hasattr(value, "isoformat"):
        return str(value.isoformat())
    raise TypeError


def make_id(*parts: str) -> str:
    """The 26 characters that stand for these parts: the same for the same parts, on every machine."""
    digest = hashlib.sha256("\0".join(f"{len(part)}:{part}" for part in parts).encode("utf-8", "surrogatepass"))
    return base64.b32encode(digest.digest()[:16]).decode().rstrip("=").lower()

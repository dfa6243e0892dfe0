"""Whether an index is whole: everything is read, and what is wrong is told in words."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any, Final

import numpy as np

from altclip.errors import ImageError, SearchError
from altclip.processing import open_image
from altclip.search.about import read_about
from altclip.search.columns import schema
from altclip.search.rows import ID_LENGTH
from altclip.search.store import VERIFY_HINT, Store
from altclip.search.tuning import vectors_of

_LENGTH_OFF: Final = 1e-3


def problems(folder: Path, store: Store) -> list[str]:
    """One sentence for each kind of damage; none where the index is whole."""
    try:
        about = read_about(folder)
        counts: Counter[str] = Counter()
        ids: Counter[str] = Counter()
        for batch in store.batches(schema(about.dim).names):
            ids.update(batch.column("id").to_pylist())
            counts.update(_faults(batch, about.dim))
        told = [f"{number} rows {what}" for what, number in counts.items() if number]
        told += [f"the id {name} is there {number} times" for name, number in ids.items() if number > 1][:10]
        if store.count() != ids.total():
            told.append(f"{store.count()} rows are counted, {ids.total()} can be read")
        return told
    except SearchError as error:
        return [str(error).replace(VERIFY_HINT, "")]  # this is what tells it


def _faults(batch: Any, dim: int) -> dict[str, int]:
    """Kind of fault -> rows of the batch that have it."""
    vectors = vectors_of(batch)
    if vectors.shape[1] != dim:
        return {f"have vectors of {vectors.shape[1]}, not {dim}": len(vectors)}
    lengths = np.linalg.norm(vectors, axis=1)
    thumbnails = [picture for picture in batch.column("thumbnail").to_pylist() if picture]
    return {
        "have a vector that is not finite": int((~np.isfinite(lengths)).sum()),
        "have a vector that is not of length 1": int((np.abs(lengths - 1) > _LENGTH_OFF).sum()),
        "have an id that altclip did not make": sum(len(i) != ID_LENGTH for i in batch.column("id").to_pylist()),
        "have a thumbnail that is no picture": sum(not _is_picture(picture) for picture in thumbnails),
    }


def _is_picture(data: bytes) -> bool:
    try:
        open_image(data)
    except ImageError:
        return False
    return True

"""CIFAR-10's binary files: one byte for the class, then 3,072 for an image of 32 x 32 pixels, all red, green, blue.

Source: the description beside the files (Krizhevsky 2009). The rows have the columns of the hub's copy, `img` and
`label`, so that either form of the data goes with the same recipe.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from altclip.errors import DataError
from altclip.prompts import label_set

SIDE: Final = 32
_RECORD: Final = 1 + 3 * SIDE * SIDE
_HEADER: Final = f"P6\n{SIDE} {SIDE}\n255\n".encode()  # of a PPM, which is the pixels themselves


def read_records(files: Sequence[Path]) -> dict[str, list[Any]]:
    """The images, as the bytes of PPM files, and the numbers of their classes.

    Raises DataError naming a file that cannot be read or is none of CIFAR-10's.
    """
    images: list[dict[str, Any]] = []
    labels: list[int] = []
    for path in files:
        records = _records(path)
        labels += records[:, 0].tolist()
        pixels = records[:, 1:].reshape(-1, 3, SIDE, SIDE).transpose(0, 2, 3, 1)
        images += [{"bytes": _HEADER + image.tobytes(), "path": None} for image in pixels]
    return {"img": images, "label": labels}


def class_ids() -> list[str]:
    """What the numbers of the classes stand for."""
    return list(label_set("cifar10", "en"))


def _records(path: Path) -> np.ndarray[tuple[int, int], np.dtype[np.uint8]]:
    try:
        content = np.frombuffer(path.read_bytes(), dtype=np.uint8)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error}") from error
    if not len(content) or len(content) % _RECORD:
        raise DataError(
            f"{path} has {len(content):,} bytes, no whole number of CIFAR-10's records of {_RECORD:,}: expected "
            "data_batch_1.bin or the like, of the binary version; get the file anew"
        )
    records = content.reshape(-1, _RECORD)
    if (largest := int(records[:, 0].max())) >= len(class_ids()):
        raise DataError(f"{path} has a class {largest}: expected 0 to 9, as in CIFAR-10's binary version")
    return records

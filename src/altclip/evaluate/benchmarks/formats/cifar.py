"""CIFAR-10 and -100 as binary files: no pickle, so nothing in them can run.

test_batch.bin   10,000 times: a class, then 32 x 32 of red, of green and of blue                  CIFAR-10
test.bin         the same with a coarse class before the fine one                                  CIFAR-100
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from altclip.errors import DataError
from altclip.evaluate.benchmarks.content import LabelledSet, labelled_set
from altclip.evaluate.benchmarks.files import digest_files
from altclip.evaluate.benchmarks.request import Request
from altclip.evaluate.images import ImageSet
from altclip.prompts import label_set
from altclip.prompts.catalogue import check_language

_PIXELS: Final = 3 * 32 * 32


def read(request: Request, *, labels: str, label_bytes: int) -> LabelledSet:
    """labels: the label set of this package with its names; label_bytes: 1 or 2, the last being the class."""
    path = request.found["images"]
    records = _records(path, _PIXELS + label_bytes)
    classes = records[:, label_bytes - 1]
    names = {language: label_set(labels, check_language(language)) for language in request.languages}
    keys = list(next(iter(names.values())))  # in the order of the numbers
    if classes.max(initial=0) >= len(keys):
        raise DataError(f"{path} has a class {classes.max()}: expected 0 to {len(keys) - 1}; another set, or damaged")

    def image(number: int) -> NDArray[np.uint8]:
        return records[number, label_bytes:].reshape(3, 32, 32).transpose(1, 2, 0)

    images = ImageSet(request.name, image, tuple(keys[number] for number in classes), digest_files([path]))
    return labelled_set(images, names)


def _records(path: Path, length: int) -> NDArray[np.uint8]:
    """(N, length), mapped from the file. Raises DataError if it is not a whole number of records."""
    size = path.stat().st_size
    if not size or size % length:
        raise DataError(f"{path} is {size:,} bytes: expected a multiple of {length:,}; it is cut short, or another set")
    return np.memmap(path, np.uint8, "r").reshape(-1, length)

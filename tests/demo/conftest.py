"""A model that is a table: each label and word is an axis, and each photograph is a sum of labels chosen here."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from altclip.errors import InputError
from altclip.languages import LANGUAGES, Language
from altclip.processing import open_image
from altclip.processing.opening import MAX_PIXELS
from altclip.prompts import label_set

TABBY: Final = "n02123045"
ESPRESSO: Final = "n07920052"
LION: Final = "n02129165"
WNIDS: Final = list(label_set("mini", "en"))


class TableEncoder:
    """Stands in for an Encoder. sees: file name to the classes in it with their weights; without one, all are equal."""

    name = "mini"
    max_pixels = MAX_PIXELS
    logit_scale = math.log(20.0)

    def __init__(self, sees: dict[str, dict[str, float]]) -> None:
        self.sees = sees
        self.offered: dict[Language, list[str]] = {}
        self.axis = {label: axis for of in LANGUAGES for axis, label in enumerate(label_set("mini", of).values())}

    def encode_images(
        self, images: Iterable[Path], *, on_error: Callable[[int, InputError], object]
    ) -> NDArray[np.float32]:
        rows = []
        for place, path in enumerate(images):
            try:
                open_image(path, max_pixels=self.max_pixels)
            except InputError as error:
                on_error(place, error)
                continue
            row = np.full(len(WNIDS), 0.001, np.float32)
            for wnid, weight in self.sees.get(path.name, {}).items():
                row[WNIDS.index(wnid)] = weight
            rows.append(row / np.linalg.norm(row))
        return np.stack(rows) if rows else np.zeros((0, len(WNIDS)), np.float32)

    def encode_labels(self, labels: Iterable[str], *, language: Language) -> NDArray[np.float32]:
        self.offered[language] = list(labels)
        return np.eye(len(WNIDS), dtype=np.float32)[[self.axis[label] for label in self.offered[language]]]

    def encode_texts(self, texts: Iterable[str]) -> NDArray[np.float32]:
        return np.eye(len(WNIDS), dtype=np.float32)[[self.axis[text] for text in texts]]


def table_encoder() -> Any:
    """Takes the cat for a lion, then a tabby; sees the espresso; everything else is the same to it."""
    return TableEncoder(
        {"chelsea.png": {LION: 0.8, TABBY: 0.6}, "coffee.png": {ESPRESSO: 1.0}, "cat.png": {TABBY: 1.0}}
    )


@pytest.fixture
def encoder() -> Any:
    return table_encoder()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three photographs, one of them in a folder below, beside files that are none."""
    root = tmp_path / "photos"
    (root / "below").mkdir(parents=True)
    for name, colour in (("cat.png", "orange"), ("b.JPG", "navy"), ("below/c.webp", "green")):
        Image.new("RGB", (40, 30), colour).save(root / name)
    (root / "notes.txt").write_text("not a photograph", encoding="utf-8")
    (root / ".hidden.png").write_bytes(b"not shown")
    return root

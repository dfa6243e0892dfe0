"""CIFAR-10's binary files against what is written into them, and files that are none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from altclip.data.cifar import class_ids, read_records
from altclip.data.reading import class_names, open_rows
from altclip.errors import DataError
from altclip.processing import open_image


def record(label: int, pixels: np.ndarray) -> bytes:
    """One of the file's: the class, then all red, all green, all blue."""
    return bytes([label]) + pixels.transpose(2, 0, 1).astype(np.uint8).tobytes()


def test_pixels_and_classes_are_those_of_the_file(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3))
    (tmp_path / "data_batch_1.bin").write_bytes(record(0, pixels[0]) + record(9, pixels[1]))
    (tmp_path / "data_batch_2.bin").write_bytes(record(4, pixels[2]))
    rows = open_rows(tmp_path / "data_batch_*.bin", columns=("img", "label"))
    assert rows["label"] == [0, 9, 4]
    assert class_names(rows, "label") == class_ids()
    for row, expected in zip(rows, pixels, strict=True):
        np.testing.assert_array_equal(np.asarray(open_image(row["img"]["bytes"])), expected)


def test_the_classes_are_in_the_order_of_the_data_set() -> None:
    assert class_ids() == ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "has 0 bytes"),
        (b"x" * 3074, "3,074 bytes, no whole number of CIFAR-10's records of 3,073"),
        (bytes([10]) + bytes(3072), "has a class 10: expected 0 to 9"),
    ],
)
def test_files_that_are_none(content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(content)
    with pytest.raises(DataError, match=message):
        open_rows(tmp_path / "a.bin")


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        read_records([tmp_path / "none.bin"])

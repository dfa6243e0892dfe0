"""What mini is measured on: photographs, full-size photographs, and drawings of one style, with names by language.

The folder is laid out as docs/mini-data.md says. Whatever is missing is named before anything is computed, and an image
of an unknown class is an error: no figure comes from less data than it says.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from altclip.data.labels import Labels, read_labels
from altclip.data.pairs import image_bytes
from altclip.data.reading import open_rows
from altclip.errors import DataError, UsageError
from altclip.evaluate.images import ImageSet

PHOTOS: Final = "photos/val.parquet"
CLASSES: Final = "photos/classes.jsonl"
FULL_SIZE: Final = "photos/full_size"
DRAWINGS: Final = "emoji/images.parquet"
CONCEPTS: Final = "emoji/concepts.jsonl"
WANTED: Final = (PHOTOS, CLASSES, FULL_SIZE, DRAWINGS, CONCEPTS)
WHERE: Final = "docs/mini-data.md tells where each is had"


@dataclass(frozen=True)
class MiniData:
    """All of it. digests: SHA-256 by file or folder."""

    photographs: ImageSet
    full_size: ImageSet
    drawings: ImageSet
    classes: Labels
    concepts: Labels
    digests: Mapping[str, str]


def open_data(folder: Path, style: str) -> MiniData:
    """Open the folder. Raises DataError naming what is missing or damaged, UsageError for a style it does not have."""
    check_folder(folder)
    digests = {name: digest(folder / name) for name in WANTED}
    classes, concepts = _labels(folder / CLASSES, "wnid"), _labels(folder / CONCEPTS, "id")
    data = MiniData(
        read_photographs(folder / PHOTOS, digests[PHOTOS]),
        read_full_size(folder / FULL_SIZE, digests[FULL_SIZE]),
        read_drawings(folder / DRAWINGS, digests[DRAWINGS], style),
        classes,
        concepts,
        digests,
    )
    for images, labels in ((data.photographs, classes), (data.full_size, classes), (data.drawings, concepts)):
        check_keys(images, labels)
    return data


def check_folder(folder: Path) -> None:
    """Raises DataError if any of what is wanted is not there."""
    lost = [name for name in WANTED if not (folder / name).exists()]
    if lost:
        raise DataError(f"{folder} lacks {', '.join(lost)}: expected {', '.join(WANTED)}; {WHERE}")


def read_photographs(path: Path, content: str) -> ImageSet:
    """A parquet file with the columns `image` and `wnid`."""
    rows = open_rows(path, columns=("image", "wnid"))
    return _image_set(path.name, rows, list(rows["wnid"]), content)


def read_drawings(path: Path, content: str, style: str) -> ImageSet:
    """The drawings of one style, of a parquet file with the columns `image`, `id` and `style`."""
    rows = open_rows(path, columns=("image", "id", "style"))
    styles = list(rows["style"])
    if style not in styles:
        there = ", ".join(f"{name} ({count})" for name, count in Counter(styles).items())
        raise UsageError(f"no drawing of style {style!r} in {path}: it has {there}")
    rows = rows.select([index for index, of in enumerate(styles) if of == style])
    return _image_set(f"{path.name}, {style}", rows, list(rows["id"]), f"{content} {style}")


def read_full_size(folder: Path, content: str) -> ImageSet:
    """A folder of JPEG files, each named by its class: `<wnid>_<name>.JPEG`."""
    files = _jpegs(folder)
    if not files:
        raise DataError(f"{folder} has no photographs: expected files named <wnid>_<name>.JPEG; {WHERE}")
    return ImageSet(folder.name, files.__getitem__, tuple(file.name.partition("_")[0] for file in files), content)


def digest(path: Path) -> str:
    """SHA-256 of a file, or of the names and contents of a folder's JPEG files."""
    state = hashlib.sha256()
    for file in _jpegs(path) if path.is_dir() else [path]:
        with file.open("rb") as stream:
            content = hashlib.file_digest(stream, "sha256")
        state.update(f"{file.name} {content.hexdigest()}\n".encode())
    return state.hexdigest() if path.is_dir() else content.hexdigest()


def _jpegs(folder: Path) -> list[Path]:
    return sorted(file for file in folder.iterdir() if file.suffix.lower() in (".jpeg", ".jpg"))


def _image_set(name: str, rows: Any, keys: Sequence[str], content: str) -> ImageSet:
    if not keys:
        raise DataError(f"{name} has no rows: {WHERE}")
    return ImageSet(name, lambda index: image_bytes(rows[index]["image"]), tuple(keys), content)


def _labels(path: Path, key: str) -> Labels:
    labels = read_labels(path, key, ("names",))
    if not labels.names:
        raise DataError(f"{path} has no lines: expected one a class; {WHERE}")
    return labels


def check_keys(images: ImageSet, labels: Labels) -> None:
    """Raises DataError if an image shows what has no line among the labels."""
    unknown = sorted(set(images.keys) - set(labels.names))
    if unknown:
        shown = ", ".join(unknown[:5])
        raise DataError(
            f"{images.name} shows classes that the labels file does not have: {shown}; take files that belong together"
        )

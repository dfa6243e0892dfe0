"""Folders of class folders: ImageNet and its variants, the sets of ELEVATER, or your own.

val/n01440764/ILSVRC2012_val_00000293.JPEG        beside it LOC_synset_mapping.txt, label_cn.txt, ...
"""

from __future__ import annotations

from pathlib import Path

from altclip.errors import DataError
from altclip.evaluate.benchmarks.content import LabelledSet, labelled_set, shown
from altclip.evaluate.benchmarks.files import IMAGE_SUFFIXES, digest_files
from altclip.evaluate.benchmarks.formats.names import SYNSETS, class_names, synsets
from altclip.evaluate.benchmarks.request import Request
from altclip.evaluate.images import ImageSet


def read(request: Request) -> LabelledSet:
    """Classes are the folders in `images`, in the order of their names, numbers as numbers (ImageNetV2's 0 to 999).

    Where ImageNet's own list lies in the set's folder, lists of names are in its order, and a folder may have some of
    its classes only (ImageNet-A, -R). Raises DataError for a class folder without an image.
    """
    folder = request.found["images"]
    classes = sorted((path for path in folder.iterdir() if path.is_dir()), key=_order)
    if not classes:
        raise DataError(f"{folder} has no class folders: sort its images into a folder for each class")
    files = [file for path in classes for file in sorted(path.iterdir()) if file.is_file()]
    paths = [file for file in files if file.suffix.lower() in IMAGE_SUFFIXES]
    full = {path.parent for path in paths}
    if empty := [path.name for path in classes if path not in full]:
        raise DataError(f"{folder}: {len(empty)} of {len(classes)} class folders have no image: {shown(empty)}")
    keys = [path.name for path in classes]
    names = class_names(request.root, _listed(request.root, keys), request.languages)
    others = [f"{file.parent.name}/{file.name}" for file in files if file.suffix.lower() not in IMAGE_SUFFIXES]
    notes = [f"{len(others)} files that are no images left out: {shown(others)}"] if others else []
    images = ImageSet(request.name, paths.__getitem__, tuple(p.parent.name for p in paths), digest_files(paths))
    return labelled_set(images, names, notes, partial=request.partial)


def _listed(root: Path, keys: list[str]) -> list[str]:
    """The classes in the order in which lists of names have them."""
    path = root / SYNSETS
    known = list(synsets(path)) if path.is_file() else []
    return known if known and set(keys) <= set(known) else keys


def _order(path: Path) -> tuple[bool, int, str]:
    return (False, int(path.name), "") if path.name.isdecimal() else (True, 0, path.name)

"""Karpathy's splits: one JSON file for Flickr8k, Flickr30k or MSCOCO, images with their sentences and their split.

{"images": [{"filename": "1000092795.jpg", "split": "train", "sentences": [{"raw": "Two young guys ..."}, ...]}]}
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from altclip.errors import DataError
from altclip.evaluate.benchmarks.content import Caption, CaptionSet, caption_set
from altclip.evaluate.benchmarks.files import image_folder, read_json
from altclip.evaluate.benchmarks.request import Request


def read(
    request: Request, *, total: int | None = None, split: str = "test", each: int | None = None, folds: int = 1
) -> CaptionSet:
    """The images of one split, in file order; English.

    Args:
        request: wants `captions`, the JSON file, and `images`.
        total: images of all splits together, checked.
        split: its name.
        each: how many captions of an image count, the first ones; all if None.
        folds: as `CaptionSet` has it.
    """
    path = request.found["captions"]
    content = read_json(path)
    try:
        listed = content["images"]
        if total is not None and len(listed) != total:
            raise DataError(f"{path} lists {len(listed):,} images: expected {total:,} in all splits together")
        rows = [image for image in listed if image["split"] == split]
        captions = list(_captions(rows, each))
        files = {image["filename"]: image["filename"] for image in rows}
    except (KeyError, TypeError) as error:
        raise DataError(
            f"{path}: {error!r}; expected Karpathy's form, images with filename, split, sentences"
        ) from error
    if len(files) < len(rows):
        raise DataError(f"{path}: {len(rows) - len(files)} of {len(rows)} images of the split {split} stand twice")
    return caption_set(image_folder(request.name, request.images, files), {"en": captions}, folds=folds)


def _captions(rows: Sequence[Mapping[str, Any]], each: int | None) -> Iterator[Caption]:
    for image in rows:
        for number, sentence in enumerate(image["sentences"][:each], 1):
            yield Caption(sentence["raw"], (image["filename"],), f"sentence {number} of {image['filename']}")

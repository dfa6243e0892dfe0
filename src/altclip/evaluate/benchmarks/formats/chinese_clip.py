"""Chinese-CLIP's form, in which MUGE and Flickr30k-CN are handed out: images in a tsv, texts in a jsonl.

    test_imgs.tsv      1000002 <tab> /9j/4AAQSkZJ...                                   an id and a file in base64
    test_texts.jsonl   {"text_id": 8428, "text": "...", "image_ids": [1076345, 517602]}

A text may be of several images. Images are read when they are wanted: a tsv holds gigabytes.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator
from pathlib import Path

from altclip.errors import DataError
from altclip.evaluate.benchmarks.content import Caption, CaptionSet, caption_set
from altclip.evaluate.benchmarks.files import digest_files, read_json_lines
from altclip.evaluate.benchmarks.request import Request
from altclip.evaluate.images import ImageSet


def read(request: Request, *, distractors: bool = False) -> CaptionSet:
    """`images` is the tsv, `captions` the jsonl; one language, Chinese unless another one is asked for."""
    path = request.found["images"]
    places = _places(path)

    def image(number: int) -> bytes:
        _, start, length = places[number]
        with path.open("rb") as file:
            file.seek(start)
            try:
                return base64.b64decode(file.read(length), validate=True)
            except binascii.Error as error:
                raise DataError(f"{path}, image {places[number][0]}: {error}; get the file anew") from error

    images = ImageSet(request.name, image, tuple(key for key, _, _ in places), digest_files([path]))
    captions = list(_captions(request.found["captions"]))
    return caption_set(images, {request.languages[0]: captions}, distractors=distractors)


def _places(path: Path) -> list[tuple[str, int, int]]:
    """Of each image: its id, where its base64 begins, how long it is."""
    found, start = [], 0
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            key, tab, content = line.partition(b"\t")
            length = len(content.rstrip(b"\r\n"))
            if not tab or not key.strip() or not length:
                raise DataError(f"{path}, line {number}: {line[:40]!r}; expected an id, a tab and a file in base64")
            if length % 4:
                raise DataError(
                    f"{path}, line {number}: image {key.decode(errors='replace')} is cut short; get it anew"
                )
            found.append((key.strip().decode(errors="replace"), start + len(key) + 1, length))
            start += len(line)
    return found


def _captions(path: Path) -> Iterator[Caption]:
    seen: dict[object, str] = {}
    for place, row in read_json_lines(path):
        try:
            key, text, images = row["text_id"], row["text"], tuple(dict.fromkeys(map(str, row["image_ids"])))
        except (KeyError, TypeError) as error:
            raise DataError(f"{path}: {place}: {error!r}; expected text_id, text and image_ids") from error
        if seen.setdefault(key, place) != place:
            raise DataError(f"{path}: {place}: text_id {key} stands on {seen[key]} already")
        yield Caption(str(text), images, f"text {key}")

"""Lines of an image's id and a caption, as Flickr8k's token file began it: Flickr8k-CN, Flickr30k-CN, -CNA, COCO-CN.

1000268201_693b08cb0e.jpg#0 <tab> A child in a pink dress ...        Flickr8k, Arabic Flickr8k
1000268201_693b08cb0e.jpg#zhc#0 <space> ...                          Flickr8k-CN
1007129816#zhm#0 <space> word:part-of-speech ...                     Flickr30k-CN, segmented
COCO_val2014_000000000042#0 <tab> ...                                COCO-CN
1007129816 <tab> ...                                                 Flickr30k-CNA
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from altclip.errors import DataError
from altclip.evaluate.benchmarks.content import Caption, CaptionSet, caption_set, shown
from altclip.evaluate.benchmarks.files import image_folder, image_name, read_lines
from altclip.evaluate.benchmarks.request import Request

_LINE: Final = re.compile(r"\s*([^\s#]+)(#\S+)?(?:\s+(.*))?", re.DOTALL)
_PART_OF_SPEECH: Final = re.compile(r":[A-Za-z]+$")


def read(request: Request, *, segmented: bool = False) -> CaptionSet:
    """One file of captions a language.

    The images are those of the list `split`, in its order, and captions of others are passed over; without a list,
    those of the first file. segmented: words are joined again and their part of speech is dropped.
    """
    captions = {language: list(_captions(path, segmented)) for language, path in request.captions().items()}
    if "split" in request.found:
        names = _listed(request.found["split"])
        kept = set(names)
        captions = {language: [c for c in of if c.images[0] in kept] for language, of in captions.items()}
    else:
        names = list(dict.fromkeys(caption.images[0] for caption in next(iter(captions.values()))))
    return caption_set(image_folder(request.name, request.images, {name: name for name in names}), captions)


def _captions(path: Path, segmented: bool) -> Iterator[Caption]:
    places: dict[str, int] = {}
    for number, line in enumerate(read_lines(path), 1):
        if not line.strip():
            continue
        found = _LINE.fullmatch(line)
        if found is None:
            raise DataError(f"{path}, line {number}: {line[:40]!r}; expected an image's id, #, a number and a caption")
        key, mark, text = found[1], found[2], found[3] or ""
        if mark and places.setdefault(key + mark, number) != number:
            raise DataError(f"{path}, line {number}: {key}{mark} stands on line {places[key + mark]} already")
        yield Caption(_joined(text) if segmented else text, (image_name(key),), f"line {number} of {path.name}")


def _listed(path: Path) -> list[str]:
    names = [image_name(line.strip()) for line in read_lines(path) if line.strip()]
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        raise DataError(f"{path}: images that stand twice: {shown(twice)}")
    return names


def _joined(text: str) -> str:
    return "".join(_PART_OF_SPEECH.sub("", word) for word in text.split())

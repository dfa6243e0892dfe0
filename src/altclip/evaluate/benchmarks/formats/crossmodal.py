"""Crossmodal-3600: one line an image, its captions by language.

{"image/key": "000411001ff7dd4f", "en": {"caption": ["...", "..."]}, "zh": {"caption": ["..."]}, ...}
"""

from __future__ import annotations

from collections import defaultdict

from altclip.errors import DataError
from altclip.evaluate.benchmarks.content import Caption, CaptionSet, caption_set
from altclip.evaluate.benchmarks.files import image_folder, read_json_lines
from altclip.evaluate.benchmarks.request import Request


def read(request: Request) -> CaptionSet:
    """Wants `captions`, the JSON lines, and `images`, files named by their key."""
    path, files = request.found["captions"], {}
    captions: dict[str, list[Caption]] = defaultdict(list)
    for place, row in read_json_lines(path):
        try:
            key = str(row["image/key"])
            for language in request.languages:
                listed = row.get(language, {}).get("caption", ())
                captions[language] += [Caption(text, (key,), f"{place}, {language}") for text in listed]
        except (KeyError, AttributeError, TypeError) as error:
            raise DataError(f"{path}: {place}: {error!r}; expected image/key and captions by language") from error
        if key in files:
            raise DataError(f"{path}: {place}: image {key} stands twice")
        files[key] = f"{key}.jpg"
    return caption_set(image_folder(request.name, request.images, files), captions)

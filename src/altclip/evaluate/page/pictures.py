"""Thumbnails for the page, as data URIs, each of them once however often it is shown."""

from __future__ import annotations

from altclip.evaluate.images import ImageSet
from altclip.pages.pictures import thumbnail
from altclip.processing import open_image


class Gallery:
    """The images shown so far: `sources[n]` is a JPEG as a data URI, which style class `pN` shows."""

    def __init__(self, max_pixels: int) -> None:
        self.sources: list[str] = []
        self._max_pixels = max_pixels
        self._numbers: dict[tuple[str, int], int] = {}
        self._of_source: dict[str, int] = {}

    def add(self, title: str, images: ImageSet, number: int) -> str:
        """The style class of an image of the set of this title. Raises ImageError if it cannot be opened any more."""
        key = (title, number)
        if key not in self._numbers:
            source = thumbnail(open_image(images.at(number), max_pixels=self._max_pixels))
            self._numbers[key] = self._of_source.setdefault(source, len(self.sources))
            if self._numbers[key] == len(self.sources):  # a set may hold one image twice, and a suite one set
                self.sources.append(source)
        return f"p{self._numbers[key]}"

"""The bundled model's own data as sets, a row each; docs/mini-data.md tells how the folder is laid out."""

from __future__ import annotations

from functools import partial
from typing import Final

from altclip.evaluate.benchmarks.catalogue import Benchmark, Form, Wanted
from altclip.evaluate.benchmarks.formats import mini
from altclip.evaluate.mini.data import CLASSES, CONCEPTS, DRAWINGS, PHOTOS
from altclip.languages import LANGUAGES

_WHERE: Final = "where docs/mini-data.md tells"
_PHOTOS: Final = (Wanted("images", (PHOTOS,), _WHERE), Wanted("names", (CLASSES,), _WHERE))
_DRAWINGS: Final = (Wanted("images", (DRAWINGS,), _WHERE), Wanted("names", (CONCEPTS,), _WHERE))


def _drawings(style: str) -> Benchmark:
    name = "mini_drawings" if style == "twemoji" else f"mini_drawings_{style}"
    return Benchmark(
        name, f"Drawings ({style}) by name", (Form(_DRAWINGS, partial(mini.drawings, style=style)),), LANGUAGES
    )


BUNDLED: Final = (
    Benchmark("mini_photos", "Photographs by class", (Form(_PHOTOS, mini.photographs),), LANGUAGES, split="val"),
    Benchmark("mini_photos_by_name", "Photographs by name", (Form(_PHOTOS, mini.photographs_by_name),), LANGUAGES),
    *map(_drawings, ("twemoji", "noto", "openmoji")),
)

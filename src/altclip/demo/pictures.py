"""Where the photographs come from: the packages that ship some, or a folder of the user's.

`altclip.data.shipped` lists every colour photograph in the wheels of scikit-image and scikit-learn, with what it shows
and, if the thing is among the 200 classes, its wnid. Grey pictures, drawings, the second half of a stereo pair and a
picture of 14 x 25 pixels are not listed.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from altclip.data.shipped import shipped_file, shipped_photographs
from altclip.pages.pictures import thumbnail
from altclip.processing import open_image

LARGE: Final = 480  # pixels of the longer side: a card on the page, sharp on a phone
SMALL: Final = 240  # a picture in a row of finds


@dataclass(frozen=True)
class Photograph:
    """A file, and what is known of it.

    shows: what can be seen, in English words; wnid: its class among the 200, or None. Both only mean something if
    `told`: of a user's photograph nothing is known.
    """

    path: Path
    name: str
    told: bool = False
    shows: str = ""
    wnid: str | None = None
    note: str = ""
    credit: str = ""

    @property
    def never_learned(self) -> bool:
        """Whether it is known to show nothing that a label names."""
        return self.told and self.wnid is None


def shipped() -> list[Photograph]:
    """The photographs in the wheels of scikit-image and scikit-learn: first those that a label names.

    Raises:
        MissingExtraError: one of the packages is not installed.
    """
    return [_shipped(row) for row in shipped_photographs()]


def copy_shipped(folder: Path) -> Path:
    """The same, copied into a new folder of their own. Raises as `shipped`."""
    photographs = shipped()
    folder.mkdir()
    for photograph in photographs:
        shutil.copyfile(photograph.path, folder / photograph.name)
    return folder


def _shipped(row: dict[str, str | None]) -> Photograph:
    package = row["package"] or ""
    path = shipped_file(package, row["file"] or "")
    return Photograph(
        path, path.name, told=True, shows=row["shows"] or "", wnid=row["wnid"], note=row.get("note") or "",
        credit=f"{row['credit']} ({package})",
    )  # fmt: skip


def of_user(files: Sequence[Path], folder: Path) -> list[Photograph]:
    """The user's files, of which nothing is known, named as they lie below `folder`."""
    return [Photograph(path, path.relative_to(folder).as_posix()) for path in files]


def thumbnails(photograph: Photograph, sides: tuple[int, ...], *, max_pixels: int) -> list[str]:
    """The photograph as JPEGs whose longer sides have these pixels, as data URIs. Raises ImageError."""
    image = open_image(photograph.path, max_pixels=max_pixels)
    return [thumbnail(image, side, quality=82) for side in sides]

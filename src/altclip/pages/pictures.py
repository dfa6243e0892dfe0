"""Small pictures inside a page."""

from __future__ import annotations

import base64
import io
from typing import Final

from PIL import Image

SIDE: Final = 112  # pixels of the longer side
_QUALITY: Final = 80


def thumbnail(image: Image.Image, side: int = SIDE, quality: int = _QUALITY) -> str:
    """The image as a JPEG whose longer side has at most `side` pixels, as a data URI."""
    small = image.copy()
    small.thumbnail((side, side), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=quality, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")

"""The encoder that a command works with."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from altclip.encoder import Encoder

DEVICE: Final = "ALTCLIP_DEVICE"
MAX_PIXELS: Final = 100_000_000  # that of `open_image`, which may not be imported for a help text


def device_name() -> str:
    """The device that the environment asks for, else `auto`."""
    return os.environ.get(DEVICE) or "auto"


def open_encoder(model: str, *, max_pixels: int = MAX_PIXELS) -> Encoder:
    """The model on that device, opening images of at most `max_pixels`."""
    from PIL import Image

    from altclip.encoder import Encoder

    encoder = Encoder(model, device=device_name())
    encoder.max_pixels = max_pixels
    Image.MAX_IMAGE_PIXELS = None  # the limit is ours here, and looks at the header before anything is decoded
    return encoder

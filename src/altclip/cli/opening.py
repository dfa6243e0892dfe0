"""The encoder that a command works with."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from altclip.encoder import Encoder

DEVICE: Final = "ALTCLIP_DEVICE"
ENGINE: Final = "ALTCLIP_ENGINE"
PRECISION: Final = "ALTCLIP_PRECISION"
MAX_PIXELS: Final = 100_000_000  # that of `open_image`, which may not be imported for a help text


def device_name() -> str:
    """The device that the environment asks for, else `auto`."""
    return os.environ.get(DEVICE) or "auto"


def engine_name() -> str:
    """The engine that the environment asks for, else `auto`."""
    return os.environ.get(ENGINE) or "auto"


def precision_name() -> str:
    """The precision that the environment asks for, else `fast`."""
    return os.environ.get(PRECISION) or "fast"


def open_encoder(
    model: str,
    *,
    max_pixels: int = MAX_PIXELS,
    engine: str | None = None,
    precision: str | None = None,
    calibration: Sequence[Path] | None = None,
) -> Encoder:
    """The model on that device, opening images of at most `max_pixels`; engine, precision: or the environment's."""
    from PIL import Image

    from altclip.encoder import Encoder

    encoder = Encoder(
        model,
        device=device_name(),
        engine=engine or engine_name(),
        precision=precision or precision_name(),
        calibration=calibration,
    )
    encoder.max_pixels = max_pixels
    # The limit is ours here; Pillow's is for pictures within icons, which it decodes before anyone can look.
    Image.MAX_IMAGE_PIXELS = max(max_pixels, MAX_PIXELS)
    warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)
    return encoder

"""What every engine does. B images or texts, C channels, S image side, L tokens, D length of an embedding."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, Protocol, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

Pixels: TypeAlias = NDArray[np.float32]
Ids: TypeAlias = NDArray[np.int64]
Features: TypeAlias = NDArray[np.float32]

Side: TypeAlias = Literal["image", "text"]
Inputs: TypeAlias = Sequence[NDArray[Any]]  # of one call: pixels, or ids and mask


class Engine(Protocol):
    """Runs one model. Calls from several threads may overlap."""

    @property
    def name(self) -> str:
        """What it is called."""

    @property
    def device(self) -> torch.device:
        """Where it computes."""

    @property
    def dtype(self) -> torch.dtype:
        """The number format of its weights."""

    def encode_image(self, pixels_BCSS: Pixels) -> Features:
        """Features (B, D), not normalised, of images as the image processor prepares them."""

    def encode_text(self, ids_BL: Ids, mask_BL: Ids) -> Features:
        """Features (B, D), not normalised, through the engine's head; mask: 1 for a token, 0 for padding."""

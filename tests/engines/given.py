"""What engines are given in their tests, and what the model itself makes of it."""

from __future__ import annotations

import numpy as np
import torch

from altclip.metrics import normalised
from altclip.models import DualEncoder


def pixels(model: DualEncoder, count: int) -> np.ndarray:
    """Noise of the model's size."""
    side = model.config.vision.image_size if model.config.vision else 0
    return np.random.default_rng(0).standard_normal((count, 3, side, side)).astype(np.float32)


def texts(count: int, length: int) -> tuple[np.ndarray, np.ndarray]:
    """Ids and mask; every other text is shorter, and padded."""
    ids = np.random.default_rng(count).integers(5, 90, (count, length))
    mask = np.ones_like(ids)
    for row in range(1, count, 2):
        cut = max(2, length - 2 * row)
        ids[row, cut:], mask[row, cut:] = 1, 0
    return ids, mask


def expected(model: DualEncoder, *given: np.ndarray) -> np.ndarray:
    """Embeddings (B, D), of pixels, or of ids and mask."""
    first, *mask = (torch.from_numpy(array) for array in given)
    with torch.inference_mode():
        found = model.encode_text(first, mask[0]) if mask else model.encode_image(first)
    return normalised(found.numpy())

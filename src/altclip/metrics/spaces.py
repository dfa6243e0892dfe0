"""How images and texts of one language lie to each other: close where they match, or in cones of their own."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from altclip.errors import UsageError
from altclip.metrics.vectors import Embeddings, finite


@dataclass(frozen=True)
class Alignment:
    """matched: mean cosine of a text and its image; others: of all that do not match; gap: see `alignment`."""

    matched: float
    others: float
    gap: float


def alignment(images: Embeddings, texts: Embeddings, owners: NDArray[np.int64]) -> Alignment:
    """How normalised texts (T, D) lie to normalised images (I, D), text t describing image owners[t].

    The gap is the distance between the mean image and the mean text: the modality gap of Liang et al. 2022 ("Mind the
    Gap", section 2), 0 where both fill the same region. Sums are exact over all pairs: the mean of all cosines is the
    inner product of the means. Raises UsageError if sizes do not fit or fewer than two images are given.
    """
    images, texts, owners = finite(images, "images"), finite(texts, "texts"), np.asarray(owners)
    if owners.shape != (len(texts),) or len(images) < 2 or not len(texts):
        raise UsageError(f"owners {owners.shape} of {len(texts)} texts and {len(images)} images: expected two or more")
    mean_image, mean_text = images.mean(axis=0, dtype=np.float64), texts.mean(axis=0, dtype=np.float64)
    matched = np.einsum("td,td->t", images[owners], texts).sum(dtype=np.float64)
    pairs = len(images) * len(texts)
    others = (mean_image @ mean_text * pairs - matched) / (pairs - len(texts))
    return Alignment(float(matched / len(texts)), float(others), float(np.linalg.norm(mean_image - mean_text)))

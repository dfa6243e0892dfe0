"""Zero-shot classification: the classifier, top-k accuracy, mean accuracy per class, calibration error.

The classifier and top-k equal CLIP_benchmark's (metrics/zeroshot_classification.py), mean per class its
`mean_per_class_recall` (scikit-learn's balanced accuracy), the calibration error torchmetrics'.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from altclip.errors import UsageError
from altclip.metrics.intervals import Estimate, estimate, wilson
from altclip.metrics.ranking import Ranks, best_ranks
from altclip.metrics.vectors import Embeddings, finite, normalised, products

TOPS: Final = (1, 5)
_BINS: Final = 15


@dataclass(frozen=True)
class Classification:
    """top: accuracy within the first k, by k; calibration_error: expected, over 15 bins of confidence.

    ranks: of the right class (N,), 0 being first; nearest: the class (N,) that each image was taken for.
    """

    top: dict[int, Estimate]
    mean_per_class: Estimate
    calibration_error: float
    ranks: Ranks
    nearest: NDArray[np.int64]


def class_embeddings(prompts: Embeddings, counts: Sequence[int]) -> Embeddings:
    """The zero-shot classifier (C, D): each prompt's embedding normalised, their mean by class, normalised again.

    Args:
        prompts: (P, D), the first class's prompts first.
        counts: prompts of each class (C,), each at least 1, together P.

    Source: Radford et al. 2021, section 3.1.4; `build_zero_shot_classifier` of open_clip.
    """
    if sum(counts) != len(prompts) or min(counts, default=1) < 1:
        raise UsageError(
            f"{len(prompts)} prompts for classes of {list(counts)}: expected as many, and one a class or more"
        )
    if not counts:
        return np.zeros((0, prompts.shape[1]), np.float32)
    starts = np.concatenate([[0], np.cumsum(counts)[:-1]])
    sums = np.add.reduceat(normalised(finite(prompts, "prompts")), starts, axis=0)
    return normalised(np.divide(sums, np.asarray(counts)[:, None], dtype=np.float32))


def classification(
    images: Embeddings,
    classes: Embeddings,
    wanted: ArrayLike,
    groups: ArrayLike | None = None,
    *,
    ks: Sequence[int] = TOPS,
    scale: float = 100.0,
) -> Classification:
    """Figures of normalised images (N, D) among normalised classes (C, D).

    Args:
        images: as embedded.
        classes: the classifier.
        wanted: the group (N,) that each image shows.
        groups: the group (C,) of each class, equal where either of two classes is right; their numbers if None.
        ks: such as 1 and 5; a k that takes in every class is left out, since it says nothing.
        scale: what cosines are multiplied by before the softmax: exp of the model's logit scale. For the calibration
            error alone; CLIP_benchmark takes 100.

    Raises UsageError if sizes do not fit or an image shows none of the classes, DataError for NaN embeddings.
    """
    wanted = np.asarray(wanted)
    groups = np.arange(len(classes)) if groups is None else np.asarray(groups)
    ranks = best_ranks(images, classes, wanted, groups)
    if not len(ranks):
        raise UsageError("no images to classify: expected one or more")
    tops = {k: wilson(int((ranks < k).sum()), len(ranks)) for k in ks if k < len(classes)}
    sure, nearest = answers(images, classes, scale)
    error = calibration_error(sure, ranks == 0)
    return Classification(tops, mean_per_class(ranks == 0, wanted), error, ranks, nearest)


def mean_per_class(hits: NDArray[np.bool_], wanted: ArrayLike, samples: int = 10_000, seed: int = 0) -> Estimate:
    """The mean over classes of their accuracy, with a bootstrap interval that draws images within each class.

    Classes that no image shows do not count. Raises UsageError for no images.
    """
    if not len(hits):
        raise UsageError("no images to average over classes: expected one or more")
    _, numbers, counts = np.unique(np.asarray(wanted), return_inverse=True, return_counts=True)
    shares = np.bincount(numbers, hits) / counts
    # hits among n images drawn with replacement from n are binomial
    drawn = np.random.default_rng(seed).binomial(counts, shares, size=(samples, len(counts))) / counts
    return estimate(float(shares.mean()), drawn.mean(axis=1))


def answers(images: Embeddings, classes: Embeddings, scale: float) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """The highest probability (N,) that the softmax of scaled cosines gives each image, and its class (N,); in chunks.

    Of equal classes the first.
    """
    images, classes = finite(images, "images"), finite(classes, "classes")
    parts = [(_highest(scores * np.float32(scale)), scores.argmax(axis=1)) for _, scores in products(images, classes)]
    if not parts:
        return np.zeros(0, np.float32), np.zeros(0, np.int64)
    return np.concatenate([sure for sure, _ in parts]), np.concatenate([told for _, told in parts])


def calibration_error(confidence: NDArray[Any], hits: NDArray[np.bool_], bins: int = _BINS) -> float:
    """Expected calibration error: |accuracy - confidence| by bins of confidence, weighted by their images.

    Source: Guo et al. 2017, section 2; bins as torchmetrics' `multiclass_calibration_error` (norm l1) draws them, each
    with its lower edge. Raises UsageError for sizes that do not fit, no images, or a confidence outside 0 to 1.
    """
    confidence = np.asarray(confidence, np.float32)
    if confidence.shape != hits.shape or not len(hits) or bins < 1:
        raise UsageError(f"{confidence.shape} confidences of {hits.shape} images in {bins} bins: expected one each")
    if not ((confidence >= 0) & (confidence <= 1)).all():
        raise UsageError(f"confidences from {confidence.min()} to {confidence.max()}: expected 0 to 1")
    edges = np.linspace(0, 1, bins + 1, dtype=np.float32)
    numbers = np.searchsorted(edges, confidence, side="right")
    sums = np.bincount(numbers, hits) - np.bincount(numbers, confidence)
    return float(np.abs(sums).sum() / len(hits))


def _highest(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """The largest entry of each row's softmax: 1 over the sum of exp(logit - highest)."""
    result: NDArray[np.float32] = 1 / np.exp(logits - logits.max(axis=1, keepdims=True)).sum(axis=1)
    return np.minimum(result, np.float32(1))

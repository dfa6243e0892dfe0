"""Labels and their probabilities: zero-shot classification after Radford et al. 2021, section 3.1."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from altclip.errors import UsageError


class Prediction(NamedTuple):
    """A label and its probability among the labels that were offered."""

    label: str
    probability: float


def probabilities(cosines: NDArray[np.floating], logit_scale: float) -> NDArray[np.float64]:
    """softmax(exp(logit_scale) * cosine) over the labels: (images, labels)."""
    logits = math.exp(logit_scale) * cosines.astype(np.float64)
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    result: NDArray[np.float64] = powers / powers.sum(axis=1, keepdims=True)
    return result


def ranked(labels: Sequence[str], row: NDArray[np.float64], top_k: int | None) -> list[Prediction]:
    """The likeliest labels first; equals in the order of `labels`."""
    order = np.argsort(-row, kind="stable")[:top_k]
    return [Prediction(labels[place], float(row[place])) for place in order]


def check_top_k(top_k: object) -> None:
    """Raise UsageError unless this is None or a number from 1."""
    if top_k is not None and (type(top_k) is not int or top_k < 1):
        raise UsageError(f"top_k={top_k!r} is not understood: expected None for all labels or a whole number from 1")


def label_list(labels: Iterable[str]) -> Sequence[str]:
    """The labels as a sequence that can be counted; what is none is left for `check_labels` to refuse."""
    if not isinstance(labels, Iterable):
        raise UsageError(f"labels cannot be a {type(labels).__name__}: expected a list of texts")
    return labels if isinstance(labels, str) else list(labels)

"""Image-text retrieval: recall at k in both directions, MR, mean and median rank, with bootstrap intervals.

A query counts at k if any of its right items is within the first k; equal scores stand in the order of the gallery;
computed in float32, in chunks. Equals the recalls of CLIP_benchmark (metrics/zeroshot_retrieval.py) and of big_vision
(evaluators/proj/image_text/image_text_retrieval.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from altclip.errors import UsageError
from altclip.metrics.intervals import Estimate, drawn_weights, estimate
from altclip.metrics.ranking import Ranks, best_ranks, groups_of, ranks_of_places, right_places, share_within
from altclip.metrics.vectors import Embeddings

KS: Final = (1, 5, 10)


@dataclass(frozen=True)
class Retrieval:
    """Recall at each k, by direction."""

    text_to_image: dict[int, float]
    image_to_text: dict[int, float]

    @property
    def mean_recall(self) -> float:
        """MR: the mean of all recalls of both directions (six, for k = 1, 5, 10)."""
        return float(np.mean([*self.text_to_image.values(), *self.image_to_text.values()]))


@dataclass(frozen=True)
class RetrievalRanks:
    """Ranks by direction, and what they came from.

    text_to_image: (T,); image_to_text: (A,) of the images that were asked for.
    text_units, image_units: the image that each query belongs to, (T,) and (A,): what one draw of the bootstrap takes
    together. images, texts: how many stood for choice.
    """

    text_to_image: Ranks
    image_to_text: Ranks
    text_units: NDArray[np.int64]
    image_units: NDArray[np.int64]
    images: int
    texts: int


@dataclass(frozen=True)
class Direction:
    """One direction: recall at each k; mean and median rank, 1 being the first place."""

    recall: dict[int, Estimate]
    mean_rank: Estimate
    median_rank: Estimate
    queries: int
    choices: int


@dataclass(frozen=True)
class RetrievalFigures:
    """Both directions, and MR, the mean of all their recalls."""

    text_to_image: Direction
    image_to_text: Direction
    mean_recall: Estimate


def retrieval(images: Embeddings, texts: Embeddings, owners: ArrayLike, ks: Sequence[int] = KS) -> Retrieval:
    """Recall between images (I, D) and texts (T, D), as `retrieval_ranks` takes them, without intervals."""
    ranks = retrieval_ranks(images, texts, owners)
    _check_ks(ks, ranks)
    return Retrieval(
        {k: share_within(ranks.text_to_image, k) for k in ks}, {k: share_within(ranks.image_to_text, k) for k in ks}
    )


def retrieval_ranks(
    images: Embeddings, texts: Embeddings, owners: ArrayLike, *, distractors: bool = False
) -> RetrievalRanks:
    """Ranks between images (I, D) and texts (T, D).

    Args:
        images: normalised embeddings.
        texts: the same.
        owners: the image (T,) that each text describes; or several, (T, P), with -1 where it has fewer than P.
        distractors: images without a text stand for choice, and nothing is asked of them; else they are an error.

    Raises:
        UsageError: a text of no image, an image of no text, sizes that do not fit.
        DataError: NaN or infinite embeddings.
    """
    owned = np.asarray(owners, np.int64)
    owned = owned[:, None] if owned.ndim == 1 else owned
    pairs = _pairs(owned, len(texts), len(images))
    asked = np.unique(pairs[:, 1])
    if not distractors and len(asked) < len(images):
        lost = np.setdiff1d(np.arange(len(images)), asked)
        raise UsageError(f"{len(lost)} of {len(images)} images have no text, the first is image {lost[0]}")
    of_images = np.stack([np.searchsorted(asked, pairs[:, 1]), pairs[:, 0]], axis=1)
    return RetrievalRanks(
        text_to_image=ranks_of_places(texts, images, right_places(pairs, len(texts))),
        image_to_text=ranks_of_places(images[asked], texts, right_places(of_images, len(asked))),
        text_units=_first(owned),
        image_units=asked,
        images=len(images),
        texts=len(texts),
    )


def translation_ranks(own: Embeddings, other: Embeddings, translations: Sequence[str]) -> Ranks:
    """Rank (N,) of the translation of each text `own` (N, D) among all `other` (N, D); row i translates row i.

    A translation that occurs more than once is right wherever it stands. Raises UsageError unless there are N of each.
    """
    if not len(own) == len(other) == len(translations):
        raise UsageError(
            f"{len(own)} texts, {len(other)} embeddings of {len(translations)} translations: expected as many of each"
        )
    groups = groups_of(translations)
    return best_ranks(own, other, groups, groups)


def retrieval_figures(
    ranks: RetrievalRanks, ks: Sequence[int] = KS, samples: int = 1000, seed: int = 0
) -> RetrievalFigures:
    """Figures with bootstrap intervals; a draw takes an image with all its texts, since these are not independent.

    Raises UsageError for a k of 0 or above the number of choices, where recall would say nothing.
    """
    _check_ks(ks, ranks)
    units = np.unique(np.concatenate([ranks.text_units, ranks.image_units]))
    texts, images = (np.searchsorted(units, of) for of in (ranks.text_units, ranks.image_units))
    sides = [_Side(ranks.text_to_image, texts, len(units), ks), _Side(ranks.image_to_text, images, len(units), ks)]
    width = max(len(side.ranks) for side in sides)
    drawn: list[list[NDArray[np.float64]]] = [[], []]
    for weights in drawn_weights(len(units), samples, seed, width):
        # a sample of a very small set can hold no query of one direction, and then says nothing
        weights = weights[np.all([weights @ side.sums[:, 0] > 0 for side in sides], axis=0)]
        for side, found in zip(sides, drawn, strict=True):
            found.append(side.figures(weights))
    (of_texts, of_images), all_once = (np.concatenate(found) for found in drawn), np.ones((1, len(units)))
    values = [side.figures(all_once)[0] for side in sides]
    recalls = np.concatenate([of_texts[:, : len(ks)], of_images[:, : len(ks)]], axis=1)
    mean = float(np.mean([value[: len(ks)] for value in values]))
    return RetrievalFigures(
        _direction(values[0], of_texts, ks, len(ranks.text_to_image), ranks.images),
        _direction(values[1], of_images, ks, len(ranks.image_to_text), ranks.texts),
        estimate(mean, recalls.mean(axis=1)),
    )


class _Side:
    """The queries of one direction, so that figures of a bootstrap sample are sums with its weights."""

    def __init__(self, ranks: Ranks, units: NDArray[np.int64], count: int, ks: Sequence[int]) -> None:
        order = np.argsort(ranks, kind="stable")
        self.ranks, self.units = ranks[order], units[order]
        columns = [np.ones(len(ranks)), *((ranks < k).astype(np.float64) for k in ks), ranks + 1.0]
        self.sums = np.stack([np.bincount(units, column, minlength=count) for column in columns], axis=1)

    def figures(self, weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """Recalls, mean rank and median rank (S, K + 2) of samples (S, U)."""
        totals = weights @ self.sums
        heights = np.cumsum(weights[:, self.units], axis=1)
        middle = [self._at(heights, place) for place in ((totals[:, 0] - 1) // 2, totals[:, 0] // 2)]
        return np.concatenate([totals[:, 1:] / totals[:, :1], np.mean(middle, axis=0)[:, None]], axis=1)

    def _at(self, heights: NDArray[np.float64], places: NDArray[np.float64]) -> NDArray[np.float64]:
        """The rank (S,), 1 being first, at a place in the sorted list in which each stands as often as it was drawn."""
        found = [np.searchsorted(row, place, side="right") for row, place in zip(heights, places, strict=True)]
        ranks: NDArray[np.float64] = self.ranks[np.array(found)] + 1.0
        return ranks


def _direction(
    value: NDArray[np.float64], drawn: NDArray[np.float64], ks: Sequence[int], queries: int, choices: int
) -> Direction:
    found = [estimate(float(figure), drawn[:, column]) for column, figure in enumerate(value)]
    return Direction(dict(zip(ks, found, strict=False)), found[-2], found[-1], queries, choices)


def _pairs(owned: NDArray[np.int64], texts: int, images: int) -> NDArray[np.int64]:
    """Pairs (N, 2) of a text and an image that it describes."""
    if len(owned) != texts:
        raise UsageError(f"owners of {len(owned)} texts for {texts}: expected one each")
    rows, columns = np.nonzero(owned >= 0)
    pairs = np.stack([rows, owned[rows, columns]], axis=1)
    none = np.setdiff1d(np.arange(texts), rows)
    strange = pairs[pairs[:, 1] >= images]
    if len(none) or len(strange):
        first = none[0] if len(none) else strange[0, 0]
        raise UsageError(
            f"{len(none) + len(np.unique(strange[:, 0]))} of {texts} texts are of no image among {images}, "
            f"the first is text {first}"
        )
    return np.unique(pairs, axis=0)


def _first(owned: NDArray[np.int64]) -> NDArray[np.int64]:
    """The least image of each text (T,): what a text of several images is drawn with."""
    first: NDArray[np.int64] = np.where(owned >= 0, owned, np.iinfo(np.int64).max).min(axis=1)
    return first


def _check_ks(ks: Sequence[int], ranks: RetrievalRanks) -> None:
    choices = min(ranks.images, ranks.texts)
    if wrong := [k for k in ks if not 1 <= k <= choices]:
        raise UsageError(
            f"recall at {', '.join(map(str, wrong))} among {ranks.images} images and {ranks.texts} texts: "
            f"expected a number from 1 to {choices}"
        )

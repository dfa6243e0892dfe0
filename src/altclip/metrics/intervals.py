"""How far a figure may be off: Wilson's interval for shares, the bootstrap for the rest; all at 95 %."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from altclip.errors import UsageError

_Z_95: Final = 1.959963984540054  # the normal distribution holds 95 % within this many standard deviations
_DRAWN_AT_ONCE: Final = 2**21  # numbers of one block of samples


@dataclass(frozen=True)
class Estimate:
    """A figure and its 95 % confidence interval; NaN where nothing can be said."""

    value: float
    low: float
    high: float


def wilson(hits: int, count: int) -> Estimate:
    """A share and Wilson's score interval (1927), which holds for small counts and shares near 0 or 1 too."""
    if not 0 <= hits <= count or count == 0:
        raise UsageError(f"no share of {hits} in {count}: expected a count over 0 and hits from 0 to that")
    share, square = hits / count, _Z_95**2
    middle = (share + square / (2 * count)) / (1 + square / count)
    half = _Z_95 * math.sqrt(share * (1 - share) / count + square / (4 * count**2)) / (1 + square / count)
    return Estimate(share, max(0.0, middle - half), min(1.0, middle + half))


def resampled_means(values: NDArray[Any], samples: int = 10_000, seed: int = 0) -> NDArray[np.float64]:
    """Means (samples, K) of bootstrap samples of the rows of `values` (N, K), drawn with replacement.

    Equal rows are drawn together, by a multinomial over the distinct ones: the same distribution, and hits and misses
    have few distinct rows.
    """
    if len(values) == 0:
        raise UsageError("no rows to resample: expected one or more")
    rows, counts = np.unique(np.asarray(values, np.float64), axis=0, return_counts=True)
    drawn = np.random.default_rng(seed).multinomial(len(values), counts / len(values), size=samples)
    means: NDArray[np.float64] = drawn @ rows / len(values)
    return means


def ratio(part: ArrayLike, base: ArrayLike, samples: int = 10_000, seed: int = 0) -> Estimate:
    """Sum of `part` (N,) over sum of `base` (N,), with a paired bootstrap interval: both of a row are drawn together.

    A row is what was measured twice: one image in two languages. All NaN where the base is 0.
    """
    pairs = np.stack([np.asarray(part, np.float64), np.asarray(base, np.float64)], axis=1)
    means = resampled_means(pairs, samples, seed)
    means = means[means[:, 1] > 0]
    total = pairs.sum(axis=0)
    if total[1] == 0 or not len(means):
        return Estimate(math.nan, math.nan, math.nan)
    return estimate(float(total[0] / total[1]), means[:, 0] / means[:, 1])


def paired_differences(
    sides: Sequence[tuple[NDArray[Any], NDArray[Any], NDArray[np.int64]]], samples: int = 1000, seed: int = 0
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """How much the means of what was measured twice on the same queries differ: second less first.

    Args:
        sides: for each kind of query: first (Q, K), second (Q, K), and the unit (Q,) that each query belongs to. A
            draw takes a unit with all its queries of all kinds, as they were measured both times.
        samples: bootstrap samples.
        seed: of the draws.

    Returns:
        The differences (K1 + K2 + ...,), kind after kind, and what they were in the samples (S, K1 + K2 + ...).

    Raises UsageError where both times are not of one shape.
    """
    for first, second, of in sides:
        if first.shape != second.shape or len(first) != len(of):
            raise UsageError(f"{first.shape} and {second.shape} of {len(of)} queries: expected the same queries twice")
    units = np.unique(np.concatenate([of for _, _, of in sides]))
    sums = []
    for first, second, of in sides:
        columns = np.concatenate([np.ones((len(of), 1)), second.astype(np.float64) - first], axis=1)
        sums.append(np.zeros((len(units), columns.shape[1])))
        np.add.at(sums[-1], np.searchsorted(units, of), columns)

    def differences(weights: NDArray[np.float64]) -> NDArray[np.float64]:
        totals = [weights @ of for of in sums]
        # a sample of a very small set can hold no query of one kind, and then says nothing
        totals = [total[np.all([t[:, 0] > 0 for t in totals], axis=0)] for total in totals]
        return np.concatenate([total[:, 1:] / total[:, :1] for total in totals], axis=1)

    width = sum(of.shape[1] for of in sums)
    drawn = [differences(weights) for weights in drawn_weights(len(units), samples, seed, width)]
    return differences(np.ones((1, len(units))))[0], np.concatenate(drawn)


def estimate(value: float, resampled: NDArray[np.float64]) -> Estimate:
    """A figure with the middle 95 % of what it was in the bootstrap samples (S,)."""
    low, high = np.quantile(resampled, [0.025, 0.975])
    return Estimate(value, float(low), float(high))


def drawn_weights(units: int, samples: int, seed: int, width: int) -> Iterator[NDArray[np.float64]]:
    """How often each unit stands in each bootstrap sample, (S, units) of a block of S samples at a time.

    width: how many numbers the caller makes of a sample, which sets the size of the blocks. The draws are the same for
    every width.
    """
    if units == 0 or samples < 1:
        raise UsageError(f"no {samples} samples of {units} rows: expected one or more of both")
    draw, block = np.random.default_rng(seed), max(1, _DRAWN_AT_ONCE // max(units, width))
    for start in range(0, samples, block):
        rows = [
            np.bincount(draw.integers(0, units, units), minlength=units) for _ in range(min(block, samples - start))
        ]
        yield np.stack(rows).astype(np.float64)

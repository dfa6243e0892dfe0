"""Which sample comes when: a pure function of seed and position, so that a run continues anywhere.

Position p of a source of n samples is sample `permutation(seed, p // n)[p % n]`: every epoch a new order, every sample
once an epoch, nothing to store but the step.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from altclip.errors import UsageError

_BLOCK: Final = 8192  # positions over which a mixture has its exact shares

Integers = NDArray[np.int64]


@lru_cache(maxsize=256)
def permutation(seed: int, epoch: int, length: int) -> Integers:
    """The order of one epoch (length,)."""
    return np.random.default_rng([seed, epoch, length]).permutation(length)


def indices(seed: int, length: int, start: int, count: int) -> list[int]:
    """The samples at positions start, ..., start + count - 1."""
    return [int(permutation(seed, p // length, length)[p % length]) for p in range(start, start + count)]


def shares(weights: Sequence[float], total: int) -> list[int]:
    """Split `total` by weights, each at least one, by largest remainder. Raises UsageError if there are too few."""
    if total < len(weights) or min(weights, default=1) <= 0:
        raise UsageError(
            f"{total} places for {len(weights)} sources of weights {list(weights)}: expected a place for each, and "
            "weights above 0; take a larger batch or fewer sources"
        )
    exact = np.asarray(weights, dtype=np.float64) / sum(weights) * (total - len(weights))
    counts = np.floor(exact).astype(int)
    for source in np.argsort(counts - exact, kind="stable")[: total - len(weights) - counts.sum()]:
        counts[source] += 1
    return [int(count) + 1 for count in counts]


def mixed(seed: int, weights: tuple[float, ...], start: int, count: int) -> list[tuple[int, int]]:
    """(source, position in that source) at the positions start, ..., start + count - 1 of a mixture.

    Every block of 8,192 positions holds each source by its weight (at least once), in a random order.
    """
    sources_positions = []
    for position in range(start, start + count):
        sources, positions = _mixed_block(seed, weights, position // _BLOCK)
        sources_positions.append((int(sources[position % _BLOCK]), int(positions[position % _BLOCK])))
    return sources_positions


@lru_cache(maxsize=8)
def _mixed_block(seed: int, weights: tuple[float, ...], block: int) -> tuple[Integers, Integers]:
    counts = np.asarray(shares(weights, _BLOCK))
    sources = np.repeat(np.arange(len(counts)), counts)
    places = np.arange(_BLOCK) - np.repeat(counts.cumsum() - counts, counts)
    # a key of its own: were it a source's key, the two orders could be one and the same
    shuffle = np.random.default_rng([seed, block, len(counts), _BLOCK]).permutation(_BLOCK)
    sources = sources[shuffle]
    order = np.argsort(sources, kind="stable")
    positions = np.empty(_BLOCK, dtype=np.int64)
    positions[order] = places
    return sources, positions + block * counts[sources]


def generator(*key: int) -> np.random.Generator:
    """A generator for one sample: the same key draws the same numbers, whichever process or thread asks."""
    return np.random.default_rng([abs(part) for part in key])

"""Which sample comes when: a pure function of seed and position, so that a run continues anywhere.

Position p of a source of n samples is sample `permutation(seed, p // n)[p % n]`: every epoch a new order, every sample
once an epoch, nothing to store but the step.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from altclip.errors import UsageError


@lru_cache(maxsize=32)
def permutation(seed: int, epoch: int, length: int) -> NDArray[np.int64]:
    """The order of one epoch (length,)."""
    return np.random.default_rng([seed, epoch, length]).permutation(length)


def indices(seed: int, length: int, start: int, count: int) -> list[int]:
    """The samples at positions start, ..., start + count - 1."""
    return [int(permutation(seed, p // length, length)[p % length]) for p in range(start, start + count)]


def shares(weights: Sequence[float], total: int) -> list[int]:
    """Split `total` by weights, each at least one, by largest remainder. Raises UsageError if there are too few."""
    if total < len(weights) or min(weights, default=1) <= 0:
        raise UsageError(f"a batch of {total} cannot hold {len(weights)} sources of weights {list(weights)}: all must be > 0")
    exact = np.asarray(weights, dtype=np.float64) / sum(weights) * (total - len(weights))
    counts = np.floor(exact).astype(int)
    for source in np.argsort(counts - exact, kind="stable")[: total - len(weights) - counts.sum()]:
        counts[source] += 1
    return [int(count) + 1 for count in counts]


def generator(*key: int) -> np.random.Generator:
    """A generator for one sample: the same key draws the same numbers, whichever process or thread asks."""
    return np.random.default_rng([abs(part) for part in key])

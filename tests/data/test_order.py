"""The order of samples is a pure function of seed and position."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from altclip.data import order
from altclip.errors import UsageError


def test_an_epoch_holds_every_sample_once() -> None:
    assert sorted(order.indices(3, 10, 20, 10)) == list(range(10))


def test_any_step_can_be_asked_for_alone() -> None:
    whole = order.indices(3, 7, 0, 30)
    assert [order.indices(3, 7, start, 5) for start in range(0, 30, 5)] == [whole[s : s + 5] for s in range(0, 30, 5)]


def test_epochs_seeds_and_lengths_differ() -> None:
    orders = [tuple(order.permutation(*key)) for key in ((1, 0, 50), (1, 1, 50), (2, 0, 50))]
    assert len(set(orders)) == 3


def test_shares_follow_the_weights() -> None:
    assert order.shares([3, 1], 8) == [6, 2]
    assert order.shares([1, 1, 1], 10) == [4, 3, 3]
    assert order.shares([1000, 1], 4) == [3, 1]
    assert sum(order.shares([0.3, 1.7, 5], 1001)) == 1001


@pytest.mark.parametrize(("weights", "total"), [([1, 1, 1], 2), ([1, 0], 5), ([1, -1], 5)])
def test_shares_that_cannot_be(weights: list[float], total: int) -> None:
    with pytest.raises(UsageError, match=f"{total} places for {len(weights)} sources"):
        order.shares(weights, total)


def test_a_mixture_has_its_shares_and_walks_each_source_in_turn() -> None:
    weights = (4.0, 2.0, 1.0)
    drawn = order.mixed(7, weights, 0, 3 * 8192)
    counts = Counter(source for source, _ in drawn)
    assert [counts[source] / len(drawn) for source in range(3)] == pytest.approx([4 / 7, 2 / 7, 1 / 7], abs=1e-3)
    for source in range(3):  # block after block, every position of a source once
        assert sorted(position for s, position in drawn if s == source) == list(range(counts[source]))


def test_a_mixture_is_mixed() -> None:
    """No long runs of one source, and another order in the next block."""
    sources = np.array([source for source, _ in order.mixed(7, (1.0, 1.0), 0, 2 * 8192)])
    changes = np.flatnonzero(np.diff(sources))
    assert np.diff(changes).max() < 30
    assert (sources[:8192] != sources[8192:]).any()


def test_any_part_of_a_mixture_can_be_asked_for_alone() -> None:
    whole = order.mixed(7, (1.0, 3.0), 8000, 400)
    assert [entry for start in range(8000, 8400, 100) for entry in order.mixed(7, (1.0, 3.0), start, 100)] == whole


def test_a_generator_is_told_by_its_key() -> None:
    assert order.generator(1, 2).random() == order.generator(1, 2).random()
    assert order.generator(1, 2).random() != order.generator(2, 1).random()

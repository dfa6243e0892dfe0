"""Batches made ahead in threads: same order, no more than asked for, errors in their place."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from altclip.data.prefetch import prefetched


@pytest.mark.parametrize("workers", [1, 3])
def test_order_is_kept(workers: int) -> None:
    def make(number: int) -> int:
        time.sleep(0.002 * (number % 3))
        return number * number

    assert list(prefetched(make, range(20), workers)) == [n * n for n in range(20)]


def test_several_are_made_at_a_time() -> None:
    both = threading.Barrier(2, timeout=10)
    met = list(prefetched(lambda _: both.wait(), range(4), workers=2))  # would time out if one came after the other
    assert sorted(met) == [0, 0, 1, 1]


def test_no_more_than_the_limit_are_made_ahead() -> None:
    begun: list[int] = []
    batches = prefetched(lambda n: begun.append(n) or n, range(100), workers=1, ahead=3)  # type: ignore[func-returns-value]
    next(batches)
    time.sleep(0.05)
    assert len(begun) <= 4
    batches.close()  # type: ignore[attr-defined]


def test_plans_are_taken_in_the_calling_thread() -> None:
    threads = set()

    def plans() -> Iterator[int]:
        for number in range(5):
            threads.add(threading.current_thread())
            yield number

    assert list(prefetched(str, plans(), workers=3)) == list("01234")
    assert threads == {threading.current_thread()}


def test_an_error_comes_where_its_batch_would() -> None:
    def make(number: int) -> int:
        if number == 3:
            raise ValueError("three")
        return number

    batches = prefetched(make, range(10), workers=2)
    assert [next(batches) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(ValueError, match="three"):
        next(batches)

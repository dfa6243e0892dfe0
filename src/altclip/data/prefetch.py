"""Makes the next batches in threads while a step runs; order is kept, errors arrive where their batch would."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Batch = TypeVar("Batch")


def prefetched(make: Callable[[int], Batch], start: int, stop: int, workers: int = 1, ahead: int = 2) -> Iterator[Batch]:
    """`make(start)`, ..., `make(stop - 1)`, at most `ahead` of them made before they are asked for."""
    waiting: deque[Future[Batch]] = deque()
    with ThreadPoolExecutor(max(1, workers), thread_name_prefix="batches") as pool:
        try:
            for step in range(start, stop):
                waiting.append(pool.submit(make, step))
                if len(waiting) > ahead:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()

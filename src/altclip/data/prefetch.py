"""Makes the next batches in threads while a step runs; order is kept, errors arrive where their batch would."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Plan = TypeVar("Plan")
Batch = TypeVar("Batch")


def prefetched(
    make: Callable[[Plan], Batch], plans: Iterable[Plan], workers: int = 1, ahead: int | None = None
) -> Iterator[Batch]:
    """`make(plan)` for each plan in turn, at most `ahead` of them (workers + 1) before they are asked for.

    The plans are taken one by one in the calling thread, so they may come from an iterator with a state.
    """
    limit = workers + 1 if ahead is None else ahead
    waiting: deque[Future[Batch]] = deque()
    with ThreadPoolExecutor(max(1, workers), thread_name_prefix="batches") as pool:
        try:
            for plan in plans:
                waiting.append(pool.submit(make, plan))
                if len(waiting) > limit:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()

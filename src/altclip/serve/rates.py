"""How often each key or address may ask: a bucket of requests that fills at a steady rate."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

_MOST_CALLERS: Final = 10_000  # addresses are many, memory is not; the one that asked longest ago is forgotten


class Rates:
    """a minute: requests that each caller may make, 0 for any number; burst: how many of them at once."""

    def __init__(self, a_minute: float, burst: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_second, self._burst, self._clock = a_minute / 60, burst, clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()  # caller -> (left, when)

    def wait(self, caller: str) -> float:
        """Take one request of a caller's: 0 if it may go on, else the seconds until it may."""
        if not self._per_second:
            return 0.0
        now = self._clock()
        left, when = self._buckets.pop(caller, (float(self._burst), now))
        left = min(float(self._burst), left + (now - when) * self._per_second)
        allowed = left >= 1
        self._buckets[caller] = (left - allowed, now)
        if len(self._buckets) > _MOST_CALLERS:
            self._buckets.popitem(last=False)
        return 0.0 if allowed else (1 - left) / self._per_second

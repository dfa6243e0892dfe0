"""Times several pieces of work side by side: in turns, so that what else the machine does meets all of them alike."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True)
class Timing:
    """Seconds of one run: the middle, the least and the most of all runs."""

    median: float
    least: float
    most: float


def timed(work: Mapping[str, Callable[[], object]], runs: int) -> dict[str, Timing]:
    """Each piece once untimed, then all in turns, `runs` times."""
    for piece in work.values():
        piece()
    seconds: dict[str, list[float]] = {name: [] for name in work}
    for _ in range(runs):
        for name, piece in work.items():
            started = time.perf_counter()
            piece()
            seconds[name].append(time.perf_counter() - started)
    return {name: Timing(median(of), min(of), max(of)) for name, of in seconds.items()}

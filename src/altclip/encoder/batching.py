"""How many images or texts are computed at once, texts of like length together, and the overlap with what feeds them.

Shapes: B texts of a batch, L tokens of the longest.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from itertools import repeat
from typing import Final, TypeVar

import numpy as np
import torch

from altclip.encoder.inputs import BatchSize
from altclip.engines import Ids

Item = TypeVar("Item")
Result = TypeVar("Result")
_POOLS: Final = threading.local()

# Tokens of a batch that keep a device busy; more only cost memory.
_TOKENS_AT_ONCE: Final = {"cpu": 4096}
_TOKENS_AT_ONCE_ELSEWHERE: Final = 32768
# What one more call of the model costs besides its tokens, in tokens: it is made where it saves more padding than that.
_CALL: Final = {"cpu": 32}
_CALL_ELSEWHERE: Final = 512
# Texts that are sorted by length together: many, so that equals meet; not all, for there may be no end of them.
_WINDOW_TEXTS: Final = 4096
_WINDOW_CHARACTERS: Final = 2**22


@dataclass(frozen=True)
class TextBatch:
    """Token ids and mask (B, L), and the places in its window that each row stands for: texts may be equal.

    window: how many texts the window has.
    """

    positions: list[list[int]]
    ids: Ids
    mask: Ids
    window: int


def most_at_once(batch_size: BatchSize, tokens: int, device: torch.device) -> int:
    """How many images or texts of that many tokens make a batch."""
    if batch_size != "auto":
        return batch_size
    return max(1, tokens_at_once(device) // tokens)


def tokens_at_once(device: torch.device) -> int:
    """How many tokens make a batch, of images as of texts."""
    return _TOKENS_AT_ONCE.get(device.type, _TOKENS_AT_ONCE_ELSEWHERE)


def text_batches(
    texts: Iterable[str],
    tokenize: Callable[[list[str]], list[list[int]]],
    *,
    pad: int,
    batch_size: BatchSize,
    device: torch.device,
    together: bool = False,
) -> Iterator[TextBatch]:
    """All texts in batches of like length, window after window, and in a window in no order that matters.

    Texts of equal tokens in one window are one row, computed once: captions, labels and titles repeat.

    together: fill every row up to the longest of the texts in a list, or else of each window of them; for read-outs
    that see the padding.
    """
    for window in [texts] if together and isinstance(texts, list) else windows(texts):
        places: dict[tuple[int, ...], list[int]] = {}
        for place, tokens in enumerate(tokenize(window)):
            places.setdefault(tuple(tokens), []).append(place)
        rows = list(places)
        longest = max(map(len, rows), default=0) if together else 0
        for group in groups([max(len(row), longest) for row in rows], batch_size, device):
            ids, mask = _padded([rows[number] for number in group], pad, longest)
            yield TextBatch([places[rows[number]] for number in group], ids, mask, len(window))


def windows(texts: Iterable[str]) -> Iterator[list[str]]:
    """The texts in lists that end at a number of texts or of characters."""
    window: list[str] = []
    characters = 0
    for text in texts:
        window.append(text)
        characters += len(text)
        if len(window) == _WINDOW_TEXTS or characters >= _WINDOW_CHARACTERS:
            yield window
            window, characters = [], 0
    if window:
        yield window


def groups(lengths: Sequence[int], batch_size: BatchSize, device: torch.device) -> Iterator[list[int]]:
    """The places of texts in groups of like length, the longest first: if memory is short, it shows at once.

    "auto" makes those groups that cost least: padding counts as tokens, and a group as some tokens more.
    """
    order = sorted(range(len(lengths)), key=lambda place: -lengths[place])
    sizes: Iterable[int]
    if batch_size == "auto":
        sizes = _cheapest([max(1, lengths[place]) for place in order], device)
    else:
        sizes = repeat(batch_size, -(-len(order) // batch_size))
    start = 0
    for size in sizes:
        yield order[start : start + size]
        start += size


def _cheapest(lengths: Sequence[int], device: torch.device) -> list[int]:
    """How many texts each group takes of those that lie there by length (texts,), the longest first.

    A cut lies between two lengths, or where a group would be too large. The best cuts before each length follow from
    those before the longer ones.
    """
    longest, first = np.unique(-np.array(lengths, np.int64), return_index=True)
    longest, ends = -longest, np.append(first, len(lengths))
    most = np.maximum(1, tokens_at_once(device) // longest)
    call = _CALL.get(device.type, _CALL_ELSEWHERE)
    costs, begins = np.zeros(len(ends)), np.zeros(len(ends), np.int64)
    for end in range(1, len(ends)):
        rows = ends[end] - ends[:end]
        cost = costs[:end] + rows * longest[:end] + -(-rows // most[:end]) * call
        begins[end] = np.argmin(cost)
        costs[end] = cost[begins[end]]
    counts: list[int] = []
    end = len(ends) - 1
    while end > 0:
        begin = int(begins[end])
        full, rest = divmod(int(ends[end] - ends[begin]), int(most[begin]))
        counts = [*[int(most[begin])] * full, *[rest] * (rest > 0), *counts]
        end = begin
    return counts


def _padded(rows: Sequence[Sequence[int]], pad: int, least: int) -> tuple[Ids, Ids]:
    width = max(least, *map(len, rows))
    ids = np.array([[*row, *[pad] * (width - len(row))] for row in rows], np.int64)
    mask = np.array([[1] * len(row) + [0] * (width - len(row)) for row in rows], np.int64)
    return ids, mask


def overlapped(work: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """`work(item)` of each item, in order, in a thread of its own, while this one makes the next item."""
    pool = _own_pool()
    waiting: Future[Result] | None = None
    following: Future[Result] | None = None
    try:
        for item in items:
            following = pool.submit(work, item)
            del item  # one batch in work and one being made are enough in memory
            if waiting is not None:
                yield waiting.result()
            waiting = following
        if waiting is not None:
            yield waiting.result()
    finally:
        left = [future for future in (waiting, following) if future is not None]
        for future in left:
            future.cancel()
        wait(left)  # nothing runs on when this has ended


def _own_pool() -> ThreadPoolExecutor:
    """One thread for each that asks, kept: engines start threads and requests for each that is new to them.

    It ends with who asked. A forked process has none of its parent's.
    """
    if getattr(_POOLS, "process", None) != os.getpid():
        _POOLS.pool, _POOLS.process = ThreadPoolExecutor(1, thread_name_prefix="altclip-model"), os.getpid()
    pool: ThreadPoolExecutor = _POOLS.pool
    return pool

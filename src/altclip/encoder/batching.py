"""How many images or texts are computed at once, texts of like length together, and the overlap with what feeds them.

Shapes: B texts of a batch, L tokens of the longest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final, TypeVar

import numpy as np
import torch

from altclip.encoder.inputs import BatchSize
from altclip.engines import Ids

Item = TypeVar("Item")
Result = TypeVar("Result")

# Tokens of a batch that keep a device busy; more only cost memory.
_TOKENS_AT_ONCE: Final = {"cpu": 4096}
_TOKENS_AT_ONCE_ELSEWHERE: Final = 32768
# Texts that are sorted by length together: many, so that equals meet; not all, for there may be no end of them.
_WINDOW_TEXTS: Final = 4096
_WINDOW_CHARACTERS: Final = 2**22


@dataclass(frozen=True)
class TextBatch:
    """Token ids and mask (B, L), and the places among all texts that each row stands for: texts may be equal."""

    positions: list[list[int]]
    ids: Ids
    mask: Ids


def most_at_once(batch_size: BatchSize, tokens: int, device: torch.device) -> int:
    """How many images or texts of that many tokens make a batch."""
    if batch_size != "auto":
        return batch_size
    return max(1, _TOKENS_AT_ONCE.get(device.type, _TOKENS_AT_ONCE_ELSEWHERE) // tokens)


def text_batches(
    texts: Iterable[str],
    tokenize: Callable[[list[str]], list[list[int]]],
    *,
    pad: int,
    batch_size: BatchSize,
    device: torch.device,
    together: bool = False,
) -> Iterator[TextBatch]:
    """All texts in batches of like length, in no order that matters: `positions` tells whose row is whose.

    Texts of equal tokens in one window are one row, computed once: captions, labels and titles repeat.

    together: fill every row up to the longest of the texts in a list, or else of each window of them; for read-outs
    that see the padding.
    """
    start = 0
    for window in [texts] if together and isinstance(texts, list) else windows(texts):
        places: dict[tuple[int, ...], list[int]] = {}
        for place, tokens in enumerate(tokenize(window), start):
            places.setdefault(tuple(tokens), []).append(place)
        rows = list(places)
        longest = max(map(len, rows), default=0) if together else 0
        for group in groups([max(len(row), longest) for row in rows], batch_size, device):
            ids, mask = _padded([rows[number] for number in group], pad, longest)
            yield TextBatch([places[rows[number]] for number in group], ids, mask)
        start += len(window)


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
    """The places of texts in groups of like length, the longest first: if memory is short, it shows at once."""
    order = sorted(range(len(lengths)), key=lambda place: -lengths[place])
    while order:
        count = most_at_once(batch_size, max(1, lengths[order[0]]), device)
        yield order[:count]
        order = order[count:]


def _padded(rows: Sequence[Sequence[int]], pad: int, least: int) -> tuple[Ids, Ids]:
    width = max(least, *map(len, rows))
    ids = np.array([[*row, *[pad] * (width - len(row))] for row in rows], np.int64)
    mask = np.array([[1] * len(row) + [0] * (width - len(row)) for row in rows], np.int64)
    return ids, mask


def overlapped(work: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """`work(item)` of each item, in order, in a thread of its own, while this one makes the next item."""
    waiting: Future[Result] | None = None
    with ThreadPoolExecutor(1, thread_name_prefix="altclip-model") as pool:
        for item in items:
            following = pool.submit(work, item)
            del item  # one batch in work and one being made are enough in memory
            if waiting is not None:
                yield waiting.result()
            waiting = following
        if waiting is not None:
            yield waiting.result()

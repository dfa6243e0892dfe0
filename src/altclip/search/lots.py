"""Pictures read in threads a little ahead of the model, and embedded a lot at a time.

No picture is held longer than the model needs it; what a lot carries are small things: thumbnails, notes, embeddings.
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from PIL import Image

from altclip.errors import InputError
from altclip.search.photographs import quiet

if TYPE_CHECKING:
    from altclip.encoder import Encoder
    from altclip.engines import Features

Item = TypeVar("Item")
Result = TypeVar("Result")
_MOST_WORKERS: Final = 8
# A lot ends when there are so many, or after so many seconds: what an interruption costs at most.
_MOST: Final = 256
_SECONDS: Final = 15.0


class Lots(Generic[Item, Result]):
    """Items as lots of (what `read` made of each beside its picture, embeddings (n, dim)), in order.

    read: raises InputError for an item that cannot be used. failed: told of each. tell: called after every item.
    """

    def __init__(
        self,
        encoder: Encoder,
        items: Iterable[Item],
        read: Callable[[Item], tuple[Result, Image.Image]],
        *,
        failed: Callable[[Item, InputError], object],
        tell: Callable[[], object],
    ) -> None:
        self._encoder, self._items, self._read, self._failed, self._tell = encoder, items, read, failed, tell
        self._ended = False

    def __iter__(self) -> Iterator[tuple[list[Result], Features]]:
        with quiet(), closing(ahead(self._items, self._read)) as results:
            while not self._ended:
                lot = self._next(results)
                if lot[0]:
                    yield lot

    def _next(
        self, results: Iterable[tuple[Item, tuple[Result, Image.Image] | InputError]]
    ) -> tuple[list[Result], Features]:
        taken: list[tuple[Item, Result]] = []
        bad: dict[int, InputError] = {}

        def pictures() -> Iterator[Image.Image]:
            until = time.monotonic() + _SECONDS
            for item, result in results:
                self._tell()
                if isinstance(result, InputError):
                    self._failed(item, result)
                else:
                    taken.append((item, result[0]))
                    yield result[1]
                if len(taken) >= _MOST or time.monotonic() > until:
                    return
            self._ended = True

        vectors = self._encoder.encode_images(pictures(), progress=False, on_error=bad.__setitem__)
        for position, error in bad.items():
            self._failed(taken[position][0], error)
        return [made for position, (_, made) in enumerate(taken) if position not in bad], vectors


def ahead(
    items: Iterable[Item], work: Callable[[Item], Result]
) -> Generator[tuple[Item, Result | InputError], None, None]:
    """Each item with `work(item)`, or with the InputError that it raised.

    At most two results a thread wait to be taken. Closing the generator gives up what has not begun.
    """
    threads = min(_MOST_WORKERS, os.cpu_count() or 1)
    waiting: deque[tuple[Item, Future[Result]]] = deque()
    pool = ThreadPoolExecutor(threads, thread_name_prefix="altclip-photographs")
    try:
        for item in items:
            waiting.append((item, pool.submit(work, item)))
            if len(waiting) >= 2 * threads:
                first, future = waiting.popleft()
                result = _finished(future)
                yield first, result
        while waiting:
            first, future = waiting.popleft()
            result = _finished(future)
            yield first, result
    finally:
        pool.shutdown(cancel_futures=True)


def _finished(future: Future[Result]) -> Result | InputError:
    try:
        return future.result()
    except InputError as error:
        return error

"""Images opened and prepared in threads, in order, only a few ahead of the model.

The iterator of images is advanced in the thread that asks for results, never in another: a generator over a database or
an open archive is safe, and so is one that fills the same array again for every image. At most two images a worker are
taken from it before they are wanted, as they may be large; prepared ones are small.
"""

from __future__ import annotations

import os
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import chain, islice, repeat
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from PIL import Image

from altclip.engines import Pixels
from altclip.errors import ImageError, InputError
from altclip.processing import ImageSource

OnError: TypeAlias = Callable[[int, InputError], object]
Waiting: TypeAlias = tuple[int, bool, Future[Pixels]]  # position, whether its name tells which it is, prepared image
_MOST_WORKERS = 8


def decode_ahead(
    images: Iterable[ImageSource],
    prepare: Callable[[ImageSource], Pixels],
    *,
    on_error: OnError | None = None,
    workers: int | None = None,
) -> Iterator[Pixels]:
    """`prepare(image)` of each image, in order.

    on_error: told the position and the error of an image that cannot be read, which is then left out; None raises it.
    """
    threads = workers or min(_MOST_WORKERS, os.cpu_count() or 1)
    waiting: deque[Waiting] = deque()
    with ThreadPoolExecutor(threads, thread_name_prefix="altclip-images") as pool:
        try:
            for position, image in enumerate(_apart(images)):
                waiting.append((position, isinstance(image, str | Path), pool.submit(prepare, image)))
                del image  # the queue holds as many as it may
                if len(waiting) >= 2 * threads:
                    yield from _prepared(waiting.popleft(), on_error)
            while waiting:
                yield from _prepared(waiting.popleft(), on_error)
        finally:
            for _, _, future in waiting:
                future.cancel()


def _apart(images: Iterable[ImageSource]) -> Iterator[ImageSource]:
    """The images, so that threads may read them: what the caller may change, or two threads would read, is copied.

    A list's images are its own, but a file's that stands twice in it is decoded by whoever comes first.
    """
    listed = isinstance(images, list | tuple | np.ndarray)
    times = Counter(map(id, images)) if isinstance(images, list | tuple) else Counter[int]()
    for image in images:
        in_memory = isinstance(image, Image.Image | np.ndarray)
        yield _copied(image) if in_memory and (not listed or times[id(image)] > 1) else image


def _copied(image: Any) -> Any:
    try:
        return image.copy()
    except Exception:  # noqa: BLE001 - a damaged file raises any of a dozen types, and says what when it is prepared
        return image


def stacked(arrays: Iterable[Pixels], size: int, *, growing: bool = False) -> Iterator[Pixels]:
    """Arrays of one shape in batches of `size`; the last may be smaller.

    growing: the first batches are small too, so that the model need not wait until a whole batch of images is decoded.
    """
    arrays = iter(arrays)
    for number in chain((max(1, size // 4), max(1, size // 2)) if growing else (), repeat(size)):
        batch = _stack(islice(arrays, number))
        if batch is None:
            return
        yield batch
        del batch  # before the next one is made


def _stack(arrays: Iterable[Pixels]) -> Pixels | None:
    rows = list(arrays)
    return np.stack(rows) if rows else None


def _prepared(waiting: Waiting, on_error: OnError | None) -> Iterator[Pixels]:
    position, named, future = waiting
    try:
        yield future.result()
    except InputError as error:
        if isinstance(error, ImageError) and not named:  # `<0 bytes>` alone does not say which of many
            error = ImageError(f"image {position}, {error.source}", error.reason)
        if on_error is None:
            raise error from error.__cause__
        on_error(position, error)

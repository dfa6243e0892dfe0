"""Images and texts through an engine: prepared beside it, in batches, with progress, the results in order.

Results come in blocks, so that whoever writes them away need not hold them all.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator

import numpy as np

from altclip.encoder.batching import TextBatch, most_at_once, overlapped, text_batches
from altclip.encoder.decoding import OnError, decode_ahead, stacked
from altclip.encoder.inputs import BatchSize, check_batch_size, checked_texts, known_length
from altclip.encoder.memory import Room
from altclip.encoder.progress import ShowProgress, shown
from altclip.encoder.recent import RecentBatches
from altclip.encoder.tokens import token_ids
from altclip.engines import Engine, Features, Pixels
from altclip.errors import InputError
from altclip.models import TextConfig
from altclip.processing import ImageSource, Tokenizer


def image_blocks(
    engine: Engine,
    images: Iterable[ImageSource],
    prepare: Callable[[ImageSource], Pixels],
    *,
    tokens: int,
    batch_size: BatchSize,
    progress: ShowProgress,
    on_error: OnError | None,
    room: Room | None = None,
) -> Generator[Features, None, None]:
    """Features of the images, batch after batch (B, D), in order.

    tokens: of one image; room: what is known of memory; for the rest see `Encoder.encode_images`.
    """
    check_batch_size(batch_size)
    known = room or Room()
    with shown("images", known_length(images), progress) as done:

        def note(position: int, error: InputError) -> None:
            done(1)
            if on_error is not None:
                on_error(position, error)

        arrays = decode_ahead(images, prepare, on_error=note if on_error else None)
        batches = stacked(arrays, most_at_once(batch_size, tokens, engine.device), growing=batch_size == "auto")
        for features in overlapped(lambda pixels: known.encode(engine, "image", [pixels]), batches):
            done(len(features))
            yield features


def text_blocks(
    engine: Engine,
    texts: Iterable[str],
    tokenizer: Tokenizer,
    config: TextConfig,
    *,
    batch_size: BatchSize,
    progress: ShowProgress,
    together: bool = False,
    room: Room | None = None,
    recent: RecentBatches | None = None,
) -> Generator[Features, None, None]:
    """Features of the texts, window after window of them (n, D), in order.

    together: see `text_batches`; room: what is known of memory; recent: where to look for batches first.
    """
    check_batch_size(batch_size)
    known = room or Room()

    def tokenize(window: list[str]) -> list[list[int]]:
        return token_ids(window, tokenizer, config)

    def compute(batch: TextBatch) -> Features:
        return known.encode(engine, "text", [batch.ids, batch.mask])

    def encode(batch: TextBatch) -> tuple[TextBatch, Features]:
        return batch, compute(batch) if recent is None else recent.through(batch, compute)

    pad = config.pad_token_id if tokenizer.pad_token_id is None else tokenizer.pad_token_id
    checked: Iterable[str] = checked_texts(texts)
    checked = list(checked) if together and known_length(texts) is not None else checked
    batches = text_batches(
        checked, tokenize, pad=pad, batch_size=batch_size, device=engine.device, together=together
    )  # fmt: skip
    with shown("texts", known_length(texts), progress) as done:
        yield from in_order(overlapped(encode, batches), done)


def in_order(encoded: Iterable[tuple[TextBatch, Features]], done: Callable[[int], None]) -> Iterator[Features]:
    """The features (n, D) of each window, its rows where its texts stood, as soon as all its batches have come."""
    left = 0
    for batch, features in encoded:
        if left == 0:
            left, rows = batch.window, np.empty((batch.window, features.shape[1]), features.dtype)
        again = [len(of_row) for of_row in batch.positions]
        rows[[place for of_row in batch.positions for place in of_row]] = np.repeat(features, again, axis=0)
        left -= sum(again)
        done(sum(again))
        if left == 0:
            yield rows

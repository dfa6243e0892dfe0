"""Images and texts through an engine: prepared beside it, in batches, with progress, the results in order."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np

from altclip.encoder.batching import TextBatch, most_at_once, overlapped, text_batches
from altclip.encoder.decoding import OnError, decode_ahead, stacked
from altclip.encoder.inputs import BatchSize, check_batch_size, checked_texts, known_length
from altclip.encoder.progress import ShowProgress, shown
from altclip.engines import Engine, Features, Pixels
from altclip.errors import InputError
from altclip.models import TextConfig
from altclip.processing import ImageSource, Tokenizer


def image_features(
    engine: Engine,
    images: Iterable[ImageSource],
    prepare: Callable[[ImageSource], Pixels],
    *,
    tokens: int,
    batch_size: BatchSize,
    progress: ShowProgress,
    on_error: OnError | None,
) -> list[Features]:
    """Features of the images in batches (B, D). tokens: of one image; for the rest see `Encoder.encode_images`."""
    check_batch_size(batch_size)
    rows = []
    with shown("images", known_length(images), progress) as done:

        def note(position: int, error: InputError) -> None:
            done(1)
            if on_error is not None:
                on_error(position, error)

        arrays = decode_ahead(images, prepare, on_error=note if on_error else None)
        batches = stacked(arrays, most_at_once(batch_size, tokens, engine.device))
        for features in overlapped(engine.encode_image, batches):
            rows.append(features)
            done(len(features))
    return rows


def text_features(
    engine: Engine,
    texts: Iterable[str],
    tokenizer: Tokenizer,
    config: TextConfig,
    *,
    batch_size: BatchSize,
    progress: ShowProgress,
    together: bool = False,
) -> list[Features]:
    """Features of the texts (B, D), in a list of one; an empty list if there are none. together: see `text_batches`."""
    check_batch_size(batch_size)
    limit = min(tokenizer.model_max_length, config.max_length)

    def tokenize(window: list[str]) -> list[list[int]]:
        encoded = tokenizer(
            window, truncation=True, max_length=limit, split_special_tokens=True, return_attention_mask=False
        )
        ids: list[list[int]] = encoded["input_ids"]
        return ids

    def encode(batch: TextBatch) -> tuple[list[list[int]], Features]:
        return batch.positions, engine.encode_text(batch.ids, batch.mask)

    pad = config.pad_token_id if tokenizer.pad_token_id is None else tokenizer.pad_token_id
    checked: Iterable[str] = checked_texts(texts)
    checked = list(checked) if together and known_length(texts) is not None else checked
    batches = text_batches(
        checked, tokenize, pad=pad, batch_size=batch_size, device=engine.device, together=together
    )  # fmt: skip
    positions: list[int] = []
    rows = []
    with shown("texts", known_length(texts), progress) as done:
        for places, features in overlapped(encode, batches):
            again = [len(of_row) for of_row in places]
            positions += [place for of_row in places for place in of_row]
            rows.append(np.repeat(features, again, axis=0))
            done(sum(again))
    return [np.concatenate(rows)[np.argsort(positions)]] if rows else []

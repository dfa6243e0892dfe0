"""What conversions are tried on, and when they are found wanting."""

from __future__ import annotations

import numpy as np
import pytest

from altclip.encoder import Encoder
from altclip.errors import CheckpointError
from altclip.export.samples import (
    Agreement,
    check,
    image_batches,
    images_agree,
    padded_texts,
    pictures,
    sentences,
    text_batches,
    texts_agree,
)
from altclip.metrics import normalised
from tests.tiny import MAX_TOKENS, SIDE


@pytest.fixture(scope="module")
def encoder(encoders: dict[str, Encoder]) -> Encoder:
    return encoders["altclip"]


def test_the_samples_are_many_different_and_always_the_same() -> None:
    assert len(set(sentences())) == len(sentences()) == 18
    assert sentences() == sentences()
    assert len({picture.tobytes() for picture in pictures(6)}) == 6
    assert pictures(3)[2].tobytes() == pictures(6)[2].tobytes()


def test_batches_have_several_sizes_and_lengths(encoder: Encoder) -> None:
    assert [batch.shape for batch in image_batches(encoder)] == [(n, 3, SIDE, SIDE) for n in (1, 3, 6)]
    texts = text_batches(encoder, MAX_TOKENS)
    assert [len(batch.ids) for batch in texts] == [1, 4, 13, 1]
    assert texts[-1].ids.shape == (1, MAX_TOKENS)
    assert len({batch.ids.shape[1] for batch in texts}) > 1
    assert any((batch.mask == 0).any() for batch in texts)
    padded = padded_texts(encoder, MAX_TOKENS)
    assert {batch.ids.shape for batch in padded} == {(1, MAX_TOKENS)}
    assert padded[-1].mask.all()


def test_agreement_is_measured_on_what_was_run(encoder: Encoder) -> None:
    batches = image_batches(encoder)

    def turned(feed: dict) -> np.ndarray:
        rows = normalised(encoder.engine.encode_image(feed["pixels"]))
        rows[:, 0] += 0.25
        return rows

    found = images_agree(encoder, turned, "pixels", batches)
    assert found.rows == 10
    assert found.max_difference == pytest.approx(0.25, abs=1e-6)
    assert found.cosine_min <= found.cosine_mean < 1
    same = texts_agree(
        encoder,
        lambda feed: normalised(
            encoder.engine.encode_text(feed["ids"].astype(np.int64), feed["mask"].astype(np.int64))
        ),
        lambda tokens: {"ids": tokens.ids, "mask": tokens.mask},
        text_batches(encoder, MAX_TOKENS),
    )
    assert same.rows == 19
    assert same.max_difference < 1e-6
    assert same.cosine_min == pytest.approx(1)


def test_other_embeddings_are_an_error_where_they_should_be_the_same() -> None:
    off = Agreement(3, 2e-4, 0.99, 0.995)
    check("image encoder", off, exact=False)
    check("image encoder", Agreement(3, 9e-5, 1, 1), exact=True)
    with pytest.raises(CheckpointError, match="image encoder gives other embeddings.*0.0002.*0.0001"):
        check("image encoder", off, exact=True)


@pytest.mark.parametrize("exact", [True, False])
def test_what_is_no_number_is_an_error_in_any_precision(exact: bool) -> None:
    nan = float("nan")
    with pytest.raises(CheckpointError, match="text encoder gives NaN.*fp32"):
        check("text encoder", Agreement(3, nan, nan, nan), exact=exact)

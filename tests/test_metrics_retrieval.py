"""Retrieval metrics against CLIP_benchmark's golden results, the definition written out, and a plain bootstrap."""

from __future__ import annotations

import json
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from altclip import metrics
from altclip.errors import DataError, UsageError
from altclip.metrics import (
    RetrievalRanks,
    normalised,
    retrieval,
    retrieval_figures,
    retrieval_ranks,
    right_places,
    translation_ranks,
    vectors,
)
from altclip.metrics.intervals import drawn_weights

GOLDEN = Path(__file__).parent / "golden"
RESULTS = json.loads((GOLDEN / "clip_benchmark.json").read_text(encoding="utf-8"))["retrieval"]
# The distances of big_vision's test of its retrieval metrics: 4 images, 8 captions, two captions an image in order.
DISTANCES = np.array(
    [
        [0.8, 0.8, 0.1, 0.5, 0.1, 0.2, 0.5, 0.1],
        [0.5, 0.4, 0.0, 0.0, 0.4, 0.2, 0.6, 0.4],
        [0.5, 0.4, 0.1, 0.5, 0.0, 0.8, 0.8, 0.3],
        [0.5, 0.4, 0.1, 0.5, 0.4, 0.2, 0.3, 0.3],
    ]
)
OWNERS = np.repeat(np.arange(4), 2)


def golden(name: str) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    with np.load(GOLDEN / "clip_benchmark.npz") as arrays:
        images, texts, owners = (arrays[f"retrieval/{name}/{key}"] for key in ("images", "texts", "owners"))
    return normalised(images), normalised(texts), owners


def made(images: int = 40, seed: int = 0, noise: float = 1.5) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    draw = np.random.default_rng(seed)
    owners = np.repeat(np.arange(images), draw.integers(1, 8, images))
    shown = draw.standard_normal((images, 16)).astype(np.float32)
    texts = shown[owners] + noise * draw.standard_normal((len(owners), 16))
    return normalised(shown), normalised(texts.astype(np.float32)), owners


def from_scores(scores: NDArray[Any]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Embeddings of images and texts whose inner products are exactly these scores (I, T)."""
    return scores.astype(np.float32), np.eye(scores.shape[1], dtype=np.float32)


# --- equal to the references ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", RESULTS)
def test_recall_equals_clip_benchmarks(name: str) -> None:
    found = retrieval(*golden(name))
    for k in (1, 5, 10):
        assert found.text_to_image[k] == pytest.approx(RESULTS[name][f"image_retrieval_recall@{k}"], abs=1e-7)
        assert found.image_to_text[k] == pytest.approx(RESULTS[name][f"text_retrieval_recall@{k}"], abs=1e-7)


def test_the_golden_results_hold_one_to_seven_captions_an_image_and_recalls_that_differ() -> None:
    counts = set(np.bincount(golden("one to seven captions")[2]).tolist())
    assert counts == set(range(1, 8))
    assert len({figure for figures in RESULTS.values() for figure in figures.values()}) > 20


def test_figures_equal_the_worked_tables() -> None:
    into_texts = retrieval_figures(retrieval_ranks(*from_scores(-DISTANCES), OWNERS), ks=(1, 4), samples=10)
    assert into_texts.image_to_text.recall[1].value == 0.5
    distances = DISTANCES.copy()
    distances[0, 6] = 0.1
    into_images = retrieval_figures(retrieval_ranks(*from_scores(-distances), OWNERS), ks=(1, 4), samples=10)
    assert into_images.text_to_image.recall[1].value == 0.375
    both = retrieval_ranks(*from_scores(-DISTANCES), OWNERS)
    assert [metrics.share_within(both.image_to_text, k) for k in (1, 5, 10)] == [0.5, 0.75, 1.0]


def test_mean_and_median_rank_count_from_one() -> None:
    ranks = retrieval_ranks(*made())
    found = retrieval_figures(ranks, samples=20)
    for direction, of in ((found.text_to_image, ranks.text_to_image), (found.image_to_text, ranks.image_to_text)):
        assert direction.mean_rank.value == pytest.approx(np.mean(of) + 1)
        assert direction.median_rank.value == np.median(of) + 1
    perfect = np.eye(12, dtype=np.float32)
    alone = retrieval_figures(retrieval_ranks(perfect, perfect, range(12)), samples=20)
    assert vars(alone.text_to_image.mean_rank) == {"value": 1.0, "low": 1.0, "high": 1.0}
    assert alone.mean_recall.value == 1.0


def test_figures_are_the_recalls_and_mr_their_mean() -> None:
    images, texts, owners = made(noise=3)
    plain, found = retrieval(images, texts, owners), retrieval_figures(retrieval_ranks(images, texts, owners))
    assert {k: e.value for k, e in found.text_to_image.recall.items()} == pytest.approx(plain.text_to_image)
    assert {k: e.value for k, e in found.image_to_text.recall.items()} == pytest.approx(plain.image_to_text)
    assert found.mean_recall.value == pytest.approx(plain.mean_recall)
    assert (found.text_to_image.queries, found.text_to_image.choices) == (len(texts), 40)
    assert (found.image_to_text.queries, found.image_to_text.choices) == (40, len(texts))


# --- ties, several images a text, distractors --------------------------------------------------------------------


def test_equal_captions_and_images_stand_in_their_order() -> None:
    same = np.ones((12, 3), np.float32)
    ranks = retrieval_ranks(same, same, range(12))
    assert ranks.text_to_image.tolist() == ranks.image_to_text.tolist() == list(range(12))


def test_a_text_of_several_images_is_right_at_any_of_them() -> None:
    scores = np.array([[0.9, 0.1], [0.2, 0.8], [0.5, 0.9]])  # three images, two texts
    ranks = retrieval_ranks(*from_scores(scores), [[1, 2], [1, -1]], distractors=True)
    assert ranks.text_to_image.tolist() == [1, 1]
    asked = retrieval_ranks(*from_scores(scores[1:]), [[0, 1], [0, -1]])
    assert asked.image_to_text.tolist() == [0, 1]
    assert asked.text_units.tolist() == [0, 0]


def test_a_pair_told_twice_is_one_pair() -> None:
    images, texts, owners = made(10)
    twice = np.stack([owners, owners], axis=1)
    once = retrieval_ranks(images, texts, owners)
    assert retrieval_ranks(images, texts, twice).image_to_text.tolist() == once.image_to_text.tolist()


def test_distractors_stand_for_choice_and_are_not_asked() -> None:
    images, texts, owners = made(20)
    more = np.concatenate([images, texts[:5] + 0.01])  # five images very near to texts
    with pytest.raises(UsageError, match="5 of 25 images have no text, the first is image 20"):
        retrieval_ranks(more, texts, owners)
    ranks = retrieval_ranks(more, texts, owners, distractors=True)
    alone = retrieval_ranks(images, texts, owners)
    assert ranks.image_to_text.tolist() == alone.image_to_text.tolist()
    assert (ranks.text_to_image >= alone.text_to_image).all()
    assert ranks.text_to_image.sum() > alone.text_to_image.sum()
    assert retrieval_figures(ranks, samples=10).text_to_image.choices == 25


def test_right_places_are_ascending_and_padded() -> None:
    pairs = np.array([[1, 7], [0, 3], [1, 2], [2, 0], [1, 5]])
    assert right_places(pairs, 3).tolist() == [[3, -1, -1], [2, 5, 7], [0, -1, -1]]
    with pytest.raises(UsageError, match="2 queries have no right item, the first is query 3"):
        right_places(pairs, 5)


def test_a_translation_is_right_wherever_its_words_stand() -> None:
    own = np.eye(4, dtype=np.float32)
    other = own[[1, 0, 2, 3]]  # the first two have changed places
    assert translation_ranks(own, other, ["a", "b", "c", "d"]).tolist() == [1, 1, 0, 0]
    assert translation_ranks(own, other, ["a", "a", "c", "d"]).tolist() == [0, 0, 0, 0]
    with pytest.raises(UsageError, match="4 texts, 4 embeddings of 3 translations"):
        translation_ranks(own, other, ["a", "b", "c"])


# --- intervals ----------------------------------------------------------------------------------------------------


def plain_bootstrap(ranks: RetrievalRanks, samples: int) -> list[list[float]]:
    """Draw images with all their texts, build the list of ranks, and look at it."""
    draw = np.random.default_rng(1)
    rows = []
    for _ in range(samples):
        units = draw.integers(0, ranks.images, ranks.images)
        texts = np.concatenate([ranks.text_to_image[ranks.text_units == unit] for unit in units])
        images = ranks.image_to_text[units]
        recalls = [float(np.mean(of < k)) for of in (texts, images) for k in (1, 5, 10)]
        rows.append([*recalls, np.mean(recalls), np.mean(texts) + 1, np.median(texts) + 1, np.median(images) + 1])
    return rows


def test_intervals_equal_a_bootstrap_written_out() -> None:
    ranks = retrieval_ranks(*made(60, noise=3))
    found = retrieval_figures(ranks, samples=4000)
    low, high = np.quantile(plain_bootstrap(ranks, 4000), [0.025, 0.975], axis=0)
    estimates = [*found.text_to_image.recall.values(), *found.image_to_text.recall.values(), found.mean_recall]
    for number, estimate in enumerate(estimates):
        assert [estimate.low, estimate.high] == pytest.approx([low[number], high[number]], abs=0.02)
        assert estimate.low <= estimate.value <= estimate.high
    others = (found.text_to_image.mean_rank, found.text_to_image.median_rank, found.image_to_text.median_rank)
    for number, estimate in enumerate(others, len(estimates)):
        assert [estimate.low, estimate.high] == pytest.approx([low[number], high[number]], rel=0.12)


def test_texts_of_one_image_are_drawn_together() -> None:
    """Five copies of each text say no more than one: the interval must not shrink."""
    images, texts, owners = made(50, noise=4)
    first = np.unique(owners, return_index=True)[1]
    ranks = retrieval_ranks(images, texts[first], owners[first])
    one = retrieval_figures(ranks)
    units = np.arange(50, dtype=np.int64)
    copies = RetrievalRanks(np.repeat(ranks.text_to_image, 5), ranks.image_to_text, np.repeat(units, 5), units, 50, 250)
    five = retrieval_figures(copies)
    assert vars(five.text_to_image.recall[5]) == pytest.approx(vars(one.text_to_image.recall[5]))


def test_intervals_are_the_same_each_time_and_in_any_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    ranks = retrieval_ranks(*made())
    whole = retrieval_figures(ranks, samples=50)
    assert retrieval_figures(ranks, samples=50) == whole
    assert retrieval_figures(ranks, samples=50, seed=1) != whole
    monkeypatch.setattr("altclip.metrics.intervals._DRAWN_AT_ONCE", 1)
    assert retrieval_figures(ranks, samples=50) == whole


def test_each_draw_takes_as_many_as_there_are() -> None:
    weights = np.concatenate(list(drawn_weights(30, 100, 0, 1)))
    assert weights.shape == (100, 30)
    assert (weights.sum(axis=1) == 30).all()
    assert weights.mean() == 1
    with pytest.raises(UsageError, match="no 5 samples of 0 rows"):
        list(drawn_weights(0, 5, 0, 1))


def test_a_set_of_two_images_of_which_texts_belong_to_one_gives_numbers() -> None:
    images = np.eye(2, dtype=np.float32)
    ranks = retrieval_ranks(images, images, [[0, 1], [0, 1]])
    found = retrieval_figures(ranks, ks=(1,), samples=200)
    assert all(np.isfinite(list(vars(e).values())).all() for e in (found.mean_recall, found.text_to_image.median_rank))


# --- chunks -------------------------------------------------------------------------------------------------------


def test_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    images, texts, owners = made(30)
    whole = retrieval_ranks(images, texts, owners)
    monkeypatch.setattr(vectors, "CHUNK_SCORES", 100)
    parts = retrieval_ranks(images, texts, owners)
    assert parts.text_to_image.tolist() == whole.text_to_image.tolist()
    assert parts.image_to_text.tolist() == whole.image_to_text.tolist()


def test_no_score_matrix_is_held() -> None:
    """2,000 x 30,000 scores would be 240 MB, and as much again for what is right; the embeddings are 4 wide."""
    images = normalised(np.random.default_rng(0).standard_normal((2000, 4)).astype(np.float32))
    owners = np.repeat(np.arange(2000), 15)
    texts = images[owners]
    tracemalloc.start()
    retrieval(images, texts, owners)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 200e6


# --- bad input ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_nan_is_named_by_side(bad: float) -> None:
    images, texts, owners = made(12)
    broken = texts.copy()
    broken[4, 2] = bad
    with pytest.raises(DataError, match=r"1 of \d+ queries hold NaN.*row 4"):
        retrieval(images, broken, owners)
    broken = images.copy()
    broken[3, 1] = bad
    with pytest.raises(DataError, match="1 of 12 gallery hold NaN.*row 3"):
        retrieval(broken, texts, owners)


@pytest.mark.parametrize("ks", [(0,), (1, 13), (-1,)])
def test_k_beyond_the_set_is_refused(ks: tuple[int, ...]) -> None:
    rows = np.eye(12, dtype=np.float32)
    with pytest.raises(UsageError, match=f"recall at {ks[-1]} among 12 images and 12 texts.*from 1 to 12"):
        retrieval(rows, rows, range(12), ks)
    with pytest.raises(UsageError, match="from 1 to 12"):
        retrieval_figures(retrieval_ranks(rows, rows, range(12)), ks)


def test_texts_of_no_image_and_images_of_no_text_are_named() -> None:
    rows = np.eye(4, dtype=np.float32)
    with pytest.raises(UsageError, match="1 of 4 texts are of no image among 4, the first is text 2"):
        retrieval(rows, rows, [0, 1, 9, 3], (1,))
    with pytest.raises(UsageError, match="2 of 4 texts are of no image among 4, the first is text 1"):
        retrieval(rows, rows, [[0, 1], [-1, -1], [2, 7], [3, -1]], (1,))
    with pytest.raises(UsageError, match="1 of 4 images have no text, the first is image 3"):
        retrieval(rows, rows[:3], [0, 1, 2], (1,))
    with pytest.raises(UsageError, match="owners of 3 texts for 4"):
        retrieval(rows, rows, [0, 1, 2], (1,))

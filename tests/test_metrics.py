"""Metrics by worked examples: published tables, figures worked out by hand, and slow plain versions of the same."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from altclip import metrics
from altclip.errors import DataError, UsageError
from altclip.metrics import (
    Retrieval,
    best_ranks,
    class_embeddings,
    groups_of,
    paired_differences,
    ratio,
    retrieval,
    score_ranks,
    vectors,
    wilson,
)

# The distances of big_vision's test of its retrieval metrics: 4 images, 8 captions, two captions an image in order.
DISTANCES = np.array(
    [
        [0.8, 0.8, 0.1, 0.5, 0.1, 0.2, 0.5, 0.1],
        [0.5, 0.4, 0.0, 0.0, 0.4, 0.2, 0.6, 0.4],
        [0.5, 0.4, 0.1, 0.5, 0.0, 0.8, 0.8, 0.3],
        [0.5, 0.4, 0.1, 0.5, 0.4, 0.2, 0.3, 0.3],
    ]
)
OWNERS = np.array([0, 0, 1, 1, 2, 2, 3, 3])

# T2I R@1/5/10, I2T R@1/5/10, MR, as the AltCLIP paper prints them for Flickr30k
PUBLISHED = {
    "en CLIP": (65.0, 87.1, 92.2, 85.1, 97.3, 99.2, 87.6),
    "en Taiyi": (25.3, 48.2, 59.2, 39.3, 68.1, 79.6, 53.3),
    "en CN-CLIP": (49.5, 76.9, 83.8, 66.5, 91.2, 96.0, 77.3),
    "en AltCLIP": (66.3, 87.8, 92.7, 85.9, 97.7, 99.1, 88.3),
    "en AltCLIP*": (72.5, 91.6, 95.4, 86.0, 98.0, 99.1, 90.4),
    "zh CLIP": (0.0, 2.4, 4.0, 2.3, 8.1, 12.6, 4.9),  # printed 5.0, which its own recalls do not give
    "zh Taiyi": (53.7, 79.8, 86.6, 63.8, 90.5, 95.9, 78.4),
    "zh Wukong": (51.7, 78.9, 86.3, 76.1, 94.8, 97.5, 80.9),
    "zh R2D2": (60.9, 86.8, 92.7, 77.6, 96.7, 98.9, 85.6),
    "zh CN-CLIP": (68.0, 89.7, 94.4, 80.2, 96.6, 98.2, 87.9),
    "zh AltCLIP": (63.7, 86.3, 92.1, 84.7, 97.4, 98.7, 87.2),
    "zh AltCLIP*": (69.8, 89.9, 94.7, 84.8, 97.4, 98.8, 89.2),
}


def random_rows(count: int, dim: int = 16, seed: int = 0) -> NDArray[np.float32]:
    return metrics.normalised(np.random.default_rng(seed).standard_normal((count, dim)).astype(np.float32))


def plain_ranks(scores: NDArray[np.floating], wanted: NDArray[np.int64], groups: NDArray[np.int64]) -> list[int]:
    """The definition, word for word: sort, highest first, equals in order; the place of the first right one."""
    ranks = []
    for row, group in zip(scores, wanted, strict=True):
        order = sorted(range(len(row)), key=lambda item: (-row[item], item))
        ranks.append(next(place for place, item in enumerate(order) if groups[item] == group))
    return ranks


# --- ranks and recall --------------------------------------------------------------------------------------------


def test_image_to_text_equals_the_worked_table() -> None:
    ranks = score_ranks(-DISTANCES, np.arange(4), OWNERS)
    assert [metrics.share_within(ranks, k) for k in (1, 5, 10)] == [0.5, 0.75, 1.0]


def test_text_to_image_equals_the_worked_table() -> None:
    distances = DISTANCES.copy()
    distances[0, 6] = 0.1
    ranks = score_ranks(-distances.T, OWNERS, np.arange(4))
    assert [metrics.share_within(ranks, k) for k in (1, 5, 10)] == [0.375, 1.0, 1.0]


def test_equal_scores_stand_in_the_order_of_the_gallery() -> None:
    scores = np.array([[1.0, 1.0, 1.0, 0.5]])
    assert [score_ranks(scores, [item], range(4))[0] for item in range(4)] == [0, 1, 2, 3]


def test_of_several_right_items_the_best_counts() -> None:
    scores = np.array([[0.1, 0.9, 0.5, 0.7], [0.9, 0.1, 0.8, 0.7]])
    assert score_ranks(scores, [0, 1], [0, 1, 0, 1]).tolist() == [2, 2]
    assert score_ranks(scores, [0, 0], [0, 0, 0, 1]).tolist() == [0, 0]


@pytest.mark.parametrize("seed", range(3))
def test_ranks_equal_the_definition_with_many_ties_and_uneven_groups(seed: int) -> None:
    draw = np.random.default_rng(seed)
    scores = draw.integers(0, 5, (40, 60)).astype(np.float64)
    groups = np.concatenate([np.arange(12), draw.integers(0, 12, 48)])
    draw.shuffle(groups)
    wanted = draw.integers(0, 12, 40)
    assert score_ranks(scores, wanted, groups).tolist() == plain_ranks(scores, wanted, groups)


def test_top_1_equals_argmax_and_top_5_equals_torch_topk() -> None:
    images, classes = random_rows(200), random_rows(30, seed=1)
    wanted = np.random.default_rng(2).integers(0, 30, 200)
    ranks = best_ranks(images, classes, wanted, np.arange(30))
    scores = torch.from_numpy(images @ classes.T)
    assert ((ranks == 0) == (scores.argmax(1).numpy() == wanted)).all()
    assert ((ranks < 5) == (scores.topk(5).indices.numpy() == wanted[:, None]).any(1)).all()


def test_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    queries, gallery = random_rows(57), random_rows(23, seed=1)
    wanted, groups = np.arange(57) % 23, np.arange(23)
    whole = best_ranks(queries, gallery, wanted, groups)
    monkeypatch.setattr(vectors, "CHUNK_SCORES", 23 * 5 + 1)
    assert best_ranks(queries, gallery, wanted, groups).tolist() == whole.tolist()


def test_no_matrix_of_all_scores_is_held() -> None:
    """3,000 x 20,000 scores are 240 MB, and what is made of them as much again; a chunk is a quarter of that."""
    import tracemalloc

    rows = random_rows(20_000, dim=2)
    tracemalloc.start()
    best_ranks(rows[:3000], rows, np.arange(3000), np.arange(20_000))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 250e6


def test_half_precision_is_computed_in_float32() -> None:
    queries, gallery = random_rows(20, 64), random_rows(20, 64, seed=1)
    half = best_ranks(queries.astype(np.float16), gallery.astype(np.float16), np.arange(20), np.arange(20))
    wide = best_ranks(
        queries.astype(np.float16).astype(np.float32),
        gallery.astype(np.float16).astype(np.float32),
        range(20),
        range(20),
    )
    assert half.tolist() == wide.tolist()


def test_retrieval_in_both_directions_with_one_to_seven_captions() -> None:
    draw = np.random.default_rng(0)
    owners = np.repeat(np.arange(30), draw.integers(1, 8, 30))
    images = random_rows(30)
    texts = metrics.normalised(images[owners] + 1.5 * random_rows(len(owners), seed=1))
    scores = images @ texts.T
    found = retrieval(images, texts, owners)
    into_texts = np.array(plain_ranks(scores, np.arange(30), owners))
    into_images = np.array(plain_ranks(scores.T, owners, np.arange(30)))
    for k in (1, 5, 10):
        assert found.image_to_text[k] == np.mean(into_texts < k)
        assert found.text_to_image[k] == np.mean(into_images < k)
    assert 0 < found.text_to_image[1] < found.text_to_image[10] <= 1


@pytest.mark.parametrize("row", PUBLISHED.values(), ids=PUBLISHED.keys())
def test_mean_recall_is_that_of_the_published_tables(row: tuple[float, ...]) -> None:
    found = Retrieval(dict(zip((1, 5, 10), row[:3], strict=True)), dict(zip((1, 5, 10), row[3:6], strict=True)))
    assert found.mean_recall == pytest.approx(row[6], abs=0.051)


def test_either_of_two_classes_of_one_name_counts() -> None:
    groups = groups_of(["glace", "chien", "glace"])
    assert groups.tolist() == [0, 1, 0]
    scores = np.array([[0.1, 0.2, 0.9]])  # the image shows class 0, the third class is nearest
    assert score_ranks(scores, [groups[0]], groups).tolist() == [0]
    assert score_ranks(scores, [0], [0, 1, 2]).tolist() == [2]


# --- the zero-shot classifier ------------------------------------------------------------------------------------


def test_prompts_are_normalised_averaged_and_normalised_again() -> None:
    prompts = np.array([[3, 0], [0, 0.5], [0, 2]], np.float32)
    root = math.sqrt(0.5)
    assert class_embeddings(prompts, [2, 1]) == pytest.approx(np.array([[root, root], [0, 1]]))


def test_the_classifier_equals_open_clips_steps_in_torch() -> None:
    prompts = np.random.default_rng(0).standard_normal((21, 8)).astype(np.float32)
    grouped = torch.from_numpy(prompts).reshape(7, 3, 8)
    mean = torch.nn.functional.normalize(grouped, dim=-1).mean(dim=1)
    assert class_embeddings(prompts, [3] * 7) == pytest.approx(
        (mean / mean.norm(dim=1, keepdim=True)).numpy(), abs=1e-6
    )


def test_no_classes_and_opposite_prompts_give_no_nan() -> None:
    assert class_embeddings(np.zeros((0, 4), np.float32), []).shape == (0, 4)
    opposite = np.array([[1, 0], [-1, 0]], np.float32)
    assert class_embeddings(opposite, [2]).tolist() == [[0, 0]]


# --- intervals ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("hits", "count", "low", "high"),
    [  # by the formula of Wilson 1927, as statistics packages print it
        (50, 100, 0.4038, 0.5962),
        (0, 10, 0.0, 0.2775),
        (10, 10, 0.7225, 1.0),
        (81, 263, 0.2553, 0.3662),  # Newcombe 1998, table I
        (15, 148, 0.0624, 0.1605),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_equals_published_intervals(hits: int, count: int, low: float, high: float) -> None:
    found = wilson(hits, count)
    assert found.value == hits / count
    assert [found.low, found.high] == pytest.approx([low, high], abs=6e-5)


def test_a_bootstrap_of_hits_has_the_interval_of_the_share() -> None:
    hits = (np.arange(400) < 120).astype(float)[:, None]
    means = metrics.resampled_means(hits, samples=20_000)
    low, high = np.quantile(means, [0.025, 0.975])
    expected = wilson(120, 400)
    assert [low, high] == pytest.approx([expected.low, expected.high], abs=0.004)


def test_drawing_equal_rows_together_is_drawing_rows() -> None:
    values = np.random.default_rng(1).integers(0, 2, (150, 2)).astype(float)
    draw = np.random.default_rng(2)
    plain = np.stack([values[draw.integers(0, 150, 150)].mean(axis=0) for _ in range(4000)])
    ours = metrics.resampled_means(values, samples=4000)
    assert ours.mean(axis=0) == pytest.approx(plain.mean(axis=0), abs=0.003)
    assert np.cov(ours.T) == pytest.approx(np.cov(plain.T), rel=0.15, abs=1e-4)


def test_a_ratio_is_paired() -> None:
    """Two columns that always agree have a ratio of exactly 1, however few they are."""
    hits = np.arange(60) % 3 == 0
    assert vars(ratio(hits, hits)) == {"value": 1.0, "low": 1.0, "high": 1.0}
    apart = ratio(hits, np.roll(hits, 1))
    assert apart.value == 1.0
    assert apart.low < 0.8 < 1.2 < apart.high


def test_a_ratio_of_sums() -> None:
    found = ratio([1, 0, 1, 0], [1, 1, 1, 1])
    assert found.value == 0.5
    assert found.low < 0.5 < found.high


def test_an_interval_is_the_same_each_time_and_another_with_another_seed() -> None:
    own, base = np.arange(100) % 3 == 0, np.arange(100) % 2 == 0
    assert ratio(own, base) == ratio(own, base)
    assert ratio(own, base, seed=1) != ratio(own, base)


def test_a_ratio_over_nothing_says_nothing() -> None:
    assert all(math.isnan(number) for number in vars(ratio([1, 0], [0, 0])).values())


def test_a_base_that_is_sometimes_nothing_gives_no_nan() -> None:
    found = ratio([1, 0, 0], [1, 0, 0])
    assert (found.value, found.low, found.high) == (1.0, 1.0, 1.0)


# --- bad input ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_nan_is_no_perfect_score(bad: float) -> None:
    rows = random_rows(5)
    broken = rows.copy()
    broken[3, 1] = bad
    with pytest.raises(DataError, match="1 of 5 queries hold NaN.*row 3"):
        best_ranks(broken, rows, range(5), range(5))
    with pytest.raises(DataError, match="gallery"):
        best_ranks(rows, broken, range(5), range(5))
    with pytest.raises(DataError, match="prompts"):
        class_embeddings(broken, [5])


def test_what_does_not_fit_is_refused() -> None:
    rows = random_rows(4)
    with pytest.raises(UsageError, match=r"2 queries have no right item, the first is query 1"):
        best_ranks(rows, rows, [0, 7, 1, 8], range(4))
    with pytest.raises(UsageError, match="expected one each"):
        best_ranks(rows, rows, [0, 1], range(4))
    with pytest.raises(UsageError, match="expected two dimensions"):
        best_ranks(rows[0], rows, [0], range(4))
    with pytest.raises(UsageError, match="queries of width 15"):
        best_ranks(rows[:, :15], rows, range(4), range(4))
    with pytest.raises(UsageError, match="4 prompts for classes of"):
        class_embeddings(rows, [2, 1])
    with pytest.raises(UsageError, match="one a class or more"):
        class_embeddings(rows, [4, 0])


def test_shares_of_nothing_are_refused() -> None:
    for ranks, k in ((np.zeros(0, np.int64), 1), (np.zeros(3, np.int64), 0)):
        with pytest.raises(UsageError, match="no share"):
            metrics.share_within(ranks, k)
    for hits, count in ((0, 0), (3, 2), (-1, 2)):
        with pytest.raises(UsageError, match="no share"):
            wilson(hits, count)
    with pytest.raises(UsageError, match="no rows"):
        ratio([], [])


def test_no_queries_have_no_ranks() -> None:
    assert best_ranks(random_rows(0), random_rows(3), [], range(3)).tolist() == []


def test_paired_differences_equal_a_bootstrap_written_out() -> None:
    """Ten units with one to three queries; drawing units by hand with the same draws gives the same differences."""
    draw = np.random.default_rng(3)
    units = np.repeat(np.arange(10), draw.integers(1, 4, 10))
    first, second = draw.random((len(units), 2)), draw.random((len(units), 2))
    values, drawn = paired_differences([(first, second, units)], samples=50, seed=5)
    assert values == pytest.approx((second - first).mean(axis=0))
    again = np.random.default_rng(5)
    for sample in drawn:
        rows = np.concatenate([np.flatnonzero(units == unit) for unit in again.integers(0, 10, 10)])
        assert sample == pytest.approx((second[rows] - first[rows]).mean(axis=0))


def test_paired_differences_need_the_same_queries_twice() -> None:
    with pytest.raises(UsageError, match="expected the same queries twice"):
        paired_differences([(np.zeros((3, 1)), np.zeros((4, 1)), np.arange(3))])

"""Nearest neighbours against scikit-learn and the definition; how images and texts lie to each other."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.neighbors import KNeighborsClassifier

from altclip.errors import DataError, UsageError
from altclip.metrics import alignment, neighbour_votes, normalised, vectors


def rows(count: int, seed: int = 0, dim: int = 8) -> NDArray[np.float32]:
    return normalised(np.random.default_rng(seed).standard_normal((count, dim)).astype(np.float32))


KNOWN, QUERIES = rows(200), rows(60, 1)
LABELS = np.random.default_rng(2).integers(0, 7, 200)


@pytest.mark.parametrize("k", [1, 5, 20, 200])
@pytest.mark.parametrize("temperature", [0.07, 1.0])
def test_votes_give_the_classes_that_scikit_learn_gives(k: int, temperature: float) -> None:
    def weights(distances: NDArray[Any]) -> NDArray[Any]:
        return np.exp((1 - distances) / temperature)

    reference = KNeighborsClassifier(k, metric="cosine", algorithm="brute", weights=weights).fit(KNOWN, LABELS)
    votes = neighbour_votes(QUERIES, KNOWN, LABELS, 7, k=k, temperature=temperature)
    assert votes / votes.sum(axis=1, keepdims=True) == pytest.approx(reference.predict_proba(QUERIES), abs=1e-4)


def test_an_image_among_the_known_is_its_own_nearest() -> None:
    assert (neighbour_votes(KNOWN, KNOWN, LABELS, 7, k=1).argmax(axis=1) == LABELS).all()


def test_of_equals_the_first_are_taken() -> None:
    same = np.ones((6, 2), np.float32)
    votes = neighbour_votes(same[:1], same, [3, 1, 2, 0, 0, 0], 4, k=2)
    assert votes.tolist() == [[0, 1, 0, 1]]
    nearer = np.array([[1, 1], [1, 1], [2, 2], [1, 1]], np.float32)
    assert neighbour_votes(same[:1], nearer, [0, 1, 2, 3], 4, k=2).round(3).tolist() == [[0, 0, 1, 0]]


def test_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = neighbour_votes(QUERIES, KNOWN, LABELS, 7)
    monkeypatch.setattr(vectors, "CHUNK_SCORES", 1000)
    assert neighbour_votes(QUERIES, KNOWN, LABELS, 7) == pytest.approx(whole, abs=1e-6)


def test_a_class_without_a_known_image_gets_no_vote() -> None:
    assert neighbour_votes(QUERIES, KNOWN, LABELS, 9)[:, 7:].max() == 0


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"k": 201}, "201 neighbours of 200 images"),
        ({"k": 0}, "0 neighbours"),
        ({"temperature": 0.0}, "temperature 0.0"),
        ({"classes": 3}, "from 0 to 2"),
        ({"labels": LABELS[:5]}, r"labels \(5,\) of 200 images"),
        ({"queries": QUERIES[:, :4]}, "queries of width 4 for a gallery of width 8"),
    ],
)
def test_wrong_calls_are_refused(change: dict[str, Any], words: str) -> None:
    arguments: dict[str, Any] = {"queries": QUERIES, "known": KNOWN, "labels": LABELS, "classes": 7} | change
    with pytest.raises(UsageError, match=words):
        neighbour_votes(**arguments)


def test_nan_is_refused() -> None:
    broken = KNOWN.copy()
    broken[9, 0] = np.nan
    with pytest.raises(DataError, match="1 of 200 known images hold NaN"):
        neighbour_votes(QUERIES, broken, LABELS, 7)


# --- alignment ----------------------------------------------------------------------------------------------------


def test_means_equal_those_of_the_whole_matrix() -> None:
    images, owners = rows(30), np.random.default_rng(3).integers(0, 30, 90)
    texts = normalised(images[owners] + 0.5 * rows(90, 4))
    scores = images @ texts.T
    right = np.arange(30)[:, None] == owners
    found = alignment(images, texts, owners)
    assert found.matched == pytest.approx(scores[right].mean(), abs=1e-6)
    assert found.others == pytest.approx(scores[~right].mean(), abs=1e-6)
    assert found.gap == pytest.approx(np.linalg.norm(images.mean(0) - texts.mean(0)), abs=1e-6)


def test_texts_in_a_cone_of_their_own_have_a_gap_and_texts_at_their_images_none() -> None:
    images = rows(500)
    near = alignment(images, images, np.arange(500))
    assert [near.matched, near.gap] == pytest.approx([1, 0], abs=1e-6)
    away = alignment(images, normalised(images + 5), np.arange(500))
    assert away.gap > 0.8
    assert away.others > near.others - 0.1


def test_alignment_of_what_does_not_fit_is_refused() -> None:
    with pytest.raises(UsageError, match="expected two or more"):
        alignment(rows(1), rows(1), np.zeros(1, np.int64))
    with pytest.raises(UsageError, match="expected two or more"):
        alignment(rows(3), rows(3), np.zeros(2, np.int64))

"""Zero-shot figures against CLIP_benchmark's golden results, scikit-learn, torch and torchmetrics."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sklearn.metrics import balanced_accuracy_score
from torchmetrics.functional.classification import multiclass_calibration_error

from altclip.errors import DataError, UsageError
from altclip.metrics import (
    calibration_error,
    class_embeddings,
    classification,
    groups_of,
    mean_per_class,
    normalised,
    vectors,
)
from altclip.metrics.classification import answers

GOLDEN = Path(__file__).parent / "golden"
RESULTS = json.loads((GOLDEN / "clip_benchmark.json").read_text(encoding="utf-8"))["classification"]


def golden(name: str) -> dict[str, NDArray[Any]]:
    with np.load(GOLDEN / "clip_benchmark.npz") as arrays:
        return {key: arrays[f"classification/{name}/{key}"] for key in ("images", "prompts", "shown", "classifier")}


def made(images: int = 300, classes: int = 20, noise: float = 2.0) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    draw = np.random.default_rng(0)
    names, shown = draw.standard_normal((classes, 16)), draw.integers(0, classes, images)
    pictures = names[shown] + noise * draw.standard_normal((images, 16))
    return normalised(pictures.astype(np.float32)), normalised(names.astype(np.float32)), shown


@pytest.mark.parametrize("name", RESULTS)
def test_the_classifier_equals_clip_benchmarks(name: str) -> None:
    case = golden(name)
    classes = len(case["classifier"])
    found = class_embeddings(case["prompts"], [len(case["prompts"]) // classes] * classes)
    assert found == pytest.approx(case["classifier"], abs=2e-7)


@pytest.mark.parametrize("name", RESULTS)
def test_accuracy_equals_clip_benchmarks(name: str) -> None:
    case, expected = golden(name), RESULTS[name]
    found = classification(normalised(case["images"]), case["classifier"], case["shown"])
    assert found.top[1].value == pytest.approx(expected["acc1"], abs=1e-9)
    assert found.top[5].value == pytest.approx(expected["acc5"], abs=1e-9)
    assert found.mean_per_class.value == pytest.approx(expected["mean_per_class_recall"], abs=1e-9)


def test_mean_per_class_equals_scikit_learns_and_needs_no_class_that_is_not_shown() -> None:
    images, names, shown = made()
    shown = np.where(shown == 3, 4, shown)
    taken = (images @ names.T).argmax(axis=1)
    found = mean_per_class(taken == shown, shown)
    assert found.value == pytest.approx(balanced_accuracy_score(shown, taken))
    assert found.low < found.value < found.high


def test_the_interval_of_the_mean_is_that_of_draws_within_classes() -> None:
    hits = np.array([True] * 9 + [False] * 1 + [True] * 10 + [False] * 30)
    wanted = np.array([0] * 10 + [1] * 40)
    draw = np.random.default_rng(2)
    rows = [
        np.mean([hits[wanted == c][draw.integers(0, n, n)].mean() for c, n in ((0, 10), (1, 40))]) for _ in range(4000)
    ]
    found = mean_per_class(hits, wanted)
    assert [found.low, found.high] == pytest.approx(np.quantile(rows, [0.025, 0.975]).tolist(), abs=0.02)


@pytest.mark.parametrize("scale", [1.0, 5.0, 20.0, 100.0])
@pytest.mark.parametrize("bins", [10, 15])
def test_calibration_error_equals_torchmetrics(scale: float, bins: int) -> None:
    images, names, shown = made(500, 12)
    logits = torch.from_numpy(images @ names.T) * scale
    taken = logits.argmax(1).numpy()
    expected = multiclass_calibration_error(logits.softmax(1), torch.from_numpy(shown), 12, n_bins=bins)
    found = calibration_error(answers(images, names, scale)[0], taken == shown, bins)
    assert found == pytest.approx(float(expected), abs=2e-6)


def test_confidences_on_an_edge_fall_where_torchmetrics_puts_them() -> None:
    """Edges of ten bins as float32 has them, 0 and 1 among them, two classes."""
    edges = np.linspace(0, 1, 11, dtype=np.float32)
    sure = edges[edges >= 0.5]
    hits = np.arange(len(sure)) % 2 == 0
    probabilities = torch.from_numpy(np.stack([sure, 1 - sure], axis=1))
    target = torch.from_numpy(np.where(hits, 0, 1))
    expected = multiclass_calibration_error(probabilities, target, 2, n_bins=10)
    taken = probabilities.argmax(1)
    assert calibration_error(sure, (taken == target).numpy(), 10) == pytest.approx(float(expected), abs=1e-6)


def test_figures_hold_the_calibration_error_at_the_models_scale() -> None:
    images, names, shown = made()
    low, high = (classification(images, names, shown, scale=scale) for scale in (1.0, 100.0))
    assert low.calibration_error != high.calibration_error
    assert low.top == high.top
    hits = (images @ names.T).argmax(1) == shown
    assert high.calibration_error == calibration_error(answers(images, names, 100.0)[0], hits)


def test_either_of_two_classes_of_one_name_is_right() -> None:
    names = np.eye(3, dtype=np.float32)
    groups = groups_of(["glace", "chien", "glace"])
    found = classification(names, names, [0, 1, 0], groups, ks=(1,))
    assert found.top[1].value == found.mean_per_class.value == 1.0
    assert classification(names, names, [0, 1, 0], ks=(1,)).top[1].value == pytest.approx(2 / 3)


def test_a_k_that_takes_in_every_class_is_left_out() -> None:
    images, names, shown = made(classes=5)
    assert set(classification(images, names, shown).top) == {1}


def test_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    images, names, shown = made(100)
    whole = classification(images, names, shown)
    monkeypatch.setattr(vectors, "CHUNK_SCORES", 50)
    parts = classification(images, names, shown)
    assert parts.top == whole.top
    assert parts.calibration_error == pytest.approx(whole.calibration_error, abs=1e-6)


def test_bad_input_is_refused() -> None:
    images, names, shown = made(10)
    broken = images.copy()
    broken[7] = np.nan
    with pytest.raises(DataError, match="1 of 10 queries hold NaN or infinity, the first is row 7"):
        classification(broken, names, shown)
    with pytest.raises(UsageError, match="no right item"):
        classification(images, names[:2], np.full(10, 5))
    with pytest.raises(UsageError, match="no images to classify"):
        classification(images[:0], names, [])
    with pytest.raises(UsageError, match="no images to average"):
        mean_per_class(np.zeros(0, bool), [])
    with pytest.raises(UsageError, match="expected 0 to 1"):
        calibration_error(np.array([0.5, 1.5]), np.array([True, False]))
    with pytest.raises(UsageError, match="expected one each"):
        calibration_error(np.array([0.5]), np.array([True, False]))

"""The linear probe: against scikit-learn, on classes that can and cannot be told apart, on folders, and bad input."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from altclip.encoder import Encoder
from altclip.errors import DataError, UsageError
from altclip.train.probe import STRENGTHS, fit_probe, probe
from tests.train import made
from tests.train.conftest import Cli


def clouds(count: int, spread: float, seed: int = 0) -> tuple[np.ndarray, list[str]]:
    """Points of length 1 about three directions."""
    draw = np.random.default_rng(seed)
    labels = [f"c{n % 3}" for n in range(count)]
    points = np.eye(8, dtype=np.float32)[[n % 3 for n in range(count)]] + draw.normal(0, spread, (count, 8))
    return (points / np.linalg.norm(points, axis=1, keepdims=True)).astype(np.float32), labels


@pytest.mark.parametrize("strength", [1e-1, 1e-3])
def test_it_is_the_regression_of_scikit_learn(strength: float) -> None:
    linear = pytest.importorskip("sklearn.linear_model")
    points, labels = clouds(90, 0.4)
    ours = fit_probe(points, labels, strength=strength)
    theirs = linear.LogisticRegression(C=1 / (strength * len(points)), tol=1e-8, max_iter=5000).fit(points, labels)
    assert list(ours.classes) == list(theirs.classes_)
    np.testing.assert_allclose(ours.weights, theirs.coef_, atol=2e-3)
    np.testing.assert_allclose(ours.bias - ours.bias.mean(), theirs.intercept_ - theirs.intercept_.mean(), atol=2e-3)
    assert ours.predict(points) == list(theirs.predict(points))


def test_what_can_be_told_apart_is() -> None:
    points, labels = clouds(60, 0.1)
    asked, expected = clouds(30, 0.1, seed=1)
    assert fit_probe(points, labels).predict(asked) == expected


def test_the_strength_is_chosen_and_the_same_each_time() -> None:
    points, labels = clouds(200, 0.9)
    first = fit_probe(points, labels)
    assert first.strength in STRENGTHS
    np.testing.assert_array_equal(fit_probe(points, labels).weights, first.weights)


@pytest.mark.parametrize(
    ("labels", "strength", "message"),
    [
        (["a"] * 6, None, r"the labels name 1 class \(a\): expected at least two"),
        (["a", "b"], None, "6 embeddings for 2 labels"),
        (["a", "b"] * 3, 0.0, "strength 0.0: expected a number above 0"),
    ],
)
def test_what_cannot_be_fitted(labels: list[str], strength: float | None, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        fit_probe(np.ones((6, 4), np.float32), labels, strength=strength)


def test_folders_of_images(base: Path, album: Path, tmp_path: Path) -> None:
    """Colours are told apart even by a random tower."""
    asked = made.write_album(tmp_path / "asked", count=3)
    found = probe(Encoder(base), album, asked)
    assert (found.train, found.test, found.classes) == (24, 12, 4)
    assert found.accuracy.value > 0.7
    assert found.accuracy.low < found.accuracy.value <= found.accuracy.high


def test_neighbours_vote_as_those_of_scikit_learn(base: Path, album: Path, tmp_path: Path) -> None:
    """Three neighbours of other colours: scikit-learn's classifier, weighted as ours, tells the same classes."""
    neighbors = pytest.importorskip("sklearn.neighbors")
    asked, encoder = made.write_album(tmp_path / "asked", count=3), Encoder(base)
    found = probe(encoder, album, asked, neighbours=3)
    paths = {folder: sorted(folder.rglob("*.png")) for folder in (album, asked)}
    known, queries = (encoder.encode_images(paths[folder]) for folder in (album, asked))
    theirs = neighbors.KNeighborsClassifier(3, metric="cosine", weights=lambda apart: np.exp((1 - apart) / 0.07))
    theirs.fit(known, [path.parent.name for path in paths[album]])
    right = theirs.predict(queries) == np.array([path.parent.name for path in paths[asked]])
    assert found.accuracy.value == right.mean()
    assert (found.neighbours, found.strength) == (3, None)


def test_neighbours_on_the_command_line(cli: Cli, base: Path, album: Path) -> None:
    code, said = cli("probe", album, album, "--model", base, "--neighbours", 1)
    assert code == 0, said
    assert "100.0% right" in said
    assert "of 24 images in 4 classes; by 1 neighbours among 24" in said
    code, said = cli("probe", album, album, "--model", base, "--neighbours", 25)
    assert (code, "25 neighbours of 24 images" in said) == (2, True)
    code, said = cli("probe", album, album, "--model", base, "--neighbours", 2, "--strength", 0.1)
    assert (code, "give one of the two" in said) == (2, True)


def test_the_command(cli: Cli, base: Path, album: Path) -> None:
    code, said = cli("probe", album, album, "--model", base, "--json", "--strength", 0.001)
    assert code == 0, said
    found = json.loads(said[: said.rindex("}") + 1])
    assert found["accuracy"]["value"] > 0.9
    assert (found["test"], found["strength"]) == (24, 0.001)
    code, said = cli("probe", album, album, "--model", base, "--strength", 0.001)
    assert "of 24 images in 4 classes; fitted on 24, strength 0.001" in said
    assert "altclip probe" in cli("probe", "--help")[1]


def test_bad_data(cli: Cli, base: Path, album: Path, tmp_path: Path) -> None:
    other = made.write_album(tmp_path / "other", ("red", "violet"))
    encoder = Encoder(base)
    with pytest.raises(DataError, match="classes that .* does not have: violet"):
        probe(encoder, album, other)
    with pytest.raises(DataError, match="has no column kind"):
        probe(encoder, album, album, label="kind")
    (other / "violet" / "0.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match="image .*not an image"):
        probe(encoder, other, other)
    assert cli("probe", album, tmp_path / "none", "--model", base)[0] == 1

"""Probes: how much a model's frozen image embeddings tell of classes, without its text tower.

Linear (Radford et al. 2021, 3.2): multinomial logistic regression, fitted by L-BFGS on all images at once; how strongly
the weights are held small is chosen among powers of ten by a fifth of the training images, or given. Nearest neighbours
(Wu et al. 2018, 3.4): nothing is fitted, the nearest training images vote.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from altclip.data.pairs import image_bytes
from altclip.data.reading import class_names, open_rows
from altclip.errors import DataError, UsageError
from altclip.evaluate.embedding import Embedder, embed_images
from altclip.evaluate.images import ImageSet
from altclip.metrics import Embeddings, Estimate, neighbour_votes, wilson

STRENGTHS: Final = tuple(10.0**-power for power in range(1, 8))
_HELD_OUT: Final = 5  # one of that many training images chooses the strength
_ROUNDS: Final = 200


@dataclass(frozen=True)
class Probe:
    """A linear classifier: weights (C, D) and bias (C,) of its classes, and the strength it was fitted with."""

    classes: tuple[str, ...]
    weights: NDArray[np.float32]
    bias: NDArray[np.float32]
    strength: float

    def predict(self, embeddings: Embeddings) -> list[str]:
        """The class of each embedding (N, D)."""
        scores = embeddings @ self.weights.T + self.bias
        return [self.classes[place] for place in scores.argmax(1)]


@dataclass(frozen=True)
class ProbeResult:
    """accuracy: on the test images, with its 95 % interval; train, test: how many images.

    strength: of a linear probe; neighbours: that voted. None for the other kind.
    """

    accuracy: Estimate
    classes: int
    train: int
    test: int
    strength: float | None
    neighbours: int | None


def fit_probe(embeddings: Embeddings, labels: Sequence[str], *, strength: float | None = None, seed: int = 0) -> Probe:
    """Fit a probe to embeddings (N, D) and the classes they show.

    strength: factor on half the squared weights, added to the mean cross-entropy; None chooses one of `STRENGTHS`.
    Raises UsageError for one class alone, sizes that do not fit, or a strength that is not above 0.
    """
    if len(embeddings) != len(labels):
        raise UsageError(f"{len(embeddings)} embeddings for {len(labels)} labels: expected as many")
    if strength is not None and strength <= 0:
        raise UsageError(f"strength {strength}: expected a number above 0, or None to choose one")
    classes = tuple(sorted(set(labels)))
    if len(classes) < 2:
        raise UsageError(f"the labels name {len(classes)} class ({', '.join(classes)}): expected at least two")
    places = {name: place for place, name in enumerate(classes)}
    x, y = torch.from_numpy(np.asarray(embeddings, np.float32)), torch.tensor([places[name] for name in labels])
    chosen = strength or _chosen(x, y, len(classes), seed)
    weights, bias = _fitted(x, y, len(classes), chosen)
    return Probe(classes, weights.numpy(), bias.numpy(), chosen)


def probe(
    encoder: Embedder, train: str | Path, test: str | Path, *, image: str = "image", label: str = "label",
    strength: float | None = None, neighbours: int | None = None,
) -> ProbeResult:  # fmt: skip
    """Learn from the images of one data set and measure on another; each anything that `data.reading` opens.

    strength: of a linear probe, see `fit_probe`; neighbours: let so many nearest training images vote instead.
    Raises DataError for data that cannot be read, an image among them, or a test class that training does not have;
    UsageError for both a strength and neighbours, or more neighbours than there are training images.
    """
    if strength is not None and neighbours is not None:
        raise UsageError("a linear probe has a strength, nearest neighbours have none: give one of the two")
    shown, asked = _images(train, image, label), _images(test, image, label)
    if unknown := sorted(set(asked.keys) - set(shown.keys)):
        raise DataError(f"{test} has classes that {train} does not have: {', '.join(unknown[:5])}; leave them out")
    known, queries = embed_images(encoder, shown).embeddings, embed_images(encoder, asked).embeddings
    if neighbours is None:
        fitted = fit_probe(known, shown.keys, strength=strength)
        told, strength = fitted.predict(queries), fitted.strength
    else:
        told = _voted(queries, known, shown.keys, neighbours)
    hits = sum(one == other for one, other in zip(told, asked.keys, strict=True))
    return ProbeResult(wilson(hits, len(asked)), len(set(shown.keys)), len(shown), len(asked), strength, neighbours)


def _voted(queries: Embeddings, known: Embeddings, labels: Sequence[str], neighbours: int) -> list[str]:
    """The class of each query that its nearest neighbours vote for."""
    classes, numbers = np.unique(np.asarray(labels), return_inverse=True)
    votes = neighbour_votes(queries, known, numbers, len(classes), k=neighbours)
    return [str(classes[place]) for place in votes.argmax(1)]


def _images(path: str | Path, image: str, label: str) -> ImageSet:
    """The images of a data set and the names of their classes."""
    rows = open_rows(path, columns=(image, label))
    if not len(rows):
        raise DataError(f"{path} has no rows: expected labelled images")
    names = class_names(rows, label)
    keys = tuple(names[value] if names else str(value) for value in rows[label])
    pixels, folder = rows.select_columns([image]), Path(path).parent

    def at(index: int) -> Any:
        cell = image_bytes(pixels[index][image])
        return folder / cell if isinstance(cell, str) else cell

    return ImageSet(str(path), at, keys, "")


def _chosen(x_ND: Tensor, y_N: Tensor, classes: int, seed: int) -> float:
    """The strength that does best on a fifth of the images after fitting on the rest; the greatest of equals."""
    order = torch.from_numpy(np.random.default_rng(seed).permutation(len(y_N)))
    held, rest = order[::_HELD_OUT], torch.cat([order[place::_HELD_OUT] for place in range(1, _HELD_OUT)])
    if min(Counter(y_N.tolist()).values()) < 2 or len(rest) < classes:
        return STRENGTHS[len(STRENGTHS) // 2]
    hits = []
    for strength in STRENGTHS:
        weights, bias = _fitted(x_ND[rest], y_N[rest], classes, strength)
        hits.append(int(((x_ND[held] @ weights.T + bias).argmax(1) == y_N[held]).sum()))
    return STRENGTHS[hits.index(max(hits))]


def _fitted(x_ND: Tensor, y_N: Tensor, classes: int, strength: float) -> tuple[Tensor, Tensor]:
    """Weights (C, D) and bias (C,) of least loss; the bias is not held small."""
    weights = torch.zeros(classes, x_ND.shape[1], requires_grad=True)
    bias = torch.zeros(classes, requires_grad=True)
    solver = torch.optim.LBFGS(
        [weights, bias], max_iter=_ROUNDS, tolerance_grad=1e-6, tolerance_change=1e-9, line_search_fn="strong_wolfe"
    )

    def loss() -> Tensor:
        solver.zero_grad()
        value = F.cross_entropy(x_ND @ weights.T + bias, y_N) + strength / 2 * weights.square().sum()
        value.backward()  # type: ignore[no-untyped-call]
        return value

    solver.step(loss)  # type: ignore[no-untyped-call]
    return weights.detach(), bias.detach()

"""What a precision costs in quality: cosines to exact arithmetic, and changes of recall and accuracy with intervals.

The queries are the same, so a bootstrap draws them in pairs: an image with all that was asked about it, as it went in
both precisions. In the mean over languages the languages of one image are drawn together.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from altclip.encoder import Encoder
from altclip.evaluate.benchmarks import CaptionSet, Content, ParallelSet
from altclip.evaluate.embedding import embed_images
from altclip.evaluate.suites.captioned import retrieval_of
from altclip.evaluate.suites.labelled import accuracies_of
from altclip.evaluate.suites.outcomes import Kind, Outcome
from altclip.evaluate.suites.translated import translations_of
from altclip.metrics import Embeddings, Estimate, estimate, paired_differences

MEAN: Final = "mean"
_KS: Final[Mapping[Kind, tuple[int, ...]]] = {"T2I": (1, 10), "I2T": (1, 10)}
_NAMES: Final[Mapping[Kind, str]] = {"names": "top-1, names alone", "templates": "top-1, with templates"}


@dataclass(frozen=True)
class Agreement:
    """How near embeddings are to those of exact arithmetic. kind: "images" or "texts"."""

    precision: str
    kind: str
    count: int
    least_cosine: float
    mean_cosine: float


@dataclass(frozen=True)
class Price:
    """A figure in exact arithmetic, and what it changes by in this precision; shares from 0 to 1.

    language: a code, or "mean" over all. difference: with its paired 95 % interval; less than 0 is a loss.
    """

    precision: str
    language: str
    figure: str
    exact: float
    difference: Estimate


@dataclass(frozen=True)
class Answers:
    """What one precision makes of a set: its embeddings, of "images" and of "texts", and what became of each query."""

    embeddings: Mapping[str, Embeddings]
    outcomes: Sequence[Outcome]


def answers(encoder: Encoder, content: Content) -> Answers:
    """Embed the whole set anew and ask for everything. Raises DataError naming an image that cannot be read."""
    kept = _Remembering(encoder)
    if isinstance(content, ParallelSet):
        outcomes: list[Outcome] = []
        for language, texts in content.texts.items():
            both = kept.encode_texts(texts.own), kept.encode_texts(texts.english)
            outcomes += translations_of(language, texts, both, np.arange(len(texts.own))).outcomes
        return Answers({"texts": kept.all}, outcomes)
    images = embed_images(encoder, content.images)
    if isinstance(content, CaptionSet):
        captions = {language: kept.encode_texts(of.texts) for language, of in content.captions.items()}
        found = retrieval_of(content, images.embeddings, captions)
    else:
        found = accuracies_of(content, kept, images, math.exp(encoder.logit_scale))
    return Answers({"images": images.embeddings, "texts": kept.all}, found.outcomes)


def prices(precision: str, exact: Answers, other: Answers) -> tuple[list[Agreement], list[Price]]:
    """Of one precision beside exact arithmetic, the means over languages first."""
    near = [_agreement(precision, kind, of, other.embeddings[kind]) for kind, of in exact.embeddings.items()]
    found = []
    for kind in dict.fromkeys(outcome.kind for outcome in exact.outcomes):
        both = zip(exact.outcomes, other.outcomes, strict=True)
        found += _changes(precision, kind, [pair for pair in both if pair[0].kind == kind])
    return near, sorted(found, key=lambda price: price.language != MEAN)


def _changes(precision: str, kind: Kind, pairs: Sequence[tuple[Outcome, Outcome]]) -> list[Price]:
    """Of one kind of query in every language, and their means; a k that takes in every choice says nothing."""
    ks = [k for k in _KS.get(kind, (1,)) if k < min(before.choices for before, _ in pairs)]
    if not ks:
        return []
    sides = [(_hits(before, ks), _hits(after, ks), before.units) for before, after in pairs]
    values, drawn = paired_differences(sides)
    shares = np.concatenate([first.mean(axis=0) for first, _, _ in sides])
    names = [_NAMES.get(kind, f"{kind} R@{k}") for k in ks]
    found = []
    for place, (before, _) in enumerate(pairs):
        for column, name in enumerate(names, place * len(ks)):
            difference = estimate(float(values[column]), drawn[:, column])
            found.append(Price(precision, before.language, name, float(shares[column]), difference))
    if len(pairs) > 1:
        for column, name in enumerate(names):
            of = slice(column, None, len(ks))
            mean = estimate(float(values[of].mean()), drawn[:, of].mean(axis=1))
            found.append(Price(precision, MEAN, name, float(shares[of].mean()), mean))
    return found


def _hits(outcome: Outcome, ks: Sequence[int]) -> NDArray[np.bool_]:
    """Whether each query (Q,) found a right item among the first k (Q, K)."""
    return outcome.ranks[:, None] < np.array(ks)


def _agreement(precision: str, kind: str, exact: Embeddings, other: Embeddings) -> Agreement:
    cosines = (exact * other).sum(axis=1)
    return Agreement(precision, kind, len(cosines), float(cosines.min()), float(cosines.mean()))


class _Remembering:
    """An encoder whose text embeddings are kept, to be compared one by one."""

    def __init__(self, encoder: Encoder) -> None:
        self._encoder, self._rows = encoder, [np.zeros((0, encoder.dim), np.float32)]
        self.encode_images: Callable[..., Embeddings] = encoder.encode_images

    def encode_texts(self, texts: Sequence[str]) -> Embeddings:
        self._rows.append(self._encoder.encode_texts(texts, progress=False))
        return self._rows[-1]

    @property
    def all(self) -> Embeddings:
        return np.concatenate(self._rows)

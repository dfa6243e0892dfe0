"""Retrieval on a set with captions, in each of its languages: from embeddings to figures.

Where every language captions the images in the same order, text to text is measured too: a caption's translation is to
be found among all English ones, and the other way.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from altclip.evaluate.benchmarks import Captions, CaptionSet
from altclip.evaluate.figures import MEAN_RECALL, Figure, exact
from altclip.metrics import (
    Direction,
    Embeddings,
    RetrievalRanks,
    alignment,
    retrieval_figures,
    retrieval_ranks,
    share_within,
    translation_ranks,
    wilson,
)

KS = (1, 5, 10)


def retrieval_of(content: CaptionSet, images: Embeddings, texts: Mapping[str, Embeddings]) -> list[Figure]:
    """All figures, of images (I, D) and by language of texts (T, D); language by language."""
    figures = []
    for language, captions in content.captions.items():
        figures += _recalls(content, language, images, texts[language])
        figures += _spaces(language, images, texts[language], captions)
        if language != "en" and _parallel(captions, content.captions.get("en")):
            figures += _translations(language, texts, content.captions)
    return figures


def _recalls(content: CaptionSet, language: str, images: Embeddings, texts: Embeddings) -> list[Figure]:
    ranks = _ranks(content, content.captions[language].owners, images, texts)
    ks = [k for k in KS if k < min(ranks.images, ranks.texts)]  # a k that takes in every choice says nothing
    if not ks:
        return []
    found = retrieval_figures(ranks, ks)
    figures = [*_direction("T2I", language, found.text_to_image), *_direction("I2T", language, found.image_to_text)]
    if tuple(ks) == KS:
        both = found.text_to_image.queries + found.image_to_text.queries
        figures.append(Figure(language, MEAN_RECALL, found.mean_recall, both, ranks.images))
    return figures


def _direction(side: str, language: str, found: Direction) -> list[Figure]:
    named = {f"R@{k}": estimate for k, estimate in found.recall.items()}
    named |= {"median rank": found.median_rank, "mean rank": found.mean_rank}
    return [Figure(language, f"{side} {name}", of, found.queries, found.choices) for name, of in named.items()]


def _ranks(content: CaptionSet, owners: NDArray[np.int64], images: Embeddings, texts: Embeddings) -> RetrievalRanks:
    """Of the whole set, or of each of its parts, put together: the mean of equal parts is the figure of them all."""
    if content.folds == 1:
        return retrieval_ranks(images, texts, owners, distractors=content.distractors)
    size, parts = len(images) // content.folds, []
    for start in range(0, len(images), size):
        kept = np.flatnonzero((owners[:, 0] >= start) & (owners[:, 0] < start + size))
        part = retrieval_ranks(images[start : start + size], texts[kept], owners[kept] - start)
        parts.append((part, start))
    return RetrievalRanks(
        np.concatenate([part.text_to_image for part, _ in parts]),
        np.concatenate([part.image_to_text for part, _ in parts]),
        np.concatenate([part.text_units + start for part, start in parts]),
        np.concatenate([part.image_units + start for part, start in parts]),
        size,
        min(part.texts for part, _ in parts),
    )


def _spaces(language: str, images: Embeddings, texts: Embeddings, captions: Captions) -> list[Figure]:
    if len(images) < 2:
        return []
    found = alignment(images, texts, captions.owners[:, 0])
    named = {"cosine matched": found.matched, "cosine others": found.others, "gap": found.gap}
    return [Figure(language, name, exact(value), len(texts), len(images)) for name, value in named.items()]


def _parallel(captions: Captions, english: Captions | None) -> bool:
    return english is not None and np.array_equal(captions.owners, english.owners)


def _translations(language: str, texts: Mapping[str, Embeddings], captions: Mapping[str, Captions]) -> Sequence[Figure]:
    own, english = texts[language], texts["en"]
    into = translation_ranks(own, english, captions["en"].texts)
    back = translation_ranks(english, own, captions[language].texts)
    named = {"to English R@1": into, "from English R@1": back}
    return [
        Figure(language, name, wilson(round(share_within(of, 1) * len(of)), len(of)), len(of), len(of))
        for name, of in named.items()
    ]

"""Retrieval on a set with captions, in each of its languages: from embeddings to findings.

Where every language captions the images in the same order, once each, text to text is measured too: a caption's
translation is to be found among all English ones, and the other way.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from altclip.evaluate.benchmarks import Captions, CaptionSet, Translations
from altclip.evaluate.suites.figures import MEAN_RECALL, Figure, exact
from altclip.evaluate.suites.findings import Findings
from altclip.evaluate.suites.outcomes import Outcome
from altclip.evaluate.suites.sights import Item, Sheet, sheet
from altclip.evaluate.suites.translated import translations_of
from altclip.metrics import (
    Direction,
    Embeddings,
    RetrievalRanks,
    alignment,
    retrieval_figures,
    retrieval_ranks,
)

KS = (1, 5, 10)


def retrieval_of(content: CaptionSet, images: Embeddings, texts: Mapping[str, Embeddings]) -> Findings:
    """All that is told of images (I, D) and, by language, texts (T, D); language by language."""
    findings = Findings()
    for language, captions in content.captions.items():
        findings += _recalls(content, language, images, texts[language])
        findings += Findings(_spaces(language, images, texts[language], captions))
        if language != "en" and _parallel(captions, content.captions.get("en")):
            findings += translations_of(
                language, Translations(captions.texts, content.captions["en"].texts), (texts[language], texts["en"]),
                captions.owners[:, 0],
            )  # fmt: skip
    return findings


def _recalls(content: CaptionSet, language: str, images: Embeddings, texts: Embeddings) -> Findings:
    ranks = _ranks(content, content.captions[language].owners, images, texts)
    ks = [k for k in KS if k < min(ranks.images, ranks.texts)]  # a k that takes in every choice says nothing
    if not ks:
        return Findings()
    found = retrieval_figures(ranks, ks)
    figures = [*_direction("T2I", language, found.text_to_image), *_direction("I2T", language, found.image_to_text)]
    if tuple(ks) == KS:
        both = found.text_to_image.queries + found.image_to_text.queries
        figures.append(Figure(language, MEAN_RECALL, found.mean_recall, both, ranks.images))
    outcomes = (
        Outcome(language, "T2I", ranks.text_to_image, ranks.text_units, ranks.images),
        Outcome(language, "I2T", ranks.image_to_text, ranks.image_units, ranks.texts),
    )
    # in a part of a set, ranks are not those among all of it
    sheets = _sheets(content, language, images, texts, ranks) if content.folds == 1 else ()
    return Findings(figures, outcomes, sheets)


def _sheets(
    content: CaptionSet, language: str, images: Embeddings, texts: Embeddings, ranks: RetrievalRanks
) -> tuple[Sheet, Sheet]:
    captions = content.captions[language]
    of_texts = [[int(owner) for owner in row if owner >= 0] for row in captions.owners]
    of_images: dict[int, list[int]] = {}
    for number, owners in enumerate(of_texts):
        for owner in owners:
            of_images.setdefault(owner, []).append(number)
    asked = ranks.image_units
    all_images = (images, [Item(image=number) for number in range(len(images))])
    all_texts = (texts, [Item(text=text) for text in captions.texts])
    asked_images = (images[asked], [Item(image=int(number)) for number in asked])
    return (
        sheet(language, "T2I", all_texts, all_images, of_texts, ranks.text_to_image),
        sheet(
            language, "I2T", asked_images, all_texts, [of_images[int(number)] for number in asked], ranks.image_to_text
        ),
    )


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
    """Whether caption n of both is of the same image and the only one of it: several of one are no translations."""
    return (
        english is not None
        and np.array_equal(captions.owners, english.owners)
        and len(np.unique(captions.owners[:, 0])) == len(captions.owners)
    )

"""Zero-shot classification by names in several languages, from embeddings; nothing here opens a file or runs a model.

An image goes to the class whose name is nearest. Where a language gives one name to two classes, either counts. Against
English, both languages see the same images and choose among the same classes: those named in both.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from altclip.errors import DataError
from altclip.evaluate.embedding import Embedded, Named, Prompts
from altclip.evaluate.mini.results import ALL_LANGUAGES, LEFT_OUT, OTHERS, OVER_ENGLISH, Result, Task, shares
from altclip.metrics import Ranks, best_ranks, groups_of, ratio

TOP: dict[int, str] = {1: "top-1", 5: "top-5"}


def class_ranks(images: Embedded, shown: NDArray[np.int64], classes: Named) -> Ranks:
    """Rank of the right class for each image of `shown`, all of which show one of these classes."""
    groups = groups_of(classes.names)
    group_of = dict(zip(classes.keys, groups, strict=True))
    wanted = np.array([group_of[key] for key in images.keys[shown]], dtype=np.int64)
    return best_ranks(images.embeddings[shown], classes.embeddings, wanted, groups)


def zero_shot(
    images: Embedded, languages: Mapping[str, Named], prompts: Prompts, task: Task = "photographs"
) -> list[Result]:
    """Top-1 and top-5 in each language, and top-1 over English for each other one."""
    results = []
    for language, classes in languages.items():
        shown = _shown(images, classes.keys, language)
        ranks = class_ranks(images, shown, classes)
        results += shares(ranks, task, language, prompts, TOP, len(classes.keys))
        if language != "en":
            pairs = paired_hits(images, classes, languages["en"], language)
            metric = f"top-1 {OVER_ENGLISH}"
            estimate = ratio(pairs.own, pairs.english)
            results.append(Result(task, language, prompts, metric, estimate, len(pairs.own), pairs.choices))
    return results


@dataclass(frozen=True)
class PairedHits:
    """Which images (M,) are right in a language, and in English, choosing among the same classes."""

    shown: NDArray[np.int64]
    own: NDArray[np.bool_]
    english: NDArray[np.bool_]
    choices: int


def paired_hits(images: Embedded, classes: Named, english: Named, language: str) -> PairedHits:
    """Top-1 on the classes named in both. Raises DataError if there is no image of one."""
    both = set(classes.keys) & set(english.keys)
    shown = _shown(images, both, f"{language} and in English")
    own = class_ranks(images, shown, classes.among(both)) == 0
    return PairedHits(shown, own, class_ranks(images, shown, english.among(both)) == 0, len(both))


def left_out(
    images: Embedded, languages: Mapping[str, Named], pairs: Collection[tuple[str, str]], prompts: Prompts
) -> list[Result]:
    """Top-1 over English on images whose class's name in the language is among `pairs`, and on the others.

    All classes named in both stand for choice either way. Over all languages together, images are resampled whole.
    """
    results = []
    # for each group, what an image adds up to over the languages: hits, English hits, how often it was asked for
    totals = {group: np.zeros((len(images.keys), 3), np.int64) for group in (LEFT_OUT, OTHERS)}
    for language, classes in languages.items():
        if language == "en":
            continue
        hits = paired_hits(images, classes, languages["en"], language)
        unseen = np.isin(images.keys[hits.shown], [key for key, of in pairs if of == language])
        for group, members in ((LEFT_OUT, unseen), (OTHERS, ~unseen)):
            rows = np.stack([hits.own, hits.english, np.ones_like(hits.own)], axis=1)[members].astype(np.int64)
            totals[group][hits.shown[members]] += rows
            results += _ratio_of(rows, language, prompts, group, hits.choices)
    for group, rows in totals.items():
        results += _ratio_of(rows[rows[:, 2] > 0], ALL_LANGUAGES, prompts, group, 0)
    return results


def _ratio_of(rows: NDArray[Any], language: str, prompts: Prompts, group: str, choices: int) -> list[Result]:
    """The ratio on a group of names; nothing where the language has none in it."""
    if not len(rows):
        return []
    estimate = ratio(rows[:, 0], rows[:, 1])
    count = int(rows[:, 2].sum())
    return [Result("left out", language, prompts, f"top-1 {OVER_ENGLISH}", estimate, count, choices, group)]


def _shown(images: Embedded, keys: Collection[str], named_in: str) -> NDArray[np.int64]:
    shown = images.of(keys)
    if not len(shown):
        raise DataError(f"no image shows a class that has a name in {named_in}: leave the language out")
    return shown

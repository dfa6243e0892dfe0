"""From embeddings to what is shown: the five likeliest of all labels, and photographs ranked by words.

Shapes: N photographs, L labels, W words, D length of an embedding. All rows have length 1.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from altclip.demo.pictures import Photograph
from altclip.encoder.labels import probabilities
from altclip.languages import NAMES, Language

TOP: Final = 5
WORDS: Final = 5  # searches beside those for what is known to be there
Rows = NDArray[np.float32]


@dataclass(frozen=True)
class Guess:
    """A label, its probability among all, and its place (1 is the likeliest)."""

    wnid: str
    label: str
    probability: float
    place: int


@dataclass(frozen=True)
class Guesses:
    """Of one photograph the first five, and the right label's place if it has one."""

    top: tuple[Guess, ...]
    right: Guess | None = None


@dataclass(frozen=True)
class Hit:
    """A photograph (its index), the cosine to the words, and whether it is known to show what they name."""

    photograph: int
    similarity: float
    right: bool


@dataclass(frozen=True)
class Search:
    """Words and the five photographs nearest to them; place: that of the first right one, if there is any."""

    wnid: str
    words: str
    hits: tuple[Hit, ...]
    place: int | None = None


@dataclass(frozen=True)
class InLanguage:
    """Everything in one language; `guesses` in the order of the photographs."""

    language: Language
    guesses: tuple[Guesses, ...]
    searches: tuple[Search, ...]


@dataclass(frozen=True)
class Results:
    """What table, page and JSON show.

    rule: how the words of the searches were chosen; failures: names of files that could not be opened, and the errors;
    left_out: how many more photographs there were than are shown.
    """

    model: str
    labels: int
    photographs: tuple[Photograph, ...]
    rule: str
    languages: tuple[InLanguage, ...]
    failures: tuple[tuple[str, str], ...] = ()
    left_out: int = 0

    def to_dict(self) -> dict[str, Any]:
        """In plain types, for JSON; photographs are named in place of their index."""
        names = [photograph.name for photograph in self.photographs]
        return {
            "model": self.model,
            "labels": self.labels,
            "photographs": [_described(photograph) for photograph in self.photographs],
            "left_out": self.left_out,
            "searches_for": self.rule,
            "languages": {part.language: _in_language(part, names) for part in self.languages},
            "errors": [{"image": name, "error": error} for name, error in self.failures],
        }


def guess(
    images_ND: Rows, labels_LD: Rows, labels: Mapping[str, str], right: Sequence[str | None], logit_scale: float
) -> list[Guesses]:
    """For each photograph the five likeliest of all labels, by softmax(exp(logit_scale) * cosine).

    labels: wnid to label, in the order of the rows; right: the wnid of what each photograph is known to show, or None.
    """
    wnids = list(labels)
    chances_NL = probabilities(images_ND @ labels_LD.T, logit_scale)
    return [_guesses(row, labels, wnids, truth) for row, truth in zip(chances_NL, right, strict=True)]


def _guesses(row: NDArray[np.float64], labels: Mapping[str, str], wnids: Sequence[str], truth: str | None) -> Guesses:
    order = np.argsort(-row, kind="stable")
    ranking = [
        Guess(wnids[index], labels[wnids[index]], float(row[index]), place) for place, index in enumerate(order, 1)
    ]
    return Guesses(tuple(ranking[:TOP]), next((each for each in ranking if each.wnid == truth), None))


def find(words_WD: Rows, images_ND: Rows, words: Mapping[str, str], right: Sequence[str | None]) -> list[Search]:
    """For each of the words (wnid to word, in the order of the rows) the photographs nearest to it."""
    return [
        _search(wnid, word, cosines, right)
        for (wnid, word), cosines in zip(words.items(), words_WD @ images_ND.T, strict=True)
    ]


def _search(wnid: str, word: str, cosines: Rows, right: Sequence[str | None]) -> Search:
    order = np.argsort(-cosines, kind="stable")
    hits = [Hit(int(index), float(cosines[index]), right[index] == wnid) for index in order]
    return Search(wnid, word, tuple(hits[:TOP]), next((place for place, hit in enumerate(hits, 1) if hit.right), None))


def words_to_find(
    wnids: Sequence[str], right: Sequence[str | None], guesses: Sequence[Guesses], language: Language
) -> tuple[list[str], str]:
    """Which labels to search for, as wnids, and the rule in words. It never looks at what a search finds.

    Where something is known of the photographs: what they show, then labels at even steps through the list. Of a user's
    photographs nothing is known, so it is the first guesses (`guesses`, made in `language`) that most have in common.
    """
    known = [wnid for wnid in dict.fromkeys(right) if wnid is not None]
    if known:
        step = len(wnids) // WORDS
        others = [wnid for wnid in wnids[::step][:WORDS] if wnid not in known]
        return known + others, f"what the photographs are known to show, then every {step}th of the {len(wnids)} labels"
    common = Counter(each.top[0].wnid for each in guesses).most_common(WORDS)
    return [wnid for wnid, _ in common], f"the labels that came first for the most photographs in {NAMES[language]}"


def _described(photograph: Photograph) -> dict[str, Any]:
    known = {"shows": photograph.shows, "wnid": photograph.wnid} if photograph.told else {}
    return {"image": photograph.name, "path": str(photograph.path), **known}


def _in_language(part: InLanguage, names: Sequence[str]) -> dict[str, Any]:
    return {
        "predictions": [
            {
                "image": name,
                "top": [_plain(each) for each in guesses.top],
                "right": _plain(guesses.right) if guesses.right else None,
            }
            for name, guesses in zip(names, part.guesses, strict=True)
        ],
        "searches": [
            {
                "words": search.words,
                "wnid": search.wnid,
                "right_at": search.place,
                "found": [{"image": names[hit.photograph], "similarity": hit.similarity} for hit in search.hits],
            }
            for search in part.searches
        ],
    }


def _plain(guess: Guess) -> dict[str, Any]:
    return {"wnid": guess.wnid, "label": guess.label, "probability": guess.probability, "place": guess.place}

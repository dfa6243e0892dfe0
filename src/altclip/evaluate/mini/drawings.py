"""Text to image over drawings of one style: a concept's name is asked for, its drawing is to be found among all.

Pure: from embeddings to figures. The gallery is every drawing of the style, in every language; where a language gives
one name to two concepts, either's drawing counts.
"""

from __future__ import annotations

from collections.abc import Mapping

from altclip.errors import DataError
from altclip.evaluate.embedding import Embedded, Named, Prompts
from altclip.evaluate.mini.results import OVER_ENGLISH, Result, shares
from altclip.metrics import Ranks, best_ranks, groups_of, ratio

RECALLS: dict[int, str] = {1: "R@1", 5: "R@5", 10: "R@10"}


def find_drawings(gallery: Embedded, languages: Mapping[str, Named], prompts: Prompts = "names") -> list[Result]:
    """Recall at 1, 5 and 10 in each language; R@10 over English on the concepts named in both, resampling concepts."""
    results, drawn = [], set(gallery.keys.tolist())
    for language, named in languages.items():
        asked = named.among(drawn)
        if not asked.keys:
            raise DataError(f"no drawing shows a concept that has a name in {language}: leave the language out")
        ranks = drawing_ranks(gallery, asked)
        results += shares(ranks, "drawings", language, prompts, RECALLS, len(gallery.keys))
        if language != "en" and len(gallery.keys) > 10:
            results.append(_over_english(gallery, asked, languages["en"].among(drawn), language, prompts))
    return results


def drawing_ranks(gallery: Embedded, asked: Named) -> Ranks:
    """Rank of the right drawing for each concept asked for."""
    name_of = dict(zip(asked.keys, asked.names, strict=True))
    shown = [name_of.get(key, ("no name", key)) for key in gallery.keys.tolist()]
    groups = groups_of([*asked.names, *shown])
    return best_ranks(asked.embeddings, gallery.embeddings, groups[: len(asked.names)], groups[len(asked.names) :])


def _over_english(gallery: Embedded, asked: Named, english: Named, language: str, prompts: Prompts) -> Result:
    both = set(asked.keys) & set(english.keys)
    if not both:
        raise DataError(f"no drawing shows a concept that has a name in {language} and in English")
    own, base = asked.among(both), english.among(both)
    hits = dict(zip(base.keys, drawing_ranks(gallery, base) < 10, strict=True))
    estimate = ratio(drawing_ranks(gallery, own) < 10, [hits[key] for key in own.keys])
    return Result("drawings", language, prompts, f"R@10 {OVER_ENGLISH}", estimate, len(both), len(gallery.keys))

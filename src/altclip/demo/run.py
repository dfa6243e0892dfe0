"""From photographs to results: embed them once, then go through the languages one by one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from altclip.demo.pictures import Photograph
from altclip.demo.results import InLanguage, Results, Rows, find, guess, words_to_find
from altclip.errors import InputError, UsageError
from altclip.languages import LANGUAGES, NAMES, Language
from altclip.prompts import label_set

if TYPE_CHECKING:
    from altclip.encoder import Encoder

LABEL_SET: Final = "mini"


def choose(asked: Sequence[str]) -> tuple[Language, ...]:
    """These of the nine languages, in the usual order; all for none. Raises UsageError for an unknown one."""
    if unknown := [language for language in asked if language not in LANGUAGES]:
        raise UsageError(f"unknown language {', '.join(map(repr, unknown))}: expected some of {', '.join(LANGUAGES)}")
    return tuple(language for language in LANGUAGES if not asked or language in asked)


def look(
    encoder: Encoder,
    photographs: Sequence[Photograph],
    languages: Sequence[Language] = LANGUAGES,
    *,
    limit: int | None = None,
    report: Callable[[str], object] | None = None,
) -> Results:
    """What the model sees in the photographs; of more than `limit`, in the first ones.

    report: told in a line what is being done.

    Raises:
        InputError: none of the photographs can be opened. One bad file among good ones is in `failures` instead.
    """
    tell = report or str  # a function that does nothing
    tell(f"looking at {len(photographs[:limit])} photographs")
    good, images_ND, failures = _embedded(encoder, photographs[:limit])
    parts: list[InLanguage] = []
    wnids: list[str] = []
    rule = ""
    for number, language in enumerate(languages, 1):
        labels = label_set(LABEL_SET, language)
        tell(f"{len(labels)} labels in {NAMES[language]} ({number} of {len(languages)})")
        right = [photograph.wnid for photograph in good]
        labels_LD = encoder.encode_labels(labels.values(), language=language)
        guesses = guess(images_ND, labels_LD, labels, right, encoder.logit_scale)
        if not wnids:  # the same things are searched for in every language
            wnids, rule = words_to_find(list(labels), right, guesses, language)
        words = {wnid: labels[wnid] for wnid in wnids}
        searches = find(encoder.encode_texts(words.values()), images_ND, words, right)
        parts.append(InLanguage(language, tuple(guesses), tuple(searches)))
    return Results(
        model=encoder.name, labels=len(label_set(LABEL_SET, "en")), photographs=tuple(good), rule=rule,
        languages=tuple(parts), failures=failures, left_out=len(photographs[limit:]) if limit else 0,
    )  # fmt: skip


def _embedded(
    encoder: Encoder, photographs: Sequence[Photograph]
) -> tuple[list[Photograph], Rows, tuple[tuple[str, str], ...]]:
    """The photographs that can be opened, their embeddings (N, D), and the names of the others with the errors."""
    bad: dict[int, InputError] = {}
    rows = encoder.encode_images([photograph.path for photograph in photographs], on_error=bad.__setitem__)
    failures = tuple((photographs[place].name, str(error)) for place, error in sorted(bad.items()))
    good = [photograph for place, photograph in enumerate(photographs) if place not in bad]
    if not good:
        raise InputError("\n".join(["none of the photographs can be opened:", *(error for _, error in failures)]))
    return good, rows, failures

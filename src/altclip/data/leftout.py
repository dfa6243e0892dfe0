"""Which names a run may leave out of its training text: the rule, shared by training and by the evaluation of it."""

from __future__ import annotations

from altclip.data.labels import Labels
from altclip.languages import LANGUAGES


def left_out_pairs(labels: Labels, every: int) -> set[tuple[str, str]]:
    """The (class, language) pairs that lose their names: class i and language j where (i + j) % every == 0."""
    foreign = [language for language in LANGUAGES if language != "en"]
    return {
        (key, language)
        for i, key in enumerate(sorted(labels.names))
        for j, language in enumerate(foreign)
        if (i + j) % every == 0 and labels.names[key].get(language)
    }

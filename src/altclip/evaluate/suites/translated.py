"""Text to text: a text's translation is to be found among all English ones, and the other way."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from altclip.evaluate.benchmarks import Translations
from altclip.evaluate.suites.figures import Figure
from altclip.evaluate.suites.findings import Findings
from altclip.evaluate.suites.outcomes import Kind, Outcome
from altclip.metrics import Embeddings, Ranks, translation_ranks, wilson


def translations_of(
    language: str, texts: Translations, embedded: tuple[Embeddings, Embeddings], units: NDArray[np.int64]
) -> Findings:
    """Of texts and their embeddings, own (N, D) and English (N, D); units: what one draw of a bootstrap takes (N,).

    A translation that occurs more than once is right wherever it stands.
    """
    own, english = embedded
    named: dict[Kind, Ranks] = {
        "to English": translation_ranks(own, english, texts.english),
        "from English": translation_ranks(english, own, texts.own),
    }
    count = len(own)
    return Findings(
        [
            Figure(language, f"{kind} R@1", wilson(int((ranks < 1).sum()), count), count, count)
            for kind, ranks in named.items()
        ],
        [Outcome(language, kind, ranks, units, count) for kind, ranks in named.items()],
    )

"""Zero-shot classification on a set with classes, in each language that it has names in."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from altclip.evaluate.benchmarks import LabelledSet
from altclip.evaluate.embedding import Embedder, embed_labels
from altclip.evaluate.figures import Figure, exact
from altclip.evaluate.results import PROMPTS, Prompts
from altclip.evaluate.zeroshot import Embedded, Named
from altclip.languages import LANGUAGES
from altclip.metrics import classification, groups_of
from altclip.prompts import prompts_for


def accuracies_of(content: LabelledSet, encoder: Embedder, images: Embedded, scale: float) -> Iterator[Figure]:
    """By names alone, and with the templates of the language where there are some.

    scale: what the model multiplies cosines by, for the calibration error. Where a language gives one name to two
    classes, either counts.
    """
    for language in content.languages:
        for kind in PROMPTS:
            if kind == "names" or language in LANGUAGES:
                yield from _figures(images, _classes(content, encoder, language, kind), language, kind, scale)


def _classes(content: LabelledSet, encoder: Embedder, language: str, kind: Prompts) -> Named:
    for known in LANGUAGES:
        if known == language:
            return embed_labels(encoder, content.labels, [known], kind)[known]
    keys = content.labels.keys_in([language])
    names = [content.labels.names[key][language][0] for key in keys]
    embeddings = encoder.encode_texts([prompt for of in prompts_for(names, templates=None) for prompt in of])
    return Named(tuple(keys), tuple(names), embeddings)


def _figures(images: Embedded, classes: Named, language: str, kind: Prompts, scale: float) -> Iterator[Figure]:
    groups = groups_of(classes.names)
    group_of = dict(zip(classes.keys, groups, strict=True))
    wanted = np.array([group_of[key] for key in images.keys.tolist()], dtype=np.int64)
    found = classification(images.embeddings, classes.embeddings, wanted, groups, scale=scale)
    named = {f"top-{k}": estimate for k, estimate in found.top.items()}
    named |= {"mean per class": found.mean_per_class, "calibration error": exact(found.calibration_error)}
    for name, estimate in named.items():
        yield Figure(language, name, estimate, len(wanted), len(groups), kind)

"""Zero-shot classification on a set with classes, in each language that it has names in."""

from __future__ import annotations

import numpy as np

from altclip.evaluate.benchmarks import LabelledSet
from altclip.evaluate.embedding import PROMPTS, Embedded, Embedder, Named, Prompts, embed_labels
from altclip.evaluate.suites.figures import Figure, exact
from altclip.evaluate.suites.findings import Findings
from altclip.evaluate.suites.outcomes import Outcome
from altclip.evaluate.suites.sights import Item, confusion, sheet
from altclip.languages import LANGUAGES
from altclip.metrics import classification, groups_of
from altclip.prompts import prompts_for


def accuracies_of(content: LabelledSet, encoder: Embedder, images: Embedded, scale: float) -> Findings:
    """By names alone, and with the templates of the language where there are some.

    scale: what the model multiplies cosines by, for the calibration error. Where a language gives one name to two
    classes, either counts. Images of classes without a name in a language are not asked for in it.
    """
    findings = Findings()
    for language in content.languages:
        for kind in PROMPTS:
            if kind == "names" or language in LANGUAGES:
                findings += _findings(images, _classes(content, encoder, language, kind), language, kind, scale)
    return findings


def _classes(content: LabelledSet, encoder: Embedder, language: str, kind: Prompts) -> Named:
    for known in LANGUAGES:
        if known == language:
            return embed_labels(encoder, content.labels, [known], kind)[known]
    keys = content.labels.keys_in([language])
    names = [content.labels.names[key][language][0] for key in keys]
    embeddings = encoder.encode_texts([prompt for of in prompts_for(names, templates=None) for prompt in of])
    return Named(tuple(keys), tuple(names), embeddings)


def _findings(images: Embedded, classes: Named, language: str, kind: Prompts, scale: float) -> Findings:
    units = images.of(classes.keys)
    asked, groups = images.embeddings[units], groups_of(classes.names)
    group_of = dict(zip(classes.keys, groups, strict=True))
    wanted = np.array([group_of[key] for key in images.keys[units].tolist()], dtype=np.int64)
    found = classification(asked, classes.embeddings, wanted, groups, scale=scale)
    named = {f"top-{k}": estimate for k, estimate in found.top.items()}
    named |= {"mean per class": found.mean_per_class, "calibration error": exact(found.calibration_error)}
    name_of = dict(zip(groups.tolist(), classes.names, strict=True))
    members = {group: [row for row, of in enumerate(groups.tolist()) if of == group] for group in name_of}
    return Findings(
        [Figure(language, name, estimate, len(wanted), len(groups), kind) for name, estimate in named.items()],
        [Outcome(language, kind, found.ranks, units, len(groups))],
        [
            sheet(
                language,
                "I2T",
                (asked, [Item(image=int(unit)) for unit in units]),
                (classes.embeddings, [Item(text=name) for name in classes.names]),
                [members[group] for group in wanted.tolist()],
                found.ranks,
            )
        ]
        if kind == "templates" or language not in LANGUAGES
        else [],
        [confusion(language, kind, wanted.tolist(), groups[found.nearest].tolist(), name_of)],
    )

"""Reports made by hand, for the page: tiny images, known ranks, texts in two directions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image

from altclip.evaluate.embedding import Prompts
from altclip.evaluate.images import ImageSet
from altclip.evaluate.suites.figures import Figure, exact
from altclip.evaluate.suites.findings import Findings
from altclip.evaluate.suites.outcomes import Kind, Outcome
from altclip.evaluate.suites.published import Row
from altclip.evaluate.suites.report import Measured, Model, SetReport, SuiteReport
from altclip.evaluate.suites.sights import Confusion, Found, Item, Query, Sheet, WorstClass
from altclip.metrics import Estimate

COLOURS = ("red", "green", "blue", "yellow", "purple", "orange", "black", "white")
CAPTIONS = {
    "en": ("a red square", "a <b>green</b> square", "a blue square"),
    "ar": ("مربع أحمر", "مربع أخضر (2)", "مربع أزرق"),
}


def colour_images(colours: Sequence[str] = COLOURS) -> ImageSet:
    pictures = [Image.new("RGB", (8, 8), colour) for colour in colours]
    return ImageSet("colours", pictures.__getitem__, tuple(f"{colour}.jpg" for colour in colours), "c0" * 32)


def figure(language: str, metric: str, value: float, prompts: Prompts | None = None, spread: float = 0.05) -> Figure:
    estimate = Estimate(value, value - spread, value + spread) if spread else exact(value)
    return Figure(language, metric, estimate, 4, 8, prompts)


def outcome(language: str, kind: Kind, ranks: Sequence[int], choices: int = 8) -> Outcome:
    return Outcome(language, kind, np.array(ranks, np.int64), np.arange(len(ranks)), choices)


def text_query(text: str, images: Sequence[int], right: int, rank: int) -> Query:
    """A text that found images."""
    found = tuple(Found(Item(image=n), 0.5 - 0.1 * place, n == right) for place, n in enumerate(images))
    return Query(Item(text=text), found, rank, Item(image=right))


def image_query(image: int, texts: Sequence[str], right: str, rank: int) -> Query:
    """An image that found texts."""
    found = tuple(Found(Item(text=text), 0.5 - 0.1 * place, text == right) for place, text in enumerate(texts))
    return Query(Item(image=image), found, rank, Item(text=right))


def retrieval(languages: Sequence[str], value: float) -> Findings:
    """Figures around a value; of three texts one hit and two missed, of two images one."""
    made = Findings()
    for language in languages:
        texts = CAPTIONS[language]
        figures = [
            *(figure(language, f"{side} R@{k}", value + k / 100) for side in ("T2I", "I2T") for k in (1, 5, 10)),
            figure(language, "T2I mean rank", 10 - 10 * value, spread=0),
            figure(language, "MR", value),
        ]
        outcomes = [outcome(language, "T2I", [0, 11, 2]), outcome(language, "I2T", [0, 1])]
        sheets = [
            Sheet(
                language,
                "T2I",
                (text_query(texts[0], [0, 1, 2, 3, 4], 0, 0),),
                (text_query(texts[1], [2, 3, 4, 5, 6], 1, 11), text_query(texts[2], [0, 1, 2, 3, 4], 2, 2)),
            ),
            Sheet(
                language, "I2T", (image_query(0, texts, texts[0], 0),), (image_query(2, texts[:2], texts[2], 1_233),)
            ),
        ]
        made += Findings(figures, outcomes, sheets)
    return made


def classes(names: Mapping[str, Sequence[str]], value: float, prompts: Sequence[Prompts]) -> Findings:
    """A set of classes: the worst one is taken for two others."""
    made = Findings()
    for language, of in names.items():
        for kind in prompts:
            made += Findings(
                [figure(language, "top-1", value, kind), figure(language, "calibration error", 0.1, kind, spread=0)],
                [outcome(language, kind, [0, 0, 1, 5])],
                [Sheet(language, "I2T", (image_query(0, of, of[0], 0),), ())] if kind == prompts[-1] else [],
                [Confusion(language, kind, (WorstClass(of[0], 3, 9, ((of[1], 4), (of[2], 2))),))],
            )
    return made


def set_report(
    measured: Sequence[tuple[Model, Findings]], title: str = "Squares", published: Sequence[Row] = (), **data: Any
) -> SetReport:
    languages = list(dict.fromkeys(f.language for _, findings in measured for f in findings.figures))
    content = {"images": 8, "digest": "d1" * 32, "captions": dict.fromkeys(languages, 1234), **data}
    timed = [Measured(model, 1.25, findings) for model, findings in measured]
    return SetReport(
        "squares", title, content, ["2 captions without words: 7"], timed, list(published), colour_images()
    )


def model(label: str, source: str = "folder/model") -> Model:
    return Model(label, source, "0123456789abcdef" * 4)


def suite_report(*sets: SetReport, title: str = "Two sets") -> SuiteReport:
    models = list(dict.fromkeys(of.model for each in sets for of in each.measured))
    return SuiteReport(title, models, list(sets), {"altclip": "1.2.3", "torch": "2.13.0"}, "f" * 40 + "+")


def published_row(language: str, method: str, **figures: float) -> Row:
    return Row(language, method, figures, "a paper")

"""Models side by side on one benchmark set, beside the published rows: JSON and tables."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from altclip.evaluate.figures import ACCURACIES, MEAN_RECALL, RANKS, RECALLS, SHARES, SPACES, Figure
from altclip.evaluate.published import Row
from altclip.evaluate.results import PROMPTS
from altclip.evaluate.tables import NOTHING, TITLES, Table

_EITHER: Final = "R@10"  # published without its direction
_INTERVAL: Final = (
    "95 %: Wilson for top-k and text to text; for retrieval a bootstrap that draws images with all their captions "
    "(1,000 samples, seed 0); for the mean per class one that draws images within classes (10,000 samples, seed 0)"
)


@dataclass(frozen=True)
class Measured:
    """A model's figures. digest: of its weights and preprocessing."""

    label: str
    source: str
    digest: str
    seconds: float
    figures: Sequence[Figure]


@dataclass(frozen=True)
class DatasetReport:
    """name, title: of the set; data: its digest and counts; notes: what was left out, by name."""

    name: str
    title: str
    data: Mapping[str, Any]
    notes: Sequence[str]
    models: Sequence[Measured]
    published: Sequence[Row]
    versions: Mapping[str, str]
    commit: str | None

    @property
    def languages(self) -> list[str]:
        return list(dict.fromkeys(figure.language for model in self.models for figure in model.figures))

    def to_dict(self) -> dict[str, Any]:
        """For JSON: figures in the long form, one entry each; published ones in percent, as printed."""
        return {
            "format": 1,
            "versions": dict(self.versions),
            "commit": self.commit,
            "interval": _INTERVAL,
            "dataset": {"name": self.name, "title": self.title, **self.data},
            "notes": list(self.notes),
            "models": [
                {"label": m.label, "source": m.source, "digest": m.digest, "seconds": round(m.seconds, 1)}
                for m in self.models
            ],
            "results": [{"model": m.label, **figure.to_dict()} for m in self.models for figure in m.figures],
            "published": [asdict(row) for row in self.published],
        }


def dataset_tables(report: DatasetReport) -> list[Table]:
    """A table a kind of figure; of a language the published rows first, then each model's."""
    recalls = (*RECALLS, MEAN_RECALL)
    either = (_EITHER,) if any(_EITHER in row.figures for row in report.published) else ()
    made = [
        _table(report, f"{report.title}, retrieval", (*recalls, *either)),
        _table(report, f"{report.title}, ranks", RANKS),
        _table(report, f"{report.title}, how texts lie to images and to English texts", SPACES),
        *(_table(report, f"{report.title}, {TITLES[kind]}", ACCURACIES, kind) for kind in PROMPTS),
    ]
    return [table for table in made if table is not None]


def _table(report: DatasetReport, title: str, metrics: Sequence[str], prompts: str | None = None) -> Table | None:
    """None where no model has a figure for it."""
    found = {
        (model.label, f.language, f.metric): f for model in report.models for f in model.figures if f.prompts == prompts
    }
    kept = [metric for metric in metrics if metric == _EITHER or any(metric == key[2] for key in found)]
    if not any(metric != _EITHER for metric in kept):
        return None
    rows = []
    for language in report.languages:
        rows += [_published(row, kept) for row in report.published if row.language == language]
        for model in report.models:
            cells = [_shown(found.get((model.label, language, metric))) for metric in kept]
            rows.append((language, model.label, *cells))
    return Table(title, ("language", "method", *kept), tuple(row for row in rows if any(c != NOTHING for c in row[2:])))


def _published(row: Row, metrics: Sequence[str]) -> tuple[str, ...]:
    cells = [f"{row.figures[metric]:.1f}" if metric in row.figures else NOTHING for metric in metrics]
    return row.language, f"{row.method} (published)", *cells


def _shown(figure: Figure | None) -> str:
    """`48.1 (46.7–49.5)` in percent; ranks and distances as they are."""
    if figure is None or math.isnan(figure.estimate.value):
        return NOTHING
    estimate, digits, factor = figure.estimate, (1 if figure.metric in (*SHARES, *RANKS) else 3), 1.0
    if figure.metric in SHARES:
        factor = 100.0
    value, low, high = (f"{factor * number:.{digits}f}" for number in (estimate.value, estimate.low, estimate.high))
    return value if math.isnan(estimate.low) else f"{value} ({low}–{high})"

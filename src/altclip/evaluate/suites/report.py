"""Models side by side on the sets of a suite, beside the published rows, as JSON; with the ranks of every query."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from altclip.evaluate.images import ImageSet
from altclip.evaluate.suites.findings import Findings
from altclip.evaluate.suites.outcomes import SUFFIX, Outcome, pack
from altclip.evaluate.suites.published import Row

FORMAT: Final = 2
_INTERVAL: Final = (
    "95 %: Wilson for top-k and text to text; for retrieval a bootstrap that draws images with all their captions "
    "(1,000 samples, seed 0); for the mean per class one that draws images within classes (10,000 samples, seed 0)"
)


@dataclass(frozen=True)
class Model:
    """label: what tables call it; source: where it was opened from; digest: of its weights and preprocessing."""

    label: str
    source: str
    digest: str


@dataclass(frozen=True)
class Measured:
    """What a model did on one set, and how long it took."""

    model: Model
    seconds: float
    findings: Findings


@dataclass(frozen=True)
class SetReport:
    """One set. data: digests and counts; notes: what was left out, by name; images: for those who want to see them."""

    name: str
    title: str
    data: Mapping[str, Any]
    notes: Sequence[str]
    measured: Sequence[Measured]
    published: Sequence[Row]
    images: ImageSet

    @property
    def languages(self) -> list[str]:
        return list(dict.fromkeys(figure.language for of in self.measured for figure in of.findings.figures))

    def to_dict(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "title": self.title,
            "data": dict(self.data),
            "notes": list(self.notes),
            "seconds": {of.model.label: round(of.seconds, 1) for of in self.measured},
            "results": [
                {"model": of.model.label, **figure.to_dict()} for of in self.measured for figure in of.findings.figures
            ],
            "published": [asdict(row) for row in self.published],
        }


@dataclass(frozen=True)
class SuiteReport:
    """title: of the suite; versions: by library; commit: of the source tree, if it ran from one."""

    title: str
    models: Sequence[Model]
    sets: Sequence[SetReport]
    versions: Mapping[str, str]
    commit: str | None

    def to_dict(self) -> dict[str, Any]:
        """For JSON: figures in the long form, one entry each; published ones in percent, as printed."""
        return {
            "format": FORMAT,
            "title": self.title,
            "versions": dict(self.versions),
            "commit": self.commit,
            "interval": _INTERVAL,
            "models": [asdict(model) for model in self.models],
            "sets": [of.to_dict() for of in self.sets],
        }

    def outcomes(self) -> tuple[list[dict[str, Any]], bytes]:
        """An entry for each outcome, and the file that holds their ranks by the entries' keys."""
        kept: dict[str, Outcome] = {}
        entries = []
        for of in self.sets:
            for measured in of.measured:
                for outcome in measured.findings.outcomes:
                    key = str(len(kept))
                    kept[key] = outcome
                    entries.append(
                        {
                            "key": key,
                            "set": of.title,
                            "model": measured.model.label,
                            "language": outcome.language,
                            "kind": outcome.kind,
                            "queries": len(outcome.ranks),
                            "choices": outcome.choices,
                        }
                    )
        return entries, pack(kept)

    def files(self, name: str) -> tuple[dict[str, Any], tuple[str, bytes]]:
        """What goes into `name.json`, and the name and content of the file of ranks beside it."""
        entries, packed = self.outcomes()
        beside = {"file": f"{name}{SUFFIX}", "sha256": hashlib.sha256(packed).hexdigest(), "entries": entries}
        return {**self.to_dict(), "outcomes": beside}, (f"{name}{SUFFIX}", packed)

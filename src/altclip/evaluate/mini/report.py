"""Models side by side: what was measured, and what it was measured on and with, as JSON and as tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from altclip.evaluate.mini.measures import Settings
from altclip.evaluate.mini.results import Result


@dataclass(frozen=True)
class Model:
    """label: what tables call it; source: where it was opened from; digest: of its weights and preprocessing."""

    label: str
    source: str
    digest: str
    seconds: float
    results: Sequence[Result]


@dataclass(frozen=True)
class Report:
    """data: SHA-256 by file; versions: by library; commit: of the source tree, if it ran from one."""

    models: Sequence[Model]
    settings: Settings
    data: Mapping[str, str]
    versions: Mapping[str, str]
    commit: str | None

    def to_dict(self) -> dict[str, Any]:
        """For JSON: results in the long form, one entry a figure."""
        return {
            "format": 1,
            "versions": dict(self.versions),
            "commit": self.commit,
            "interval": "95 %: Wilson for shares, paired bootstrap for ratios (10,000 samples, seed 0)",
            "settings": {**asdict(self.settings), "languages": list(self.settings.languages)},
            "data": dict(self.data),
            "models": [
                {"label": m.label, "source": m.source, "digest": m.digest, "seconds": round(m.seconds, 1)}
                for m in self.models
            ],
            "results": [{"model": m.label, **result.to_dict()} for m in self.models for result in m.results],
        }

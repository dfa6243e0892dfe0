"""One figure of a benchmark set: the long form from which its tables and JSON are made."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final

from altclip.evaluate.embedding import Prompts
from altclip.metrics import Estimate

RECALLS: Final = tuple(f"{side} R@{k}" for side in ("T2I", "I2T") for k in (1, 5, 10))
MEAN_RECALL: Final = "MR"
RANKS: Final = ("T2I median rank", "T2I mean rank", "I2T median rank", "I2T mean rank")
SPACES: Final = ("cosine matched", "cosine others", "gap", "to English R@1", "from English R@1")
ACCURACIES: Final = ("top-1", "top-5", "mean per class", "calibration error")
SHARES: Final = frozenset({*RECALLS, MEAN_RECALL, *ACCURACIES, "to English R@1", "from English R@1", "R@10"})


@dataclass(frozen=True)
class Figure:
    """language: of the texts or names; prompts: for classification, names alone or templates.

    queries: how many images or texts were asked for; choices: among how many. Bounds are NaN where none are known.
    """

    language: str
    metric: str
    estimate: Estimate
    queries: int
    choices: int
    prompts: Prompts | None = None

    def to_dict(self) -> dict[str, Any]:
        """For JSON; what cannot be said is null."""
        numbers = {"value": self.estimate.value, "low": self.estimate.low, "high": self.estimate.high}
        return {
            "language": self.language,
            "prompts": self.prompts,
            "metric": self.metric,
            **{name: None if math.isnan(number) else round(number, 6) for name, number in numbers.items()},
            "queries": self.queries,
            "choices": self.choices,
        }


def exact(value: float) -> Estimate:
    """A figure without an interval."""
    return Estimate(value, math.nan, math.nan)

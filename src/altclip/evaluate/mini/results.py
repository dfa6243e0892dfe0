"""What is measured, one figure at a time: the long form from which tables and JSON are made."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final, Literal

from altclip.evaluate.embedding import Prompts
from altclip.metrics import Estimate, Ranks, wilson

Task = Literal["photographs", "full size", "drawings", "left out"]

OVER_ENGLISH: Final = "over English"
ALL_LANGUAGES: Final = "all"
LEFT_OUT: Final = "left out"
OTHERS: Final = "others"


@dataclass(frozen=True)
class Result:
    """One figure of one model.

    metric: `top-1`, `top-5`, `R@1`, `R@5`, `R@10` (shares), or such a name and `over English` (a ratio).
    queries: how many images or names were asked for; choices: among how many classes or drawings, 0 if that
        differs by language.
    group: which names count, in the task `left out`.
    """

    task: Task
    language: str
    prompts: Prompts
    metric: str
    estimate: Estimate
    queries: int
    choices: int
    group: str = ""

    def to_dict(self) -> dict[str, Any]:
        """For JSON; what cannot be said (a ratio over nothing) is null."""
        numbers = {"value": self.estimate.value, "low": self.estimate.low, "high": self.estimate.high}
        return {
            "task": self.task,
            "group": self.group,
            "language": self.language,
            "prompts": self.prompts,
            "metric": self.metric,
            **{name: None if math.isnan(number) else round(number, 6) for name, number in numbers.items()},
            "queries": self.queries,
            "choices": self.choices,
        }


def shares(
    ranks: Ranks, task: Task, language: str, prompts: Prompts, names: dict[int, str], choices: int
) -> list[Result]:
    """The share of queries within the first k, for each k of `names`; none where k takes in every choice."""
    return [
        Result(task, language, prompts, name, wilson(int((ranks < k).sum()), len(ranks)), len(ranks), choices)
        for k, name in names.items()
        if k < choices
    ]

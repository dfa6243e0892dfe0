"""What one model did on one set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from altclip.evaluate.suites.figures import Figure
from altclip.evaluate.suites.outcomes import Outcome
from altclip.evaluate.suites.sights import Confusion, Sheet


@dataclass(frozen=True)
class Findings:
    """figures: for tables and JSON; outcomes: what they were made of; sheets, confusions: for the page."""

    figures: Sequence[Figure] = ()
    outcomes: Sequence[Outcome] = ()
    sheets: Sequence[Sheet] = ()
    confusions: Sequence[Confusion] = ()

    def __add__(self, other: Findings) -> Findings:
        return Findings(
            (*self.figures, *other.figures),
            (*self.outcomes, *other.outcomes),
            (*self.sheets, *other.sheets),
            (*self.confusions, *other.confusions),
        )

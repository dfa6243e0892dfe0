"""Counts bad samples and says when there are too many."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from altclip.errors import DataError

_PATIENCE: Final = 1000  # a share is of at least that many: the first of a few samples may be bad


@dataclass
class BadSamples:
    """limit: share of bad samples that is borne; seen, bad: counts so far."""

    limit: float = 0.01
    seen: int = 0
    bad: int = 0

    def count(self, seen: int, skipped: Sequence[str]) -> None:
        """Add the samples of some batches. Raises DataError once the share of bad ones is over the limit."""
        self.seen += seen
        self.bad += len(skipped)
        if skipped and self.bad > self.limit * max(self.seen, _PATIENCE):
            raise DataError(
                f"{self.bad} of {self.seen} samples are bad, over the limit of {self.limit:.1%} "
                f"(the last: {skipped[-1]}); mend the data, or raise max_bad_share"
            )

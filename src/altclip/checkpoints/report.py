"""What loading found: every tensor used, missing, unexpected, misshapen, ignored or not finite."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final

_SHOWN: Final = 5


@dataclass(frozen=True)
class LoadReport:
    """The account of one loading. Names are those of the files.

    used: their name -> ours; missing: expected and not there; unexpected: there and not known to the layout; misshapen:
    (shape found, shape expected); ignored: known and not needed; not_finite: with NaN or infinity among the values;
    filled: sizes that config.json leaves out, and the family's values taken for them; contradictions: sizes that it
    gives otherwise than the tensors, in words.
    """

    folder: Path
    layout: str
    used: Mapping[str, str] = field(default_factory=dict)
    missing: Sequence[str] = ()
    unexpected: Sequence[str] = ()
    misshapen: Mapping[str, tuple[tuple[int, ...], tuple[int, ...]]] = field(default_factory=dict)
    ignored: Sequence[str] = ()
    not_finite: Sequence[str] = ()
    filled: Mapping[str, Any] = field(default_factory=dict)
    contradictions: Sequence[str] = ()

    @property
    def ok(self) -> bool:
        """Whether the weights are exactly those of the model."""
        return not (self.missing or self.unexpected or self.misshapen or self.not_finite)

    def describe(self) -> str:
        """In words, with the first few of each kind and the names that come closest."""
        shapes = [f"{key} is {_size(found)}, not {_size(wanted)}" for key, (found, wanted) in self.misshapen.items()]
        parts = [
            ("missing", [self._near(key, self.unexpected) for key in self.missing]),
            ("unexpected", [self._near(key, self.missing) for key in self.unexpected]),
            ("of another shape than config.json says", shapes),
            ("with NaN or infinity in them", self.not_finite),
            ("sizes in config.json that the tensors contradict", self.contradictions),
            ("sizes not in config.json, taken from the family", [f"{k} {v}" for k, v in self.filled.items()]),
        ]
        lines = [f"  {len(names)} {kind}: {_some(names)}" for kind, names in parts if names]
        fitting = f"{len(self.used)} tensors fit, {len(self.ignored)} are not needed"
        return "\n".join([f"{self.folder}, read as {self.layout}: {fitting}", *lines])

    def _near(self, key: str, others: Sequence[str]) -> str:
        near = get_close_matches(key, others, n=1, cutoff=0.8)
        return f"{key} (there is {near[0]})" if near and others is self.unexpected else key


def _some(names: Sequence[str]) -> str:
    more = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {more} more" if more > 0 else "")


def _size(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape)) or "a single number"

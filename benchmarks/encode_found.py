"""What a row of encode.py says: what was found, what must hold, and whether it does."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from encode_setting import Setting


@dataclass(frozen=True)
class Check:
    """A further thing that must hold for the row to be met, or for its aim; bound: the least, or the most if `less`."""

    what: str
    value: float
    bound: float
    less: bool = False
    of: str = "must"

    @property
    def holds(self) -> bool:
        return self.value <= self.bound if self.less else self.value >= self.bound


@dataclass(frozen=True)
class Found:
    """value: what is judged, with its least and most among the runs; ours, peer: the two medians in words.

    seconds: of every run by tool; computes: engine and number format of each; more: what else was measured.
    """

    value: float
    least: float
    most: float
    ours: str
    peer: str
    seconds: Mapping[str, Sequence[float]]
    computes: Sequence[str]
    checks: Sequence[Check] = ()
    more: Mapping[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        found = {**asdict(self), "checks": [{**asdict(check), "holds": check.holds} for check in self.checks]}
        found["seconds"] = {name: [round(s, 4) for s in of] for name, of in self.seconds.items()}
        return {**found, **{name: float(f"{found[name]:.4g}") for name in ("value", "least", "most")}}


@dataclass(frozen=True)
class Row:
    """needs: arithmetic of the processor without which the row is reported, not judged."""

    title: str
    must: float | None
    aim: float | None
    measure: Callable[[Setting], Found]
    needs: str = ""
    less: bool = False
    unit: str = "x"


def verdict(row: Row, found: Mapping[str, Any], arithmetic: Mapping[str, Any]) -> str:
    """`aim`, `must`, `no`, or why it is not judged; found: of `Found.to_dict`."""
    failed = [check for check in found["checks"] if not check["holds"]]
    if any(check["of"] == "must" for check in failed):
        return "no"
    if row.needs and not arithmetic.get(row.needs):
        return f"reported, not judged: no {row.needs} here"
    value = found["value"]

    def reached(bound: float | None) -> bool:
        return bound is not None and (value <= bound if row.less else value >= bound)

    if reached(row.aim) and not failed:
        return "aim"
    return "must" if reached(row.must) else "no"


def words(seconds: float, items: int, unit: str) -> str:
    return f"{1000 * seconds / items:.1f} ms" if unit == "ms" else f"{items / seconds:.3g} {unit}"

"""Two models on the same data: what changed, and whether it is more than noise.

The queries are the same, so a bootstrap draws them in pairs: an image with all that was asked about it, as it went for
both models. A difference counts where its 95 % interval lies on one side of 0. With many figures, one in twenty does so
by chance.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from altclip.errors import DataError, UsageError
from altclip.evaluate.suites.figures import MEAN_RECALL, RANKS
from altclip.evaluate.suites.outcomes import unpack
from altclip.evaluate.suites.report import FORMAT
from altclip.evaluate.tables import Table
from altclip.metrics import Estimate, Ranks, estimate, paired_differences

_KS: Final = (1, 5, 10)
_TOPS: Final = (1, 5)
BETTER, WORSE, NOISE = "better", "worse", "within noise"


@dataclass(frozen=True)
class Change:
    """One figure of both models, and the second less the first with its interval; shares from 0 to 1, ranks from 1."""

    set: str
    language: str
    prompts: str | None
    metric: str
    first: float
    second: float
    difference: Estimate

    @property
    def verdict(self) -> str:
        """Better, worse, or within noise; of ranks less is better."""
        low, high = self.difference.low, self.difference.high
        if low <= 0 <= high or math.isnan(low):
            return NOISE
        return BETTER if (low > 0) != (self.metric in RANKS) else WORSE

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        of = self.difference
        return {
            "set": self.set, "language": self.language, "prompts": self.prompts, "metric": self.metric,
            "first": round(self.first, 6), "second": round(self.second, 6),
            "difference": round(of.value, 6), "low": round(of.low, 6), "high": round(of.high, 6),
            "verdict": self.verdict,
        }  # fmt: skip


@dataclass(frozen=True)
class Comparison:
    """first, second: labels of the models; notes: what else differs, or could not be compared."""

    first: str
    second: str
    changes: Sequence[Change]
    notes: Sequence[str]

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "first": self.first,
            "second": self.second,
            "interval": "95 %: paired bootstrap, images with all their queries (1,000 samples, seed 0)",
            "notes": list(self.notes),
            "changes": [change.to_dict() for change in self.changes],
        }

    def tables(self) -> list[Table]:
        """A table a set: shares and differences in percent and percentage points, mean ranks as they are."""
        columns = ("language", "figure", self.first, self.second, "difference (95 %)", "")
        return [
            Table(title, columns, tuple(_row(change) for change in self.changes if change.set == title))
            for title in dict.fromkeys(change.set for change in self.changes)
        ]

    def verdict(self) -> str:
        """In one line."""
        counts = {kind: sum(change.verdict == kind for change in self.changes) for kind in (BETTER, WORSE, NOISE)}
        return (
            f"{self.second} against {self.first}: {counts[BETTER]} of {len(self.changes)} figures better, "
            f"{counts[WORSE]} worse, {counts[NOISE]} within noise; by chance about {0.05 * len(self.changes):.0f} "
            "would be outside it"
        )


@dataclass(frozen=True)
class _Written:
    """A report of `altclip evaluate` as it was written, and one model of it."""

    content: Mapping[str, Any]
    model: Mapping[str, Any]
    ranks: Mapping[str, tuple[Ranks, NDArray[np.int64]]]

    def outcomes(self, title: str) -> dict[tuple[str, str], Mapping[str, Any]]:
        return {
            (entry["language"], entry["kind"]): entry
            for entry in self.content["outcomes"]["entries"]
            if entry["set"] == title and entry["model"] == self.model["label"]
        }


def compare(first: str | Path, second: str | Path, labels: Sequence[str] = ()) -> Comparison:
    """Compare a model of one report with a model of another, or of the same one, on every set that both measured.

    Args:
        first: a JSON file of `altclip evaluate`, its file of ranks beside it.
        second: the same.
        labels: of the model in each; not needed where a report has one model.

    Raises:
        DataError: a file is missing or damaged, or both have no set of the same images.
        UsageError: a label is missing or unknown.
    """
    if labels and len(labels) != 2:
        raise UsageError(f"{len(labels)} labels: give two, of the model in the first report and in the second, or none")
    paths = (Path(first), Path(second))
    one, other = (_open(path, label) for path, label in zip(paths, labels or ("", ""), strict=True))
    notes = list(_context(one, other))
    changes: list[Change] = []
    sets = {of["title"]: of for of in other.content["sets"]}
    for of in one.content["sets"]:
        title = of["title"]
        if title not in sets:
            notes.append(f"{title}: in the first report only")
        elif of["data"]["digest"] != sets[title]["data"]["digest"]:
            notes.append(f"{title}: not compared, the images differ")
        else:
            found, told = _on_set(title, one, other)
            changes += found
            notes += [*told, *_texts(title, of["data"], sets[title]["data"])]
    notes += [
        f"{title}: in the second report only"
        for title in sets
        if title not in {s["title"] for s in one.content["sets"]}
    ]
    if not changes:
        raise DataError(f"{first} and {second} have nothing to compare: {'; '.join(notes) or 'no set in common'}")
    return Comparison(*_names(one, other), changes, notes)


def _open(path: Path, label: str) -> _Written:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        labels, outcomes = [model["label"] for model in content["models"]], content["outcomes"]
        known = content["format"] == FORMAT
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error}") from error
    except (UnicodeDecodeError, json.JSONDecodeError, KeyError, TypeError) as error:
        raise DataError(
            f"{path} is no report that can be compared: take a JSON file of altclip evaluate with --dataset or --suite"
        ) from error
    if not known:
        raise DataError(f"{path} is of format {content['format']}, expected {FORMAT}: evaluate anew")
    chosen = label or (labels[0] if len(labels) == 1 else "")
    if chosen not in labels:
        wrong = f"no model {label!r}" if label else f"{len(labels)} models"
        raise UsageError(f"{path} has {wrong}: say which with --label, one of {', '.join(labels)}")
    keys = [entry["key"] for entry in outcomes["entries"]]
    ranks = unpack(path.with_name(outcomes["file"]), keys, outcomes["sha256"])
    return _Written(content, content["models"][labels.index(chosen)], ranks)


def _names(one: _Written, other: _Written) -> tuple[str, str]:
    first, second = one.model["label"], other.model["label"]
    return (first, second) if first != second else (f"{first} (first)", f"{second} (second)")


def _context(one: _Written, other: _Written) -> Iterator[str]:
    """What differs besides the figures."""
    if one.model["digest"] == other.model["digest"]:
        yield "both are the same model: weights and preprocessing are equal"
    for name in dict.fromkeys([*one.content["versions"], *other.content["versions"]]):
        before, after = one.content["versions"].get(name), other.content["versions"].get(name)
        if before != after:
            yield f"{name}: {before} and {after}"
    if one.content["commit"] != other.content["commit"]:
        yield f"commit: {one.content['commit'] or 'unknown'} and {other.content['commit'] or 'unknown'}"


def _texts(title: str, one: Mapping[str, Any], other: Mapping[str, Any]) -> Iterator[str]:
    for language in sorted(set(one["texts"]) & set(other["texts"])):
        if one["texts"][language] != other["texts"][language]:
            yield f"{title}, {language}: the texts differ"
    for language in sorted(set(one["texts"]) ^ set(other["texts"])):
        yield f"{title}, {language}: in one report only"


def _on_set(title: str, one: _Written, other: _Written) -> tuple[list[Change], list[str]]:
    """Every figure that both have, language by language."""
    before, after = one.outcomes(title), other.outcomes(title)
    changes: list[Change] = []
    notes: list[str] = []
    sides: dict[str, dict[str, _Side]] = {}
    for (language, kind), entry in before.items():
        if (language, kind) not in after:
            continue
        side = _Side(entry, *one.ranks[entry["key"]], *other.ranks[after[language, kind]["key"]])
        if side.of_same_queries() and entry["choices"] == after[language, kind]["choices"]:
            sides.setdefault(language, {})[kind] = side
        else:
            notes.append(f"{title}, {language}, {kind}: not compared, the queries differ")
    for language, kinds in sides.items():
        together = [kinds.pop(kind) for kind in ("T2I", "I2T") if kind in kinds]  # MR is of both
        for group in (together, *([side] for side in kinds.values())):
            if group:
                changes += _changes(title, language, group)
    return changes, notes


@dataclass(frozen=True)
class _Side:
    """Queries of one kind as they went for both models."""

    entry: Mapping[str, Any]
    first: Ranks
    first_units: NDArray[np.int64]
    second: Ranks
    second_units: NDArray[np.int64]

    def of_same_queries(self) -> bool:
        return np.array_equal(self.first_units, self.second_units)

    def metrics(self) -> list[str]:
        """R@k by direction and the mean rank; top-k; text to text at 1. A k that takes in every choice says nothing."""
        kind, choices = self.entry["kind"], self.entry["choices"]
        if kind in ("T2I", "I2T"):
            return [*(f"{kind} R@{k}" for k in _KS if k < choices), f"{kind} mean rank"]
        return [f"top-{k}" for k in _TOPS if k < choices] if kind in ("names", "templates") else [f"{kind} R@1"]

    def columns(self, ranks: Ranks) -> NDArray[np.float64]:
        """(Q, K): what each query adds to each figure."""
        named = {
            metric: ranks + 1.0 if metric in RANKS else ranks < int(metric.rpartition("@")[2].rpartition("-")[2])
            for metric in self.metrics()
        }
        return np.stack([np.asarray(column, np.float64) for column in named.values()], axis=1)


def _changes(title: str, language: str, sides: Sequence[_Side]) -> Iterator[Change]:
    firsts = [side.columns(side.first) for side in sides]
    seconds = [side.columns(side.second) for side in sides]
    values, drawn = paired_differences(
        [(first, second, side.first_units) for first, second, side in zip(firsts, seconds, sides, strict=True)]
    )
    metrics = [metric for side in sides for metric in side.metrics()]
    before, after = (np.concatenate([part.mean(axis=0) for part in parts]) for parts in (firsts, seconds))
    kind = sides[0].entry["kind"]
    prompts = kind if kind in ("names", "templates") else None
    for place, metric in enumerate(metrics):
        difference = estimate(float(values[place]), drawn[:, place])
        yield Change(title, language, prompts, metric, float(before[place]), float(after[place]), difference)
    recalls = [place for place, metric in enumerate(metrics) if "I R@" in metric or "T R@" in metric]
    if len(recalls) == 2 * len(_KS):
        difference = estimate(float(values[recalls].mean()), drawn[:, recalls].mean(axis=1))
        yield Change(
            title, language, None, MEAN_RECALL, float(before[recalls].mean()), float(after[recalls].mean()), difference
        )


def _row(change: Change) -> tuple[str, ...]:
    digits, factor = (1, 1.0) if change.metric in RANKS else (1, 100.0)
    first, second = (f"{factor * value:.{digits}f}" for value in (change.first, change.second))
    of = change.difference
    value, low, high = (f"{factor * number:+.{digits}f}" for number in (of.value, of.low, of.high))
    figure = f"{change.metric}, {change.prompts}" if change.prompts else change.metric
    return change.language, figure, first, second, f"{value} ({low} to {high})", change.verdict

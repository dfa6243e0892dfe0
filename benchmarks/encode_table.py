"""results/encode.md from the rows of results/encode.json."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

COLUMNS = ("row", "ours", "peer", "ratio", "must", "aim", "met", "spread")


def table(rows: Mapping[str, Mapping[str, Any]]) -> str:
    """Markdown: a line a row, what further had to hold, and what each group of rows was measured with."""
    lines = [f"| {' | '.join(COLUMNS)} |", "|" + "---|" * len(COLUMNS)]
    lines += [f"| {' | '.join(cells(row))} |" for row in rows.values()]
    notes = [f"- {row['title']}: {'; '.join(told)}" for row in rows.values() if (told := notes_of(row))]
    groups: dict[str, list[str]] = {}
    for row in rows.values():
        groups.setdefault(made_with(row["circumstances"]), []).append(row["title"])
    whole = len(groups) == 1
    made = [f"- {told}" + ("" if whole else f" Rows: {'; '.join(titles)}.") for told, titles in groups.items()]
    return "\n".join([*made, "", *lines, "", *notes]) + "\n"


def cells(row: Mapping[str, Any]) -> list[str]:
    sign = "≤" if row["less_is_better"] else "≥"
    bounds = ["" if row[of] is None else f"{sign} {number(row[of], row)}" for of in ("must", "aim")]
    spread = f"{number(row['least'], row)} to {number(row['most'], row)}"
    return [row["title"], row["ours"], row["peer"], number(row["value"], row), *bounds, row["verdict"], spread]


def number(value: float, row: Mapping[str, Any]) -> str:
    shown = {"share": f"{100 * value:.1f} %", "s": f"{value:.2f} s"}
    return shown.get(row["unit"], f"{value:.2f} x")


def notes_of(row: Mapping[str, Any]) -> list[str]:
    """The checks, and all else that was measured."""
    checks = [
        f"{check['what']} {check['value']:.7g}, {'at most' if check['less'] else 'at least'} {check['bound']:g} "
        f"wanted for the {check['of']}: {'yes' if check['holds'] else 'no'}"
        for check in row["checks"]
    ]
    more = [f"{name.replace('_', ' ')}: {said(value)}" for name, value in row["more"].items()]
    return [*checks, *more]


def said(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name.replace('_', ' ')} {of}" for name, of in value.items())
    return str(value)


def made_with(facts: Mapping[str, Any]) -> str:
    machine, can = facts["machine"], facts["processor_computes_in"]
    versions = ", ".join(f"{name} {number}" for name, number in facts["versions"].items())
    limited = f" under ONEDNN_MAX_CPU_ISA={can['ONEDNN_MAX_CPU_ISA']}" if can["ONEDNN_MAX_CPU_ISA"] else ""
    return (
        f"{facts['model']} on {machine['processor']}, {facts['threads']} threads of {machine['cores']} cores; the "
        f"processor {'computes' if can['bfloat16'] else 'does not compute'} in bfloat16 and "
        f"{'has' if can['int8 products'] else 'has no'} int8 products{limited}. Medians of {facts['runs']} "
        f"alternating runs; {facts['date']}, commit {facts['commit']}; {versions}."
    )

"""results/search.md from results/search.json."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

COLUMNS = (
    "index", "recall@10", "p50 ms", "p99 ms", "build s", "add 1,000 s", "memory MiB", "grown by asking MiB",
)  # fmt: skip


def table(result: Mapping[str, Any]) -> str:
    """Markdown: what it was measured with, and a table for each size."""
    facts = result["circumstances"]
    machine = facts["machine"]
    versions = ", ".join(f"{name} {number}" for name, number in facts["versions"].items())
    parts = [
        f"{machine['processor']}, {machine['cores']} cores, {machine['memory_gib']} GiB; {facts['date']}, commit "
        f"{facts['commit']}; {versions}. {result['queries']} queries of each kind, one at a time; medians of "
        f"{result['rounds']} rounds. Of two figures the first is of pictures as queries, the second of texts."
    ]
    for title, size in result["sizes"].items():
        parts.append(f"## {title}\n\n{size['vectors']}\n\n{_cosines(size)}\n\n{_rows(size['contenders'])}")
    return "\n\n".join(parts) + "\n"


def _cosines(size: Mapping[str, Any]) -> str:
    told = [
        f"{kind}: {of['first']} to the nearest, {of['tenth']} to the tenth, {of['any']} to any row"
        for kind, of in size["cosines of queries"].items()
    ]
    return f"Mean cosines of the queries: {'; '.join(told)}. Load of the machine when done: {size['load']:.1f}."


def _rows(contenders: Mapping[str, Mapping[str, Any]]) -> str:
    lines = [f"| {' | '.join(COLUMNS)} |", "|" + "---|" * len(COLUMNS)]
    for name, told in contenders.items():
        of = [told[kind] for kind in ("pictures", "texts", "uniform") if kind in told]
        figures = [" / ".join(str(one[key]) for one in of) for key in ("recall@10", "p50_ms", "p99_ms")]
        kind = f"{name} ({told['kind']})" if "kind" in told else name
        rest = [_said(told.get(key)) for key in ("build_s", "add_1000_s", "memory_mib", "grown_by_asking_mib")]
        lines.append(f"| {' | '.join([kind, *figures, *rest])} |")
    return "\n".join(lines) + _ours(contenders)


def _ours(contenders: Mapping[str, Mapping[str, Any]]) -> str:
    """What else is told of altclip."""
    told = {key: value for of in contenders.values() if "add_1000_to_the_end_s" in of for key, value in of.items()}
    told |= contenders["altclip"]
    found = "yes" if told["added_found_by_the_next_query"] else "no"
    lines = [
        f"Storing the rows took {told['store_s']} s before the build, and {told['grown_by_storing_mib']} MiB of "
        f"memory; with the build {told['peak_grown_mib']} MiB. On disk: {told['disk_mib']} MiB. What was added was "
        f"found by the next query: {found}; with what a writer puts in order at its end, adding took "
        f"{', '.join(map(str, told['add_1000_to_the_end_s']))} s."
    ]
    if tuned := told["tuned"]:
        lines.append(
            f"The walk through its graph keeps {tuned['ef']} candidates; its own measurement said a recall of "
            f"{tuned['recall']:.3f}."
        )
    return "\n\n" + "\n\n".join(lines)


def _said(value: Any) -> str:
    return "" if value is None else f"{value:,}"

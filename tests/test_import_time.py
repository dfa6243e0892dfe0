"""`import altclip` takes under 0.15 s and `altclip --help` under 0.3 s: nothing heavy is imported.

Whole processes are timed, the interpreter's start included, by the processor time that they use: on an idle machine
that is what a clock shows, and on a busy one it is nearer to it than the clock. The least of several runs counts.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from itertools import pairwise

import pytest

RUNS = 5
HEAVY = {
    "torch",
    "numpy",
    "PIL",
    "transformers",
    "tokenizers",
    "safetensors",
    "huggingface_hub",
    "pydantic",
    "datasets",
}


def least_seconds(*arguments: str) -> float:
    """The least processor time of `RUNS` runs of Python with these arguments, after one that fills the caches."""
    clock = [_children_seconds()]
    for _ in range(RUNS + 1):
        subprocess.run([sys.executable, *arguments], check=True, capture_output=True)
        clock.append(_children_seconds())
    return min(after - before for before, after in pairwise(clock[1:]))


def _children_seconds() -> float:
    """Processor time of all child processes that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def loaded_by(code: str) -> set[str]:
    """The top-level modules in `sys.modules` after a new interpreter ran `code`."""
    report = f"{code}\nimport json, sys\nprint(json.dumps(sorted(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", report], check=True, capture_output=True, text=True)
    return {name.split(".")[0] for name in json.loads(result.stdout.splitlines()[-1])}


def test_the_clock_runs() -> None:
    assert least_seconds("-c", "sum(range(2_000_000))") > least_seconds("-c", "pass") > 0.001


def test_import_is_quick() -> None:
    assert least_seconds("-c", "import altclip") < 0.15


def test_help_is_quick() -> None:
    assert least_seconds("-m", "altclip", "--help") < 0.3


def test_import_loads_nothing_heavy() -> None:
    assert loaded_by("import altclip") & {*HEAVY, "typer", "rich"} == set()


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], []])
def test_the_command_line_alone_loads_nothing_heavy(arguments: list[str]) -> None:
    code = f"from altclip.cli.app import app\ntry: app({arguments!r})\nexcept SystemExit: pass"
    assert loaded_by(code) & {*HEAVY, "rich"} == set()


def test_ground_modules_do_not_need_torch() -> None:
    assert "torch" not in loaded_by("import altclip.errors, altclip.languages, altclip.cli.output")

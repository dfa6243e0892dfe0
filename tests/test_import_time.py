"""`import altclip` takes under 0.15 s and `altclip --help` under 0.3 s: nothing heavy is imported.

Whole processes are timed, the interpreter's start included. The least of several runs is compared, because a busy
machine only ever adds time.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time

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
    """The least time of `RUNS` runs of Python with these arguments, after one that fills the caches."""
    seconds = []
    for _ in range(RUNS + 1):
        start = time.perf_counter()
        subprocess.run([sys.executable, *arguments], check=True, capture_output=True)
        seconds.append(time.perf_counter() - start)
    return min(seconds[1:])


def loaded_by(code: str) -> set[str]:
    """The top-level modules in `sys.modules` after a new interpreter ran `code`."""
    report = f"{code}\nimport json, sys\nprint(json.dumps(sorted(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", report], check=True, capture_output=True, text=True)
    return {name.split(".")[0] for name in json.loads(result.stdout.splitlines()[-1])}


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

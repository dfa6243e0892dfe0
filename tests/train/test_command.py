"""`altclip train` as a person calls it: a run, its cost, mistakes."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from altclip.cli import app as cli
from altclip.cli.output import progress_console, results
from altclip.train.logs import read_log
from tests.train import made

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run `altclip train ARGUMENTS` in this process, on a wide terminal: (exit code, stdout, stderr)."""

    def runner(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["altclip", "train", *map(str, arguments)])
        monkeypatch.setenv("COLUMNS", "200")
        results.cache_clear()
        progress_console.cache_clear()
        with pytest.raises(SystemExit) as leaving:
            cli.main()
        captured = capsys.readouterr()
        assert "Traceback" not in captured.err
        return int(leaving.value.code or 0), captured.out, captured.err

    return runner


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return made.write_recipe(tmp_path / "tiny.toml", made.recipe())


def test_a_run(run: Run, file: Path, world: Path, tmp_path: Path) -> None:
    code, out, err = run(
        file, "--data", world, "--output", tmp_path / "out", "--stage", "teacher", "--device", "cpu",
        "--set", "stages.teacher.steps=3", "--set", "stages.teacher.ema=0.5",
    )  # fmt: skip
    assert (code, out) == (0, "")
    assert "teacher: 3 steps on cpu, 1 process" in err
    assert "3/3 loss" in err
    assert f"done: {tmp_path / 'out' / 'teacher' / 'model'}" in err
    assert len(read_log(tmp_path / "out" / "teacher" / "log.jsonl")) == 3


def test_the_output_folder_has_the_recipes_name(
    run: Run, file: Path, world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    arguments = [file, "--data", world, "--stage", "teacher", "--device", "cpu", "--set", "stages.teacher.steps=1"]
    assert run(*arguments)[0] == 0
    assert (tmp_path / "runs" / "tiny" / "teacher" / "report.json").is_file()
    code, _, err = run(*arguments)
    assert code == 2
    assert "holds a run already: pass --resume" in err
    code, _, err = run(*arguments, "--resume")
    assert code == 0
    assert "teacher: done already" in err


def test_the_cost_of_a_recipe(run: Run) -> None:
    """Without data, network or memory for 864 million parameters."""
    code, out, err = run("altclip", "--dry-run")
    assert (code, err) == (0, "")
    for row in ("parameters", "trained", "steps", "text tokens", "memory in each process", "hours of an A100"):
        assert row in out
    assert re.search(r"parameters +│ 864\.2 M +│ 864\.2 M", out)
    assert "Upper bounds, from sizes alone" in out
    assert "40 % of its 312 TFLOP/s" in out


def test_the_cost_of_one_stage_with_changes(run: Run, file: Path) -> None:
    code, out, _ = run(file, "--dry-run", "--stage", "align", "--set", "stages.align.steps=1234")
    assert code == 0
    assert "1,234" in out
    assert "teacher" not in out


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["minni", "--dry-run"], 2, "did you mean `mini`"),
        (["mini"], 2, "pass --data FOLDER"),
        (["mini", "--dry-run", "--stage", "techer"], 2, "no stage 'techer' in recipe mini"),
        (["mini", "--dry-run", "--set", "stages.teacher.stepz=3"], 1, "did you mean `steps`"),
        (["mini", "--dry-run", "--set", "stages.teacher.freeze=['^txt']"], 2, "freeze: no parameter matches"),
        (["mini", "--data", "/nowhere/at/all", "--device", "cpu"], 1, "cannot be read"),
        (["mini", "--data", "/", "--device", "tpu"], 2, "device 'tpu' is not here"),
        (["mini", "--nonsense"], 2, "No such option"),
    ],
)
def test_mistakes(arguments: list[str], code: int, message: str, run: Run, tmp_path: Path) -> None:
    found, _, err = run(*arguments, *(["--output", tmp_path] if "--data" in arguments else []))
    assert found == code
    assert message in " ".join(err.split())


def test_help_has_an_example(run: Run) -> None:
    code, out, _ = run("--help")
    assert code == 0
    assert "altclip train mini --data data" in out
    assert "torchrun" in out

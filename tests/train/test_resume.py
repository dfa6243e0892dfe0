"""A run that was cut off goes on as if nothing had happened: same samples, equal curve, whole files."""

from __future__ import annotations

import errno
import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch

from altclip.checkpoints import load_model
from altclip.errors import CheckpointError, ConfigError, UsageError
from altclip.train import loop, optimizers
from altclip.train.logs import read_log
from altclip.train.run import run_recipe
from altclip.train.state import TrainingState, differences
from tests.train import made
from tests.train.conftest import Train

DROPOUT = {**made.TEXT, "hidden_dropout_prob": 0.2}


class CutError(RuntimeError):
    """The end of a run that a test brings about."""


@contextmanager
def cut_at(step: int) -> Iterator[None]:
    """The step of that number is never begun: what runs up to it is on the disk, as after a kill."""
    real = optimizers.rate_factor

    def rate(now: int, *rest: Any) -> float:
        if now == step:
            raise CutError
        return real(now, *rest)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "rate_factor", rate)
        yield


def curve(folder: Path) -> dict[str, float]:
    """All measures of all steps, without those that depend on the clock."""
    entries = [entry for entry in read_log(folder / "log.jsonl") if "loss" in entry]
    assert len({entry["step"] for entry in entries}) == len(entries), "a step is logged twice"
    return {
        f"{entry['step']} {name}": entry[name] for entry in entries for name in entry if name not in ("step", "rate")
    }


def steps(folder: Path) -> list[int]:
    return [entry["step"] for entry in read_log(folder / "log.jsonl") if "loss" in entry]


@pytest.mark.parametrize("step", [1, 3, 4, 7])
def test_a_run_cut_at_any_step_ends_as_one_that_was_not(step: int, world: Path, trained: Path, train: Train) -> None:
    """60 rows in batches of 12: steps 1 to 4 lie in the middle of the first epoch, 7 in the second."""
    with cut_at(step), pytest.raises(CutError):
        train(made.recipe())
    folder = train(made.recipe(), resume=True)
    assert curve(folder) == curve(trained / "teacher")
    for name, weight in load_model(folder / "model").state_dict().items():
        assert torch.equal(weight, load_model(trained / "teacher" / "model").state_dict()[name]), name


@pytest.mark.parametrize("only", ["student", "align"])
def test_the_other_stages_go_on_too(only: str, world: Path, trained: Path, tmp_path: Path, train: Train) -> None:
    """Distillation from a teacher, and alignment from cached embeddings; with moving averages and dropout."""
    for stage in ("teacher", "student"):
        (tmp_path / stage).symlink_to(trained / stage) if stage != only else None
    changes = made.recipe({only: {"ema": 0.9, "text": DROPOUT, "accumulate": 2}})
    whole = train(changes, output=tmp_path, only=only)
    expected, weights = curve(whole), load_model(whole / "model").state_dict()
    whole.rename(tmp_path / "kept")
    with cut_at(5), pytest.raises(CutError):
        train(changes, output=tmp_path, only=only)
    folder = train(changes, output=tmp_path, only=only, resume=True)
    assert curve(folder) == pytest.approx(expected, abs=1e-6)
    for name, weight in load_model(folder / "model").state_dict().items():
        torch.testing.assert_close(weight, weights[name], atol=1e-6, rtol=1e-5, msg=name)


def command(recipe: Path, world: Path, output: Path, *more: str) -> list[str]:
    paths = ["--data", str(world), "--output", str(output), "--stage", "teacher", "--device", "cpu"]
    return [sys.executable, "-m", "altclip", "train", str(recipe), *paths, *more]


def wait_for_step(log: Path, step: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 120
    while not any(entry["step"] >= step for entry in read_log(log)):
        assert process.poll() is None, "the run ended before it could be killed"
        assert time.monotonic() < deadline, "the run did not get that far"
        time.sleep(0.005)


@pytest.mark.slow  # two processes that import everything; the tests above cut runs within this one
def test_kill_9_and_resume(world: Path, trained: Path, tmp_path: Path) -> None:
    """The command line, killed in the middle of an epoch by a signal that no one can catch."""
    recipe = made.write_recipe(tmp_path / "tiny.toml", made.recipe())
    with subprocess.Popen(command(recipe, world, tmp_path / "out"), stderr=subprocess.DEVNULL) as process:
        wait_for_step(tmp_path / "out" / "teacher" / "log.jsonl", 4, process)
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    left = subprocess.run(
        command(recipe, world, tmp_path / "out", "--resume"), capture_output=True, text=True, check=True
    )
    assert "resumed at step" in left.stderr
    assert curve(tmp_path / "out" / "teacher") == pytest.approx(curve(trained / "teacher"), abs=1e-6)


def test_a_finished_stage_is_passed_over(trained: Path, world: Path) -> None:
    before = (trained / "align" / "report.json").stat().st_mtime_ns
    said: list[str] = []
    run_recipe(made.recipe(), world, trained, resume=True, device="cpu", report=said.append)
    assert said[:-1] == [f"{name}: done already" for name in made.RECIPE["stages"]]
    assert (trained / "align" / "report.json").stat().st_mtime_ns == before


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"leave_out_every": 3}, "settings leave_out_every was 0 and is 3"),
        ({"seed": 6}, "seed was 5 and is 6"),
        ({"stages": {"student": {"batch_size": 6}}}, "stage batch_size was .* and is 6"),
    ],
)
def test_a_finished_stage_of_other_settings_is_not_built_upon(
    changes: dict[str, Any], named: str, trained: Path, world: Path, tmp_path: Path
) -> None:
    for stage in ("teacher", "student"):
        (tmp_path / stage).symlink_to(trained / stage)
    with pytest.raises(ConfigError, match=named):
        run_recipe(made.recipe(**changes), world, tmp_path, resume=True, device="cpu")
    assert not (tmp_path / "align").exists()


def test_a_run_is_not_overwritten_by_a_slip(trained: Path, train: Train) -> None:
    with pytest.raises(UsageError, match="--resume"):
        train(made.recipe(), output=trained)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"seed": 6}, "seed was 5 and is 6"),
        ({"precision": "bf16"}, "precision was 'no' and is 'bf16'"),
        ({"exclude": {"style": ["odd"]}}, r"exclude style was None and is \['odd'\]"),
        ({"leave_out_every": 3}, "leave_out_every was 0 and is 3"),
        ({"stages": {"teacher": {"batch_size": 6}}}, "batch_size was 12 and is 6"),
        ({"stages": {"teacher": {"optimizer": {"warmup_steps": 3}}}}, "optimizer warmup_steps was 2 and is 3"),
    ],
)
def test_a_checkpoint_of_another_run_is_refused(changes: dict[str, Any], named: str, train: Train) -> None:
    with cut_at(5), pytest.raises(CutError):
        train(made.recipe())
    with pytest.raises(ConfigError, match=named):
        train(made.recipe(**changes), resume=True)


def test_what_may_change_may_change(train: Train) -> None:
    with cut_at(5), pytest.raises(CutError):
        train(made.recipe())
    train(made.recipe({"teacher": {"log_every": 2, "checkpoint_every": 5, "max_bad_share": 0.5}}), resume=True)


def test_changed_data_are_noticed(tmp_path: Path, train: Train) -> None:
    data = made.write_world(tmp_path / "data")
    with cut_at(5), pytest.raises(CutError):
        train(made.recipe(), data=data)
    made.write_parquet(data / "pairs.parquet", made.rows(61))
    with pytest.raises(ConfigError, match=r"data pairs\.parquet was 'sha256:"):
        train(made.recipe(), data=data, resume=True)


def test_differences_are_told_by_place() -> None:
    assert differences({"a": {"b": 1}, "c": 2}, {"a": {"b": 2}, "c": 2}, "") == ["a b was 1 and is 2"]
    assert differences({"a": [1]}, {}, "") == ["a was [1] and is None"]


def test_a_full_disk_leaves_the_last_checkpoint_whole(train: Train, tmp_path: Path) -> None:
    """The system refuses to write past a size, in the middle of the second checkpoint."""
    real, saved = TrainingState.save, list[int]()

    def save(self: Any, path: Path, step: int, position: dict[str, Any]) -> None:
        if not saved:
            saved.append(step)
            return real(self, path, step, position)
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size // 2, before[1]))
        try:
            return real(self, path, step, position)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TrainingState, "save", save)
        with pytest.raises(CheckpointError, match="the checkpoint before it is whole"):
            train(made.recipe())
    folder = tmp_path / "out" / "teacher"
    assert torch.load(folder / "checkpoint.pt", weights_only=True)["step"] == 3
    assert not list(folder.glob("*.part"))
    train(made.recipe(), resume=True)


def test_an_error_of_the_disk_is_told(train: Train, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(CheckpointError, match="No space left"):
        train(made.recipe())
    assert not (tmp_path / "out" / "teacher" / "checkpoint.pt").exists()


def test_a_damaged_checkpoint_is_told(train: Train, tmp_path: Path) -> None:
    with cut_at(5), pytest.raises(CutError):
        train(made.recipe())
    path = tmp_path / "out" / "teacher" / "checkpoint.pt"
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(CheckpointError, match="remove it to train the stage anew"):
        train(made.recipe(), resume=True)


def test_a_checkpoint_says_what_it_was_made_from(trained: Path) -> None:
    facts = json.loads(torch.load(trained / "teacher" / "checkpoint.pt", weights_only=True)["facts"])
    assert facts["seed"] == 5
    assert facts["data"].keys() == {"pairs.parquet", "classes.jsonl"}
    assert all(digest.startswith("sha256:") for digest in facts["data"].values())
    assert facts["altclip"]
    assert "commit" in facts
    report = json.loads((trained / "teacher" / "report.json").read_text(encoding="utf-8"))
    config = json.loads((trained / "teacher" / "model" / "config.json").read_text(encoding="utf-8"))
    assert facts.items() <= report.items()
    assert config["altclip_training"] == facts


def test_a_step_that_was_logged_after_the_checkpoint_is_logged_once(train: Train, tmp_path: Path) -> None:
    with cut_at(5), pytest.raises(CutError):
        train(made.recipe())
    log = tmp_path / "out" / "teacher" / "log.jsonl"
    assert max(steps(log.parent)) == 5
    with log.open("a", encoding="utf-8") as file:
        file.write('{"step": 6, "lo')  # the kill came in the middle of a line
    assert steps(train(made.recipe(), resume=True)) == list(range(1, 9))

"""What a run tells: JSON lines, TensorBoard, the bar, the picture."""

from __future__ import annotations

import builtins
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from altclip.errors import MissingExtraError
from altclip.train import loop
from altclip.train.curves import draw_curves
from altclip.train.logs import StepLog, cut, read_log
from tests.train import made
from tests.train.conftest import Train

MEASURES = {"loss": 1.5, "rate": 200.0, "scale": 3.0}


def test_every_measured_step_is_a_line(tmp_path: Path) -> None:
    with StepLog(tmp_path, "s", 0, 9, show=False) as log:
        log.write(3, MEASURES)
        log.write(6, {**MEASURES, "loss": 1.0})
    assert read_log(tmp_path / "log.jsonl") == [{"step": 3, **MEASURES}, {"step": 6, **MEASURES, "loss": 1.0}]


def test_tensorboard_has_the_same(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    with StepLog(tmp_path, "s", 0, 9, show=False) as log:
        log.write(3, MEASURES)
    (events_file,) = (tmp_path / "tensorboard").iterdir()
    events_file.rename(events_file.with_name("events.out.tfevents.1.earlier"))  # names begin with the time in seconds
    with StepLog(tmp_path, "s", 2, 9, show=False) as log:  # taken up again before step 3
        log.write(3, {**MEASURES, "loss": 1.25})
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert set(events.Tags()["scalars"]) == MEASURES.keys()
    assert [(event.step, event.value) for event in events.Scalars("loss")] == [(3, 1.25)]


def test_a_skipped_sample_is_named_in_the_log_and_on_the_screen(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A name may hold markup or half a character; neither breaks the log."""
    with StepLog(tmp_path, "s", 0, 9, show=True) as log:
        log.skipped(4, ["a.parquet[3]: [bold]cut\ud800", "b"])
    assert [entry["skipped"] for entry in read_log(tmp_path / "log.jsonl")] == ["a.parquet[3]: [bold]cut\\ud800", "b"]
    assert "skipped a.parquet[3]: [bold]cut" in capsys.readouterr().err


def test_the_bar_shows_loss_rate_and_the_time_left(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with StepLog(tmp_path, "teacher", 0, 9) as log:
        log.write(3, MEASURES)
        log.advance(3)
    shown = capsys.readouterr().err
    assert "teacher" in shown
    assert "3/9 loss 1.5000  200/s" in shown
    assert "-:--:--" in shown or "0:00:" in shown


def test_only_the_main_process_writes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with StepLog(tmp_path / "none", "s", 0, 9, write=False) as log:
        log.write(3, MEASURES)
        log.skipped(3, ["x"])
        log.advance(3)
    assert not (tmp_path / "none").exists()
    assert capsys.readouterr().err == ""


def test_a_log_is_cut_to_a_step(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text('{"step": 1}\n{"step": 3, "skipped": "红"}\n{"step": 4}\n{"ste', encoding="utf-8")
    cut(path, 3)
    assert path.read_text(encoding="utf-8") == '{"step": 1}\n{"step": 3, "skipped": "红"}\n'
    cut(tmp_path / "absent", 3)


def test_without_tensorboard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(MissingExtraError, match=r"altclip\[train\]"):
        StepLog(tmp_path, "s", 0, 9)


def test_the_picture_has_a_curve_for_each_measure(tmp_path: Path) -> None:
    said: list[str] = []
    for names, height in ((["loss"], 1), (["loss", "rate", "scale"], 3)):
        entries = [{"step": step, **dict.fromkeys(names, 1.0 / step)} for step in range(1, 9)]
        draw_curves(tmp_path, entries, said.append)
        with Image.open(tmp_path / "curves.png") as picture:
            assert picture.size == (1080, 264 * height)
            assert len(set(picture.convert("L").tobytes())) > 20
    assert said == []


@pytest.mark.parametrize(
    "entries", [[], [{"step": 1, "loss": 2.0}], [{"step": 1, "loss": 2.0}, {"step": 2, "rate": 1.0}]]
)
def test_a_picture_of_little(entries: list[dict[str, Any]], tmp_path: Path) -> None:
    draw_curves(tmp_path, entries, print)
    assert (tmp_path / "curves.png").is_file()


def test_without_matplotlib_a_run_ends_well_and_says_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = builtins.__import__

    def importing(name: str, *rest: Any, **more: Any) -> Any:
        if name.startswith("matplotlib"):
            raise ImportError(name)
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", importing)
    said: list[str] = []
    draw_curves(tmp_path, [{"step": 1, "loss": 2.0}], said.append)
    assert said == ["no curves.png: this needs the library 'matplotlib': pip install 'altclip[report]'"]
    assert not (tmp_path / "curves.png").exists()


def test_steps_between_two_lines_cost_no_waiting(train: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only steps that are logged read numbers from the device."""
    real, read = loop.means, list[int]()

    def means(*arguments: Any) -> dict[str, float]:
        read.append(1)
        return real(*arguments)

    monkeypatch.setattr(loop, "means", means)
    folder = train(made.recipe({"teacher": {"log_every": 3}}))
    assert [json.loads(line)["step"] for line in (folder / "log.jsonl").read_text().splitlines()] == [3, 6, 8]
    assert len(read) == 3

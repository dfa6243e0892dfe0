"""What a run tells while it goes: JSON lines, TensorBoard, a progress bar."""

from __future__ import annotations

import json
from pathlib import Path
from types import TracebackType
from typing import Self

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


class StepLog:
    """Writes each measured step to `log.jsonl` and to TensorBoard, and shows it on the bar."""

    def __init__(self, folder: Path, name: str, steps: int, show: bool = True) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.file = (folder / "log.jsonl").open("a", encoding="utf-8")
        self.board = _board(folder)
        self.bar = Progress(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[measures]}"),
            TimeRemainingColumn(), disable=not show,
        )  # fmt: skip
        self.task = self.bar.add_task(name, total=steps, measures="")

    def write(self, step: int, measures: dict[str, float]) -> None:
        self.file.write(json.dumps({"step": step, **measures}) + "\n")
        self.file.flush()
        for name, value in measures.items():
            self.board.add_scalar(name, value, step)
        shown = f"loss {measures['loss']:.4f}  {measures['rate']:.0f}/s"
        self.bar.update(self.task, completed=step, measures=shown)

    def __enter__(self) -> Self:
        self.bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.bar.stop()
        self.file.close()
        self.board.close()


def _board(folder: Path):  # type: ignore[no-untyped-def]
    from torch.utils.tensorboard import SummaryWriter

    return SummaryWriter(str(folder / "tensorboard"))

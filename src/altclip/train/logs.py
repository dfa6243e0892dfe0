"""What a run tells while it goes: JSON lines, TensorBoard, a progress bar."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from altclip.errors import MissingExtraError
from altclip.whole import write_whole

LOG_NAME = "log.jsonl"


class StepLog:
    """Writes each measured step to `log.jsonl` and to TensorBoard, and shows it on the bar.

    start: the step that the run goes on from; what a killed run has logged after it is taken out. With `write` false
    (processes other than the main one) it does nothing.
    """

    def __init__(
        self, folder: Path, name: str, start: int, steps: int, *, write: bool = True, show: bool = True
    ) -> None:
        self.writes = write
        self.bar = Progress(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[measures]}"),
            TimeRemainingColumn(), console=Console(stderr=True), disable=not (show and write),
        )  # fmt: skip
        self.task = self.bar.add_task(name, total=steps, completed=start, measures="")
        if write:
            folder.mkdir(parents=True, exist_ok=True)
            cut(folder / LOG_NAME, start)
            self.file = (folder / LOG_NAME).open("a", encoding="utf-8")
            self.board = _board(folder, start)

    def write(self, step: int, measures: dict[str, float]) -> None:
        if not self.writes:
            return
        self._line({"step": step, **measures})
        for name, value in measures.items():
            self.board.add_scalar(name, value, step)
        self.bar.update(self.task, measures=f"loss {measures['loss']:.4f}  {measures['rate']:.0f}/s")

    def skipped(self, step: int, samples: Sequence[str]) -> None:
        """Name the bad samples of the steps up to this one."""
        for sample in samples if self.writes else ():
            named = sample.encode(errors="backslashreplace").decode()  # file names may hold half a character
            self._line({"step": step, "skipped": named})
            self.bar.console.print(f"skipped {named}", markup=False, highlight=False, emoji=False)

    def advance(self, step: int) -> None:
        self.bar.update(self.task, completed=step)

    def _line(self, entry: dict[str, Any]) -> None:
        self.file.write(json.dumps(entry, ensure_ascii=False) + "\n")
        self.file.flush()

    def __enter__(self) -> Self:
        self.bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.bar.stop()
        if self.writes:
            self.file.close()
            self.board.close()


def read_log(path: Path) -> list[dict[str, Any]]:
    """The entries of a log; the last line of a killed run may be cut off, and does not count."""
    entries = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else ():
        try:
            entries.append(json.loads(line))
        except json.JSONDecodeError:
            break
    return entries


def cut(path: Path, step: int) -> None:
    """Take the entries after a step out of a log."""
    if path.is_file():
        kept = [entry for entry in read_log(path) if entry["step"] <= step]
        write_whole(path, "".join(json.dumps(entry, ensure_ascii=False) + "\n" for entry in kept).encode())


def _board(folder: Path, start: int) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise MissingExtraError("tensorboard", "train") from error
    return SummaryWriter(str(folder / "tensorboard"), purge_step=start + 1)

"""Running a command in this process, a tiny model, and a folder of mixed files."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from altclip.cli import app
from tests.bad import picture
from tests.tiny import tiny_model_folder


class Ran(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str


Run = Callable[..., Ran]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run `altclip ARGUMENTS`."""

    def runner(*arguments: object) -> Ran:
        monkeypatch.setattr(sys, "argv", ["altclip", *map(str, arguments)])
        with pytest.raises(SystemExit) as leaving:
            app.main()
        captured = capsys.readouterr()
        assert "Traceback" not in captured.err
        return Ran(int(leaving.value.code or 0), captured.out, captured.err)

    return runner


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder; tests that change it copy it first."""
    return tiny_model_folder(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture
def album(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder `album` in the working directory: three pictures, one of them in a folder below, and other files."""
    folder = tmp_path / "album"
    (folder / "below").mkdir(parents=True)
    (folder / ".hidden").mkdir()
    picture((200, 10, 10)).save(folder / "b.jpg")
    picture((10, 200, 10)).save(folder / "a.PNG")
    picture((10, 10, 200)).save(folder / "below" / "c.webp")
    picture().save(folder / ".hidden" / "d.png")
    for name in ("notes.txt", "movie.mp4", "._b.jpg", "noending"):
        (folder / name).write_bytes(b"whatever")
    monkeypatch.chdir(tmp_path)
    return Path("album")

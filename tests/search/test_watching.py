"""The index follows the folder; what cannot be done now is tried again."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from altclip.errors import MissingExtraError, SearchError
from altclip.search import watching
from altclip.search.watching import watch

pytest.importorskip("watchfiles")


@contextmanager
def watched(
    root: Path, update: Callable[[list[str]], object], monkeypatch: pytest.MonkeyPatch, **more: object
) -> Iterator[None]:
    """`watch` in a thread, quick."""
    monkeypatch.setattr(watching, "_QUIET", 100)
    monkeypatch.setattr(watching, "_AGAIN", 200)
    stop = threading.Event()
    thread = threading.Thread(target=watch, args=([str(root)], update), kwargs={"stop": stop, **more})
    thread.start()
    time.sleep(0.5)  # until the operating system is listening
    try:
        yield
    finally:
        stop.set()
        thread.join(20)
        assert not thread.is_alive()


def until(true: Callable[[], bool]) -> None:
    for _ in range(200):
        if true():
            return
        time.sleep(0.05)
    raise AssertionError("nothing came of it in ten seconds")


def test_what_changes_is_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    root = tmp_path.resolve()
    (root / "below").mkdir()
    (root / "index").mkdir()
    with watched(root, told.extend, monkeypatch, apart=(str(root / "index"),)):
        until(lambda: told == [str(root)])  # what has happened before it was watched
        told.clear()
        (root / "notes.txt").write_text("x")
        (root / ".hidden.jpg").write_text("x")
        (root / "index" / "a.jpg").write_text("x")
        time.sleep(0.5)
        assert told == []
        (root / "below" / "a.jpg").write_text("x")
        until(lambda: str(root / "below") in told)
        told.clear()
        (root / "below" / "a.jpg").unlink()
        until(lambda: str(root / "below") in told)
        (root / "another").mkdir()
        until(lambda: any(folder in told for folder in (str(root / "another"), str(root))))


def test_a_folder_with_a_dot_in_its_name_that_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    root = (tmp_path / "photos").resolve()
    (root / "2019.05 Rome").mkdir(parents=True)
    with watched(root, told.extend, monkeypatch):
        until(lambda: told == [str(root)])
        told.clear()
        (root / "2019.05 Rome").rename(tmp_path / "elsewhere")
        until(lambda: told == [str(root)])


def test_an_update_that_cannot_be_done_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tries: list[list[str]] = []
    waits: list[SearchError] = []

    def busy(folders: list[str]) -> None:
        tries.append(folders)
        if len(tries) < 3:
            raise SearchError("in use")

    root = tmp_path.resolve()
    with watched(root, busy, monkeypatch, waiting=waits.append):
        until(lambda: len(tries) >= 3)
        time.sleep(0.6)
    assert tries[:3] == [[str(root)]] * 3
    assert len(waits) == 2


@pytest.mark.parametrize(
    ("path", "concerned"),
    [
        ("/p/a.jpg", True), ("/p/x/b.HEIC", True), ("/p/folder", True), ("/p", True), ("/p/a.txt", False),
        ("/p/.cache/a.jpg", False), ("/p/.a.jpg", False), ("/q/a.jpg", False),
    ],
)  # fmt: skip
def test_what_concerns_us(path: str, concerned: bool) -> None:
    assert watching._concerns(path, ["/p"]) is concerned
    assert watching._concerns(path, ["/p"], gone=True) is (concerned or path == "/p/a.txt")


def test_the_folder_to_look_into(tmp_path: Path) -> None:
    root = str(tmp_path)
    (tmp_path / "a" / "b").mkdir(parents=True)
    assert watching._folder_of(str(tmp_path / "a" / "b" / "c.jpg"), [root]) == str(tmp_path / "a" / "b")
    assert watching._folder_of(str(tmp_path / "a" / "gone" / "c.jpg"), [root]) == str(tmp_path / "a")
    assert watching._folder_of(str(tmp_path / "a"), [root]) == str(tmp_path / "a")
    assert watching._folder_of("/elsewhere/c.jpg", [root]) is None


def test_without_the_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "watchfiles", None)
    with pytest.raises(MissingExtraError, match="watchfiles"):
        watch([str(tmp_path)], print)

"""A folder is there whole or not at all."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import NoReturn

import pytest

from altclip.errors import AltclipError, CheckpointError, UsageError
from altclip.export.folders import check_target, whole_folder

FULL = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
READ_ONLY = OSError(errno.EROFS, os.strerror(errno.EROFS))


def raising(error: BaseException) -> NoReturn:
    raise error


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def fill_half(place: Path, error: BaseException) -> None:
    """Begin a folder, and meet an error on the way."""
    with whole_folder(place) as folder:
        (folder / "half").write_text("written", encoding="utf-8")
        raise error


def test_a_folder_appears_when_it_is_whole(tmp_path: Path) -> None:
    place = tmp_path / "new"
    with whole_folder(place) as folder:
        (folder / "below").mkdir()
        (folder / "below" / "file").write_text("content", encoding="utf-8")
        assert not place.exists()
    assert (place / "below" / "file").read_text(encoding="utf-8") == "content"
    assert names(tmp_path) == ["new"]


def test_an_empty_folder_is_filled(tmp_path: Path) -> None:
    place = tmp_path / "new"
    place.mkdir()
    with whole_folder(place) as folder:
        (folder / "file").touch()
    assert names(place) == ["file"]
    assert names(tmp_path) == ["new"]


@pytest.mark.parametrize("error", [FULL, READ_ONLY], ids=["full", "read-only"])
def test_a_full_or_read_only_disk_leaves_nothing(tmp_path: Path, error: OSError) -> None:
    place = tmp_path / "new"
    with pytest.raises(CheckpointError, match=f"{place}.*{error.strerror}.*make room"):
        fill_half(place, error)
    assert names(tmp_path) == []


def test_a_place_where_nothing_can_be_made_is_one_message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "mkdir", lambda *_, **__: raising(READ_ONLY))
    with pytest.raises(CheckpointError, match="Read-only"), whole_folder(tmp_path / "new"):
        pytest.fail("there is no folder to work in")
    assert names(tmp_path) == []


@pytest.mark.parametrize("error", [ValueError("a bug"), AltclipError("no"), KeyboardInterrupt()], ids=repr)
def test_any_other_error_passes_and_leaves_nothing(tmp_path: Path, error: BaseException) -> None:
    with pytest.raises(type(error)):
        fill_half(tmp_path / "new", error)
    assert names(tmp_path) == []


def test_what_was_there_stays_until_the_new_is_whole(tmp_path: Path) -> None:
    place = tmp_path / "model"
    place.mkdir()
    (place / "old").touch()
    with pytest.raises(CheckpointError):
        fill_half(place, FULL)
    assert names(place) == ["old"]
    with whole_folder(place) as folder:
        (folder / "new").touch()
        assert names(place) == ["old"]
    assert names(place) == ["new"]
    assert names(tmp_path) == ["model"]


def test_a_rename_that_fails_puts_the_old_folder_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "model"
    place.mkdir()
    (place / "old").touch()
    rename = Path.rename

    def fail_for_the_new(self: Path, target: Path) -> Path:
        return raising(FULL) if self.suffix == ".part" else rename(self, target)

    monkeypatch.setattr(Path, "rename", fail_for_the_new)
    with pytest.raises(CheckpointError, match="is whole"), whole_folder(place) as folder:
        (folder / "new").touch()
    assert names(place) == ["old"]
    assert names(tmp_path) == ["model"]


def test_a_good_target_is_given_as_a_whole_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    for name in ("new", "empty"):
        assert check_target(name, overwrite=False) == tmp_path / name
    assert names(tmp_path) == ["empty"]


def test_a_link_counts_as_what_it_points_to(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "there")
    assert check_target(tmp_path / "link", overwrite=False) == tmp_path / "there"


def test_a_folder_with_something_in_it_is_replaced_only_when_asked_to(tmp_path: Path) -> None:
    place = tmp_path / "model"
    place.mkdir()
    (place / "file").touch()
    with pytest.raises(UsageError, match="is not empty.*--force"):
        check_target(place, overwrite=False)
    assert check_target(place, overwrite=True) == place


def test_what_must_not_be_replaced_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "place"
    (place / "model").mkdir(parents=True)
    for what, source in (("the model", place / "model"), ("the model", place)):
        with pytest.raises(UsageError, match=f"holds {what}"):
            check_target(place, overwrite=True, sources=[source])
    monkeypatch.setenv("HOME", str(place))
    with pytest.raises(UsageError, match="holds your home folder"):
        check_target(place, overwrite=True)
    monkeypatch.setenv("HOME", str(tmp_path / "elsewhere"))
    monkeypatch.chdir(place / "model")
    with pytest.raises(UsageError, match="holds the working directory"):
        check_target(place, overwrite=True)


def test_a_target_that_cannot_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="is a file"):
        check_target(tmp_path / "file", overwrite=True)
    with pytest.raises(UsageError, match="is no folder: make that first"):
        check_target(tmp_path / "absent" / "new", overwrite=True)
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(CheckpointError, match="may not be written to"):
        check_target(tmp_path / "new", overwrite=False)

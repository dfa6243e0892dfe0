"""Compiled graphs on disk: made once, told apart by what they depend on, whole or made anew."""

from __future__ import annotations

from pathlib import Path

import pytest

from altclip.engines.kept import CacheNotice, cache_folder, kept


class Maker:
    def __init__(self) -> None:
        self.count = 0

    def __call__(self) -> bytes:
        self.count += 1
        return b"graph" * 1000


def test_a_graph_is_made_once(tmp_path: Path) -> None:
    make = Maker()
    first = kept(tmp_path / "new", ["1.0", "cpu"], make)
    assert kept(tmp_path / "new", ["1.0", "cpu"], make) == first == b"graph" * 1000
    assert make.count == 1
    kept(tmp_path / "new", ["1.1", "cpu"], make)  # another version of the library
    assert make.count == 2
    assert all(path.suffix == ".graph" for path in (tmp_path / "new").iterdir())


@pytest.mark.parametrize("spoil", [lambda c: c[:-7], lambda c: c[:10], lambda _: b"", lambda c: c[:-1] + b"!"])
def test_a_damaged_one_is_made_anew(tmp_path: Path, spoil: object) -> None:
    make = Maker()
    kept(tmp_path, ["a"], make)
    (path,) = tmp_path.iterdir()
    path.write_bytes(spoil(path.read_bytes()))  # type: ignore[operator]
    assert kept(tmp_path, ["a"], make) == b"graph" * 1000
    assert make.count == 2
    assert kept(tmp_path, ["a"], make) == b"graph" * 1000
    assert make.count == 2


def test_where_nothing_can_be_kept_it_is_said_and_goes_on(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.warns(CacheNotice, match="cannot be kept in"):
        assert kept(tmp_path / "file" / "folder", ["a"], Maker()) == b"graph" * 1000


def test_one_that_cannot_be_used_is_made_anew_when_asked(tmp_path: Path) -> None:
    make = Maker()
    kept(tmp_path, ["a"], lambda: b"of another build")
    assert kept(tmp_path, ["a"], make) == b"of another build"
    assert kept(tmp_path, ["a"], make, anew=True) == b"graph" * 1000
    assert kept(tmp_path, ["a"], make) == b"graph" * 1000
    assert make.count == 1


def test_of_one_that_there_is_no_room_for_nothing_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: Path, _target: Path) -> None:
        assert self.stat().st_size == 5032
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.warns(CacheNotice, match="No space left"):
        assert kept(tmp_path, ["a"], Maker()) == b"graph" * 1000
    assert list(tmp_path.iterdir()) == []


def test_no_folder_keeps_nothing() -> None:
    make = Maker()
    assert kept(None, ["a"], make) == kept(None, ["a"], make)
    assert make.count == 2


def test_the_users_cache_folder_is_that_of_the_system(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "altclip" / "graphs"

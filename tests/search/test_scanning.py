"""What is found in folders, and how new, changed, moved, touched and deleted files are told apart."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from altclip.search.rows import Known
from altclip.search.scanning import Changes, OnDisk, Scan, below, compare, file_digest, scan


def lay(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(name.encode())
    return root


def found(root: Path) -> list[str]:
    return [str(Path(file.path).relative_to(root)) for file in scan(str(root)).files]


def known(file: OnDisk, **changes: object) -> Known:
    """The row that a file has after it was indexed."""
    fields = {"id": f"row of {file.path}", **file._asdict(), "digest": file_digest(file.path) or ""}
    return Known(**{**fields, **changes})


def test_photographs_are_found_by_their_ending(tmp_path: Path) -> None:
    lay(tmp_path, "b.JPG", "a.heic", "below/c.png", "notes.txt", "._b.jpg", ".hidden/d.png", ".trash.jpg")
    result = scan(str(tmp_path))
    assert [Path(file.path).name for file in result.files] == ["a.heic", "b.JPG", "c.png"]
    assert {file.folder for file in result.files} == {str(tmp_path)}
    assert (result.passed_over, result.problems) == (3, [])
    info = (tmp_path / "a.heic").stat()
    assert (result.files[0].size, result.files[0].mtime_ns) == (info.st_size, info.st_mtime_ns)


def test_folders_apart_are_no_part(tmp_path: Path) -> None:
    lay(tmp_path, "a.jpg", "index/rows.lance/b.jpg")
    result = scan(str(tmp_path), apart=(str(tmp_path / "index"),))
    assert [Path(file.path).name for file in result.files] == ["a.jpg"]


def test_links_that_lead_out_are_not_followed(tmp_path: Path) -> None:
    root = lay(tmp_path / "root", "a.jpg")
    lay(tmp_path, "outside/secret.jpg", "root-beside/x.jpg")
    (root / "out.jpg").symlink_to(tmp_path / "outside" / "secret.jpg")
    (root / "beside.jpg").symlink_to(tmp_path / "root-beside" / "x.jpg")
    (root / "relative.jpg").symlink_to("../outside/secret.jpg")
    (root / "folder").symlink_to(tmp_path / "outside")
    (root / "itself").symlink_to(root)
    assert found(root) == ["a.jpg"]
    assert scan(str(root)).links_out == 3


def test_a_link_within_the_folder_is_followed_where_it_adds_something(tmp_path: Path) -> None:
    lay(tmp_path, "a.jpg", ".annex/objects/b")
    (tmp_path / "again.jpg").symlink_to("a.jpg")
    (tmp_path / "b.jpg").symlink_to(".annex/objects/b")
    (tmp_path / "gone.jpg").symlink_to("nowhere.jpg")
    result = scan(str(tmp_path))
    assert [Path(file.path).name for file in result.files] == ["a.jpg", "b.jpg"]
    assert len(result.problems) == 1
    assert "gone.jpg" in result.problems[0].reason


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    assert scan(str(tmp_path)).files == []


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such a name")
def test_a_name_that_is_not_utf_8_is_named(tmp_path: Path) -> None:
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.jpg")).write_bytes(b"x")
    result = scan(str(tmp_path))
    assert result.files == []
    assert "caf\\xe9.jpg: its name is not UTF-8" in result.problems[0].reason.replace("\\udce9", "\\xe9")


def test_a_folder_that_cannot_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lay(tmp_path, "a.jpg", "locked/b.jpg")
    scandir = os.scandir

    def refuse(path: str) -> object:
        if os.fspath(path).endswith("locked"):
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    result = scan(str(tmp_path))
    assert found(tmp_path) == ["a.jpg"]
    assert result.dark == [str(tmp_path / "locked")]
    assert "Permission denied" in result.problems[0].reason


@pytest.mark.parametrize(
    ("path", "folder", "is_below"),
    [("/a/b", "/a", True), ("/a", "/a", True), ("/ab", "/a", False), ("/a", "/", True), ("/b/a", "/a", False)],
)
def test_below(path: str, folder: str, is_below: bool) -> None:
    assert below(path, folder) is is_below


@pytest.fixture
def album(tmp_path: Path) -> Path:
    return lay(tmp_path, "a.jpg", "b.jpg", "below/c.jpg")


def files_of(root: Path) -> list[OnDisk]:
    result: Scan = scan(str(root))
    return result.files


def names(files: list[OnDisk]) -> list[str]:
    return [Path(file.path).name for file in files]


def no_reading(path: str) -> str:
    raise AssertionError(f"{path} was read")


def test_nothing_has_happened_and_nothing_is_read(album: Path) -> None:
    changes = compare(files_of(album), [known(file) for file in files_of(album)], digest=no_reading)
    assert changes == Changes(unchanged=3)


def test_new_and_deleted(album: Path) -> None:
    rows = [known(file) for file in files_of(album)]
    (album / "a.jpg").unlink()
    lay(album, "quite another.jpg")
    changes = compare(files_of(album), rows, digest=no_reading)  # of another size: no need to look
    assert names(changes.new) == ["quite another.jpg"]
    assert [row.path for row in changes.deleted] == [str(album / "a.jpg")]


@pytest.mark.parametrize("content", [b"longer than before", b"e.jpg"], ids=["another size", "the same size"])
def test_changed(album: Path, content: bytes) -> None:
    rows = [known(file) for file in files_of(album)]
    (album / "a.jpg").write_bytes(content)
    os.utime(album / "a.jpg", ns=(1, 1))
    changes = compare(files_of(album), rows)
    assert [(Path(file.path).name, [row.id for row in old]) for file, old in changes.changed] == [
        ("a.jpg", [f"row of {album / 'a.jpg'}"])
    ]
    assert (changes.unchanged, changes.deleted, changes.new) == (2, [], [])


def test_touched_is_not_changed(album: Path) -> None:
    rows = [known(file) for file in files_of(album)]
    os.utime(album / "a.jpg", ns=(1, 1))
    changes = compare(files_of(album), rows)
    assert [(row.path, file.mtime_ns) for row, file in changes.touched] == [(str(album / "a.jpg"), 1)]
    assert changes.changed == []


def test_moved_with_its_content(album: Path) -> None:
    rows = [known(file) for file in files_of(album)]
    (album / "elsewhere").mkdir()
    (album / "a.jpg").rename(album / "elsewhere" / "renamed.jpg")
    changes = compare(files_of(album), rows)
    assert [(row.path, file.path) for row, file in changes.moved] == [
        (str(album / "a.jpg"), str(album / "elsewhere" / "renamed.jpg"))
    ]
    assert (changes.new, changes.deleted) == ([], [])


def test_of_equal_files_each_goes_with_its_name(tmp_path: Path) -> None:
    for name in ("x.jpg", "y.jpg"):
        (tmp_path / name).write_bytes(b"same")
    rows = [known(file) for file in files_of(tmp_path)]
    (tmp_path / "to").mkdir()
    for name in ("y.jpg", "x.jpg"):
        (tmp_path / name).rename(tmp_path / "to" / name)
    moved = compare(files_of(tmp_path), rows).moved
    assert {(Path(row.path).name, Path(file.path).name) for row, file in moved} == {
        ("x.jpg", "x.jpg"),
        ("y.jpg", "y.jpg"),
    }


def test_a_copy_is_new(album: Path) -> None:
    rows = [known(file) for file in files_of(album)]
    (album / "copy.jpg").write_bytes((album / "a.jpg").read_bytes())
    changes = compare(files_of(album), rows)
    assert names(changes.new) == ["copy.jpg"]
    assert changes.moved == []


def test_a_file_that_cannot_be_read_is_not_taken_for_a_moved_one(album: Path) -> None:
    rows = [known(file, digest="") for file in files_of(album)]
    (album / "a.jpg").rename(album / "d.jpg")
    changes = compare(files_of(album), rows, digest=lambda _: None)
    assert names(changes.new) == ["d.jpg"]


def test_what_cannot_be_seen_is_kept(album: Path) -> None:
    rows = [known(file) for file in files_of(album)]
    changes = compare([], rows, hidden=lambda path: below(path, str(album / "below")))
    assert [row.path for row in changes.kept] == [str(album / "below" / "c.jpg")]
    assert len(changes.deleted) == 2


def test_two_rows_of_one_path_become_one(album: Path) -> None:
    """A run killed between writing a changed file's new row and removing the old one leaves both."""
    file = files_of(album)[0]
    old = known(file, id="old", digest="another", mtime_ns=1)
    changes = compare([file], [old, known(file)])
    assert changes.unchanged == 1
    assert [row.id for row in changes.deleted] == ["old"]

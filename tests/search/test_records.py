"""Parquet and webdataset are read without the library `datasets`, a row at a time; what is damaged is named."""

from __future__ import annotations

import io
import subprocess
import sys
import tarfile
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from altclip.errors import DataError
from altclip.search.records import records


def archive(path: Path, files: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w") as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


def test_files_of_one_name_are_one_row(tmp_path: Path) -> None:
    files = {
        "a/001.jpg": b"1", "a/001.txt": "猫".encode(), "a/001.json": b'{"n": 1}',
        "a/002.seg.png": b"mask", "a/002.PNG": b"2", "b/002.webp": b"3", "b/002.cls": b"7",
    }  # fmt: skip
    assert list(records(archive(tmp_path / "t.tar", files))) == [
        {"__key__": "a/001", "image": b"1", "txt": "猫", "json": {"n": 1}},
        {"__key__": "a/002", "seg.png": b"mask", "image": b"2"},
        {"__key__": "b/002", "image": b"3", "cls": b"7"},
    ]


def test_several_shards(tmp_path: Path) -> None:
    for number in (1, 0):
        archive(tmp_path / f"s{number}.tar", {f"{number}.jpg": b"x"})
        parquet.write_table(pa.table({"id": [number]}), tmp_path / f"s{number}.parquet")
    assert [row["__key__"] for row in records(tmp_path / "s*.tar")] == ["0", "1"]
    assert [row["id"] for row in records(str(tmp_path / "s?.parquet"))] == [0, 1]


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("t.tar", b"no archive", "cannot be read as webdataset"),
        ("t.parquet", b"no table", "cannot be read as parquet"),
        ("none.tar", None, "none.tar does not exist"),
        ("none*.parquet", None, "does not exist"),
    ],
)
def test_what_cannot_be_read(tmp_path: Path, name: str, content: bytes | None, told: str) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=told):
        list(records(tmp_path / name))


def test_json_that_is_none_names_its_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"t.tar: a.json is no JSON"):
        list(records(archive(tmp_path / "t.tar", {"a.jpg": b"x", "a.json": b"{"})))


def test_an_archive_that_is_cut_gives_its_whole_rows_and_says_so(tmp_path: Path) -> None:
    path = archive(tmp_path / "t.tar", {f"{n}.jpg": bytes(2000) for n in range(5)})
    path.write_bytes(path.read_bytes()[:6000])
    rows = records(path)
    assert next(rows)["__key__"] == "0"
    with pytest.raises(DataError, match="cannot be read as webdataset"):
        list(rows)


def test_neither_needs_the_library_datasets(tmp_path: Path) -> None:
    archive(tmp_path / "t.tar", {"a.jpg": b"x"})
    parquet.write_table(pa.table({"id": ["a"]}), tmp_path / "t.parquet")
    code = (
        "import sys; sys.modules['datasets'] = None; from altclip.search.records import records;"
        "print([len(list(records(path))) for path in sys.argv[1:]])"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "t.tar"), str(tmp_path / "t.parquet")]
    assert subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout == "[1, 1]\n"

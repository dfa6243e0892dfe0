"""`altclip index` and its tasks: what is said, and how it ends."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from altclip.cli import index_tasks
from altclip.search import Index, Query
from tests.bad import picture
from tests.cli.conftest import Run


@pytest.fixture
def index(run: Run, tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("ALTCLIP_INDEX", str(tmp_path / "index"))
    return lambda *arguments: run("index", *arguments)


@pytest.fixture
def indexed(index: Run, album: Path, tiny_folder: Path) -> Run:
    assert index(album, "--model", tiny_folder).code == 0
    return index


def document(out: str) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(out)
    return loaded


def test_a_folder(index: Run, album: Path, tiny_folder: Path, tmp_path: Path) -> None:
    code, out, err = index(album, "--model", tiny_folder)
    assert code == 0
    assert out.splitlines() == [
        "3 new", f"the index {tmp_path / 'index'} holds 3 pictures, embedded by {tiny_folder}"
    ]  # fmt: skip
    assert "passed over: 4" in err
    code, out, _ = index(album)  # the model is that of the index
    assert (code, out.splitlines()[0]) == (0, "nothing to do; 3 unchanged")


def test_places_are_kept_only_if_asked_for(index: Run, album: Path, tiny_folder: Path, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif.get_ifd(0x8825).update({1: "N", 2: (48.0, 51.0, 30.0), 3: "E", 4: (2.0, 17.0, 40.0)})
    picture((9, 9, 90)).save(album / "paris.jpg", exif=exif)
    places = []
    for options in ((), ("--gps",)):
        other = tmp_path / f"index {len(options)}"
        assert index(album, "--index", other, "--model", tiny_folder, *options).code == 0
        rows = [hit.row for hit in Index.open(other).search(Query()).hits if hit.row.name == "paris.jpg"]
        places.append([row.latitude for row in rows])
    assert places == [[None], [pytest.approx(48.858333, abs=1e-4)]]


def test_no_folder_means_all_that_were_indexed(indexed: Run, album: Path) -> None:
    picture((1, 1, 1)).save(album / "new.jpg")
    assert indexed().out.startswith("1 new; 3 unchanged")


def test_without_any_folder_ever(index: Run) -> None:
    code, out, err = index()
    assert (code, out) == (2, "")
    assert "altclip index FOLDER" in err


def test_json(indexed: Run, album: Path, tmp_path: Path) -> None:
    (album / "bad.jpg").write_bytes(b"no picture")
    code, out, err = indexed("--json")
    told = document(out)
    assert code == 1
    assert (told["index"], told["rows"], told["unchanged"], told["new"]) == (str(tmp_path / "index"), 3, 3, 0)
    assert [failure["path"] for failure in told["failures"]] == [str(tmp_path / "album" / "bad.jpg")]
    assert "bad.jpg" in err


def test_what_cannot_be_read_is_named_and_the_exit_code_1(indexed: Run, album: Path) -> None:
    (album / "bad\x1b[31m.jpg").write_bytes(b"no picture")
    picture((1, 1, 1)).save(album / "new.jpg")
    code, out, err = indexed(album)
    assert code == 1
    assert out.startswith("1 new; 3 unchanged")
    assert "bad\\x1b[31m.jpg" in err.replace("\n", "")


def test_many_that_cannot_be_read_do_not_fill_the_screen(indexed: Run, album: Path) -> None:
    for number in range(25):
        (album / f"bad{number}.jpg").write_bytes(b"no picture")
    _, _, err = indexed(album)
    assert err.count("error: ") == 21
    assert "and 5 more" in err


def test_a_folder_that_is_not_there(indexed: Run, album: Path) -> None:
    shutil.rmtree(album)
    code, out, err = indexed()
    assert (code, out.splitlines()[0]) == (1, "nothing to do; 3 out of sight and kept")
    assert "its 3 rows are kept: plug it in, or drop them with --prune" in err
    assert indexed("--prune").out.startswith("3 deleted")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere"], "no such folder"),
        (["album/b.jpg"], "is a file: expected a folder"),
        (["album", "--from-table", "x.parquet"], "stands alone"),
        (["album", "--watch", "--json"], "leave out --json"),
    ],
)
def test_wrong_usage(index: Run, album: Path, arguments: list[str], words: str) -> None:
    code, out, err = index(*arguments)
    assert (code, out) == (2, "")
    assert words in err


def test_another_model_is_refused(indexed: Run, album: Path) -> None:
    code, _, err = indexed(album, "--model", "mini")
    assert code == 1
    assert "cannot be compared" in err


def test_a_table(index: Run, album: Path, tiny_folder: Path) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    pytest.importorskip("datasets")
    images = [(album / "b.jpg").read_bytes(), (album / "a.PNG").read_bytes()]
    parquet.write_table(pa.table({"id": ["x", "y"], "image": images}), "t.parquet")
    code, out, _ = index("--from-table", "t.parquet", "--model", tiny_folder, "--json")
    assert (code, document(out)["new"], document(out)["rows"]) == (0, 2, 2)


def test_status(indexed: Run, album: Path, tiny_folder: Path) -> None:
    code, out, _ = indexed("status", "--json")
    told = document(out)
    assert (code, told["rows"], told["model"]) == (0, 3, str(tiny_folder))
    assert told["folders"] == [{"folder": str(album.resolve()), "there": True}]
    shutil.rmtree(album)
    shown = "".join(indexed("status").out.split())
    assert "(nottherenow)" in shown.replace("│", "")


def test_a_hit_whose_file_is_gone_is_told(indexed: Run, run: Run, album: Path) -> None:
    (album / "b.jpg").unlink()
    assert "notthere" in "".join(run("search", "--where", "name=b.jpg").out.replace("│", "").split())


def test_remove(indexed: Run, album: Path) -> None:
    assert document(indexed("remove", album / "below", "--json").out) == {"removed": 1, "folders": []}
    assert document(indexed("status", "--json").out)["rows"] == 2
    assert (album / "below" / "c.webp").exists()
    assert "2 pictures forgotten" in indexed("remove", album).out
    assert document(indexed("status", "--json").out)["folders"] == []
    code, _, err = indexed("remove", album)
    assert code == 2
    assert "nothing in the index lies at" in err


def test_compact_verify_export_tune(indexed: Run) -> None:
    assert document(indexed("compact", "--json").out)["bytes_after"] > 0
    assert indexed("verify").out == "the index is whole\n"
    assert document(indexed("export", "x.jsonl", "--json").out) == {"out": "x.jsonl", "rows": 3}
    assert len(Path("x.jsonl").read_text(encoding="utf-8").splitlines()) == 3
    assert "nothing to tune" in indexed("tune").out


def test_duplicates(indexed: Run, album: Path) -> None:
    shutil.copy(album / "b.jpg", album / "below" / "again.jpg")
    assert indexed().code == 0
    twice = [str(album.resolve() / "b.jpg"), str(album.resolve() / "below" / "again.jpg")]
    assert twice in document(indexed("duplicates", "--json", "--least-cosine", "0.9999").out)["groups"]
    said = indexed("duplicates", "--least-cosine", "0.9999").out
    assert "\n".join(twice) in said
    assert said.endswith(" groups\n")
    code, _, err = indexed("duplicates", "--least-cosine", "0.3")
    assert code == 2
    assert "0.5" in err


def test_a_damaged_index_is_told(indexed: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Index, "verify", lambda _: ["2 rows have a vector that is not finite"])
    code, out, err = indexed("verify")
    assert (code, out) == (1, "")
    assert "2 rows have a vector that is not finite" in err


@pytest.mark.parametrize("task", index_tasks.TASKS)
def test_every_task_has_help_with_an_example(index: Run, task: str) -> None:
    code, out, _ = index(task, "--help")
    assert code == 0
    assert f"Usage: altclip index {task}" in out
    assert f"altclip index {task}" in out.rpartition("Example:")[2]
    assert f"altclip index {task}" in index("--help").out


def test_a_task_without_an_index(index: Run) -> None:
    code, _, err = index("status")
    assert code == 1
    assert "is no index: `altclip index FOLDER` makes one" in err


def test_a_folder_with_the_name_of_a_task(index: Run, tmp_path: Path, tiny_folder: Path, album: Path) -> None:
    album.rename("status")
    assert index("./status", "--model", tiny_folder).out.startswith("3 new")


def start(album: Path, tiny_folder: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "altclip", "index", str(album), "--model", str(tiny_folder), *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )  # fmt: skip


def test_watching_an_empty_folder_makes_it_the_root(
    index: Run, tmp_path: Path, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not the folder below it in which the first photograph came."""
    root = (tmp_path / "empty").resolve()
    (root / "2024").mkdir(parents=True)

    def comes(folders: list[str], update: Callable[[list[str]], None], **_: object) -> None:
        assert folders == [str(root)]
        picture((1, 2, 3)).save(root / "2024" / "a.jpg")
        update([str(root / "2024")])
        picture((3, 2, 1)).save(root / "2024" / "b.jpg")
        update([str(root / "2024")])

    monkeypatch.setattr("altclip.search.watching.watch", comes)
    code, out, _ = index(root, "--watch", "--model", tiny_folder)
    assert code == 0
    assert [line for line in out.splitlines() if "new" in line] == ["1 new", "1 new; 1 unchanged"]
    assert Index.open(tmp_path / "index").folders == (str(root),)


@pytest.mark.slow
def test_watch_until_ctrl_c(index: Run, album: Path, tiny_folder: Path) -> None:
    pytest.importorskip("watchfiles")
    child = start(album, tiny_folder, "--watch")
    assert child.stdout is not None
    assert child.stdout.readline() == "3 new\n"
    child.stdout.readline()
    time.sleep(3)
    picture((1, 2, 3)).save(album / "later.jpg")
    assert child.stdout.readline() == "1 new; 3 unchanged\n"
    child.send_signal(signal.SIGINT)
    _, err = child.communicate(timeout=60)
    assert child.returncode == 0
    assert err.splitlines()[-1] == "no longer watching"


@pytest.mark.slow
def test_ctrl_c(index: Run, album: Path, tiny_folder: Path) -> None:
    for number in range(3000):
        picture((number % 256, number // 256, 0)).save(album / f"{number}.png")
    child = start(album, tiny_folder)
    place = Path(os.environ["ALTCLIP_INDEX"])
    while not (place / "index.json").exists():
        time.sleep(0.1)
    time.sleep(1)
    child.send_signal(signal.SIGINT)
    _, err = child.communicate(timeout=120)
    assert child.returncode == 130
    assert "the same command goes on from there" in err
    assert "Traceback" not in err
    assert index(album).code == 0
    assert Index.open(place).status().rows == 3003

"""An index on disk: made, opened, written by one at a time, refused where it must be, whole after a failure."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

from altclip.errors import SearchError, UsageError
from altclip.search import Index, Place, Query, Row, default_folder, make_id
from altclip.search.store import guarded
from tests.search.made import (
    DIGEST,
    DIM,
    JPEG,
    asks,
    ids_of,
    made_id,
    made_index,
    made_row,
    made_rows,
    vector_of,
    vectors,
)


def run(code: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """A program of its own, which finds the tests' helpers."""
    root = Path(__file__).parent.parent.parent
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(root / "src"), str(root)])}
    command = [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)


def test_what_was_put_is_there_when_opened_again(tmp_path: Path) -> None:
    rows = made_rows(5)
    made_index(tmp_path / "index", rows)
    index = Index.open(tmp_path / "index")
    assert ids_of(index) == sorted(row.id for row in rows)
    for row in rows:
        assert vars(index.row(row.id)) == {**vars(row), "vector": None, "thumbnail": b""}
        assert index.thumbnail(row.id) == row.thumbnail
    np.testing.assert_allclose(index.vectors([r.id for r in rows[::-1]]), np.stack([vector_of(r) for r in rows[::-1]]))
    assert index.verify() == []


def test_a_file_that_a_writer_deletes_while_sizes_are_summed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    index = made_index(tmp_path / "index", made_rows(1))
    kept = index.folder / "index.json"
    monkeypatch.setattr("altclip.search.store._files", lambda _: iter([str(kept), str(index.folder / "gone")]))
    assert index.status().size_bytes == kept.stat().st_size


def test_not_a_number_is_no_metadata(tmp_path: Path) -> None:
    index = made_index(tmp_path / "index")
    with index.writing() as writer, pytest.raises(UsageError, match="nothing that JSON holds"):
        writer.put(made_rows(1, extra={"price": float("nan")}))
    assert ids_of(index) == []


def test_what_index_json_tells(tmp_path: Path) -> None:
    index = made_index(tmp_path / "index", made_rows(3))
    with index.writing() as writer:
        writer.add_folder("/photos")
        writer.add_folder("/photos")
        writer.add_folder("/more")
    status = Index.open(tmp_path / "index").status()
    assert (status.model, status.digest, status.dim) == ("tiny", DIGEST, DIM)
    assert status.folders == index.folders == ("/photos", "/more")
    assert (status.rows, status.approximate, status.tuned) == (3, False, None)
    assert status.size_bytes > 0


def test_an_id_is_a_row_once(tmp_path: Path) -> None:
    first, second, third = vectors(3)
    index = made_index(tmp_path / "index", [made_row(0, first), made_row(0, second, text="b")])
    assert index.row(made_id(0)).text == "b"  # type: ignore[union-attr]
    with index.writing() as writer:
        writer.put([made_row(0, third, text="c"), made_row(1, first)])
    assert ids_of(index) == sorted([made_id(0), made_id(1)])
    assert index.search(asks(third, limit=1)).hits[0].row.text == "c"
    assert index.verify() == []


def test_removing(tmp_path: Path) -> None:
    index = made_index(tmp_path / "index", made_rows(4))
    with index.writing() as writer:
        with pytest.raises(SearchError, match="no row of .* has the id 'nothing'; nothing was changed"):
            writer.remove([made_id(1), "nothing"])
        assert index.search(Query()).total == 4
        writer.remove([made_id(1), made_id(3)])
        writer.remove([])
    assert ids_of(index) == sorted([made_id(0), made_id(2)])


def test_removing_a_folder(tmp_path: Path) -> None:
    rows = [*made_rows(2), made_row(2, vectors(3)[2], folder="/other's")]
    index = made_index(tmp_path / "index", rows)
    with index.writing() as writer:
        writer.add_folder("/other's")
        assert writer.remove_folder("/other's") == 1
        assert writer.remove_folder("/other's") == 0
    assert (index.folders, ids_of(index)) == ((), sorted(row.id for row in rows[:2]))


def test_a_moved_file_is_the_same_row_elsewhere(tmp_path: Path) -> None:
    rows = made_rows(3)
    index = made_index(tmp_path / "index", rows)
    place = Place("/new/лошадь.jpg", "/new", "лошадь.jpg", 77)
    with index.writing() as writer:
        with pytest.raises(SearchError, match="nothing"):
            writer.moved({"nothing": place})
        writer.moved({rows[1].id: place})
    moved = index.row(rows[1].id)
    assert moved is not None
    changed = {"path": place.path, "folder": "/new", "name": place.name, "mtime_ns": 77}
    assert vars(moved) == {**vars(rows[1]), **changed, "vector": None, "thumbnail": b""}
    assert index.thumbnail(rows[1].id) == rows[1].thumbnail
    np.testing.assert_array_equal(index.vectors([rows[1].id])[0], rows[1].vector)
    assert [hit.id for hit in index.search(Query(words="лошадь")).hits] == [rows[1].id]
    assert [entry.id for entry in index.known("/new")] == [rows[1].id]


def test_what_is_known_of_files(tmp_path: Path) -> None:
    row = made_rows(1)[0]
    entry = next(made_index(tmp_path / "index", [row]).known("/photos"))
    assert vars(entry) == {name: getattr(row, name) for name in vars(entry)}


def test_unknown_ids(tmp_path: Path) -> None:
    index = made_index(tmp_path / "index", made_rows(2))
    assert index.row("it's nothing") is None
    assert index.thumbnail("nothing") is None
    assert index.vectors([]).shape == (0, DIM)
    with pytest.raises(SearchError, match="has the id 'nothing'"):
        index.vectors([made_id(0), "nothing"])


def test_ids_are_of_their_parts() -> None:
    assert len(make_id("a")) == 26
    assert make_id("a", "b") == make_id("a", "b")
    assert len({make_id("a", "b"), make_id("ab"), make_id("", "ab"), make_id("b", "a"), make_id("a", "b", "")}) == 5
    assert make_id("\udcff")  # a file's name that is no Unicode


def test_an_index_of_another_model_is_refused(tmp_path: Path) -> None:
    index = made_index(tmp_path / "index")
    index.check_model(DIGEST)
    with pytest.raises(SearchError, match="embeddings of tiny .*dddddddddddd.* cannot be compared .*eeeeeeeeeeee"):
        index.check_model("e" * 64)


BAD_VECTORS = {
    "none": (None, "has no vector"),
    "longer": (np.ones(DIM + 1, np.float32), r"has a vector of shape \(9,\); this index holds vectors of 8"),
    "nan": (np.array([np.nan] + [1] * (DIM - 1), np.float32), "not finite"),
    "infinite": (np.full(DIM, np.inf, np.float32), "not finite"),
    "zero": (np.zeros(DIM, np.float32), "zero"),
}


@pytest.mark.parametrize(("vector", "told"), BAD_VECTORS.values(), ids=BAD_VECTORS.keys())
def test_a_vector_that_cannot_be_kept_is_refused_and_nothing_is_put(tmp_path: Path, vector: object, told: str) -> None:
    index = made_index(tmp_path / "index")
    good, bad = made_rows(2)
    with index.writing() as writer, pytest.raises(UsageError, match=told) as caught:
        writer.put([good, Row(**{**vars(bad), "vector": vector})])
    assert bad.id in str(caught.value)
    assert ids_of(index) == []


def test_vectors_are_brought_to_length_one(tmp_path: Path) -> None:
    row = made_row(0, vectors(1)[0] * 12)
    index = made_index(tmp_path / "index", [row])
    np.testing.assert_allclose(index.vectors([row.id])[0], vectors(1)[0], atol=1e-6)


def test_a_name_that_is_no_unicode_is_refused(tmp_path: Path) -> None:
    with made_index(tmp_path / "index").writing() as writer, pytest.raises(UsageError, match="cannot keep"):
        writer.put([made_row(0, vectors(1)[0], path="/photos/\udcff.jpg")])


def test_metadata_that_is_no_json_is_refused(tmp_path: Path) -> None:
    with made_index(tmp_path / "index").writing() as writer, pytest.raises(UsageError, match="nothing that JSON holds"):
        writer.put([made_row(0, vectors(1)[0], extra={"picture": b"bytes"})])


def test_one_writer_at_a_time_and_readers_do_not_wait(tmp_path: Path) -> None:
    index = made_index(tmp_path / "index", made_rows(2))
    with index.writing():
        reader = Index.open(tmp_path / "index")
        assert reader.search(Query()).total == 2
        with pytest.raises(SearchError, match=f"is being written to by process {os.getpid()}: wait"), reader.writing():
            pass
    with reader.writing() as writer:
        writer.remove([made_id(0)])


HOLD = """
    import sys, time
    from altclip.search import Index
    with Index.open(sys.argv[1]).writing():
        print("holding", flush=True)
        time.sleep(60)
"""


def test_the_lock_of_a_killed_writer_is_free(tmp_path: Path) -> None:
    index = made_index(tmp_path / "index")
    code = [sys.executable, "-c", textwrap.dedent(HOLD), str(tmp_path / "index")]
    with subprocess.Popen(code, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "holding\n"
        with pytest.raises(SearchError, match=f"by process {holder.pid}"), index.writing():
            pass
        holder.kill()
    with index.writing() as writer:
        writer.put(made_rows(1))


KILLED = """
    import os, signal, sys
    from altclip.search import Index
    from tests.search.made import made_rows
    with Index.open(sys.argv[1]).writing() as writer:
        for row in made_rows(5):
            writer.put([row])
        os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_put_returned_from_outlives_a_kill(tmp_path: Path) -> None:
    index = made_index(tmp_path / "index")
    assert run(KILLED, index.folder).returncode == -9
    assert ids_of(index) == sorted(row.id for row in made_rows(5))
    assert Index.open(index.folder).verify() == []


FULL = """
    import os, resource, signal, sys
    from altclip.errors import SearchError
    from altclip.search import Index
    from tests.search.made import made_row, vectors
    index = Index.open(sys.argv[1])
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    with index.writing() as writer:
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))  # as a disk with that little room
        try:
            writer.put([made_row(n, v, thumbnail=os.urandom(100_000)) for n, v in enumerate(vectors(40), 100)])
        except SearchError as error:
            print(error)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="limits of file sizes are POSIX's")
def test_a_write_that_fails_leaves_the_index_as_it_was(tmp_path: Path) -> None:
    index = made_index(tmp_path / "index", made_rows(5))
    done = run(FULL, index.folder)
    assert "could not be written" in done.stdout, done.stderr
    assert ids_of(index) == sorted(row.id for row in made_rows(5))
    assert index.verify() == []
    with index.writing() as writer:  # and goes on where there is room again
        writer.put([made_row(100, vectors(1)[0])])
    assert index.search(Query()).total == 6


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (OSError(28, "No space left on device"), "the disk is full. What was put before is whole"),
        (RuntimeError("LanceError(IO): ... (os error 28), src/x.rs"), "the disk is full"),
        (PermissionError(13, "Permission denied"), "may not be written to. Nothing was changed"),
        (RuntimeError("lance error: Read-only file system (os error 30)"), "may not be written to"),
        (RuntimeError("lance error: Not found: /x/data/y.lance"), "altclip index verify"),
        (ValueError("anything else\nand more"), "anything else$"),
    ],
)
def test_errors_of_the_store_are_told_in_our_words(error: Exception, told: str, tmp_path: Path) -> None:
    with pytest.raises(SearchError, match=told) as caught, guarded(tmp_path, "written"):
        raise error
    assert str(tmp_path) in str(caught.value)
    assert caught.value.__cause__ is error


def test_what_may_not_be_read_is_told_so(tmp_path: Path) -> None:
    with pytest.raises(SearchError, match="could not be read: its files may not be read"), guarded(tmp_path, "read"):
        raise RuntimeError("lance error: Permission denied (os error 13)")


def test_errors_of_ours_pass_as_they_are(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="^mine$"), guarded(tmp_path, "written"):
        raise UsageError("mine")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written_to_is_read_all_the_same(tmp_path: Path) -> None:
    index = made_index(tmp_path / "index", made_rows(2))
    for path in (index.folder, *index.folder.rglob("*")):
        path.chmod(0o555 if path.is_dir() else 0o444)
    try:
        assert Index.open(index.folder).search(Query()).total == 2
        with pytest.raises(SearchError, match="cannot be written to"), index.writing():
            pass
    finally:
        for path in (index.folder, *index.folder.rglob("*")):
            path.chmod(0o755)


def test_no_index(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "nothing"):
        with pytest.raises(SearchError, match="is no index: `altclip index FOLDER` makes one"):
            Index.open(folder)


def test_a_folder_with_other_things_is_no_place_for_an_index(tmp_path: Path) -> None:
    (tmp_path / "cat.jpg").write_bytes(b"")
    with pytest.raises(SearchError, match=r"holds other files \(cat.jpg\)"):
        made_index(tmp_path)
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(SearchError, match="could not be made"):
        made_index(tmp_path / "file")


def test_an_index_is_not_made_over_another(tmp_path: Path) -> None:
    made_index(tmp_path / "index", made_rows(1))
    with pytest.raises(SearchError, match="is an index already"):
        made_index(tmp_path / "index")
    assert Index.open(tmp_path / "index").search(Query()).total == 1


def test_what_a_killed_create_left_is_in_nobodys_way(tmp_path: Path) -> None:
    made_index(tmp_path / "index", made_rows(1))
    (tmp_path / "index" / "index.json").unlink()
    assert made_index(tmp_path / "index").search(Query()).total == 0


def test_an_impossible_length_of_vectors(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="dim=0"):
        made_index(tmp_path / "index", dim=0)


DAMAGED = {"cut": '{"model": "tiny"', "other": "[]", "lacking": "{}"}


@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED.keys())
def test_a_damaged_description_says_so(tmp_path: Path, content: str) -> None:
    index = made_index(tmp_path / "index")
    (index.folder / "index.json").write_text(content)
    with pytest.raises(SearchError, match="index.json is damaged"):
        Index.open(index.folder)
    assert "index.json is damaged" in index.verify()[0]


def test_an_index_of_a_later_altclip_is_refused(tmp_path: Path) -> None:
    index = made_index(tmp_path / "index")
    content = json.loads((index.folder / "index.json").read_text())
    (index.folder / "index.json").write_text(json.dumps({**content, "format": 3, "new": 1}))
    with pytest.raises(SearchError, match="format 3, of a later altclip"):
        Index.open(index.folder)
    (index.folder / "index.json").write_text(json.dumps({**content, "format": 1}))
    with pytest.raises(SearchError, match="format 1, of an earlier altclip; this one reads 2: delete it"):
        Index.open(index.folder)


@pytest.mark.parametrize("harm", ["cut", "overwritten", "gone"])
def test_damage_is_found_and_named(tmp_path: Path, harm: str) -> None:
    folder = made_index(tmp_path / "index", made_rows(50)).folder
    for path in (folder / "rows.lance" / "data").iterdir():
        content = path.read_bytes()
        path.unlink()
        if harm != "gone":
            path.write_bytes(content[: len(content) // 2] if harm == "cut" else b"\xff" * len(content))
    index = Index.open(folder)  # opening reads no rows
    told = index.verify()
    assert len(told) == 1
    assert str(folder) in told[0]
    assert "index verify" not in told[0]  # this is it
    with pytest.raises(SearchError):
        index.search(asks(vectors(1)[0]))


def test_an_index_without_its_table(tmp_path: Path) -> None:
    folder = made_index(tmp_path / "index").folder
    shutil.rmtree(folder / "rows.lance")
    with pytest.raises(SearchError, match="could not be read"):
        Index.open(folder)


def test_verify_tells_what_is_wrong_with_rows(tmp_path: Path) -> None:
    good = made_rows(3)
    index = made_index(tmp_path / "index", good)
    with index.writing() as writer:
        writer.put([Row(id="short", vector=good[0].vector, thumbnail=good[0].thumbnail[:200])])
        table = index._store._table
        table.add(table.search().where(f"id = '{good[1].id}'").to_arrow())  # not by our door: a second row of one id
    told = " | ".join(index.verify())
    assert "1 rows have an id that altclip did not make" in told
    assert "1 rows have a thumbnail that is no picture" in told
    assert f"the id {good[1].id} is there 2 times" in told


def test_compacting_changes_nothing_but_files(tmp_path: Path) -> None:
    index = made_index(tmp_path / "index")
    rows = made_rows(6)
    with index.writing() as writer:
        for row in rows:
            writer.put([row])
        writer.remove([rows[0].id])
    before = index.search(asks(vectors(1, seed=4)[0]))
    index.compact()
    after = index.search(asks(vectors(1, seed=4)[0]))
    assert [(hit.id, hit.row.path) for hit in after.hits] == [(hit.id, hit.row.path) for hit in before.hits]
    assert index.status().unindexed == 0
    assert index.thumbnail(rows[3].id) == JPEG + bytes([3])
    assert index.verify() == []


def test_where_the_index_is_by_itself(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("ALTCLIP_INDEX", raising=False)
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    assert default_folder() == Path.home() / ".local/share/altclip/index"
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert default_folder() == tmp_path / "altclip/index"
    monkeypatch.setenv("ALTCLIP_INDEX", str(tmp_path / "mine"))
    assert default_folder() == tmp_path / "mine"


@pytest.mark.parametrize(("own", "seen"), [(None, "error"), ("info", "info")])
def test_the_library_is_told_to_keep_its_warnings_unless_the_user_wants_them(
    tmp_path: Path, own: str | None, seen: str
) -> None:
    fake = tmp_path / "lancedb"
    fake.mkdir()
    (fake / "__init__.py").write_text("import os\nprint(os.environ.get('LANCEDB_LOG'))\n")
    for name in ("background_loop", "index", "query"):
        (fake / f"{name}.py").touch()
    code = "import os; from altclip.search.store import _library; _library(); print(os.environ.get('LANCEDB_LOG'))"
    environment = {name: value for name, value in os.environ.items() if name != "LANCEDB_LOG"}
    environment |= {"PYTHONPATH": str(tmp_path)} | ({"LANCEDB_LOG": own} if own else {})
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=120)
    assert (done.stdout.split(), done.stderr) == ([seen, str(own)], "")

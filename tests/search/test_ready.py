"""Embeddings made elsewhere: read a batch at a time, with ids and metadata, refused where they do not fit."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from altclip.errors import UsageError
from altclip.search import Index, Query, Where, make_id
from altclip.search.ready import row_id
from tests.search.made import DIM, asks, ids_of, made_index, made_rows, vectors

ROWS = 30


@pytest.fixture
def index(tmp_path: Path) -> Index:
    return made_index(tmp_path / "index")


def imported(index: Index, source: Any, **more: Any) -> int:
    with index.writing() as writer:
        return writer.import_vectors(source, **more)


def npy(folder: Path, array: np.ndarray) -> Path:
    np.save(folder / "rows.npy", array)
    return folder / "rows.npy"


def parquet(folder: Path, **columns: Any) -> Path:
    pq.write_table(pa.table(columns), folder / "rows.parquet")
    return folder / "rows.parquet"


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64])
def test_npy_in_batches(index: Index, tmp_path: Path, kind: type, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("altclip.search.writer._BATCH", 7)
    drawn: np.ndarray = vectors(ROWS).astype(kind) * 3
    told: list[int] = []
    assert imported(index, npy(tmp_path, drawn), tell=told.append) == ROWS
    assert told == [7, 14, 21, 28, 30]
    ids = [row_id(tmp_path / "rows.npy", place) for place in range(ROWS)]
    assert [(row.extra["file"], row.extra["row"]) for row in map(index.row, ids) if row] == [
        ("rows.npy", n) for n in range(ROWS)
    ]
    assert ids_of(index) == sorted(ids)
    np.testing.assert_allclose(index.vectors(ids), vectors(ROWS), atol=2e-3 if kind is np.float16 else 1e-6)
    assert index.verify() == []


def test_importing_twice_changes_nothing(index: Index, tmp_path: Path) -> None:
    for _ in range(2):
        imported(index, npy(tmp_path, vectors(ROWS)))
    assert index.search(Query()).total == ROWS


def test_another_source_replaces_nothing(index: Index, tmp_path: Path) -> None:
    (tmp_path / "2024").mkdir()
    for folder, rows in ((tmp_path, vectors(ROWS)), (tmp_path / "2024", vectors(ROWS)[:7])):
        imported(index, npy(folder, rows))
    assert index.search(Query()).total == ROWS + 7
    for rows in (vectors(5), vectors(5), vectors(6)):
        imported(index, rows)
    assert index.search(Query()).total == ROWS + 7 + 5 + 6


def in_memory(folder: Path) -> dict[str, Any]:
    return {"ids": [f"own {n}" for n in range(ROWS)], "metadata": [{"n": n, "text": f"猫{n}"} for n in range(ROWS)]}


def in_files(folder: Path) -> dict[str, Any]:
    given = in_memory(folder)
    (folder / "ids.txt").write_text("\n".join(given["ids"]), encoding="utf-8")
    (folder / "facts.jsonl").write_text("\n".join(map(json.dumps, given["metadata"])), encoding="utf-8")
    return {"ids": folder / "ids.txt", "metadata": str(folder / "facts.jsonl")}


def in_parquet(folder: Path) -> dict[str, Any]:
    given = in_memory(folder)
    pq.write_table(pa.Table.from_pylist(given["metadata"]), folder / "facts.parquet")
    return {**given, "metadata": folder / "facts.parquet"}


@pytest.mark.parametrize("given", [in_memory, in_files, in_parquet])
def test_ids_and_metadata_of_ones_own(index: Index, tmp_path: Path, given: Callable[[Path], dict[str, Any]]) -> None:
    imported(index, vectors(ROWS), **given(tmp_path))
    hit = index.search(asks(vectors(ROWS)[12], limit=1)).hits[0]
    assert (hit.id, hit.row.text) == (make_id("own", "own 12"), "猫12")
    assert hit.row.extra == {"id": "own 12", "n": 12}
    assert [h.id for h in index.search(Query(where=Where(extra={"id": "own 3"}))).hits] == [make_id("own", "own 3")]
    assert index.search(Query(words="猫")).total == ROWS


@pytest.mark.parametrize("column", ["vector", "embedding"])
@pytest.mark.parametrize("fixed", [True, False])
def test_parquet_with_ids_and_metadata(index: Index, tmp_path: Path, column: str, fixed: bool) -> None:
    drawn = vectors(ROWS)
    kept = pa.FixedSizeListArray.from_arrays(pa.array(drawn.ravel()), DIM) if fixed else pa.array(drawn.tolist())
    path = parquet(
        tmp_path, **{column: kept}, id=[f"p{n}" for n in range(ROWS)], path=[f"/x/{n}.jpg" for n in range(ROWS)],
        year=list(range(ROWS)),
    )  # fmt: skip
    assert imported(index, path) == ROWS
    row = index.row(make_id("own", "p5"))
    assert row is not None
    assert (row.path, row.extra) == ("/x/5.jpg", {"id": "p5", "year": 5})


def test_what_was_exported_can_be_imported(index: Index, tmp_path: Path) -> None:
    imported(index, vectors(ROWS), **in_memory(tmp_path))
    assert index.export(tmp_path / "all.npz") == ROWS
    with np.load(tmp_path / "all.npz") as kept:
        again = made_index(tmp_path / "again")
        imported(again, kept["embeddings"], ids=kept["ids"])
        assert str(kept["model"]) == "tiny"
    assert again.search(Query()).total == ROWS


def test_an_exported_table_can_be_imported(index: Index, tmp_path: Path) -> None:
    with index.writing() as writer:
        writer.put(made_rows(ROWS))
    index.export(tmp_path / "all.parquet")
    again = made_index(tmp_path / "again")
    assert imported(again, tmp_path / "all.parquet") == ROWS
    assert ids_of(again) == ids_of(index)
    for row in made_rows(ROWS):
        assert vars(again.row(row.id)) == vars(index.row(row.id))
        assert again.thumbnail(row.id) == row.thumbnail
    np.testing.assert_array_equal(again.vectors(ids_of(index)), index.vectors(ids_of(index)))


def test_an_export_with_another_column_is_refused(index: Index, tmp_path: Path) -> None:
    made = pa.table({"vector": vectors(1).tolist(), "price": [1]}, metadata={"altclip_digest": "d"})
    pq.write_table(made, tmp_path / "all.parquet")
    with pytest.raises(UsageError, match="other columns than altclip gave it"):
        imported(index, tmp_path / "all.parquet")


def test_metadata_is_what_json_can_hold(index: Index, tmp_path: Path) -> None:
    """Not a number would be an answer of the server that no client can read."""
    path = parquet(
        tmp_path, vector=vectors(2).tolist(), blob=[b"x", b"y"], nan=[1.5, float("nan")],
        day=pa.array([1, 2], pa.date32()),
    )  # fmt: skip
    imported(index, path)
    found = [index.row(row_id(path, place)) for place in range(2)]
    assert [row and row.extra for row in found] == [
        {"file": path.name, "row": 0, "nan": 1.5, "day": "1970-01-02"},
        {"file": path.name, "row": 1, "day": "1970-01-03"},
    ]


Bad = Callable[[Path], tuple[Any, dict[str, Any]]]
BAD: dict[str, tuple[Bad, str]] = {
    "other length": (lambda _: (vectors(3, DIM + 1), {}), r"shape \(3, 9\); this index takes \(rows, 8\)"),
    "one vector": (lambda _: (vectors(1)[0], {}), r"shape \(8,\)"),
    "fewer ids": (lambda _: (vectors(3), {"ids": ["a"]}), "1 ids for 3 embeddings"),
    "more metadata": (lambda _: (vectors(1), {"metadata": [{}, {}]}), "2 metadata for 1 embeddings"),
    "no mappings": (lambda _: (vectors(1), {"metadata": ["a"]}), "one mapping for each embedding, not 'a'"),
    "fewer in a file": (lambda p: (vectors(3), {"ids": file(p, "i.txt", "a\nb")}), "fewer ids"),
    "more in a file": (lambda p: (vectors(1), {"ids": file(p, "i.txt", "a\nb")}), "more ids"),
    "no json": (lambda p: (vectors(1), {"metadata": file(p, "m.jsonl", "{")}), "m.jsonl, line 1 is no JSON"),
    "no file of ids": (lambda p: (vectors(1), {"ids": p / "none.txt"}), "no such file with ids"),
    "no file": (lambda p: (p / "none.npy", {}), "cannot be read as .npy"),
    "no npy": (lambda p: (file(p, "x.npy", "text"), {}), "cannot be read as .npy"),
    "whole numbers": (lambda p: (npy(p, np.ones((2, DIM), int)), {}), "holds int64; embeddings are floats"),
    "other ending": (lambda p: (file(p, "x.csv", "1,2"), {}), "read from .npy or .parquet"),
    "no parquet": (lambda p: (file(p, "x.parquet", "text"), {}), "cannot be read as parquet"),
    "no column": (lambda p: (parquet(p, a=[1]), {}), "no column vector or embedding or embeddings; it has a"),
    "ragged": (lambda p: (parquet(p, vector=[[1.0] * DIM, [1.0]]), {}), r"lengths \[1, 8\]; this index takes 8"),
    "ids twice": (lambda p: (parquet(p, vector=[[1.0] * DIM]), {"ids": ["a"]}), "in its own columns"),
    "nan": (lambda _: (np.full((2, DIM), np.nan, np.float32), {}), "not finite.* none of these 2 rows was put"),
}


def file(folder: Path, name: str, content: str) -> Path:
    (folder / name).write_text(content, encoding="utf-8")
    return folder / name


@pytest.mark.parametrize(("make", "told"), BAD.values(), ids=BAD.keys())
def test_what_cannot_be_imported_says_why(index: Index, tmp_path: Path, make: Bad, told: str) -> None:
    source, more = make(tmp_path)
    with pytest.raises(UsageError, match=told):
        imported(index, source, **more)
    with index.writing() as writer:  # the lock is free again
        writer.settle()


LARGE = """
    import sys
    from altclip.search import Index
    index = Index.open(sys.argv[1])

    def anonymous():  # what is read through the mapped file is the kernel's to give back, and not counted
        with open("/proc/self/status") as file:
            return next(int(line.split()[1]) for line in file if line.startswith("RssAnon"))

    most, write = 0, None
    with index.writing() as writer:
        write = writer._write
        def counted(table):
            global most
            write(table)
            most = max(most, anonymous())
        writer._write = counted
        writer.import_vectors(sys.argv[2])
        first = most
        writer.import_vectors(sys.argv[3])
        print(1024 * (most - first))
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_is_that_of_batches_and_not_of_the_file(tmp_path: Path) -> None:
    """Rows of 82 MB after those of 16 MB take some 25 MB more, most of it what malloc keeps of the store's threads."""
    index = made_index(tmp_path / "index", dim=512)
    for name, rows in (("few", 8_192), ("many", 40_000)):
        np.save(tmp_path / f"{name}.npy", np.random.default_rng(rows).normal(size=(rows, 512)).astype(np.float32))
    root = Path(__file__).parent.parent.parent
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(root / "src"), str(root)])}
    code = [sys.executable, "-c", textwrap.dedent(LARGE)]
    files = [str(index.folder), str(tmp_path / "few.npy"), str(tmp_path / "many.npy")]
    done = subprocess.run([*code, *files], env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 60 * 2**20
    assert index.search(Query()).total == 48_192

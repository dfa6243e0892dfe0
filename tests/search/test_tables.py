"""Pictures and embeddings of data sets, with their own ids and metadata."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from altclip.encoder import Encoder
from altclip.errors import DataError, SearchError, UsageError
from altclip.search import Query, Row, Where, make_id
from altclip.search.tables import entries, import_ready, is_ready, update_from_table
from tests.bad import picture
from tests.search.library import Library
from tests.search.made import made_index, made_rows

COLOURS = [(200, 10, 10), (10, 200, 10), (10, 10, 200)]


def encoded(colour: tuple[int, int, int], form: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    picture(colour).save(buffer, form)
    return buffer.getvalue()


def table(path: Path, **columns: Any) -> Path:
    given = {
        "id": ["x", "y", "z"],
        "image": [{"bytes": encoded(colour), "path": None} for colour in COLOURS],
        "caption": ["red", "绿色", "أزرق"],
        "price": [1, 2, 3],
    }
    parquet.write_table(
        pa.table({name: value for name, value in {**given, **columns}.items() if value is not None}), path
    )
    return path


def archive(path: Path) -> Path:
    with tarfile.open(path, "w") as tar:
        for name, colour in zip("xyz", COLOURS, strict=True):
            for ending, data in (
                ("jpg", encoded(colour, "JPEG")),
                ("json", json.dumps({"price": 5}).encode()),
                ("txt", f"caption {name}".encode()),
            ):
                info = tarfile.TarInfo(f"{name}.{ending}")
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
    return path


def put(library: Library, path: Path, **options: Any) -> dict[str, int]:
    outcome = update_from_table(library.place, path, library.encoder, model=library.model, **options)
    return {name: getattr(outcome, name) for name in ("new", "changed", "unchanged") if getattr(outcome, name)}


def rows(library: Library, where: Where | None = None) -> dict[str, Row]:
    return {hit.row.extra["id"]: hit.row for hit in library.index.search(Query(where=where)).hits}


def test_parquet(library: Library, tmp_path: Path) -> None:
    assert put(library, table(tmp_path / "t.parquet")) == {"new": 3}
    found = rows(library)
    assert found.keys() == {"x", "y", "z"}
    assert found["y"].id == make_id("own", "y")
    assert (found["y"].text, found["y"].extra, found["y"].path) == ("绿色", {"id": "y", "price": 2}, "")
    assert (found["y"].width, found["y"].height) == (60, 40)
    assert rows(library, Where(extra={"price": 3})).keys() == {"z"}
    expected = Encoder(library.model).encode_images([encoded(colour) for colour in COLOURS])
    np.testing.assert_allclose(library.index.vectors([found[key].id for key in "xyz"]), expected, atol=1e-5)
    assert library.index.verify() == []


def test_webdataset(library: Library, tmp_path: Path) -> None:
    assert put(library, archive(tmp_path / "t.tar")) == {"new": 3}
    found = rows(library)
    assert (found["x"].text, found["x"].extra) == ("caption x", {"id": "x", "price": 5})


def test_a_caption_that_the_first_row_has_not(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "t.tar", "w") as tar:
        for name, data in (("x.jpg", b"1"), ("y.jpg", b"2"), ("y.txt", b"a cat"), ("y.title", b"Minou")):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    assert [(entry.text, entry.extra) for entry in entries(tmp_path / "t.tar")] == [("", {}), ("a cat\nMinou", {})]


def test_paths_are_relative_to_the_table(library: Library, tmp_path: Path) -> None:
    image = [f"photos/{name}" for name in ("a.jpg", "b.png", "missing.jpg")]
    outcome = update_from_table(
        library.place, table(tmp_path / "t.parquet", image=image), library.encoder, model=library.model
    )
    assert outcome.new == 2
    assert "row z: there is no such file" in outcome.failures[0].reason


def test_again_nothing_is_read_twice(library: Library, tmp_path: Path) -> None:
    put(library, table(tmp_path / "t.parquet"))
    assert put(library, table(tmp_path / "t.parquet")) == {"unchanged": 3}
    assert put(library, table(tmp_path / "t.parquet", price=[1, 2, 30])) == {"changed": 1, "unchanged": 2}
    assert rows(library)["z"].extra["price"] == 30
    assert len(rows(library)) == 3


def test_a_picture_that_cannot_be_read_is_named_by_its_id(library: Library, tmp_path: Path) -> None:
    cells = [{"bytes": encoded(COLOURS[0])}, {"bytes": b"no picture"}, {"bytes": None}]
    outcome = update_from_table(
        library.place, table(tmp_path / "t.parquet", image=cells), library.encoder, model=library.model
    )
    assert outcome.new == 1
    assert [problem.path for problem in outcome.failures] == ["y", "z"]
    assert outcome.failures[1].reason == "row z: it has no image"


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"id": None}, "no column of ids: expected one named id, key"),
        ({"image": None}, "no column of images"),
        ({"id": ["x", "x", "z"]}, "the id 'x' of a row before it"),
        ({"id": ["x", None, "z"]}, "no id"),
    ],
)
def test_a_table_that_cannot_be_used(tmp_path: Path, columns: dict[str, Any], words: str) -> None:
    with pytest.raises(DataError, match=words):
        list(entries(table(tmp_path / "t.parquet", **columns)))


def test_metadata_is_what_json_can_hold(tmp_path: Path) -> None:
    path = table(
        tmp_path / "t.parquet", blob=[b"x", b"y", b"z"], nan=[1.0, float("nan"), None],
        day=pa.array([1, 2, 3], pa.date32()), tags=[["a"], ["b", "c"], []],
    )  # fmt: skip
    assert [entry.extra for entry in entries(path)] == [
        {"price": 1, "nan": 1.0, "day": "1970-01-02", "tags": ["a"]},
        {"price": 2, "day": "1970-01-03", "tags": ["b", "c"]},
        {"price": 3, "day": "1970-01-04", "tags": []},
    ]


def ready(path: Path, dim: int, digest: str | None = None) -> Path:
    flat = pa.array(np.eye(dim, dtype=np.float32)[:2].reshape(-1))
    made = pa.table({"id": ["p", "q"], "embedding": pa.FixedSizeListArray.from_arrays(flat, dim)})
    parquet.write_table(made.replace_schema_metadata({"digest": digest} if digest else {}), path)
    return path


def test_ready_embeddings(library: Library, tmp_path: Path) -> None:
    encoder = library.encoder(library.model)
    path = ready(tmp_path / "e.parquet", encoder.dim, encoder.digest)
    assert import_ready(library.place, path, library.encoder, model=library.model).new == 2
    assert rows(library).keys() == {"p", "q"}
    np.save(tmp_path / "e.npy", np.eye(encoder.dim, dtype=np.float32)[:3])
    assert import_ready(library.place, tmp_path / "e.npy", library.encoder).new == 3
    again = import_ready(library.place, tmp_path / "e.npy", library.encoder)
    assert (again.new, again.changed) == (0, 3)


@pytest.mark.parametrize(
    ("caption", "texts"),
    [
        ([1984, 0, None], ["1984", "0", ""]),
        ([0.5, float("nan"), 2.0], ["0.5", "", "2.0"]),
        ([["a", None], [], None], ["a", "", ""]),
    ],
)
def test_captions_that_are_no_texts(tmp_path: Path, caption: list[Any], texts: list[str]) -> None:
    assert [entry.text for entry in entries(table(tmp_path / "t.parquet", caption=caption))] == texts


def test_a_file_that_is_not_there_makes_no_index(library: Library, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"e\.npy: there is no such file"):
        import_ready(library.place, tmp_path / "e.npy", library.encoder, model=library.model)
    assert (library.place.exists(), library.opened) == (False, 0)


def test_ready_embeddings_of_another_model_are_refused(library: Library, tmp_path: Path) -> None:
    dim = library.encoder(library.model).dim
    with pytest.raises(SearchError, match="cannot be compared"):
        import_ready(library.place, ready(tmp_path / "e.parquet", dim, "f" * 64), library.encoder, model=library.model)
    assert not library.place.exists()  # no empty index of a model that was refused


def test_an_export_that_comes_back_knows_its_folders(library: Library, tmp_path: Path) -> None:
    root = tmp_path / "photographs"
    rows = made_rows(5, folder=str(root), path=str(root / "a.jpg"))
    made_index(tmp_path / "index", rows).export(tmp_path / "all.parquet")
    again = made_index(tmp_path / "again")
    with again.writing() as writer:
        writer.import_vectors(tmp_path / "all.parquet")
    assert again.folders == (str(root),)


def test_what_a_file_holds(tmp_path: Path) -> None:
    assert is_ready(ready(tmp_path / "e.parquet", 4))
    assert is_ready(tmp_path / "e.npy")
    assert not is_ready(table(tmp_path / "t.parquet"))
    assert not is_ready(tmp_path / "t.tar")
    assert not is_ready(tmp_path / "missing.parquet")

"""Exports hold what was put, and appear whole or not at all."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from altclip.errors import SearchError, UsageError
from tests.search.made import DIGEST, made_index, made_rows, vector_of


def test_parquet_has_everything(tmp_path: Path) -> None:
    rows = made_rows(5)
    assert made_index(tmp_path / "index", rows).export(tmp_path / "all.parquet") == 5
    table = pq.read_table(tmp_path / "all.parquet")
    found = {record["id"]: record for record in table.to_pylist()}
    for row in rows:
        record = found[row.id]
        assert json.loads(record.pop("extra")) == row.extra
        np.testing.assert_allclose(record.pop("vector"), vector_of(row))
        assert record == {name: getattr(row, name) for name in record}
    assert table.schema.metadata[b"altclip_digest"].decode() == DIGEST


def test_jsonl_is_one_row_a_line(tmp_path: Path) -> None:
    rows = made_rows(3)
    made_index(tmp_path / "index", rows).export(tmp_path / "all.jsonl")
    lines = (tmp_path / "all.jsonl").read_text(encoding="utf-8").splitlines()
    found = {record["id"]: record for record in map(json.loads, lines)}
    for row in rows:
        assert row.taken is not None
        assert found[row.id]["taken"] == row.taken.isoformat()
        assert found[row.id]["extra"] == row.extra
        assert "thumbnail" not in found[row.id]


def test_npz_goes_with_numpy_alone(tmp_path: Path) -> None:
    rows = made_rows(3)
    made_index(tmp_path / "index", rows).export(tmp_path / "all.npz")
    with np.load(tmp_path / "all.npz") as kept:
        assert dict(zip(kept["ids"], kept["names"], strict=True)) == {row.id: row.path for row in rows}
        assert kept["embeddings"].shape == (3, 8)
        by_id = dict(zip(kept["ids"], kept["embeddings"], strict=True))
        for row in rows:
            np.testing.assert_allclose(by_id[row.id], vector_of(row), atol=1e-6)
        assert str(kept["digest"]) == DIGEST


@pytest.mark.parametrize("ending", ["npz", "jsonl"])
def test_an_empty_index_is_an_empty_file(tmp_path: Path, ending: str) -> None:
    assert made_index(tmp_path / "index").export(tmp_path / f"all.{ending}") == 0
    assert (tmp_path / f"all.{ending}").exists()


def test_what_cannot_be_exported_leaves_nothing(tmp_path: Path) -> None:
    index = made_index(tmp_path / "index")
    with pytest.raises(UsageError, match=r"ends in .parquet or .npz or .jsonl"):
        index.export(tmp_path / "all.csv")
    with pytest.raises(UsageError, match="the folder it should be in does not exist"):
        index.export(tmp_path / "none" / "all.npz")
    with pytest.raises(UsageError, match="no rows to export"):
        index.export(tmp_path / "all.parquet")
    (tmp_path / "all.npz").mkdir()
    with pytest.raises(SearchError, match="could not be exported"):
        index.export(tmp_path / "all.npz")
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["all.npz", "index"]

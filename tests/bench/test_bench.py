"""`altclip bench` on a tiny model: what is timed, in which order, and what it says."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from altclip.bench import bench, measures
from altclip.bench.timing import timed
from altclip.cli import app as cli
from altclip.engines import openvino
from altclip.errors import CheckpointError, UsageError
from tests.tiny import tiny_model_folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model_folder(tmp_path_factory.mktemp("bench") / "tiny")


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Small matrices and files, torch alone, and no cache of the user's."""
    monkeypatch.setattr(measures, "_MATRIX", 64)
    monkeypatch.setattr(measures, "_FILES", 2)
    monkeypatch.setattr(openvino, "is_installed", lambda: False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


def test_pieces_are_timed_in_turns_after_one_that_does_not_count() -> None:
    seen: list[str] = []
    times = timed({"a": lambda: seen.append("a"), "b": lambda: seen.append("b")}, 3)
    assert seen == ["a", "b"] + ["a", "b"] * 3
    assert all(0 <= of.least <= of.median <= of.most for of in times.values())


def test_everything_is_measured(folder: Path) -> None:
    found = bench(str(folder), runs=2)
    assert [row.what for row in found.rows] == [
        "matrix products", "matrix products", "images", "texts", "one text", "decoding", "files to embeddings"
    ]  # fmt: skip
    assert all(0 < row.slowest <= row.per_second <= row.fastest for row in found.rows)
    assert [row.cosine for row in found.rows if row.what == "images"] == [pytest.approx(1)]
    assert found.parameters > 10_000
    assert found.machine["torch"]


@pytest.mark.slow
def test_openvino_is_measured_beside_torch(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("openvino")
    monkeypatch.undo()
    monkeypatch.setattr(measures, "_MATRIX", 64)
    rows = [row for row in bench(str(folder), runs=1).rows if row.how == "openvino float32"]
    assert [row.what for row in rows] == ["images", "texts", "one text"]
    assert all(row.cosine == pytest.approx(1, abs=1e-5) for row in rows)


def test_random_weights_of_a_preset() -> None:
    assert [row.what for row in bench("random:mini", runs=1).rows][2:] == ["images", "texts", "one text"]


def test_the_command(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    for arguments in (["--json"], []):
        monkeypatch.setattr(sys, "argv", ["altclip", "bench", str(folder), "--runs", "1", *arguments])
        with pytest.raises(SystemExit) as leaving:
            cli.main()
        assert not leaving.value.code
        out = capsys.readouterr().out
        if arguments:
            assert json.loads(out)["rows"][2]["what"] == "images"
        else:
            assert "matrix products" in out
            assert "torch float32" in out


def test_bad_requests(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="0 runs"):
        bench(runs=0)
    with pytest.raises(UsageError, match="no preset 'altclip-m7'"):
        bench("random:altclip-m7")
    with pytest.raises(CheckpointError):
        bench(str(tmp_path))

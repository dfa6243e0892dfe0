"""`altclip bench` on a tiny model: what is timed, in which order, and what it says."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from altclip import Encoder
from altclip.bench import bench, contenders, ends, products
from altclip.bench.timing import timed
from altclip.cli import app as cli
from altclip.cli.output import progress_console, results
from altclip.engines import openvino
from altclip.errors import CheckpointError, DataError, UsageError
from tests.evaluate import benchmark_files as files
from tests.tiny import tiny_model_folder

ROWS = [
    "matrix products", "matrix products", "images", "texts", "one text", "decoding", "decoding", "files to embeddings",
    "texts to embeddings",
]  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model_folder(tmp_path_factory.mktemp("bench") / "tiny")


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Small matrices and files, torch alone, and no cache of the user's."""
    monkeypatch.setattr(products, "MATRIX", 64)
    monkeypatch.setattr(ends, "FILES", 2)
    monkeypatch.setattr(ends, "FILE_SIZE", (160, 120))
    monkeypatch.setattr(ends, "TEXTS", 9)
    monkeypatch.setattr(contenders, "ENGINES", ("torch",))
    monkeypatch.setattr(openvino, "is_installed", lambda: False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def test_pieces_are_timed_in_turns_after_one_that_does_not_count() -> None:
    seen: list[str] = []
    times = timed({"a": lambda: seen.append("a"), "b": lambda: seen.append("b")}, 3)
    assert seen == ["a", "b"] + ["a", "b"] * 3
    assert all(0 <= of.least <= of.median <= of.most for of in times.values())


def test_everything_is_measured(folder: Path) -> None:
    found = bench(str(folder), runs=2, precisions=["exact", "fast"])
    assert [row.what for row in found.rows] == ROWS
    assert all(0 < row.slowest <= row.per_second <= row.fastest for row in found.rows)
    assert [row.cosine for row in found.rows if row.what == "images"] == [pytest.approx(1)]
    assert found.parameters > 10_000
    assert found.machine["torch"]
    assert found.dataset is None
    assert json.dumps(found.to_dict(), allow_nan=False)


def test_decoding_is_measured_without_the_model_and_the_engine_put_back(folder: Path) -> None:
    encoder = Encoder(folder)
    engine, before = encoder.engine, encoder.encode_texts("a cat")
    rows = ends.end_to_end(encoder, 1)
    assert [row.how for row in rows] == ["in full, one thread", "as the encoder does it", *["torch float32"] * 2]
    assert encoder.engine is engine
    np.testing.assert_allclose(encoder.encode_texts("a cat"), before, atol=1e-6)


def test_prompts_come_in_nine_languages_in_turn_and_none_soon_again() -> None:
    prompts = ends.every_prompt()
    first = [next(prompts) for _ in range(9 * 200)]
    assert len(set(first)) > 0.98 * len(first)
    assert any("\u0600" <= letter <= "\u06ff" for letter in " ".join(first[:9]))
    assert any("\uac00" <= letter <= "\ud7a3" for letter in " ".join(first[:9]))


@pytest.mark.slow
def test_openvino_is_measured_beside_torch(folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pytest.importorskip("openvino")
    monkeypatch.undo()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(products, "MATRIX", 64)
    monkeypatch.setattr(contenders, "ENGINES", ("torch", "openvino"))
    found = bench(str(folder), runs=1, precisions=["exact"]).rows
    rows = [row for row in found if row.how == "openvino float32"]
    assert [row.what for row in rows] == ["matrix products", "images", "texts", "one text"]
    assert all(row.cosine == pytest.approx(1, abs=1e-5) for row in rows[1:])


def test_random_weights_of_a_preset() -> None:
    assert [row.what for row in bench("random:mini", runs=1).rows] == ROWS[:5]


def captions(folder: Path) -> Path:
    """A set of three pictures with captions in two languages, one of them without Italian."""
    files.pictures(folder, ["0.png", "1.png", "2.png"])
    rows = [{"image": f"{number}.png", "ja": f"文{number}", "it": f"testo {number}"} for number in range(3)]
    rows[2]["it"] = ""
    return files.write(folder / "a.jsonl", files.lines(*map(json.dumps, rows)))


def test_what_a_precision_changes_on_a_set(folder: Path, tmp_path: Path) -> None:
    told: list[str] = []
    found = bench(
        str(folder), runs=1, precisions=["fast"], dataset="captions", root=captions(tmp_path), report=told.append
    )
    assert found.dataset
    assert [(of.precision, of.kind) for of in found.agreements] == [("fast", "images"), ("fast", "texts")]
    assert all(of.least_cosine > 0.99 for of in found.agreements)
    assert {price.language for price in found.prices} == {"mean", "ja", "it"}
    assert all(price.precision == "fast" for price in found.prices)
    assert any("it: 1 of 3 images have no caption" in line for line in told)


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setenv("COLUMNS", "200")
    results.cache_clear()
    progress_console.cache_clear()
    monkeypatch.setattr(sys, "argv", ["altclip", "bench", *arguments])
    with pytest.raises(SystemExit) as leaving:
        cli.main()
    return int(leaving.value.code or 0)


def test_the_command(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("matplotlib")
    asked = [str(folder), "--runs", "1", "--precisions", "exact,fast", "--picture", str(tmp_path / "a.png")]
    asked += ["--dataset", "captions", "--root", str(captions(tmp_path))]
    assert run(monkeypatch, *asked, "--json") == 0
    written = json.loads(capsys.readouterr().out)
    assert written["rows"][2]["what"] == "images"
    assert written["prices"][0]["difference"]["value"] == pytest.approx(0, abs=0.4)
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    assert run(monkeypatch, *asked) == 0
    out = capsys.readouterr().out
    for word in ("matrix products", "torch float32", "cosine to exact arithmetic", "3 images", "paired 95 % interval"):
        assert word in out


@pytest.mark.parametrize(
    ("arguments", "wrong"),
    [
        (("--runs", "0"), "--runs"),
        (("random:altclip-m7",), "no preset 'altclip-m7'"),
        (("--picture", "no/such/a.png"), "no/such/a.png"),
        (("--picture", "a.gif"), "ends in .png"),
        (("--precisions", "exact,int4"), "no precision int4"),
        (("--peers", "no.py"), "no Python file"),
        (("--dataset", "flickr8k"), "--root DIR"),
        (("--root", "x"), "--dataset NAME"),
        (("--dataset", "flickr9k", "--root", "x"), "unknown data set"),
        (("random:mini", "--dataset", "flickr8k", "--root", "x"), "a trained model"),
    ],
)
def test_wrong_calls_say_what_is_wrong(
    arguments: tuple[str, ...], wrong: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    assert run(monkeypatch, *arguments) == 2
    assert wrong in capsys.readouterr().err.replace("\n", " ")


def test_bad_requests(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="0 runs"):
        bench(runs=0)
    with pytest.raises(UsageError, match="no preset 'altclip-m7'"):
        bench("random:altclip-m7")
    with pytest.raises(CheckpointError):
        bench(str(tmp_path))
    with pytest.raises(DataError, match="not complete"):
        bench(dataset="flickr8k", root=tmp_path)

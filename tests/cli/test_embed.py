"""`altclip embed`: files that are whole or absent, rows and names that belong together."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from altclip.cli import writing
from altclip.cli.writing import Table, write_table
from altclip.encoder import Encoder
from altclip.errors import InputError
from tests.bad import BAD_IMAGES
from tests.cli.conftest import Run
from tests.tiny import DIM

NAMES = ["album/a.PNG", "album/b.jpg", "album/below/c.webp"]


@pytest.fixture
def embed(run: Run, tiny_folder: Path) -> Run:
    return lambda *arguments: run("embed", "--model", tiny_folder, *arguments)


def left_over(folder: Path = Path()) -> list[str]:
    return [path.name for path in folder.iterdir() if ".part" in path.name]


def test_images_to_npz(embed: Run, album: Path, tiny_folder: Path) -> None:
    code, out, _ = embed(album, "--out", "x.npz")
    assert (code, out) == (0, f"x.npz: 3 embeddings of {DIM} numbers\n")
    encoder = Encoder(tiny_folder)
    with np.load("x.npz") as file:  # without allow_pickle
        assert file["names"].tolist() == NAMES
        assert file["embeddings"].dtype == np.float32
        np.testing.assert_allclose(file["embeddings"], encoder.encode_images(NAMES), atol=1e-5)
        assert str(file["model"]) == str(tiny_folder)
        assert str(file["digest"]) == encoder.digest
    assert left_over() == []


def test_images_to_parquet(embed: Run, album: Path, tiny_folder: Path) -> None:
    from pyarrow import parquet

    assert embed(album, "--out", "x.parquet").code == 0
    table = parquet.read_table("x.parquet")
    assert table["name"].to_pylist() == NAMES
    encoder = Encoder(tiny_folder)
    rows = np.stack(table["embedding"].to_pylist())
    np.testing.assert_allclose(rows, encoder.encode_images(NAMES), atol=1e-5)
    assert str(table.schema.field("embedding").type) == f"fixed_size_list<element: float>[{DIM}]"
    assert table.schema.metadata[b"digest"].decode() == encoder.digest
    assert table.schema.metadata[b"model"].decode() == str(tiny_folder)


@pytest.mark.parametrize("ending", ["npz", "parquet"])
def test_every_line_is_a_text(embed: Run, album: Path, tiny_folder: Path, ending: str) -> None:
    lines = ["a cat", "", "一只猫", "  ", "un\u2028chien\x0b", "</s>", "x" * 10_000, "مرحبا"]
    Path("texts.txt").write_bytes("\r\n".join([*lines, ""]).encode())
    assert embed("--texts", "texts.txt", "--out", f"x.{ending}").code == 0
    if ending == "npz":
        with np.load("x.npz") as file:
            names, rows = file["names"].tolist(), file["embeddings"]
    else:
        from pyarrow import parquet

        table = parquet.read_table("x.parquet")
        names, rows = table["name"].to_pylist(), np.stack(table["embedding"].to_pylist())
    assert names == lines
    np.testing.assert_allclose(rows, Encoder(tiny_folder).encode_texts(lines), atol=1e-5)


def test_json(embed: Run, album: Path, tiny_folder: Path) -> None:
    code, out, _ = embed(album, "no.jpg", "--out", "x.npz", "--json")
    assert code == 1
    assert json.loads(out) == {
        "model": str(tiny_folder),
        "out": "x.npz",
        "rows": 3,
        "dim": DIM,
        "errors": [{"image": "no.jpg", "error": "no.jpg: there is no such file"}],
    }


@pytest.mark.parametrize("name", BAD_IMAGES)
def test_one_bad_file_among_many_is_named_and_the_rest_written(embed: Run, album: Path, name: str) -> None:
    make, words = BAD_IMAGES[name]
    make(Path(name))
    code, _, err = embed(name, album, "--out", "x.npz")
    assert code == 1
    assert f"error: {name}: " in err
    assert words in err
    with np.load("x.npz") as file:
        assert file["names"].tolist() == NAMES
        assert file["embeddings"].shape == (3, DIM)


def test_strict_writes_nothing(embed: Run, album: Path) -> None:
    code, out, err = embed(album, "no.jpg", "--out", "x.npz", "--strict")
    assert (code, out) == (1, "")
    assert "no such file" in err
    assert not Path("x.npz").exists()
    assert left_over() == []


def test_nothing_to_write(embed: Run, album: Path) -> None:
    code, out, err = embed("no.jpg", "--out", "x.npz")
    assert (code, out) == (1, "")
    assert "no such file" in err
    Path("empty.txt").touch()
    code, _, err = embed("--texts", "empty.txt", "--out", "x.npz")
    assert code == 1
    assert "empty.txt is empty" in err
    assert not Path("x.npz").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["album"], "--out"),
        (["--out", "x.npz"], "expected images as PATH..., or --texts FILE"),
        (["album", "--texts", "t.txt", "--out", "x.npz"], "and not both"),
        (["album", "--out", "x.csv"], "ends in .npz or .parquet"),
        (["album", "--out", "x"], "ends in .npz or .parquet"),
        (["album", "--out", "no/such/x.npz"], "does not exist"),
        (["album", "--out", "folder.npz"], "it is a folder"),
    ],
)
def test_wrong_usage_is_found_before_the_model_is_opened(
    run: Run, album: Path, arguments: list[str], words: str
) -> None:
    Path("folder.npz").mkdir()
    code, out, err = run("embed", "--model", "no/such/model/at/all", *arguments)
    assert (code, out) == (2, "")
    assert words in err


@pytest.mark.parametrize(("content", "words"), [(None, "No such file"), (b"a\nb\xff", "is not UTF-8 (byte 3)")])
def test_texts_that_cannot_be_read(embed: Run, album: Path, content: bytes | None, words: str) -> None:
    if content is not None:
        Path("texts.txt").write_bytes(content)
    code, _, err = embed("--texts", "texts.txt", "--out", "x.npz")
    assert code == 1
    assert words in err


def test_parquet_without_its_library_is_said_before_the_work(
    run: Run, album: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    code, _, err = run("embed", album, "--out", "x.parquet", "--model", "no/such/model/at/all")
    assert code == 1
    assert "pip install 'altclip[train]'" in err


@pytest.mark.parametrize("ending", ["npz", "parquet"])
def test_a_full_disk_leaves_the_old_file_whole(
    embed: Run, album: Path, monkeypatch: pytest.MonkeyPatch, ending: str
) -> None:
    assert embed(album, "--out", f"x.{ending}").code == 0
    before = Path(f"x.{ending}").read_bytes()

    def full(path: Path, table: Table) -> None:
        path.write_bytes(before[:50])
        raise OSError(28, "No space left on device")

    monkeypatch.setitem(writing._WRITERS, f".{ending}", full)
    code, out, err = embed(album / "b.jpg", "--out", f"x.{ending}")
    assert (code, out) == (1, "")
    assert "No space left on device" in err
    assert Path(f"x.{ending}").read_bytes() == before
    assert left_over() == []


def table(names: list[str]) -> Table:
    return Table(names, np.zeros((len(names), 2), np.float32), "m", "d")


def test_file_names_that_are_not_utf8(tmp_path: Path) -> None:
    from pyarrow import parquet

    name = b"caf\xe9.jpg".decode("utf-8", "surrogateescape")
    write_table(tmp_path / "x.npz", table([name]))
    with np.load(tmp_path / "x.npz") as file:
        assert file["names"].tolist() == [name]
    write_table(tmp_path / "x.parquet", table([name]))
    assert parquet.read_table(tmp_path / "x.parquet")["name"].to_pylist() == ["caf\\xe9.jpg"]


def test_one_enormous_text_among_many_is_not_blown_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "_LARGEST_NAMES", 1000)
    names = ["a", "b" * 200]
    with pytest.raises(InputError, match="write .parquet"):
        write_table(tmp_path / "x.npz", table(names))
    write_table(tmp_path / "x.parquet", table(names))
    assert left_over(tmp_path) == []


def test_output_that_steers_nothing(embed: Run, album: Path) -> None:
    out = Path("[red]\x1bx.npz")
    result: Any = embed(album, "--out", out)
    assert result.code == 0
    assert result.out.startswith("[red]\\x1bx.npz: 3 embeddings")
    assert out.exists()


def test_samples_that_are_no_folder_are_refused(run: Run, tmp_path: Path) -> None:
    code, _, err = run(
        "embed", "x.jpg", "--out", tmp_path / "a.npz", "--precision", "int8", "--calibrate", tmp_path / "no"
    )
    assert code == 2
    assert "is no folder: name one with 32 images or more" in " ".join(err.split())

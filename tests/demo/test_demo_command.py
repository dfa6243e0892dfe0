"""`altclip demo` as a person runs it: tables, page, JSON, exit codes, and strings of users made harmless."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from altclip.cli import app
from altclip.cli import demo as command
from altclip.languages import LANGUAGES, NAMES
from altclip.prompts import label_set
from tests.tiny import tiny_model_folder

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    """Run `altclip demo ARGUMENTS` in an empty folder, on a wide terminal: (exit code, stdout, stderr)."""
    monkeypatch.chdir(tmp_path)
    wide = Console(width=200, emoji=False, highlight=False)
    monkeypatch.setattr(command, "results", lambda: wide)

    def runner(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["altclip", "demo", *arguments])
        with pytest.raises(SystemExit) as leaving:
            app.main()
        captured = capsys.readouterr()
        return int(leaving.value.code or 0), captured.out, captured.err

    return runner


@pytest.fixture
def table_model(monkeypatch: pytest.MonkeyPatch, encoder: Any) -> None:
    monkeypatch.setattr(command, "open_encoder", lambda _: encoder)


@pytest.mark.usefixtures("table_model")
def test_a_table_per_language_and_a_page(run: Run, tmp_path: Path) -> None:
    code, out, err = run()
    assert code == 0
    for language in LANGUAGES:
        assert f"{NAMES[language]} ({language})" in out
        assert label_set("mini", language)["n07920052"] in out
    assert "200 labels in English (1 of 9)" in err
    assert (tmp_path / "altclip-demo.html").read_text(encoding="utf-8").startswith("<!doctype html>")
    assert [path.name for path in tmp_path.iterdir()] == ["altclip-demo.html"]


@pytest.mark.usefixtures("table_model")
def test_rows_say_what_is_right_and_what_was_never_learned(run: Run) -> None:
    _, out, _ = run("--languages", "en")
    lines = out.splitlines()
    row = {
        word: next(place for place, line in enumerate(lines) if word in line) for word in ("chelsea", "never", "rocket")
    }
    assert row["chelsea"] < row["never"] < row["rocket"]
    assert "place 2: tabby cat" in out
    assert "a space rocket before its launch" in out
    assert "✓" in lines[row["chelsea"]]
    assert "✓" not in "".join(lines[row["never"] :])
    assert "Right labels: 1 of 2 came first, 2 among the first five." in out
    assert "\\n" not in out
    assert "Found by words among 10 photographs: tabby cat at place 1, espresso at place 1." in out


@pytest.mark.usefixtures("table_model")
def test_it_ends_with_what_to_do_next(run: Run) -> None:
    _, out, _ = run("--languages", "en", "--output", "mine.html")
    for words in (
        "mine.html",
        "research and demonstration",
        "demo FOLDER",
        "altclip classify",
        "--model BAAI/AltCLIP-m9",
    ):
        assert words in out.partition("Found by words")[2]


@pytest.mark.usefixtures("table_model")
def test_columns_of_arabic_are_kept_apart_from_left_to_right(run: Run, folder: Path) -> None:
    _, out, _ = run(str(folder), "--languages", "zh,ar")
    chinese, _, arabic = out.partition("\u200e" + NAMES["ar"])
    table = arabic.partition("Not every terminal")[0]
    assert "│" in table
    assert table.count("│") == table.count("\u200e│\u200e")
    assert "\u200e" not in chinese
    assert "Not every terminal" in arabic


@pytest.mark.usefixtures("table_model")
def test_json_is_one_document(run: Run, tmp_path: Path, folder: Path) -> None:
    code, out, _ = run(str(folder), "--languages", "zh,ar", "--json")
    told = json.loads(out)
    assert code == 0
    assert list(told["languages"]) == ["zh", "ar"]
    assert told["page"] == "altclip-demo.html"
    assert (tmp_path / told["page"]).is_file()


@pytest.mark.usefixtures("table_model")
def test_a_folder_is_shown_without_a_row_of_unknown_things(run: Run, folder: Path) -> None:
    code, out, _ = run(str(folder), "--languages", "en")
    assert code == 0
    assert [name in out for name in ("cat.png", "b.JPG", "below/c.webp")] == [True] * 3
    assert not any(words in out for words in ("notes.txt", "hidden", "never learned", "Right labels"))


@pytest.mark.usefixtures("table_model")
def test_bad_files_are_named_and_the_exit_is_1(run: Run, folder: Path) -> None:
    (folder / "empty.png").write_bytes(b"")
    (folder / "text.jpg").write_text("no image", encoding="utf-8")
    code, out, err = run(str(folder), "--languages", "en")
    assert code == 1
    assert "cat.png" in out
    assert err.count("error: ") == 2
    assert "empty.png" in err
    assert "text.jpg" in err


@pytest.mark.usefixtures("table_model")
def test_a_limit_is_told(run: Run, folder: Path) -> None:
    code, out, _ = run(str(folder), "--languages", "en", "--limit", "1")
    assert code == 0
    assert "left out: 2" in out


@pytest.mark.usefixtures("table_model")
def test_names_cannot_steer_the_terminal(run: Run, folder: Path) -> None:
    (folder / "cat.png").rename(folder / "\x1b[31m[bold]\u202ex.png")
    _, out, _ = run(str(folder), "--languages", "en")
    assert "\x1b" not in out
    assert "\u202e" not in out
    assert r"\x1b[31m[bold]\u202ex.png" in out


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["nowhere"], 2, "nowhere is no folder"),
        (["--languages", "en,de"], 2, "unknown language 'de'"),
        (["--output", "no/where.html"], 2, "cannot be written"),
        (["--output", "."], 2, "cannot be written"),
        (["--limit", "0"], 2, "--limit"),
    ],
)
def test_wrong_usage_is_told_before_a_model_is_opened(
    run: Run, monkeypatch: pytest.MonkeyPatch, arguments: list[str], code: int, words: str
) -> None:
    monkeypatch.delattr(command, "open_encoder")
    left, out, err = run(*arguments)
    assert (left, out) == (code, "")
    assert words in err


@pytest.mark.parametrize("files", [[], ["notes.txt"]])
def test_a_folder_without_photographs_is_an_error(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, files: list[str]
) -> None:
    monkeypatch.delattr(command, "open_encoder")
    (tmp_path / "photos").mkdir()
    for name in files:
        (tmp_path / "photos" / name).touch()
    code, _, err = run(str(tmp_path / "photos"))
    assert code == 1
    assert "error: " in err
    assert "photos" in err
    assert not (tmp_path / "altclip-demo.html").exists()


@pytest.mark.usefixtures("table_model")
def test_a_folder_of_bad_files_alone_writes_no_page(run: Run, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.png").write_bytes(b"")
    code, out, err = run(str(tmp_path / "photos"), "--languages", "en")
    assert (code, out) == (1, "")
    assert "none of the photographs can be opened" in err
    assert not (tmp_path / "altclip-demo.html").exists()


def test_without_the_extra_it_says_what_to_install(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("altclip.data.shipped.find_spec", lambda _: None)
    code, _, err = run()
    assert code == 1
    assert "pip install 'altclip[demo]'" in err


def test_a_real_model_of_random_weights_runs_through(run: Run, tmp_path: Path, folder: Path) -> None:
    model = tiny_model_folder(tmp_path / "model")
    code, out, _ = run(str(folder), "--model", str(model), "--languages", "ru", "--json")
    told = json.loads(out)
    assert code == 0
    assert told["model"] == str(model)
    labels = set(label_set("mini", "ru").values())
    for prediction in told["languages"]["ru"]["predictions"]:
        assert len(prediction["top"]) == 5
        assert {each["label"] for each in prediction["top"]} <= labels
        assert 0 < prediction["top"][0]["probability"] <= 1

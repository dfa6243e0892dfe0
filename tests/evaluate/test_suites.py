"""Several sets in one run: the TOML file, the shipped suite on data of its form, and the command line."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from altclip.cli import app as cli
from altclip.cli.output import progress_console, results
from altclip.errors import ConfigError, DataError, UsageError
from altclip.evaluate import read_suite, suite_of
from altclip.languages import LANGUAGES
from tests.evaluate import benchmark_files as files
from tests.evaluate.benchmark_files import lines
from tests.evaluate.made import CLASSES, CONCEPTS, png, write_data, write_rows
from tests.tiny import tiny_model_folder

Run = Callable[..., tuple[int, str, str]]
PATHS = ("captioned/flickr8k_200.parquet", "photos/classes.jsonl", "emoji/concepts.jsonl")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tiny_model_folder(tmp_path_factory.mktemp("models") / "one", 0))


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tiny_model_folder(tmp_path_factory.mktemp("models") / "two", 1))


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    def runner(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["altclip", *arguments])
        monkeypatch.setenv("COLUMNS", "250")
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
        results.cache_clear()
        progress_console.cache_clear()
        with pytest.raises(SystemExit) as leaving:
            cli.main()
        captured = capsys.readouterr()
        return int(leaving.value.code or 0), captured.out, captured.err

    return runner


def folders(root: Path, name: str, *colours: str) -> Path:
    """Two folders of classes with names, in a folder of a suite."""
    files.class_folders(root / name, "test", ["0", "1"])
    files.write(root / name / "label.txt", lines(*colours))
    return root / name


def suite(folder: Path, text: str) -> str:
    path = folder / "suite.toml"
    path.write_text(text, encoding="utf-8")
    return str(path)


TWO = """
title = "Two sets"
[[sets]]
dataset = "folders"
root = "a"
title = "First"
[[sets]]
dataset = "folders"
root = "b"
title = "Second"
languages = ["en"]
"""


def test_folders_are_told_from_the_file_or_from_the_root_given(tmp_path: Path) -> None:
    path = suite(tmp_path, TWO)
    assert [of.root for of in read_suite(path).sets] == [tmp_path / "a", tmp_path / "b"]
    assert [of.root for of in read_suite(path, Path("/data")).sets] == [Path("/data/a"), Path("/data/b")]
    assert [of.languages for of in read_suite(path).sets] == [(), ("en",)]


def test_the_shipped_suite_names_the_bundled_models_data() -> None:
    shipped = read_suite("mini", Path("data"))
    assert [of.dataset for of in shipped.sets] == ["mini_photos", "mini_photos_by_name", "mini_drawings", "captions"]
    assert shipped.sets[-1].root == Path("data/captioned/flickr8k_200.parquet")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("title = 'x'\nsets = []", "sets = []: list should have at least 1 item"),
        ("[[sets]]\ndataset = 'cifar10'", "title: field required"),
        ("title = 'x'\n[[sets]]\ndataset = 'flickr30'", "no such set; did you mean `flickr30k`?"),
        ("title = 'x'\n[[sets]]\ndataset = 'cifar10'\nlanguage = 'zh'", "no such key; did you mean `languages`?"),
        ("title = 'x'\n" + 2 * "[[sets]]\ndataset = 'cifar10'\n", "sets of one title: CIFAR-10"),
        ("title = ", "is not TOML"),
    ],
)
def test_mistakes_in_a_suite_are_named(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(words)):
        read_suite(suite(tmp_path, text))


def test_no_such_suite_and_no_such_set(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no\.toml cannot be read .*one of mini"):
        read_suite(str(tmp_path / "no.toml"))
    with pytest.raises(UsageError, match="unknown data set 'imagnet'"):
        suite_of("imagnet", tmp_path)


def test_a_suite_is_measured_written_and_compared(run: Run, model: str, other: str, tmp_path: Path) -> None:
    folders(tmp_path, "a", "red", "green")
    folders(tmp_path, "b", "blue", "white")
    before, after, tables = (str(tmp_path / name) for name in ("before.json", "after.json", "after.md"))
    path = suite(tmp_path, TWO)
    assert run("evaluate", model, "--suite", path, "--json", before)[0] == 0
    code, out, err = run("evaluate", other, model, "--suite", path, "--json", after, "--report", tables)
    assert code == 0, err
    assert "First, names alone" in out
    assert "Second, with templates" in out
    written = json.loads(Path(after).read_text(encoding="utf-8"))
    assert [of["title"] for of in written["sets"]] == ["First", "Second"]
    assert (tmp_path / "after.ranks.npz").is_file()
    assert "# Two sets" in Path(tables).read_text(encoding="utf-8")
    code, out, err = run("compare", before, after, "--label", model, "--label", other)
    assert code == 0, err
    assert "figures better" in out
    assert "First" in out
    code, out, _ = run("compare", before, after, "--label", model, "--label", model, "--json")
    assert {change["verdict"] for change in json.loads(out)["changes"]} == {"within noise"}


def mini_data(folder: Path, tongues: tuple[str, ...] = tuple(LANGUAGES)) -> Path:
    """Data of the bundled model's form with names in all nine languages but for French, which a class lacks."""
    write_data(folder)
    classes = [
        {"wnid": wnid, "names": {tongue: f"{tongue} {wnid}" for tongue in tongues if (tongue, wnid) != ("fr", "n001")}}
        for wnid in CLASSES
    ]
    concepts = [{"id": key, "names": {tongue: f"{tongue} {key}" for tongue in tongues}} for key in CONCEPTS]
    for name, made in zip(PATHS[1:], (classes, concepts), strict=True):
        (folder / name).write_text(lines(*map(json.dumps, made)), encoding="utf-8")
    rows: list[dict[str, Any]] = [
        {"image": {"bytes": png((10 * number, 0, 0)), "path": f"{number}.png"}}
        | {tongue: f"{tongue} caption {number}" for tongue in ("en", "zh", "ar")}
        | {"fr": None if number == 3 else f"légende {number}"}
        for number in range(12)
    ]
    write_rows(folder / PATHS[0], rows)
    return folder


def test_the_shipped_suite_measures_all_nine_languages(run: Run, model: str, tmp_path: Path) -> None:
    data, written = mini_data(tmp_path / "data"), tmp_path / "out.json"
    code, _, err = run("evaluate", model, "--suite", "mini", "--root", str(data), "--json", str(written))
    assert code == 0, err
    photos, by_name, drawings, captions = json.loads(written.read_text(encoding="utf-8"))["sets"]
    for of in (photos, by_name, drawings):
        assert {result["language"] for result in of["results"]} == set(LANGUAGES)
    asked = {
        r["language"]: r["queries"] for r in photos["results"] if (r["metric"], r["prompts"]) == ("top-1", "names")
    }
    assert (asked["en"], asked["fr"]) == (24, 21)  # three photographs show the class without a French name
    assert any(
        "1 of 8 classes have no name in fr; their 3 images are not asked for in it" in note for note in photos["notes"]
    )
    texts = {r["language"]: r["queries"] for r in by_name["results"] if r["metric"] == "T2I R@1"}
    assert (texts["en"], texts["fr"]) == (8, 7)
    of_french = {r["metric"]: r for r in captions["results"] if r["language"] == "fr"}
    assert (of_french["I2T R@1"]["queries"], of_french["T2I R@1"]["choices"]) == (11, 12)
    assert any("fr: 1 of 12 images have no caption" in note for note in captions["notes"])


def test_translations_are_found_among_all_of_a_file(run: Run, model: str, tmp_path: Path) -> None:
    """Every second pair says the same in both columns, so a model finds it whatever it knows."""
    same = [f"text {number}\ttext {number}" for number in range(0, 20, 2)]
    other = [f"sentence {number}\tдругое {number}" for number in range(1, 20, 2)]
    files.write(tmp_path / "set" / "made.en-ru.tsv", lines(*same, *other))
    files.write(tmp_path / "set" / "made.en-fr.tsv", lines(*same))
    files.write(tmp_path / "set" / "more.en-fr.tsv", lines("one more\tencore un"))
    written, page = tmp_path / "out.json", tmp_path / "out.html"
    code, out, err = run(
        "evaluate", model, "--dataset", "parallel", "--root", str(tmp_path / "set"), "--json", str(written),
        "--report", str(page),
    )  # fmt: skip
    assert code == 0, err
    assert "to English R@1" in out
    assert "fr: the pairs of 2 files together: made.en-fr.tsv, more.en-fr.tsv" in err
    (of,) = json.loads(written.read_text(encoding="utf-8"))["sets"]
    found = {(r["language"], r["metric"]): r for r in of["results"]}
    assert found["fr", "to English R@1"]["value"] >= 10 / 11
    assert 0.5 <= found["ru", "from English R@1"]["value"] <= 1
    assert found["ru", "to English R@1"]["queries"] == 20
    assert of["data"]["pairs"] == {"fr": 11, "ru": 20}
    assert "Parallel text" in page.read_text(encoding="utf-8")
    code, out, _ = run("compare", str(written), str(written))
    assert "to English R@1" in out


@pytest.mark.parametrize(
    ("name", "text", "languages", "words"),
    [
        ("made.en-zh.tsv", "one\t一\ntwo\n", "", "line 2: expected two texts with a tab between"),
        ("made.en-zh.tsv", "one\t一\n", "ru", "has parallel text in zh, not in ru"),
        ("notes.txt", "one\t一\n", "", "expected files named like en-zh.tsv"),
        ("en-zh.tsv", "", "", "no pairs of texts"),
    ],
)
def test_parallel_text_that_does_not_serve(
    run: Run, model: str, tmp_path: Path, name: str, text: str, languages: str, words: str
) -> None:
    files.write(tmp_path / "set" / name, text)
    code, out, err = run(
        "evaluate", model, "--dataset", "parallel", "--root", str(tmp_path / "set"), "--languages", languages
    )
    assert (code, out) == (1, "")
    assert words in err


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--suite", "mini", "--dataset", "cifar10"], 2, "one of --dataset and --suite"),
        (["--suite", "mini", "--languages", "zh"], 2, "--languages is not for --suite"),
        (["--suite", "mini", "--root", "no-data"], 1, "photos/val.parquet"),
        (["--suite", "nothing.toml"], 1, "nothing.toml cannot be read"),
        (["--suite", "mini", "--report", "out.pdf"], 2, "expected a name that ends in .md or .html"),
        (["--data", "x", "--report", "out.html"], 2, "a page is of --suite or --dataset"),
    ],
)
def test_wrong_calls_say_what_is_wrong(run: Run, model: str, arguments: list[str], code: int, words: str) -> None:
    found, out, err = run("evaluate", model, *arguments)
    assert (found, out) == (code, "")
    assert words in err
    assert "Traceback" not in err

"""`altclip evaluate --dataset NAME --root DIR` from end to end: a tiny random model on tiny sets."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from altclip import Encoder
from altclip.cli import app as cli
from altclip.cli.output import progress_console, results
from altclip.evaluate.benchmarks import BENCHMARKS
from altclip.evaluate.suites import run as suites_run
from altclip.evaluate.suites import suite as suites
from tests.evaluate import benchmark_files as files
from tests.evaluate.benchmark_files import SETS, lines, small, write
from tests.evaluate.made import png
from tests.tiny import tiny_model_folder

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tiny_model_folder(tmp_path_factory.mktemp("models") / "one", 0))


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    """Run `altclip evaluate ARGUMENTS` with the catalogue's rows for tiny sets: (exit code, stdout, stderr)."""
    rows = BENCHMARKS | {name: small(name) for name in SETS}
    monkeypatch.setattr(suites_run, "BENCHMARKS", rows)
    monkeypatch.setattr(suites, "BENCHMARKS", rows)

    def runner(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["altclip", "evaluate", *arguments])
        monkeypatch.setenv("COLUMNS", "250")
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
        results.cache_clear()
        progress_console.cache_clear()
        with pytest.raises(SystemExit) as leaving:
            cli.main()
        captured = capsys.readouterr()
        return int(leaving.value.code or 0), captured.out, captured.err

    return runner


def test_every_language_of_a_set_in_one_run(run: Run, model: str, tmp_path: Path) -> None:
    files.flickr8k(tmp_path / "set")
    written, tables = tmp_path / "out.json", tmp_path / "out.md"
    code, out, err = run(
        model, "--dataset", "flickr8k", "--root", str(tmp_path / "set"), "--label", "tiny [b]", "--json", str(written),
        "--report", str(tables),
    )  # fmt: skip
    assert code == 0, err
    assert "Flickr8k, Flickr8k-CN and Arabic Flickr8k, retrieval" in out
    assert "tiny [b]" in out
    assert "embedding 9 captions in ar" in err
    report = json.loads(written.read_text(encoding="utf-8"))
    (of,) = report["sets"]
    assert {result["language"] for result in of["results"]} == {"en", "zh", "ar"}
    assert of["data"]["captions"] == {"en": 15, "zh": 15, "ar": 9}
    assert report["versions"]["torch"]
    assert tables.read_text(encoding="utf-8").startswith("# Flickr8k")


def test_images_are_embedded_once_and_a_changed_one_is_noticed(
    run: Run, model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files.flickr30k_cna(tmp_path)
    seen: list[int] = []
    real = Encoder.encode_images

    def counting(self: Encoder, images: Iterable[Any], **options: Any) -> object:
        listed = list(images)
        seen.append(len(listed))
        return real(self, listed, **options)

    monkeypatch.setattr(Encoder, "encode_images", counting)
    arguments = (model, "--dataset", "flickr30k_cna", "--root", str(tmp_path))
    first = run(*arguments)
    assert run(*arguments)[:2] == first[:2]
    assert seen == [3]
    write(tmp_path / f"flickr30k-images/{files.FLICKR[0]}.jpg", png((7, 7, 7)))
    assert run(*arguments)[0] == 0
    assert seen == [3, 3]


def test_published_rows_stand_beside_ours(run: Run, model: str, tmp_path: Path) -> None:
    files.flickr30k_cn(tmp_path)
    _, out, _ = run(model, "--dataset", "flickr30k_cn", "--root", str(tmp_path))
    assert "CN-CLIP (published)" in out
    assert "68.0" in out


def test_a_set_of_your_own_in_one_file(run: Run, model: str, tmp_path: Path) -> None:
    files.pictures(tmp_path, ["0.png", "1.png", "2.png"])
    rows = [{"image": f"{number}.png", "ja": f"文{number}", "it": f"testo {number}"} for number in range(3)]
    path = write(tmp_path / "a.jsonl", lines(*map(json.dumps, rows)))
    code, out, err = run(model, "--dataset", "captions", "--root", str(path), "--languages", "it")
    assert code == 0, err
    assert "a set of your own with captions, ranks" in out
    assert "embedding 3 captions in it" in err
    assert "in ja" not in err


def test_classes_by_names_and_with_templates(run: Run, model: str, tmp_path: Path) -> None:
    files.class_folders(tmp_path, "test", ["0", "1", "2"])
    write(tmp_path / "label.txt", lines("red", "green", "blue"))
    write(tmp_path / "label_pl.txt", lines("czerwony", "zielony", "niebieski"))
    code, out, err = run(model, "--dataset", "folders", "--root", str(tmp_path))
    assert code == 0, err
    assert "names alone" in out
    assert "with templates" in out
    assert "classifying in en, pl" in err


def test_what_was_left_out_is_said(run: Run, model: str, tmp_path: Path) -> None:
    files.muge(tmp_path)
    code, _, err = run(model, "--dataset", "muge", "--root", str(tmp_path), "--report", str(tmp_path / "out.md"))
    assert code == 0
    assert "1 of 4 images have no caption" in err
    assert "1 of 4 images have no caption" in (tmp_path / "out.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["MODEL", "--dataset", "flickr31k", "--root", "SET"], 2, "unknown data set 'flickr31k': expected one of"),
        (["MODEL", "--dataset", "flickr30k_cna"], 2, "--dataset needs --root DIR"),
        (["MODEL", "--dataset", "flickr30k_cna", "--root", "SET", "--style", "noto"], 2, "without --style"),
        (["MODEL", "--dataset", "flickr30k_cna", "--root", "SET", "--languages", "en"], 2, "has no en: it has zh"),
        (["MODEL", "--dataset", "flickr30k", "--root", "SET"], 1, "Missing: dataset_flickr30k.json"),
        (["./no-model", "--dataset", "flickr30k_cna", "--root", "SET"], 1, "no-model"),
        (
            ["MODEL", "--dataset", "flickr30k_cna", "--root", "SET", "--json", "no/such/out.json"],
            2,
            "cannot be written",
        ),
    ],
)
def test_wrong_calls_say_what_is_wrong(
    run: Run, model: str, tmp_path: Path, arguments: list[str], code: int, words: str
) -> None:
    files.flickr30k_cna(tmp_path / "set")
    named = {"MODEL": model, "SET": str(tmp_path / "set")}
    found, out, err = run(*(named.get(argument, argument) for argument in arguments))
    assert (found, out) == (code, "")
    assert words in err
    assert "Traceback" not in err


def test_the_device_of_the_environment(run: Run, model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALTCLIP_DEVICE", "abacus")
    files.flickr8k(tmp_path / "set")
    code, _, err = run(model, "--dataset", "flickr8k", "--root", str(tmp_path / "set"))
    assert code != 0
    assert "abacus" in err


def test_a_damaged_image_is_named_and_nothing_is_written(run: Run, model: str, tmp_path: Path) -> None:
    files.flickr30k_cna(tmp_path)
    path = tmp_path / f"flickr30k-images/{files.FLICKR[1]}.jpg"
    path.write_bytes(path.read_bytes()[:60])
    code, out, err = run(
        model, "--dataset", "flickr30k_cna", "--root", str(tmp_path), "--json", str(tmp_path / "o.json")
    )
    assert (code, out) == (1, "")
    assert "flickr30k_cna, image 1" in err
    assert not (tmp_path / "o.json").exists()

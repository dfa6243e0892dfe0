"""`altclip evaluate` from end to end: a tiny random model on the made data, and every way to call it wrongly."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from altclip import Encoder
from altclip.cli import app as cli
from altclip.cli.output import progress_console, results
from altclip.evaluate import Settings, evaluate_models, facts
from tests.evaluate.made import png
from tests.tiny import tiny_model_folder

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Two models that differ."""
    base = tmp_path_factory.mktemp("models")
    return [str(tiny_model_folder(base / name, seed)) for seed, name in enumerate(("one", "two"))]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    """Run `altclip evaluate ARGUMENTS` in this process, on a wide terminal: (exit code, stdout, stderr)."""

    def runner(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["altclip", "evaluate", *arguments])
        monkeypatch.setenv("COLUMNS", "200")
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
        results.cache_clear()
        progress_console.cache_clear()
        with pytest.raises(SystemExit) as leaving:
            cli.main()
        captured = capsys.readouterr()
        return int(leaving.value.code or 0), captured.out, captured.err

    return runner


def test_models_are_measured_shown_and_written(run: Run, models: list[str], folder: Path, tmp_path: Path) -> None:
    written, tables = tmp_path / "out.json", tmp_path / "out.md"
    code, out, err = run(
        *models, "--data", str(folder), "--label", "stage 1", "--label", "stage [b]2", "--languages", "zh, fr",
        "--left-out", "4", "--json", str(written), "--report", str(tables),
    )  # fmt: skip
    assert code == 0, err
    for words in ("Summary", "Photographs, with templates", "Full-size", "Drawings", "every 4th name", "stage [b]2"):
        assert words in out
        assert words in tables.read_text(encoding="utf-8")
    assert "stage 1: " in err
    report = json.loads(written.read_text(encoding="utf-8"))
    assert [model["label"] for model in report["models"]] == ["stage 1", "stage [b]2"]
    assert report["models"][0]["digest"] != report["models"][1]["digest"]
    assert report["settings"] == {"languages": ["en", "zh", "fr"], "style": "twemoji", "left_out": 4}
    assert set(report["data"]) >= {"photos/val.parquet", "emoji/images.parquet"}
    assert report["versions"]["torch"]
    assert {result["model"] for result in report["results"]} == {"stage 1", "stage [b]2"}
    for result in report["results"]:
        assert result["value"] is None or 0 <= result["low"] <= result["value"] <= result["high"]
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == ["out.json", "out.md"]


def test_the_figures_are_those_of_the_model_itself(models: list[str], folder: Path, tmp_path: Path) -> None:
    """Top-1 by `evaluate` equals what `Encoder.classify` says, image by image."""
    from altclip.evaluate.mini.data import open_data

    report = evaluate_models(models[:1], folder, Settings(("en",)), cache=tmp_path)
    data, encoder = open_data(folder, "twemoji"), Encoder(models[0])
    names = {key: by_language["en"][0] for key, by_language in data.classes.names.items()}
    for kind, templates in (("names", None), ("templates", "auto")):
        said = encoder.classify(
            list(data.photographs), list(names.values()), language="en", templates=templates, top_k=1
        )
        right = [first[0].label == names[key] for first, key in zip(said, data.photographs.keys, strict=True)]
        (found,) = [
            r for r in report.models[0].results if (r.task, r.metric, r.prompts) == ("photographs", "top-1", kind)
        ]
        assert found.estimate.value == pytest.approx(sum(right) / len(right))


def test_a_second_run_gives_the_same_figures_from_the_cache(
    models: list[str], folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = evaluate_models(models[:1], folder, Settings(("en", "zh")), cache=tmp_path)
    monkeypatch.setattr(Encoder, "encode_images", lambda *_, **__: pytest.fail("images were embedded again"))
    again = evaluate_models(models[:1], folder, Settings(("en", "zh")), cache=tmp_path)
    assert again.to_dict()["results"] == first.to_dict()["results"]


def test_without_data_it_says_what_it_needs(run: Run) -> None:
    code, out, err = run("mini")
    assert (code, out) == (2, "")
    assert "--data DIR" in err
    assert "photos/val.parquet" in err
    assert "docs/mini-data.md" in err


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ([], 2, "MODEL"),
        (["MODEL", "--languages", "de"], 2, "unknown language 'de'"),
        (["MODEL", "--style", "crayon"], 2, "no drawing of style 'crayon'"),
        (["MODEL", "--left-out", "-1"], 2, "left-out"),
        (["MODEL", "--label", "a", "--label", "b"], 2, "2 labels for 1 models"),
        (["MODEL", "MODEL"], 2, "models of one label"),
        (["MODEL", "--device", "toaster"], 2, "toaster"),
        (["MODEL", "--json", "no/such/folder/out.json"], 2, "cannot be written"),
        (["MODEL", "--report", "."], 2, "cannot be written"),
        (["./no-such-model"], 1, "no-such-model"),
        (["MODEL", "./no-such-model"], 1, "no-such-model"),
        (["MODEL", "--languages", "ko"], 1, "no name in ko"),
    ],
)
def test_wrong_calls_say_what_is_wrong(
    run: Run, models: list[str], folder: Path, arguments: list[str], code: int, words: str
) -> None:
    found, out, err = run(*(models[0] if a == "MODEL" else a for a in arguments), "--data", str(folder))
    assert (found, out) == (code, "")
    assert words in err
    assert "Traceback" not in err


def test_missing_files_are_named(run: Run, models: list[str], own_folder: Path) -> None:
    (own_folder / "emoji/images.parquet").unlink()
    code, _, err = run(models[0], "--data", str(own_folder))
    assert code == 1
    assert "lacks emoji/images.parquet" in err


def test_a_damaged_photograph_is_named_and_nothing_is_written(
    run: Run, models: list[str], own_folder: Path, tmp_path: Path
) -> None:
    path = own_folder / "photos/full_size/n002_some_name.JPEG"
    path.write_bytes(png((255, 0, 0), 200, "JPEG")[:200])
    code, out, err = run(models[0], "--data", str(own_folder), "--json", str(tmp_path / "out.json"))
    assert (code, out) == (1, "")
    assert "n002_some_name.JPEG" in err
    assert "full_size, image 1" in err
    assert not (tmp_path / "out.json").exists()


def test_an_old_report_stays_whole_if_the_new_one_cannot_be_written(
    run: Run, models: list[str], folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = tmp_path / "out.json"
    written.write_text("old", encoding="utf-8")
    real = Path.write_bytes

    def full_disk(self: Path, content: bytes) -> int:
        if self.parent == tmp_path:
            real(self, content[:50])
            raise OSError(28, "No space left on device")
        return real(self, content)

    monkeypatch.setattr(Path, "write_bytes", full_disk)
    code, _, err = run(models[0], "--data", str(folder), "--languages", "zh", "--json", str(written))
    assert code == 1
    assert "No space left" in err
    assert written.read_text(encoding="utf-8") == "old"
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["out.json"]


def test_the_help_has_an_example_and_needs_no_torch() -> None:
    code = (
        "import sys; sys.argv = ['altclip', 'evaluate', '--help']\n"
        "from altclip.cli import app\n"
        "try:\n    app.main()\nexcept SystemExit as leaving:\n    assert not leaving.code\n"
        "assert 'torch' not in sys.modules and 'numpy' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "Example:" in done.stdout
    assert "altclip evaluate run/distill/model mini" in done.stdout
    assert "--left-out" in done.stdout


def test_the_cache_is_in_the_users_cache_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert facts.cache_folder() == tmp_path / "altclip" / "embeddings"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert facts.cache_folder() == tmp_path / ".cache" / "altclip" / "embeddings"


def test_the_commit_is_known_in_a_source_tree_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(facts, "__file__", str(tmp_path / "src/altclip/evaluate/facts.py"))
    assert facts.commit() is None  # installed
    (tmp_path / "src").mkdir()
    (tmp_path / ".git").write_text("not a repository", encoding="utf-8")
    assert facts.commit() is None
    (tmp_path / ".git").unlink()
    who = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
    for arguments in (["init", "-q"], [*who, "commit", "-q", "--allow-empty", "-m", "one"]):
        subprocess.run(["git", "-C", str(tmp_path), *arguments], check=True)
    clean = facts.commit()
    assert clean is not None
    assert len(clean) == 40
    (tmp_path / "src/new.py").write_text("", encoding="utf-8")
    assert facts.commit() == f"{clean}+"

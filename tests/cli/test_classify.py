"""`altclip classify`: labels from everywhere, what is printed, bad files among good ones, mistakes."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from altclip.encoder import Encoder
from altclip.prompts import label_set
from tests.bad import BAD_IMAGES, BAD_MODELS, ODD_IMAGES, picture
from tests.cli.conftest import Run
from tests.tiny import tiny_model_folder

NAMES = ["album/a.PNG", "album/b.jpg", "album/below/c.webp"]


@pytest.fixture
def classify(run: Run, tiny_folder: Path) -> Run:
    return lambda *arguments: run("classify", "--model", tiny_folder, *arguments)


def document(text: str) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(text)
    return loaded


def test_json_says_what_the_encoder_says(classify: Run, tiny_folder: Path, album: Path) -> None:
    code, out, err = classify(album, "--labels", "кошка, собака", "--labels", "鸟，鱼、un chien", "--json")
    assert code == 0
    assert err == "other files in the folders, passed over: 4\n"
    found = document(out)
    labels = ["кошка", "собака", "鸟", "鱼", "un chien"]
    assert found["labels"] == labels
    assert found["model"] == str(tiny_folder)
    assert found["errors"] == []
    assert [row["image"] for row in found["images"]] == NAMES
    expected = Encoder(tiny_folder).classify(NAMES, labels)
    for row, ranking in zip(found["images"], expected, strict=True):
        assert [p["label"] for p in row["predictions"]] == [label for label, _ in ranking]
        chances = [p["probability"] for p in row["predictions"]]
        assert chances == pytest.approx([chance for _, chance in ranking], abs=1e-5)


def test_the_table(classify: Run, album: Path) -> None:
    code, out, _ = classify(album, "--labels", "cat,dog,bird", "--top", "2")
    assert code == 0
    for name in NAMES:
        assert name in out
    assert out.count("%") == 6
    assert "label" in out
    assert "probability" in out


def test_what_a_user_wrote_cannot_steer_the_terminal(classify: Run, album: Path) -> None:
    picture().save(album / "x\x1b[31m[bold]y.png")
    code, out, _ = classify(album, "--labels", "[red]a[/red],\x1b[2Jb,\u202ec")
    assert code == 0
    assert "\x1b" not in out
    assert "\u202e" not in out
    assert "[red]a[/red]" in out
    assert "\\x1b[2Jb" in out
    assert "x\\x1b[31m[bold]y.png" in out


def test_five_labels_are_shown_unless_asked_otherwise(classify: Run, album: Path) -> None:
    found = document(classify(album / "b.jpg", "--labels", "a,b,c,d,e,f,g", "--json").out)
    assert len(found["images"][0]["predictions"]) == 5
    found = document(classify(album / "b.jpg", "--labels", "a,b", "--json").out)
    assert len(found["images"][0]["predictions"]) == 2


def test_labels_from_a_file(classify: Run, album: Path) -> None:
    Path("labels.txt").write_bytes("\ufeffcat, tabby\r\n\r\n  собака \r\n".encode())
    found = document(classify(album / "b.jpg", "--labels-file", "labels.txt", "--labels", "x", "--json").out)
    assert found["labels"] == ["x", "cat, tabby", "собака"]


@pytest.mark.parametrize("language", [None, "ja", "ar"])
def test_a_label_set_in_a_language(classify: Run, album: Path, language: Any) -> None:
    options = ["--language", language] if language else []
    found = document(classify(album / "b.jpg", "--label-set", "cifar10", "--json", *options).out)
    assert found["labels"] == list(label_set("cifar10", language or "en").values())


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--templates", "none"], {"templates": None}),
        (["--templates", "auto"], {}),
        (["--language", "it"], {"language": "it"}),
        (["--templates", "una foto: {}", "--templates", "{}!"], {"templates": ["una foto: {}", "{}!"]}),
    ],
)
def test_templates_and_language_reach_the_encoder(
    classify: Run, album: Path, tiny_folder: Path, options: list[str], expected: dict[str, Any]
) -> None:
    found = document(classify(album / "b.jpg", "--labels", "gatto,cane", "--json", *options).out)
    predictions = Encoder(tiny_folder).classify("album/b.jpg", ["gatto", "cane"], **expected)
    assert [p["label"] for p in found["images"][0]["predictions"]] == [label for label, _ in predictions]
    assert found["images"][0]["predictions"][0]["probability"] == pytest.approx(predictions[0].probability, abs=1e-5)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "no labels: expected --labels"),
        (["--labels", ", ,"], "no labels"),
        (["--labels", "a,b,a"], "more than once: 'a'"),
        (["--labels", "a", "--templates", "no place"], "0 places"),
        (["--labels", "a", "--language", "xx"], "unknown language 'xx'"),
        (["--label-set", "imagenet"], "unknown label set 'imagenet'"),
        (["--labels", "a", "--top", "0"], "--top"),
        (["--labels", "a", "--max-pixels", "0"], "--max-pixels"),
        (["--labels", "a", "--nope"], "--nope"),
    ],
)
def test_wrong_usage_is_found_before_the_model_is_opened(
    run: Run, album: Path, arguments: list[str], words: str
) -> None:
    code, out, err = run("classify", album, "--model", "no/such/model/at/all", *arguments)
    assert (code, out) == (2, "")
    assert words in err


@pytest.mark.parametrize(
    ("content", "words"),
    [(None, "cannot be read: No such file"), (b"\xff\xfe\x00", "is not UTF-8 (byte 0)")],
)
def test_a_file_of_labels_that_cannot_be_read(run: Run, album: Path, content: bytes | None, words: str) -> None:
    if content is not None:
        Path("labels.txt").write_bytes(content)
    code, out, err = run("classify", album, "--labels-file", "labels.txt")
    assert (code, out) == (1, "")
    assert words in err


def test_a_path_is_needed(run: Run) -> None:
    code, _, err = run("classify", "--labels", "a")
    assert code == 2
    assert "PATH" in err


@pytest.mark.parametrize("name", BAD_IMAGES)
def test_one_bad_file_among_many_is_named_and_the_rest_is_done(classify: Run, album: Path, name: str) -> None:
    make, words = BAD_IMAGES[name]
    make(Path(name))
    code, out, err = classify(name, album, "--labels", "a,b", "--json")
    assert code == 1
    assert f"error: {name}: " in err
    assert words in err
    found = document(out)
    assert [row["image"] for row in found["images"]] == NAMES
    assert [(row["image"], words in row["error"]) for row in found["errors"]] == [(name, True)]
    code, out, _ = classify(name, album, "--labels", "a,b")
    assert code == 1
    assert NAMES[0] in out


@pytest.mark.parametrize("name", BAD_IMAGES)
def test_strict_stops_at_the_first_bad_file(classify: Run, album: Path, name: str) -> None:
    make, words = BAD_IMAGES[name]
    make(Path(name))
    code, out, err = classify(album, name, "--labels", "a,b", "--json", "--strict")
    assert (code, out) == (1, "")
    assert err.startswith(f"error: {name}: ")
    assert words in err


@pytest.mark.parametrize("name", ODD_IMAGES)
def test_an_odd_file_is_no_bad_file(classify: Run, tmp_path: Path, name: str) -> None:
    ODD_IMAGES[name](tmp_path / name)
    code, out, err = classify(tmp_path / name, "--labels", "a,b", "--json")
    assert (code, err) == (0, "")
    assert document(out)["images"][0]["image"] == str(tmp_path / name)


def test_a_large_image_can_be_allowed_and_a_small_one_refused(classify: Run, album: Path) -> None:
    code, _, err = classify(album / "b.jpg", "--labels", "a,b", "--max-pixels", 100)
    assert code == 1
    assert "over the limit of 100" in err
    BAD_IMAGES["bomb.png"][0](Path("bomb.png"))
    code, _, err = classify("bomb.png", "--labels", "a,b", "--max-pixels", 10**9)
    assert code == 1
    assert "limit" not in err  # Pillow's own does not step in; the file's pixels are missing
    assert "damaged" in err


def test_nothing_but_bad_files(classify: Run) -> None:
    code, out, err = classify("no.jpg", "--labels", "a,b")
    assert (code, out) == (1, "")
    assert err == "error: no.jpg: there is no such file\n"


class TestFolders:
    def test_one_without_images_is_an_error(self, classify: Run, album: Path) -> None:
        Path("empty").mkdir()
        Path("texts").mkdir()
        Path("texts/a.txt").touch()
        code, out, err = classify("empty", "texts", album, "--labels", "a,b", "--json")
        assert code == 1
        assert "empty: the folder holds nothing" in err
        assert "texts: the folder holds 1 files, none with the ending of an image" in err
        assert [row["image"] for row in document(out)["images"]] == NAMES
        code, out, err = classify("empty", album, "--labels", "a,b", "--strict")
        assert (code, out) == (1, "")

    def test_a_file_named_by_itself_is_tried_whatever_its_name(self, classify: Run, album: Path) -> None:
        picture().save("picture", "PNG")
        code, out, _ = classify("picture", album / "notes.txt", "--labels", "a,b", "--json")
        assert code == 1
        assert [row["image"] for row in document(out)["images"]] == ["picture"]
        assert [row["image"] for row in document(out)["errors"]] == ["album/notes.txt"]

    def test_a_file_named_twice_counts_once(self, classify: Run, album: Path) -> None:
        found = document(classify(album, album / "b.jpg", album, "--labels", "a,b", "--json").out)
        assert [row["image"] for row in found["images"]] == NAMES

    def test_one_that_may_not_be_read(self, classify: Run, album: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """By a stand-in for the system call, because a test that runs as root may read everything."""
        scan = os.scandir

        def refuse(path: Any) -> Any:
            if Path(path).name == "below":
                raise PermissionError(13, "Permission denied", str(path))
            return scan(path)

        monkeypatch.setattr(os, "scandir", refuse)
        code, out, err = classify(album, "--labels", "a,b", "--json")
        assert code == 1
        assert "error: album/below: cannot be read: Permission denied" in err
        assert [row["image"] for row in document(out)["images"]] == NAMES[:2]

    def test_thousands_of_mixed_files(self, classify: Run, tmp_path: Path) -> None:
        small = tmp_path / "small.png"
        picture(size=(8, 8)).save(small)
        many = tmp_path / "many"
        for number in range(2000):
            (many / str(number % 7)).mkdir(parents=True, exist_ok=True)
            target = many / str(number % 7) / f"{number}{'.png' if number % 5 == 0 else '.dat'}"
            target.write_bytes(small.read_bytes() if number % 10 == 0 else b"")
        code, out, err = classify(many, "--labels", "a,b", "--json")
        found = document(out)
        assert code == 1
        assert len(found["images"]) == 200
        assert len(found["errors"]) == 200
        assert all("is empty" in row["error"] for row in found["errors"])
        assert "passed over: 1600" in err


@pytest.mark.parametrize("name", BAD_MODELS)
def test_a_bad_model_is_one_message_and_exit_1(run: Run, tmp_path: Path, album: Path, name: str) -> None:
    folder = tiny_model_folder(tmp_path / "model")
    BAD_MODELS[name].spoil(folder)
    code, out, err = run("classify", album, "--labels", "a,b", "--model", folder)
    assert (code, out) == (1, "")
    assert err.startswith("error: ")
    assert BAD_MODELS[name].words in err
    assert not Path("it-ran").exists()


def test_a_hub_model_without_network_says_how_to_go_on(run: Run, album: Path) -> None:
    code, out, err = run("classify", album, "--labels", "a,b", "--model", "BAAI/AltCLIP-m9")
    assert (code, out) == (1, "")
    assert "hf download BAAI/AltCLIP-m9" in err


def test_the_device_of_the_environment(classify: Run, album: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALTCLIP_DEVICE", "cpu")
    assert classify(album, "--labels", "a,b", "--json").code == 0
    monkeypatch.setenv("ALTCLIP_DEVICE", "abacus")
    code, _, err = classify(album, "--labels", "a,b")
    assert code == 2
    assert "device 'abacus' is not here" in err


LABELS = ["x" * 10_000, "😀👍🏽", "</s>", "حصان على الشاطئ", "{}", "<mask>"]


def test_labels_of_every_kind(classify: Run, album: Path) -> None:
    Path("labels.txt").write_text("\n".join(LABELS), encoding="utf-8")
    code, out, _ = classify(album / "b.jpg", "--labels-file", "labels.txt", "--json", "--top", "9")
    assert code == 0
    assert {p["label"] for p in document(out)["images"][0]["predictions"]} == set(LABELS)

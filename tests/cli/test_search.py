"""`altclip search`: texts, pictures and conditions to a ranking of photographs."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from PIL import Image

from altclip.cli.search import parse_where
from altclip.encoder import Encoder
from altclip.errors import UsageError
from altclip.search import Where
from altclip.search.indexing import Update
from tests.bad import picture
from tests.cli.conftest import Run


class Made(NamedTuple):
    """photos: four; one was taken on the first of May 2023 and has a caption."""

    photos: Path
    place: Path


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, tiny_folder: Path) -> Made:
    base = tmp_path_factory.mktemp("library").resolve()
    exif = Image.Exif()
    exif[0x0132], exif[0x010E] = "2023:05:01 12:00:00", "屋根の上の猫".encode()
    (base / "photos" / "below").mkdir(parents=True)
    picture((10, 200, 10)).save(base / "photos" / "a.PNG")
    picture((200, 10, 10)).save(base / "photos" / "b.jpg")
    picture((10, 10, 200)).save(base / "photos" / "below" / "c.webp")
    picture((90, 0, 90)).save(base / "photos" / "dated.jpg", exif=exif)
    Update(base / "index", [base / "photos"], Encoder, model=str(tiny_folder)).run()
    return Made(base / "photos", base / "index")


@pytest.fixture
def album(made: Made) -> Path:
    return made.photos


@pytest.fixture
def search(run: Run, made: Made, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("ALTCLIP_INDEX", str(made.place))
    return lambda *arguments: run("search", *arguments)


def hits(search: Run, *arguments: object) -> list[dict[str, Any]]:
    code, out, _ = search(*arguments, "--json")
    assert code == 0
    found: list[dict[str, Any]] = json.loads(out)["hits"]
    return found


def names(search: Run, *arguments: object) -> list[str]:
    return [hit["name"] for hit in hits(search, *arguments)]


def test_a_text(search: Run, album: Path, tiny_folder: Path) -> None:
    encoder = Encoder(tiny_folder)
    files = [album / "a.PNG", album / "b.jpg", album / "below" / "c.webp", album / "dated.jpg"]
    cosines = encoder.similarity(files, "一只猫 cat")[:, 0]
    found = hits(search, "一只猫", "cat")
    assert [hit["path"] for hit in found] == [str(files[place].resolve()) for place in np.argsort(-cosines)]
    np.testing.assert_allclose([hit["score"] for hit in found], np.sort(cosines)[::-1], atol=1e-5)


def test_scenes_are_shown_once(run: Run, tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "photos").mkdir()
    for name, colour in (("one", (200, 10, 10)), ("one again", (200, 10, 10)), ("other", (10, 10, 200))):
        picture(colour).save(tmp_path / "photos" / f"{name}.png")
    Update(tmp_path / "index", [tmp_path / "photos"], Encoder, model=str(tiny_folder)).run()
    monkeypatch.setenv("ALTCLIP_INDEX", str(tmp_path / "index"))
    found = {}
    for options in ((), ("--group",)):
        code, out, _ = run("search", "cat", *options, "--json")
        assert code == 0
        found[options] = json.loads(out)["hits"]
    assert len(found[()]) == 3
    assert sorted(len(hit["same"]) for hit in found["--group",]) == [0, 1]


def test_the_table(search: Run) -> None:
    code, out, err = search("cat", "--top", 3)
    assert code == 0
    assert "photograph" in out
    assert "3 of 4; the next: --skip 3" in err


def test_a_picture_is_found_by_itself(search: Run, album: Path) -> None:
    found = hits(search, "--image", album / "b.jpg", "--top", 1)
    assert (found[0]["name"], found[0]["score"]) == ("b.jpg", pytest.approx(1, abs=1e-4))


def test_without_changes_the_ranking_as_the_arithmetic_says(search: Run, album: Path, tiny_folder: Path) -> None:
    encoder = Encoder(tiny_folder)
    cat, dog = encoder.encode_texts(["cat", "dog"])
    query = cat - 0.5 * dog
    files = [album / name for name in ("a.PNG", "b.jpg", "below/c.webp", "dated.jpg")]
    scores = encoder.encode_images(files) @ (query / np.linalg.norm(query))
    found = hits(search, "cat", "--without", "dog")
    np.testing.assert_allclose([hit["score"] for hit in found], np.sort(scores)[::-1], atol=1e-5)


def test_conditions(search: Run, album: Path) -> None:
    assert names(search, "cat", "--where", "from=2023", "--where", "to=2023-05-01") == ["dated.jpg"]
    assert names(search, "cat", "--where", "to=2023-04") == []
    assert names(search, "--where", f"folder={album / 'below'}") == ["c.webp"]
    assert names(search, "--where", "name=DATE") == ["dated.jpg"]


def test_words(search: Run) -> None:
    assert names(search, "--words", "猫")[0] == "dated.jpg"
    assert hits(search, "--words", "猫")[0]["text"] == "屋根の上の猫"


def test_pages(search: Run) -> None:
    everything = names(search, "cat")
    assert names(search, "cat", "--top", 2) + names(search, "cat", "--top", 2, "--skip", 2) == everything
    code, out, _ = search("cat", "--skip", 10)
    assert (code, out) == (0, "there is nothing more\n")


def test_nothing_found_is_no_error(search: Run) -> None:
    code, out, _ = search("cat", "--where", "album=rome")
    assert (code, out) == (0, "nothing was found\n")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "expected what to look for"),
        ([" "], "expected what to look for"),
        (["--without", "dog", "--where", "name=a"], "takes away from a search"),
        (["cat", "--where", "name"], "expected KEY=VALUE"),
        (["cat", "--where", "from=yesterday"], "expected a date such as"),
        (["cat", "--where", "from=2023-13"], "expected a date such as"),
        (["cat", "--top", "0"], "--top"),
    ],
)
def test_wrong_usage(run: Run, arguments: list[str], words: str) -> None:
    code, out, err = run("search", *arguments)
    assert (code, out) == (2, "")
    assert words in err


def test_without_an_index(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    code, _, err = run("search", "cat", "--index", tmp_path / "none")
    assert code == 1
    assert "`altclip index FOLDER` makes one" in err


def test_a_query_picture_that_cannot_be_read(search: Run, tmp_path: Path) -> None:
    (tmp_path / "bad.jpg").write_bytes(b"no picture")
    code, _, err = search("--image", tmp_path / "bad.jpg")
    assert code == 1
    assert "bad.jpg" in err


@pytest.mark.parametrize(
    ("given", "where"),
    [
        ([], None),
        (["from=2023"], Where(taken_from=datetime(2023, 1, 1))),
        (["to=2023"], Where(taken_to=datetime(2024, 1, 1))),
        (["to=2023-12"], Where(taken_to=datetime(2024, 1, 1))),
        (["to=2023-05"], Where(taken_to=datetime(2023, 6, 1))),
        (["to=2024-02-29"], Where(taken_to=datetime(2024, 3, 1))),
        (["from=2023-05-01T12:30"], Where(taken_from=datetime(2023, 5, 1, 12, 30))),
        (["to=2023-05-01T12:30"], Where(taken_to=datetime(2023, 5, 1, 12, 31))),
        (["to=2023-05-01T12:30:07"], Where(taken_to=datetime(2023, 5, 1, 12, 30, 8))),
        (["to=2023-05-01T12"], Where(taken_to=datetime(2023, 5, 1, 13))),
        (["to=20230501"], Where(taken_to=datetime(2023, 5, 2))),
        (["price=5", "on=true", "sku=05", "a=b=c"], Where(extra={"price": 5, "on": True, "sku": "05", "a": "b=c"})),
        (['sku="5"', "list=[1]", "none=null"], Where(extra={"sku": "5", "list": "[1]", "none": "null"})),
    ],
)
def test_where(given: list[str], where: Where | None) -> None:
    assert parse_where(given) == where


def test_the_end_of_time() -> None:
    assert parse_where(["from=9999"]) == Where(taken_from=datetime(9999, 1, 1))
    with pytest.raises(UsageError, match="expected a date"):
        parse_where(["to=9999"])

"""Photographs over HTTP: found, drawn, and no place told to who may not see it."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable, Iterator
from copy import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image

from altclip.encoder import Encoder
from altclip.errors import SearchError
from altclip.search import Index, Query, Row, make_id
from altclip.serve.app import create_app
from altclip.serve.keys import KeyRing, new_key
from altclip.serve.library import Library, Picture, placeless
from altclip.serve.model import Model
from altclip.serve.refusals import Refusal
from altclip.serve.settings import Settings
from tests.bad import picture
from tests.serve.made import encoded, serving, uri
from tests.serve.photographs import COLOURS, PLACE

pytest.importorskip("lancedb", reason="needs the extra search")
KEYS = {name: new_key(name, name) for name in ("read", "write")}


@pytest.fixture(scope="module")
def photos(encoder: Encoder, index: Index) -> Iterator[httpx.Client]:
    with serving(encoder, keys=KeyRing({name: key for name, (_, key) in KEYS.items()}), index=index) as client:
        yield client


def bearer(scope: str) -> dict[str, str]:
    return {"authorization": f"Bearer {KEYS[scope][0]}"}


def search(client: httpx.Client, scope: str = "read", **form: Any) -> httpx.Response:
    return client.post("/search", json=form, headers=bearer(scope))


def names(answer: httpx.Response) -> list[str]:
    return [hit["name"] for hit in answer.json()["hits"]]


@pytest.mark.parametrize("name", COLOURS)
def test_a_picture_finds_itself(photos: httpx.Client, album: Path, name: str) -> None:
    data = (album / f"{name}.jpg").read_bytes()
    answer = search(photos, parts=[{"image": uri(data)}], limit=2)
    assert names(answer)[0] == f"{name}.jpg"
    assert answer.json()["hits"][0]["score"] == pytest.approx(1, abs=1e-5)
    assert names(search(photos, parts=[{"id": make_id(f"{name}.jpg")}], limit=1)) == [f"{name}.jpg"]


def test_text_and_weights_are_the_index_s(photos: httpx.Client, index: Index, encoder: Encoder) -> None:
    from altclip.search import Part, Query

    texts, weights = ["a cat", "一只狗"], [1.0, -0.5]
    parts = tuple(Part(row, weight) for row, weight in zip(encoder.encode_texts(texts), weights, strict=True))
    expected = index.search(Query(parts, limit=4))
    forms = [{"text": text, "weight": weight} for text, weight in zip(texts, weights, strict=True)]
    found = search(photos, parts=forms, limit=4).json()
    assert [hit["id"] for hit in found["hits"]] == [hit.id for hit in expected.hits]
    assert [hit["score"] for hit in found["hits"]] == pytest.approx([hit.score for hit in expected.hits], abs=1e-5)


def test_filters_words_and_pages(photos: httpx.Client, album: Path) -> None:
    assert names(search(photos, words="caption green"))[0] == "green.jpg"
    assert names(search(photos, where={"name_contains": "BLU"})) == ["blue.jpg"]
    assert names(search(photos, where={"extra": {"shop": 1}})) == ["green.jpg"]
    assert names(search(photos, where={"taken_from": "2020-01-03", "taken_to": "2020-01-04T00:00:00Z"})) == ["blue.jpg"]
    everything = names(search(photos))
    assert len(everything) == 6
    assert names(search(photos, limit=2, offset=2)) == everything[2:4]


def test_no_place_for_a_key_that_only_reads(photos: httpx.Client, album: Path) -> None:
    for answer in (search(photos), photos.get("/index", headers=bearer("read"))):
        assert "48.8" not in answer.text
        assert str(album) not in answer.text
    hit = search(photos, "write", where={"name_contains": "red"}).json()["hits"][0]
    assert (hit["latitude"], hit["longitude"]) == PLACE
    assert hit["path"] == str(album / "red.jpg")
    assert search(photos).json()["hits"][0]["extra"]["deep"] == {"price": 3}
    assert search(photos, where={"extra": {"lat": 1}}).status_code == 403
    assert search(photos, "write", where={"extra": {"lat": 1}}).status_code == 200


def test_what_tells_a_place() -> None:
    for key in (
        "gps", "GPSInfo", "lat", "geo_lat", "Longitude", "location", "geo", "exif:gps", "coordinates", "latlng",
        "latLon", "lon_lat", "photoLatitude", "homeLocation",
    ):  # fmt: skip
        assert placeless({key: 1, "x": [{key: 2, "y": 3}]}) == {"x": [{"y": 3}]}, key
    for key in ("plate", "flat", "along", "price", "title", "latest", "belong", "latency", "isFlat"):
        assert placeless({key: 1}) == {key: 1}, key


@pytest.mark.parametrize("scope", ["read", "write"])
def test_pictures(photos: httpx.Client, album: Path, scope: str) -> None:
    answer = photos.get(f"/images/{make_id('red.jpg')}", headers=bearer(scope))
    assert answer.headers["content-type"] == "image/jpeg"
    opened = Image.open(io.BytesIO(answer.content))
    assert opened.size == (600, 400)
    assert (answer.content == (album / "red.jpg").read_bytes()) == (scope == "write")
    assert bool(opened.getexif().get_ifd(0x8825)) == (scope == "write")
    assert (b"MakerOfCameras" in answer.content) == (scope == "write")
    small = photos.get(f"/images/{make_id('red.jpg')}", params={"side": 60}, headers=bearer(scope))
    assert Image.open(io.BytesIO(small.content)).size == (60, 40)
    assert not Image.open(io.BytesIO(small.content)).getexif()


def test_what_a_browser_does_not_show_is_drawn(photos: httpx.Client) -> None:
    answer = photos.get(f"/images/{make_id('phone.tif')}", headers=bearer("write"))
    assert answer.headers["content-type"] == "image/jpeg"
    assert Image.open(io.BytesIO(answer.content)).size == picture().size


def drawn(library: Library, file: Path, side: int | None = None, **claims: Any) -> Picture:
    return library._drawn(Row(id=make_id("x"), path=str(file), folder=str(file.parent), **claims), side)


def test_a_photograph_of_a_phone_is_drawn(index: Index, encoder: Encoder, tmp_path: Path) -> None:
    heif = pytest.importorskip("pillow_heif")
    heif.from_pillow(picture(size=(64, 48))).save(tmp_path / "a.heic")
    found = drawn(Library(index, Model(copy(encoder), Settings())), tmp_path / "a.heic")
    assert (found.kind, Image.open(io.BytesIO(found.data)).size) == ("image/jpeg", (64, 48))


def test_a_phones_jpeg_of_several_pictures_is_given_as_it_is(index: Index, encoder: Encoder, tmp_path: Path) -> None:
    picture(size=(64, 48)).save(tmp_path / "a.jpg", "MPO", save_all=True, append_images=[picture(size=(32, 24))])
    found = drawn(Library(index, Model(copy(encoder), Settings())), tmp_path / "a.jpg")
    assert (found.kind, found.data) == ("image/jpeg", (tmp_path / "a.jpg").read_bytes())


def test_a_row_that_was_imported_shows_what_lies_in_the_indexes_folders_alone(
    index: Index, encoder: Encoder, tmp_path: Path, album: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library = Library(index, Model(copy(encoder), Settings()))
    picture().save(tmp_path / "elsewhere.png")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(type(index), "folders", property(lambda _: (str(album),)))
    with pytest.raises(Refusal, match="gone or cannot be read"):
        library._drawn(Row(id=make_id("x"), path=str(tmp_path / "elsewhere.png")), 32)
    assert library._drawn(Row(id=make_id("x"), path=str(album / "red.jpg")), 32).kind == "image/jpeg"


def test_an_index_that_was_made_anew_by_another_model(
    index: Index, encoder: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    library = Library(index, Model(copy(encoder), Settings()))
    there = index.about
    monkeypatch.setattr(type(index), "about", property(lambda _: replace(there, digest="f" * 64)))
    with pytest.raises(Refusal, match="of another model now"):
        library._found(Query())
    with pytest.raises(Refusal, match="of another model now"):
        library._vectors([])


def test_what_was_indexed_is_shown_though_clients_may_not_send_it(
    index: Index, encoder: Encoder, tmp_path: Path
) -> None:
    library = Library(index, Model(copy(encoder), Settings(max_pixels=100)))
    (tmp_path / "large.jpg").write_bytes(encoded(picture(size=(60, 40)), "JPEG"))
    assert drawn(library, tmp_path / "large.jpg", 32, width=60, height=40).kind == "image/jpeg"
    with pytest.raises(Refusal, match="gone or cannot be read"):
        drawn(library, tmp_path / "large.jpg", 32, width=6, height=4)


@pytest.mark.parametrize("make", [lambda path: path.symlink_to(path), os.mkfifo], ids=["links in a circle", "a pipe"])
def test_what_came_in_the_place_of_a_photograph(
    index: Index, encoder: Encoder, tmp_path: Path, make: Callable[[Path], object]
) -> None:
    make(tmp_path / "a.jpg")
    with pytest.raises(Refusal, match="gone or cannot be read"):
        drawn(Library(index, Model(copy(encoder), Settings())), tmp_path / "a.jpg")


def test_a_picture_that_cannot_be_read_is_named_by_its_part(photos: httpx.Client) -> None:
    broken = {"image": uri(b"dear diary")}
    for parts in ([{"id": make_id("red.jpg")}, broken], [{"text": "a"}, broken], [broken, {"text": "a"}]):
        answer = search(photos, parts=parts)
        assert answer.status_code == 400
        assert answer.json()["error"]["param"] == f"parts[{parts.index(broken)}]"
        assert answer.json()["error"]["message"].startswith(f"parts[{parts.index(broken)}]: the image")


def test_thumbnails_are_kept_by_browsers(photos: httpx.Client) -> None:
    path = f"/images/{make_id('red.jpg')}/thumbnail"
    answer = photos.get(path, headers=bearer("read"))
    assert answer.content == encoded(kind="JPEG")
    assert "private" in answer.headers["cache-control"]
    again = photos.get(path, headers={**bearer("read"), "if-none-match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize("scope", ["read", "write"])
@pytest.mark.parametrize("name", ["link.jpg", "gone.jpg", "never there"])
def test_what_lies_elsewhere_or_is_gone(photos: httpx.Client, scope: str, name: str) -> None:
    answer = photos.get(f"/images/{make_id(name)}", headers=bearer(scope))
    assert answer.status_code == 404
    assert answer.json()["error"]["param"] == "id"


@pytest.mark.parametrize("name", ["..%2f..%2fetc%2fpasswd", "x", "A" * 26, make_id("a") + "%00"])
def test_ids_are_no_paths(photos: httpx.Client, name: str) -> None:
    assert photos.get(f"/images/{name}", headers=bearer("read")).status_code in (400, 404)
    assert photos.get(f"/images/{name}/thumbnail", headers=bearer("read")).status_code in (400, 404)


BAD: dict[str, tuple[dict[str, Any], int]] = {
    "nothing in a part": ({"parts": [{}]}, 400),
    "two in a part": ({"parts": [{"text": "a", "id": make_id("red.jpg")}]}, 400),
    "an unknown id": ({"parts": [{"id": make_id("never there")}]}, 404),
    "an unknown folder": ({"where": {"folder": "0" * 12}}, 404),
    "parts that cancel out": ({"parts": [{"text": "a"}, {"text": "a", "weight": -1}]}, 400),
    "no weight": ({"parts": [{"text": "a", "weight": 0}]}, 400),
    "too many": ({"limit": 201}, 400),
    "too many conditions": ({"where": {"extra": {f"key {n}": 1 for n in range(21)}}}, 400),
    "the first year": ({"where": {"taken_from": "0001-01-01", "taken_to": "9999-12-31T23:59:59.999999"}}, 200),
    "NUL": ({"where": {"name_contains": "a\0"}}, 400),
    "a quote": ({"where": {"name_contains": "' OR 1=1 --"}}, 200),
}


@pytest.mark.parametrize(("form", "status"), BAD.values(), ids=BAD.keys())
def test_questions_that_cannot_be_asked(photos: httpx.Client, form: dict[str, Any], status: int) -> None:
    answer = search(photos, **form)
    assert answer.status_code == status
    assert status == 200 or answer.json()["error"]["message"]


def test_an_index_of_another_model_is_refused(index: Index, encoder: Encoder, tmp_path: Path) -> None:
    other = Index.create(tmp_path / "index", model="other", digest="0" * 64, dim=encoder.dim)
    with pytest.raises(SearchError, match="cannot be compared"):
        create_app(Settings(), encoder, index=other)


def test_without_an_index(client: httpx.Client) -> None:
    answer = client.post("/search", json={})
    assert answer.status_code == 404
    assert "altclip serve --index" in answer.json()["error"]["message"]


def test_the_document_has_examples_and_names_every_route(photos: httpx.Client) -> None:
    document = photos.get("/openapi.json", headers=bearer("read")).json()
    for path in ("/v1/embeddings", "/v1/models", "/classify", "/similarity", "/search", "/images/{id}"):
        assert path in document["paths"]
    for form in ("EmbeddingForm", "ClassifyForm", "SimilarityForm", "SearchForm"):
        assert document["components"]["schemas"][form]["examples"]
    assert document["components"]["securitySchemes"]
    assert "422" not in json.dumps(document)

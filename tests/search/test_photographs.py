"""What is read of one photograph: picture, thumbnail, digest, and what its file says of itself."""

from __future__ import annotations

import hashlib
import io
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from altclip.errors import ImageError
from altclip.processing import open_image
from altclip.processing.opening import MAX_PIXELS
from altclip.search.notes import Notes, read_notes
from altclip.search.photographs import THUMBNAIL_SIDE, Photograph, make_thumbnail, read_photograph
from altclip.search.scanning import OnDisk
from tests.bad import BAD_IMAGES, picture

TAKEN = datetime(2024, 5, 1, 12, 30, 5)


def on_disk(path: Path) -> OnDisk:
    info = path.stat()
    return OnDisk(str(path), str(path.parent), info.st_size, info.st_mtime_ns)


def read(path: Path, **settings: Any) -> Photograph:
    return read_photograph(on_disk(path), **settings)[0]


def with_exif(path: Path, **tags: Any) -> Path:
    """A picture with EXIF: `main`, `exif` and `gps` are its folders of tags."""
    exif = Image.Exif()
    exif.update(tags.get("main", {}))
    exif.get_ifd(0x8769).update(tags.get("exif", {}))
    exif.get_ifd(0x8825).update(tags.get("gps", {}))
    picture().save(path, exif=exif)
    return path


def notes_of(path: Path, *, gps: bool = False) -> Notes:
    with Image.open(path) as image:
        return read_notes(image, gps=gps)


def test_a_photograph(tmp_path: Path) -> None:
    path = with_exif(tmp_path / "a.jpg", main={0x0112: 6}, exif={0x9003: "2024:05:01 12:30:05"})
    one, image = read_photograph(on_disk(path))
    assert one.digest == hashlib.sha256(path.read_bytes()).hexdigest()
    assert (one.width, one.height) == image.size == (40, 60), "as a person sees it"
    assert (one.notes.taken, one.notes.orientation) == (TAKEN, 6)
    np.testing.assert_array_equal(np.asarray(image), np.asarray(open_image(path)))
    assert one.file.path == str(path)


def test_the_size_is_that_of_the_file_where_less_is_decoded(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 8
    picture(size=(3000, 2000)).save(tmp_path / "a.jpg", exif=exif)
    one, image = read_photograph(on_disk(tmp_path / "a.jpg"), side=100)
    assert (one.width, one.height) == (2000, 3000)
    assert THUMBNAIL_SIDE <= min(image.size) < 1000


@pytest.mark.parametrize("size", [(2000, 500), (500, 2000), (100, 50), (5000, 1)])
def test_a_thumbnail(size: tuple[int, int]) -> None:
    with Image.open(io.BytesIO(make_thumbnail(picture(size=size)))) as small:
        assert small.format == "JPEG"
        assert max(small.size) == min(THUMBNAIL_SIDE, max(size))
        assert abs(small.width / small.height - size[0] / size[1]) < 0.2 or 1 in small.size


def test_a_thumbnail_says_nothing_of_where_it_was_taken(tmp_path: Path) -> None:
    path = with_exif(tmp_path / "a.jpg", main={0x010E: "my home"}, gps={1: "N", 2: (48.0, 51.0, 30.0)})
    thumbnail = read(path, gps=True).thumbnail
    with Image.open(io.BytesIO(thumbnail)) as small:
        assert dict(small.getexif()) == {}
    assert b"home" not in thumbnail
    assert b"Exif" not in thumbnail


@pytest.mark.parametrize("name", BAD_IMAGES)
def test_what_cannot_be_read_is_named(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", MAX_PIXELS)  # as the commands have it
    make, words = BAD_IMAGES[name]
    make(tmp_path / name)
    file = OnDisk(str(tmp_path / name), str(tmp_path), 0, 0)
    with pytest.raises(ImageError, match=words) as caught:
        read_photograph(file)
    assert caught.value.source == str(tmp_path / name)


def test_a_file_that_changes_meanwhile_is_left_for_the_next_time(tmp_path: Path) -> None:
    picture().save(tmp_path / "a.jpg")
    file = on_disk(tmp_path / "a.jpg")
    picture(size=(50, 50)).save(tmp_path / "a.jpg")
    with pytest.raises(ImageError, match="changed while it was read"):
        read_photograph(file)


@pytest.mark.parametrize(
    ("tags", "taken"),
    [
        ({"main": {0x0132: "2024:05:01 12:30:05"}}, TAKEN),
        ({"main": {0x0132: "2020:01:01 00:00:00"}, "exif": {0x9003: "2024:05:01 12:30:05"}}, TAKEN),
        ({"exif": {0x9004: "2024-05-01 12:30:05"}}, TAKEN),
        ({"exif": {0x9003: "2024:05:01 12:30"}}, TAKEN.replace(second=0)),
        ({"exif": {0x9003: "0000:00:00 00:00:00"}, "main": {0x0132: "2024:05:01 12:30:05"}}, TAKEN),
        ({"exif": {0x9003: "    :  :     :  :  "}}, None),
        ({"exif": {0x9003: "2024:13:41 25:61:00"}}, None),
        ({"exif": {0x9003: "yesterday"}}, None),
        ({}, None),
    ],
)
def test_when_it_was_taken(tmp_path: Path, tags: dict[str, Any], taken: datetime | None) -> None:
    assert notes_of(with_exif(tmp_path / "a.jpg", **tags)).taken == taken


PARIS = {1: "N", 2: (48.0, 51.0, 30.0), 3: "E", 4: (2.0, 17.0, 40.0)}


def test_where_it_was_taken_only_if_asked(tmp_path: Path) -> None:
    path = with_exif(tmp_path / "a.jpg", gps=PARIS)
    assert (notes_of(path).latitude, notes_of(path).longitude) == (None, None)
    asked = notes_of(path, gps=True)
    assert asked.latitude == pytest.approx(48.858333, abs=1e-6)
    assert asked.longitude == pytest.approx(2.294444, abs=1e-6)


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({1: "S", 3: "W"}, (-48.858333, -2.294444)),
        ({2: (91.0, 0.0, 0.0)}, None),
        ({4: (181.0, 0.0, 0.0)}, None),
    ],
)
def test_places(tmp_path: Path, changes: dict[int, Any], place: tuple[float, float] | None) -> None:
    notes = notes_of(with_exif(tmp_path / "a.jpg", gps={**PARIS, **changes}), gps=True)
    assert (notes.latitude, notes.longitude) == (pytest.approx(place) if place else (None, None))


def test_a_caption_that_pillow_reads_as_latin() -> None:
    """EXIF says ASCII, people write UTF-8, and Pillow gives each byte as a letter."""
    image = picture()
    image.getexif()[0x010E] = "屋根の上の猫".encode().decode("latin-1")
    assert read_notes(image).text == "屋根の上の猫"


def xmp(body: str, head: str = "") -> bytes:
    return (
        f'{head}<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" '
        f'xmlns:dc="http://purl.org/dc/elements/1.1/"><rdf:Description>{body}</rdf:Description></rdf:RDF></x:xmpmeta>'
    ).encode()


@pytest.mark.parametrize(
    ("tags", "text"),
    [
        ({"main": {0x010E: "a cat on a roof"}}, "a cat on a roof"),
        ({"main": {0x010E: "屋根の上の猫".encode()}}, "屋根の上の猫"),
        ({"main": {0x010E: "OLYMPUS DIGITAL CAMERA         "}}, ""),
        ({"main": {0x9C9E: "пляж;море\0".encode("utf-16-le")}}, "пляж;море"),
        ({"exif": {0x9286: b"ASCII\0\0\0a note"}}, "a note"),
        ({"exif": {0x9286: b"UNICODE\0" + "\ufeff笔记".encode("utf-16-be")}}, "笔记"),
        ({"exif": {0x9286: b"JIS\0\0\0\0\0\x1b$B"}}, ""),
        ({"main": {0x9C9B: (0x263A, 0x41)}}, ""),  # no bytes, though Windows' titles are
        ({"main": {0x010E: "two\nlines\x1b[31m"}}, "two lines [31m"),
    ],
)
def test_words_of_exif(tmp_path: Path, tags: dict[str, Any], text: str) -> None:
    assert notes_of(with_exif(tmp_path / "a.jpg", **tags)).text == text


def test_words_of_xmp(tmp_path: Path) -> None:
    body = (
        "<dc:subject><rdf:Bag><rdf:li>شاطئ</rdf:li><rdf:li>beach</rdf:li></rdf:Bag></dc:subject>"
        '<dc:description><rdf:Alt><rdf:li xml:lang="x-default">Two people</rdf:li></rdf:Alt></dc:description>'
    )
    picture().save(tmp_path / "a.jpg", xmp=xmp(body))
    assert notes_of(tmp_path / "a.jpg").text.split("\n") == ["Two people", "شاطئ", "beach"]


@pytest.mark.parametrize(
    "data",
    [
        xmp(
            "<dc:subject><rdf:Bag><rdf:li>&b;</rdf:li></rdf:Bag></dc:subject>",
            '<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]>',
        ),
        b"<not xml",
        b"\xff\xfe\x00",
        xmp("<dc:subject>" + "x" * 2**20 + "</dc:subject>"),
    ],
    ids=["entities", "damaged", "no text", "too long"],
)
def test_xmp_that_is_left_alone(data: bytes) -> None:
    image = picture()
    image.info["xmp"] = data
    assert read_notes(image).text == ""


def test_damaged_exif_is_no_reason_to_lose_a_photograph(tmp_path: Path) -> None:
    picture().save(tmp_path / "a.jpg", exif=b"Exif\0\0II*\0\xff\xff\xff\xff" + b"\xff" * 40)
    one = read(tmp_path / "a.jpg", gps=True)
    assert (one.notes.taken, one.notes.orientation) == (None, 1)


def test_a_long_caption_is_cut(tmp_path: Path) -> None:
    assert len(notes_of(with_exif(tmp_path / "a.jpg", main={0x010E: "word " * 5000})).text) == 4000


def test_heic_and_avif(tmp_path: Path) -> None:
    heif = pytest.importorskip("pillow_heif")
    exif = Image.Exif()
    exif[0x0132] = "2024:05:01 12:30:05"
    exif[0x0112] = 6
    heif.from_pillow(picture(size=(64, 48))).save(tmp_path / "a.heic", exif=exif.tobytes())
    picture(size=(64, 48)).save(tmp_path / "b.avif", exif=exif)
    for name in ("a.heic", "b.avif"):
        one, image = read_photograph(on_disk(tmp_path / name))
        assert (one.width, one.height) == image.size
        assert one.notes.taken == TAKEN


def test_heic_without_the_extra_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    (tmp_path / "a.heic").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")
    with pytest.raises(ImageError, match=r"altclip\[heif\]"):
        read(tmp_path / "a.heic")

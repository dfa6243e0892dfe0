"""What cannot be opened is named with the reason, and costs neither memory nor time."""

from __future__ import annotations

import contextlib
import io
import os
import random
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from altclip.errors import ImageError, InputError, UsageError
from altclip.processing import open_image, opening
from tests.processing.pictures import encoded, noise, png_header


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("empty.jpg", b"", r"is empty \(0 bytes\)"),
        ("text.jpg", b"just a text, no picture", "is not an image that can be read"),
        ("page.png", b"<!doctype html><title>404</title>", "is not an image"),
        ("one.png", b"\x89", "is not an image"),
        ("cut.jpg", encoded(noise(90, 90), "JPEG")[:2000], "cut short"),
        ("cut.png", encoded(noise(90, 90), "PNG")[:2000], "cut short"),
        ("cut.gif", encoded(noise(90, 90), "GIF")[:2000], "cut short"),
        ("cut.webp", encoded(noise(90, 90), "WEBP")[:500], "cut short"),
        ("cut.tiff", encoded(noise(90, 90), "TIFF")[:2000], "cut short|not an image"),
        ("zero.gif", b"GIF89a\0\0\0\0\0\0\0", "cut short|no pixels|not an image"),
    ],
)
def test_bad_files_are_named_with_the_reason(name: str, content: bytes, reason: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ImageError, match=reason) as caught:
        open_image(tmp_path / name)
    assert caught.value.source == str(tmp_path / name)
    assert isinstance(caught.value, InputError)
    with pytest.raises(ImageError, match=reason) as caught:
        open_image(content)
    assert caught.value.source == f"<{len(content)} bytes>"


def test_paths_that_are_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(tmp_path / "pipe")
    cases: list[tuple[Any, str]] = [
        (tmp_path, "is a folder"),
        (tmp_path / "missing.jpg", "there is no such file"),
        (tmp_path / "pipe", "is a pipe or a device"),  # opening it would wait for ever
        ("/dev/zero", "is a pipe or a device"),
        ("", "is a folder"),
        ("a\0b.jpg", "no such file|null"),
        ("x" * 5000, "cannot be read|no such file"),
    ]
    for source, reason in cases:
        with pytest.raises(ImageError, match=reason):
            open_image(source)

    def refuse(self: Path, mode: str) -> None:
        raise PermissionError(13, "Permission denied")

    (tmp_path / "locked.jpg").write_bytes(b"x")
    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(ImageError, match=r"locked\.jpg: cannot be read: Permission denied"):
        open_image(tmp_path / "locked.jpg")


@pytest.mark.parametrize("source", [None, 3, ["a.jpg"], {"bytes": b""}, object()])
def test_what_cannot_be_an_image_is_wrong_usage(source: Any) -> None:
    with pytest.raises(UsageError, match="pass a path, bytes, a PIL image or an array"):
        open_image(source)


def test_files_that_give_no_bytes(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(encoded(noise(3, 3), "PNG"))
    with (tmp_path / "a.png").open(encoding="latin-1") as file, pytest.raises(UsageError, match="mode 'rb'"):
        open_image(file)  # type: ignore[arg-type]

    class Broken:
        def read(self, size: int = -1, /) -> bytes:
            raise OSError("connection reset")

    with pytest.raises(ImageError, match="<file object>: cannot be read: connection reset"):
        open_image(Broken())


def test_pil_images_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "cut.png").write_bytes(encoded(noise(90, 90), "PNG")[:2000])
    with Image.open(tmp_path / "cut.png") as image, pytest.raises(ImageError, match=r"cut\.png: cannot be decoded"):
        open_image(image)
    with pytest.raises(ImageError, match="has no pixels"):
        open_image(Image.new("RGB", (0, 5)))


def test_random_damage_gives_a_picture_or_an_image_error() -> None:
    choose = random.Random(0)
    exif = Image.Exif()
    exif[0x0112] = 6
    for kind in ("JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP", "ICO", "PPM"):
        whole = encoded(noise(32, 32), kind, **({"exif": exif} if kind in ("JPEG", "PNG", "WEBP", "TIFF") else {}))
        for _ in range(60):
            data = bytearray(whole)
            for _ in range(choose.randint(1, 20)):
                data[choose.randrange(len(data))] = choose.randrange(256)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                with contextlib.suppress(ImageError):  # and no other
                    assert open_image(bytes(data), max_pixels=10**6).mode == "RGB"


def test_a_decompression_bomb_is_refused_by_its_header(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", lambda _: pytest.fail("it was decoded"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's own limit, 89 megapixels, warns
        with pytest.raises(
            ImageError, match=r"10001x10000 = 100,010,000 pixels, over the limit of 100,000,000.*max_pixels"
        ):
            open_image(png_header(10001, 10000))
    with pytest.raises(ImageError, match="over the limit of 24"):
        open_image(png_header(5, 5), max_pixels=24)


@pytest.mark.parametrize("limit", [100_000_000, 10**12])
def test_pillows_own_limit_is_an_image_error_too_and_stays(limit: int) -> None:
    before = Image.MAX_IMAGE_PIXELS
    with pytest.raises(ImageError, match=r"more pixels than Pillow opens \(PIL\.Image\.MAX_IMAGE_PIXELS = \d+\)"):
        open_image(png_header(20_000, 20_000), max_pixels=limit)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ImageError, match="more pixels than Pillow opens"):
            open_image(png_header(9_500, 9_500), max_pixels=limit)
    assert before == Image.MAX_IMAGE_PIXELS


def test_what_another_program_would_draw_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("PIL.EpsImagePlugin.Ghostscript", lambda *_: pytest.fail("Ghostscript was started"))
    script = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\n%%EOF\n"
    with pytest.raises(ImageError, match="is no picture but EPS"):
        open_image(script)


def test_the_limit_is_settable() -> None:
    data = encoded(noise(5, 5), "PNG")
    assert open_image(data, max_pixels=25).size == (5, 5)
    with pytest.raises(UsageError, match="max_pixels=0"):
        open_image(data, max_pixels=0)


def test_heif_without_its_library_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(ImageError, match=r"is a HEIF photograph: .*pip install 'altclip\[heif\]'"):
        open_image(b"\0\0\0\x18ftypheic" + b"\0" * 40)


def test_heif_with_its_library() -> None:
    heif = pytest.importorskip("pillow_heif")
    file = io.BytesIO()
    heif.from_pillow(Image.new("RGB", (40, 20), (200, 100, 50))).save(file, quality=95)
    opened = open_image(file.getvalue())
    assert opened.size == (40, 20)
    assert np.abs(np.array(opened.getpixel((20, 10))) - [200, 100, 50]).max() <= 6
    with pytest.raises(ImageError, match="over the limit"):
        open_image(file.getvalue(), max_pixels=799)
    with pytest.raises(ImageError, match="cut short"):
        open_image(file.getvalue()[:200])


def test_the_default_limit_is_the_documented_one() -> None:
    assert opening.MAX_PIXELS == 100_000_000

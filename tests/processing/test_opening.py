"""Any picture is opened as a person sees it, in whatever form and mode it comes."""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageOps

from altclip.errors import ImageError
from altclip.processing import ImageProcessor, open_image
from tests.processing.pictures import encoded, grey_tiff, noise, pixels_of, reference


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP", "JPEG"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_files_are_turned_upright(kind: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    losses: dict[str, dict[str, Any]] = {"WEBP": {"lossless": True}, "JPEG": {"quality": 100, "subsampling": 0}}
    options = losses.get(kind, {})
    data = encoded(noise(12, 20), kind, exif=exif, **options)
    upright = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
    opened = open_image(data)
    assert opened.size == ((12, 20) if orientation < 5 else (20, 12))
    np.testing.assert_array_equal(np.asarray(opened), np.asarray(upright.convert("RGB")))


@pytest.mark.parametrize(
    ("side", "size"),
    [(None, (800, 600)), (301, (800, 600)), (300, (400, 300)), (150, (200, 150)), (20, (100, 75)), (700, (800, 600))],
)
def test_a_large_jpeg_may_be_decoded_at_a_part_of_its_size(side: int | None, size: tuple[int, int]) -> None:
    """A half, a quarter, an eighth, but never so that the shorter side has less than asked for."""
    data = encoded(noise(800, 600), "JPEG", quality=90)
    assert open_image(data, side=side).size == size
    assert open_image(encoded(noise(800, 600), "PNG"), side=side).size == (800, 600)


def test_a_jpeg_decoded_small_stands_upright_and_looks_the_same() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    wide = noise(8, 6).resize((800, 600), Image.Resampling.BICUBIC)
    data = encoded(wide, "JPEG", exif=exif, quality=95)
    small, full = open_image(data, side=150), open_image(data)
    assert small.size == (150, 200)
    shrunk = full.resize((150, 200), Image.Resampling.BOX)
    assert np.abs(np.asarray(small, float) - np.asarray(shrunk, float)).mean() < 2


def test_a_camera_on_its_side(tmp_path: Path) -> None:
    """Orientation 6: the stored top left stands at the top right."""
    exif = Image.Exif()
    exif[0x0112] = 6
    stored = Image.new("RGB", (30, 20), "black")
    stored.putpixel((0, 0), (255, 0, 0))
    stored.save(tmp_path / "photo.png", exif=exif)
    assert open_image(tmp_path / "photo.png").getpixel((19, 0)) == (255, 0, 0)
    with Image.open(tmp_path / "photo.png") as image:  # a PIL image is taken as it stands, as transformers takes it
        assert open_image(image).getpixel((0, 0)) == (255, 0, 0)
        np.testing.assert_array_equal(ImageProcessor().preprocess(image), reference(image))


@pytest.mark.parametrize("exif", [b"Exif\0\0", b"Exif\0\0MM\0*\xff\xff\xff\xff", b"Exif\0\0II*\0\x08\0\0\0\xff\xff1"])
def test_damaged_exif_hides_no_picture(exif: bytes) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns of the damage, and so it should
        assert open_image(encoded(noise(12, 20), "JPEG", exif=exif)).size == (12, 20)


def test_transparency_is_laid_on_white() -> None:
    half_red = Image.new("RGBA", (2, 1), (255, 0, 0, 128))
    half_red.putpixel((1, 0), (0, 0, 0, 0))
    for source in (half_red, encoded(half_red, "PNG"), np.asarray(half_red)):
        assert pixels_of(open_image(source)) == [(255, 127, 127), (255, 255, 255)]
    assert pixels_of(open_image(Image.new("LA", (1, 1), (0, 128)))) == [(127, 127, 127)]
    assert pixels_of(open_image(half_red.convert("RGBa"))) == [(255, 127, 127), (255, 255, 255)]


@pytest.mark.parametrize("kind", ["PNG", "GIF"])
def test_a_palette_with_a_transparent_colour(kind: str) -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([10, 20, 30, 200, 100, 50])
    image.putdata([0, 1])
    assert pixels_of(open_image(encoded(image, kind, transparency=0))) == [(255, 255, 255), (200, 100, 50)]
    assert pixels_of(open_image(encoded(image, kind))) == [(10, 20, 30), (200, 100, 50)]


def test_a_palette_with_degrees_of_transparency() -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([0, 0, 0, 200, 100, 50])
    image.putdata([0, 1])
    assert pixels_of(open_image(encoded(image, "PNG", transparency=bytes([128, 255])))) == [
        (127, 127, 127),
        (200, 100, 50),
    ]


@pytest.mark.parametrize(("mode", "clear"), [("RGB", (1, 2, 3)), ("L", 7)])
def test_one_colour_that_means_transparent(mode: str, clear: Any) -> None:
    image = Image.new(mode, (2, 1), 0)
    image.putpixel((0, 0), clear)
    assert pixels_of(open_image(encoded(image, "PNG", transparency=clear))) == [(255, 255, 255), (0, 0, 0)]


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "PPM", "PIL", "array"])
def test_sixteen_bits_are_scaled_not_clipped(kind: str) -> None:
    deep = np.array([[0, 128, 257, 32896, 65535]], dtype=np.uint16)
    image = Image.fromarray(deep)
    source: Any = {"PIL": image, "array": deep}.get(kind) if kind in ("PIL", "array") else encoded(image, kind)
    assert [pixel[0] for pixel in pixels_of(open_image(source))] == [0, 0, 1, 128, 255]


@pytest.mark.parametrize(
    ("bits", "values", "white_is_zero"),
    [(12, [0, 2048, 4000, 4095], False), (16, [0, 32896, 60000, 65535], False), (16, [0, 32896, 60000, 65535], True)],
)
def test_greys_of_a_tiff_have_the_range_that_it_names(bits: int, values: list[int], white_is_zero: bool) -> None:
    seen = [round(value * 255 / (2**bits - 1)) for value in values]
    greys = [255 - grey for grey in seen] if white_is_zero else seen
    assert pixels_of(open_image(grey_tiff(values, bits, white_is_zero=white_is_zero))) == [(g, g, g) for g in greys]


@pytest.mark.parametrize("values", [[0, 1, 200, 257], [65535, 0, 32896, 1]])
def test_a_deep_pgm_has_its_own_range_and_not_that_of_its_values(values: list[int]) -> None:
    pgm = b"P5 4 1 65535\n" + np.array(values, ">u2").tobytes()
    expected = [(grey, grey, grey) for grey in (round(value / 257) for value in values)]
    assert pixels_of(open_image(pgm)) == expected


@pytest.mark.parametrize("mode", ["I;16", "I;16B", "I;16L"])
def test_sixteen_bits_of_any_byte_order(mode: str) -> None:
    order = ">" if mode == "I;16B" else "<"
    image = Image.frombytes(mode, (2, 1), np.array([25700, 65535], dtype=f"{order}u2").tobytes())
    assert pixels_of(open_image(image)) == [(100,) * 3, (255,) * 3]


@pytest.mark.parametrize(
    ("values", "seen"),
    [
        ([0.0, 0.5, 1.0], [0, 128, 255]),
        ([0.0, 100.4, 255.0], [0, 100, 255]),
        ([0.0, 257.0, 65535.0], [0, 1, 255]),
        ([-1.0, 0.0, 1.0], [0, 128, 255]),
        ([0.0, 1e6, 2e6], [0, 128, 255]),
        ([float("nan"), float("inf"), 1.0], [0, 0, 255]),
        ([-5.0, -5.0, -5.0], [0, 0, 0]),
        ([0.0, 0.0, 0.0], [0, 0, 0]),
    ],
)
def test_floats_are_scaled_by_the_range_they_are_in(values: list[float], seen: list[int]) -> None:
    image = Image.fromarray(np.array([values], dtype=np.float32))
    assert image.mode == "F"
    assert [pixel[0] for pixel in pixels_of(open_image(image))] == seen
    assert [pixel[1] for pixel in pixels_of(open_image(encoded(image, "TIFF")))] == seen


@pytest.mark.parametrize(("values", "seen"), [([0, 99, 255], [0, 99, 255]), ([0, 25700, 65535], [0, 100, 255])])
def test_whole_numbers_of_32_bits(values: list[int], seen: list[int]) -> None:
    image = Image.fromarray(np.array([values], dtype=np.int32))
    assert image.mode == "I"
    assert [pixel[2] for pixel in pixels_of(open_image(image))] == seen


def test_cmyk_photographs_as_adobe_writes_them() -> None:
    colours = Image.new("RGB", (64, 32), (200, 30, 60))
    colours.paste((20, 120, 220), (32, 0, 64, 32))
    data = encoded(colours.convert("CMYK"), "JPEG", quality=100, subsampling=0)
    assert b"Adobe" in data  # the marker by which readers know that the inks are stored inverted
    difference = np.abs(np.asarray(open_image(data), dtype=int) - np.asarray(colours, dtype=int))
    assert difference.max() <= 4


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "TIFF"])
def test_the_first_frame_of_an_animation(kind: str) -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ((250, 0, 0), (0, 250, 0), (0, 0, 250))]
    options = {"lossless": True} if kind == "WEBP" else {}
    data = encoded(frames[0], kind, save_all=True, append_images=frames[1:], **options)
    with Image.open(io.BytesIO(data)) as image:
        assert getattr(image, "n_frames", 1) == 3
    assert open_image(data).getpixel((4, 4)) == (250, 0, 0)


@pytest.mark.parametrize("mode", ["L", "1", "YCbCr", "HSV", "LAB", "RGBX"])
def test_other_modes_become_rgb(mode: str) -> None:
    opened = open_image(Image.new(mode, (1, 1)))
    assert (opened.mode, opened.size) == ("RGB", (1, 1))


def test_every_form_of_source_gives_the_same_picture(tmp_path: Path) -> None:
    image = noise(9, 6)
    data = encoded(image, "PNG")
    path = tmp_path / "日本 ☃.jpg"  # a PNG in truth: the content counts, not the name
    path.write_bytes(data)

    class Download:
        """Read once, never sought, as the body of a web page is."""

        def __init__(self) -> None:
            self.file = io.BytesIO(data)

        def read(self, size: int = -1, /) -> bytes:
            return self.file.read(size)

    with path.open("rb") as file:
        sources: list[Any] = [
            str(path),
            path,
            data,
            bytearray(data),
            memoryview(data),
            file,
            Download(),
            image,
            np.asarray(image),
        ]
        for source in sources:
            np.testing.assert_array_equal(np.asarray(open_image(source)), np.asarray(image))


@pytest.mark.parametrize(
    ("array", "first"),
    [
        (np.full((2, 3), 7, np.uint8), (7, 7, 7)),
        (np.full((2, 3, 1), 7, np.uint8), (7, 7, 7)),
        (np.full((2, 3, 3), 0.5), (128, 128, 128)),
        (np.full((2, 3, 3), 1.0, np.float16), (255, 255, 255)),
        (np.full((2, 3, 4), 0.0, np.float32), (255, 255, 255)),
        (np.full((2, 3), True), (255, 255, 255)),
        (np.full((2, 3, 3), 65535, np.uint16), (255, 255, 255)),
        (np.full((3, 2, 3), 9, np.uint8), (9, 9, 9)),
        (np.full((4, 6, 3), 9, np.uint8)[::2, ::-2], (9, 9, 9)),
    ],
)
def test_arrays(array: np.ndarray, first: tuple[int, int, int]) -> None:
    opened = open_image(array)
    assert opened.size == (array.shape[1], array.shape[0])
    assert opened.getpixel((0, 0)) == first


@pytest.mark.parametrize(
    ("array", "reason"),
    [
        (np.zeros((3, 8, 9), np.uint8), r"shape \(3, 8, 9\).*channels come first.*moveaxis"),
        (np.zeros((8, 9, 2), np.uint8), r"expected \(height, width\)"),
        (np.zeros((1, 8, 9, 3), np.uint8), r"expected \(height, width\)"),
        (np.zeros(8, np.uint8), r"expected \(height, width\)"),
        (np.zeros((0, 9, 3), np.uint8), "has no pixels"),
        (np.zeros((8, 9, 3), np.int64), r"astype\('uint8'\)"),
        (np.full((8, 9, 3), 255.0), r"from 255 to 255: floats must be in \[0, 1\]"),
        (np.full((8, 9, 3), np.nan), "from nan"),
        (np.full((8, 9), "a"), "expected uint8"),
    ],
)
def test_arrays_that_are_no_picture(array: np.ndarray, reason: str) -> None:
    with pytest.raises(ImageError, match=reason):
        open_image(array)

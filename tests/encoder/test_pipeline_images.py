"""Images on their way to the engine: decoded beside it and not far ahead, in order, the bad ones named."""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageSequence

from altclip.encoder import Encoder
from altclip.encoder.batching import most_at_once
from altclip.encoder.decoding import stacked
from altclip.encoder.running import image_blocks
from altclip.engines import Features, Pixels
from altclip.errors import ImageError, InputError
from tests.tiny import SIDE


class Slow:
    """An engine without a model: the feature of an image is its first pixel. It takes its time."""

    name, device, dtype = "slow", torch.device("cpu"), torch.float32

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds = seconds
        self.sizes: list[int] = []

    def encode_image(self, pixels: Pixels) -> Features:
        self.sizes.append(len(pixels))
        time.sleep(self.seconds * len(pixels))
        return pixels[:, 0, 0, :1].copy()

    def encode_text(self, ids: Any, mask: Any) -> Features:
        raise NotImplementedError


class Decoded(np.ndarray[Any, np.dtype[np.float32]]):
    """An array that tells when it is gone."""


class Prepared:
    """Stands for decoding: "n.jpg" becomes an array of n; the arrays that are still in memory are counted."""

    def __init__(self) -> None:
        self.alive: weakref.WeakSet[Any] = weakref.WeakSet()
        self.most, self.done = 0, 0
        self._lock = threading.Lock()

    def __call__(self, name: Any) -> Pixels:
        number = int(name.removesuffix(".jpg"))
        if number % 10 == 7:
            raise ImageError(name, "is empty")
        array = np.full((3, 8, 8), number, np.float32).view(Decoded)
        key = _Key(array)
        with self._lock:
            self.alive.add(key)
            self.done += 1
            self.most = max(self.most, len(self.alive))
        array.key = key  # type: ignore[attr-defined]  # lives as long as the array
        return array


class _Key:
    """What a WeakSet can hold in place of an array, which has no hash."""

    def __init__(self, array: Any) -> None:
        self.shape = array.shape


def blocks_of(engine: Slow, images: Any, prepare: Any, **options: Any) -> list[Features]:
    options = {"tokens": 17, "batch_size": "auto", "progress": False, "on_error": None, **options}
    return list(image_blocks(engine, images, prepare, **options))


def test_of_a_large_folder_few_decoded_images_are_in_memory() -> None:
    """10,000 images, every tenth of them bad, through an engine that is slower than decoding."""
    prepare = Prepared()
    bad: dict[int, InputError] = {}
    names = (f"{number}.jpg" for number in range(10_000))
    rows = blocks_of(Slow(0.00002), names, prepare, batch_size=16, on_error=bad.__setitem__)
    assert np.concatenate(rows)[:, 0].tolist() == [number for number in range(10_000) if number % 10 != 7]
    assert sorted(bad) == list(range(7, 10_000, 10))
    assert all(str(error) == f"{position}.jpg: is empty" for position, error in bad.items())
    assert prepare.most <= 16 + 2 * 8  # the batch that is being put together, two images a worker


def test_a_mixed_folder_through_an_encoder(encoder: Encoder, photos: list[Path], tmp_path: Path) -> None:
    """Good and bad files of many kinds in turn: the good ones in order, each bad one by its place and name."""
    files: list[Path] = []
    for number in range(60):
        image = Image.open(photos[number % len(photos)])
        match number % 6:
            case 0:
                files.append(tmp_path / f"{number}.jpg")
                image.save(files[-1], quality=95)
            case 1:
                files.append(tmp_path / f"{number}.txt")
                files[-1].write_text("no picture")
            case 2:
                files.append(tmp_path / f"{number}.png")
                image.convert("LA").save(files[-1])
            case 3:
                files.append(tmp_path / f"{number}-cut.png")
                files[-1].write_bytes(photos[number % len(photos)].read_bytes()[:90])
            case 4:
                files.append(tmp_path / f"{number}.gif")
                image.save(files[-1])
            case _:
                files.append(tmp_path / f"{number}-absent.jpg")
    bad: dict[int, InputError] = {}
    rows = encoder.encode_images(files, batch_size=7, on_error=bad.__setitem__)
    assert sorted(bad) == [number for number in range(60) if number % 2]
    assert all(str(files[position]) in str(error) for position, error in bad.items())
    good = [file for position, file in enumerate(files) if position not in bad]
    np.testing.assert_allclose(rows, np.concatenate([encoder.encode_images(file) for file in good]), atol=1e-5)


def test_an_array_may_be_filled_again_for_every_image(encoder: Encoder) -> None:
    draw = np.random.default_rng(0)
    images = [draw.integers(0, 255, (SIDE, SIDE, 3), dtype=np.uint8) for _ in range(40)]

    def refilled() -> Iterator[np.ndarray]:
        buffer = np.empty_like(images[0])
        for image in images:
            buffer[:] = image
            yield buffer

    np.testing.assert_allclose(encoder.encode_images(refilled()), encoder.encode_images(images), atol=1e-6)


def test_one_opened_file_may_be_several_images(encoder: Encoder, tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    frames = [Image.fromarray(draw.integers(0, 255, (64, 64, 3), dtype=np.uint8)).convert("P") for _ in range(12)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    with Image.open(tmp_path / "a.gif") as opened:
        expected = [frame.convert("RGB") for frame in ImageSequence.Iterator(opened)]
    with Image.open(tmp_path / "a.gif") as opened:
        found = encoder.encode_images(ImageSequence.Iterator(opened))
    np.testing.assert_allclose(found, encoder.encode_images(expected), atol=1e-6)
    Image.fromarray(draw.integers(0, 255, (900, 900, 3), dtype=np.uint8)).save(tmp_path / "large.jpg")
    alone = encoder.encode_images(Image.open(tmp_path / "large.jpg"))
    np.testing.assert_allclose(
        encoder.encode_images([Image.open(tmp_path / "large.jpg")] * 6), alone.repeat(6, 0), atol=1e-6
    )


def test_a_damaged_picture_from_an_iterator_is_named(encoder: Encoder, tmp_path: Path) -> None:
    Image.new("RGB", (64, 64)).save(tmp_path / "a.png")
    (tmp_path / "cut.png").write_bytes((tmp_path / "a.png").read_bytes()[:-30])
    bad: dict[int, InputError] = {}
    opened = (Image.open(tmp_path / name) for name in ("a.png", "cut.png", "a.png"))
    assert len(encoder.encode_images(opened, on_error=bad.__setitem__)) == 2
    assert list(bad) == [1]


def test_the_engine_begins_before_a_whole_batch_is_decoded() -> None:
    """Decoding stops until the engine has begun; with whole batches from the start neither would ever."""
    begun = threading.Event()
    most = most_at_once("auto", 17, torch.device("cpu"))

    class Noting(Slow):
        def encode_image(self, pixels: Pixels) -> Features:
            begun.set()
            return super().encode_image(pixels)

    def prepare(number: Any) -> Pixels:
        if number >= most // 2:
            assert begun.wait(20)
        return np.full((3, 8, 8), number, np.float32)

    engine = Noting()
    rows = blocks_of(engine, range(2 * most), prepare)
    assert np.concatenate(rows)[:, 0].tolist() == list(range(2 * most))
    assert engine.sizes == [most // 4, most // 2, most, most // 4]


def test_decoding_goes_on_while_the_engine_computes() -> None:
    """The engine waits in its first batch until images of the next are decoded."""
    decoded = threading.Event()

    class Waiting(Slow):
        def encode_image(self, pixels: Pixels) -> Features:
            assert decoded.wait(20)
            return super().encode_image(pixels)

    def prepare(number: Any) -> Pixels:
        if number >= 6:
            decoded.set()
        return np.full((3, 8, 8), number, np.float32)

    assert sum(map(len, blocks_of(Waiting(), range(20), prepare, batch_size=4))) == 20


def test_a_batch_size_that_was_asked_for_is_kept() -> None:
    engine = Slow()
    blocks_of(engine, range(7), lambda number: np.full((3, 8, 8), number, np.float32), batch_size=3)
    assert engine.sizes == [3, 3, 1]


@pytest.mark.parametrize(("size", "sizes"), [(15, [3, 7, 15, 15]), (4, [1, 2, 4, 4]), (1, [1, 1, 1, 1])])
def test_the_first_batches_grow(size: int, sizes: list[int]) -> None:
    arrays = (np.zeros((1, 1), np.float32) for _ in range(sum(sizes) + 2 * size))
    assert [len(batch) for batch in stacked(arrays, size, growing=True)][:4] == sizes


def test_blocks_come_while_images_are_still_to_come(encoder: Encoder, photos: list[Path]) -> None:
    def endless() -> Any:
        while True:
            yield from photos

    before = set(threading.enumerate())
    blocks = image_blocks(
        encoder.engine, endless(), encoder._prepare,
        tokens=17, batch_size=5, progress=False, on_error=None,
    )  # fmt: skip
    assert [next(blocks).shape[0] for _ in range(4)] == [5, 5, 5, 5]
    blocks.close()
    assert not [
        thread for thread in threading.enumerate() if thread.name.startswith("altclip") and thread not in before
    ]


def test_arrays_are_images_too(encoder: Encoder) -> None:
    pictures = np.random.default_rng(0).integers(0, 255, (9, SIDE, SIDE, 3), dtype=np.uint8)
    rows = encoder.encode_images(pictures)
    np.testing.assert_allclose(rows[4:5], encoder.encode_images(pictures[4]), atol=1e-5)

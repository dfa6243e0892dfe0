"""Mutated images leave the server answering: each is an embedding or a refusal that says why."""

from __future__ import annotations

import io
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image

from tests.bad import picture
from tests.serve.made import asked, uri

# of damaged files, from the server's thread: Pillow's of TIFF, and of pictures that are large (and refused)
pytestmark = [
    pytest.mark.filterwarnings("ignore::UserWarning:PIL"),
    pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning"),
]
KINDS = ("PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF")


def seeds() -> list[bytes]:
    found = []
    for kind in KINDS:
        for image in (picture(), picture(size=(1, 1)), picture().convert("L")):
            buffer = io.BytesIO()
            image.save(buffer, kind)
            found.append(buffer.getvalue())
    return found


def mutated(number: int) -> Iterator[bytes]:
    """Files with bytes changed, cut, doubled or shuffled: the same each time."""
    random = np.random.default_rng(0)
    whole = seeds()
    for _ in range(number):
        data = bytearray(whole[random.integers(len(whole))])
        for _ in range(random.integers(1, 8)):
            place = int(random.integers(len(data)))
            data[place] = int(random.integers(256))
        cut = int(random.integers(len(data)))
        match int(random.integers(4)):
            case 0:
                del data[cut:]
            case 1:
                data += data[cut:]
            case 2:
                data[cut : cut + 4] = b"\xff\xff\xff\xff"
        yield bytes(data)


def fuzz(client: httpx.Client, number: int) -> tuple[int, int]:
    def is_good(data: bytes) -> bool:
        answer = client.post("/v1/embeddings", json=asked(uri(data or b"x")))
        assert answer.status_code in (200, 400), answer.text
        if answer.status_code == 200:
            assert np.linalg.norm(answer.json()["data"][0]["embedding"]) == pytest.approx(1, abs=1e-4)
        else:
            assert answer.json()["error"]["code"] == "invalid_image"
        return answer.status_code == 200

    with ThreadPoolExecutor(8) as pool:  # good and bad ones come together, in one batch
        good = sum(pool.map(is_good, mutated(number)))
    assert client.get("/healthz").status_code == 200
    return good, number - good


def test_a_hundred_mutated_files(client: httpx.Client) -> None:
    good, bad = fuzz(client, 100)
    assert min(good, bad) >= 10


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_ten_thousand_mutated_files(client: httpx.Client) -> None:
    good, bad = fuzz(client, 10_000)
    assert min(good, bad) >= 1_000


def test_a_bomb_is_refused_by_its_header(client: httpx.Client, tmp_path: Path) -> None:
    from tests.bad import BAD_IMAGES

    file = tmp_path / "bomb.png"
    BAD_IMAGES["bomb.png"][0](file)
    answer = client.post("/v1/embeddings", json=asked(uri(file.read_bytes())))
    assert answer.status_code == 400
    assert "pixels" in answer.json()["error"]["message"]


def test_a_picture_of_one_pixel(client: httpx.Client) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (1, 1)).save(buffer, "PNG")
    assert client.post("/v1/embeddings", json=asked(uri(buffer.getvalue()))).status_code == 200
    assert client.get("/healthz").status_code == 200

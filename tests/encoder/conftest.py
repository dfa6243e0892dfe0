"""One tiny encoder for all tests here, and pictures that it tells apart."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from altclip.encoder import Encoder
from tests.tiny import tiny_model_folder


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder; tests that change it copy it first."""
    return tiny_model_folder(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="session")
def encoder(tiny_folder: Path) -> Encoder:
    return Encoder(tiny_folder, device="cpu")


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Eleven pictures of sizes and contents of their own, in an order that is not that of their names."""
    folder = tmp_path_factory.mktemp("photos")
    random = np.random.default_rng(0)
    paths = []
    for number in range(11):
        coarse = random.integers(0, 255, (4, 4 + number % 3, 3), dtype=np.uint8)
        image = Image.fromarray(coarse).resize((40 + 7 * number, 50 + 3 * (number % 4)))
        paths.append(folder / f"{(number * 7) % 11:02d}.png")
        image.save(paths[-1])
    return paths

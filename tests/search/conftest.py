"""A tiny model, and a library of four photographs."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.search.library import Library, lay_photographs
from tests.tiny import tiny_model_folder


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder."""
    return tiny_model_folder(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture
def library(tmp_path: Path, tiny_folder: Path) -> Library:
    """Photographs that are not indexed yet."""
    made = Library(tmp_path.resolve(), str(tiny_folder))
    lay_photographs(made.photos)
    return made

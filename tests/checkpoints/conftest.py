"""Folders with tiny models that transformers wrote, and their weights at hand to be spoilt."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.models import oracles


@pytest.fixture(scope="session")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Path]:
    """A transformers AltCLIPModel and the folder it wrote; not to be changed."""
    theirs = oracles.altclip()
    return theirs, oracles.saved(theirs, tmp_path_factory.mktemp("written"))


@pytest.fixture
def folder(written: tuple[Any, Path], tmp_path: Path) -> Path:
    """A copy of that folder."""
    return Path(shutil.copytree(written[1], tmp_path / "model"))

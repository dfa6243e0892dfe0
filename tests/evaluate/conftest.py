"""The made data folder, written once."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.evaluate.made import write_data


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Not to be changed by a test."""
    return write_data(tmp_path_factory.mktemp("data"))


@pytest.fixture
def own_folder(tmp_path: Path) -> Path:
    """One to break."""
    return write_data(tmp_path / "data")

"""What the tests of training share: the made-up world, written once, and a way to run a recipe in it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from altclip.train.config import Recipe
from altclip.train.run import run_recipe
from tests.train import made

Train = Callable[..., Path]


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the data of the tiny recipe. Do not write into it."""
    return made.write_world(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="session")
def trained(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output of the tiny recipe, all three stages."""
    output = tmp_path_factory.mktemp("trained")
    run_recipe(made.recipe(), world, output, device="cpu", show_progress=False)
    return output


@pytest.fixture
def train(world: Path, tmp_path: Path) -> Train:
    """Run a recipe's stage `teacher` (or `only`) on the CPU; returns the stage's folder."""

    def run(recipe: Recipe, *, data: Path = world, output: Path = tmp_path / "out", only: str = "teacher", **options: Any) -> Path:
        return run_recipe(recipe, data, output, only=only, device="cpu", show_progress=False, **options)

    return run

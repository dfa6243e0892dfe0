"""What the tests of training share: the made-up world, written once, and a way to run a recipe in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from altclip.train import run
from altclip.train.accelerating import open_accelerator
from altclip.train.config import Recipe
from altclip.train.stages import Context
from tests.train import made

Train = Callable[..., Path]
Open = Callable[..., Context]


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the data of the tiny recipe. Do not write into it."""
    return made.write_world(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="session", autouse=True)
def _no_pictures() -> Iterator[None]:
    """Curves cost more than all the rest of a tiny run; test_logs.py draws them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run, "draw_curves", lambda *_: None)
        yield


@pytest.fixture(scope="session")
def trained(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output of the tiny recipe, all three stages."""
    output = tmp_path_factory.mktemp("trained")
    run.run_recipe(made.recipe(), world, output, device="cpu", show_progress=False)
    return output


@pytest.fixture
def train(world: Path, tmp_path: Path) -> Train:
    """Run a recipe's stage `teacher` (or `only`) on the CPU; returns the stage's folder."""

    def runner(
        recipe: Recipe,
        *,
        data: Path = world,
        output: Path = tmp_path / "out",
        only: str | None = "teacher",
        **options: Any,
    ) -> Path:
        return run.run_recipe(recipe, data, output, only=only, device="cpu", show_progress=False, **options)

    return runner


@pytest.fixture
def context(world: Path, trained: Path) -> Open:
    """The context of a stage of the tiny recipe with some changes."""

    def opened(name: str, data: Path = world, output: Path = trained, **changes: Any) -> Context:
        recipe = made.recipe({name: changes})
        return run.open_context(recipe, recipe.stages[name], data, output, open_accelerator(recipe, "cpu"), print)

    return opened

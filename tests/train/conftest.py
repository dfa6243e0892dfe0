"""What the tests of training share: the made-up world, written once, and a way to run a recipe in it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from altclip.cli import app
from altclip.cli.output import progress_console, results
from altclip.train import run
from altclip.train.accelerating import open_accelerator
from altclip.train.config import Recipe
from altclip.train.loading import load_recipe
from altclip.train.stages import Context
from tests.tiny import tiny_model_folder
from tests.train import made

Cli = Callable[..., tuple[int, str]]
Tune = Callable[..., Path]
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


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model to fine-tune: 32 wide, two layers a tower, images of 32 pixels. Do not write into it."""
    return tiny_model_folder(tmp_path_factory.mktemp("models") / "base")


@pytest.fixture(scope="session")
def album(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of pictures for each of four classes. Do not write into it."""
    return made.write_album(tmp_path_factory.mktemp("album"))


SHORT = ("steps=6", "batch_size=12", "checkpoint_every=3", "log_every=1", "optimizer.warmup_steps=2")


@pytest.fixture
def tune(base: Path, album: Path, tmp_path: Path) -> Tune:
    """Run the shipped recipe `finetune` for six steps on the album; returns the stage's folder."""

    def runner(
        *changes: str, data: Path = album, model: Path = base, output: Path = tmp_path / "tuned", resume: bool = False
    ) -> Path:
        short = [f"stages.finetune.{change}" for change in SHORT]
        recipe = load_recipe("finetune", [f"model={model}", *short, *changes])
        return run.run_recipe(recipe, data, output, device="cpu", show_progress=False, resume=resume)

    return runner


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Cli:
    """Run `altclip ARGUMENTS` in this process, on a wide terminal: (exit code, all that it printed in one line)."""

    def runner(*arguments: object) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["altclip", *map(str, arguments)])
        monkeypatch.setenv("COLUMNS", "300")
        results.cache_clear()
        progress_console.cache_clear()
        with pytest.raises(SystemExit) as leaving:
            app.main()
        captured = capsys.readouterr()
        assert "Traceback" not in captured.err
        return int(leaving.value.code or 0), " ".join((captured.out + captured.err).split())

    return runner

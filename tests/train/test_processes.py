"""Two processes train as one does: equal loss and gradients for the same global batch (FIDELITY, fact 9)."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from altclip.errors import ConfigError
from altclip.train import run
from altclip.train.logs import read_log
from tests.train import made, two_processes
from tests.train.conftest import Train

ROOT = Path(__file__).parents[2]


def torchrun(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a module in two processes that talk over this machine's loopback."""
    two = ["-m", "torch.distributed.run", "--nproc-per-node", "2", "--standalone"]
    environment = {**os.environ, "GLOO_SOCKET_IFNAME": "lo", "OMP_NUM_THREADS": "1", "MASTER_ADDR": "127.0.0.1"}
    path = os.pathsep.join([str(ROOT), str(ROOT / "src"), os.environ.get("PYTHONPATH", "")])
    environment["PYTHONPATH"] = path
    return subprocess.run(
        [sys.executable, *two, "-m", *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )


@pytest.fixture(scope="module")
def both(world: Path, trained: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], dict[str, Any]]:
    """What one process finds, and what two find."""
    target = tmp_path_factory.mktemp("two") / "found.pt"
    done = torchrun("tests.train.two_processes", str(world), str(trained), str(target))
    assert done.returncode == 0, done.stderr[-3000:]
    two = torch.load(target)
    assert two["processes"] == 2
    return two_processes.gradients(world, trained), two


@pytest.mark.parametrize("pieces", two_processes.PIECES)
@pytest.mark.parametrize("stage", made.RECIPE["stages"])
def test_loss_and_gradients_equal(stage: str, pieces: int, both: tuple[dict[str, Any], dict[str, Any]]) -> None:
    (loss, gradients, _), (other_loss, other_gradients, _) = (found["results"][f"{stage} {pieces}"] for found in both)
    assert other_loss == pytest.approx(loss, abs=1e-6)
    assert other_gradients.keys() == gradients.keys()
    assert_equal(other_gradients, gradients)


def assert_equal(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> None:
    """Each gradient up to a hundred-thousandth of its size, or a ten-millionth of all: sums are of another order."""
    whole = torch.cat([gradient.flatten() for gradient in expected.values()]).norm()
    for name, gradient in expected.items():
        assert (found[name] - gradient).norm() <= 1e-5 * gradient.norm() + 1e-7 * whole, name


@pytest.mark.parametrize("stage", made.RECIPE["stages"])
def test_pieces_give_the_gradients_of_the_whole(stage: str, both: tuple[dict[str, Any], dict[str, Any]]) -> None:
    one, two = (both[0]["results"][f"{stage} {pieces}"] for pieces in two_processes.PIECES)
    assert two[0] == pytest.approx(one[0], abs=1e-6)
    assert_equal(two[1], one[1])


def test_each_process_does_a_part(both: tuple[dict[str, Any], dict[str, Any]]) -> None:
    """12 pairs in all, 6 in each process; of the 16 pairs of texts each process encodes an English text once."""
    assert both[0]["results"]["teacher 1"][2] == [12]
    assert both[1]["results"]["teacher 1"][2] == [6, 6]
    assert both[0]["results"]["student 1"][2][0] < 32
    assert all(8 < rows <= 16 for rows in both[1]["results"]["student 1"][2])


def test_a_batch_that_cannot_be_shared_equally_is_refused(world: Path, trained: Path) -> None:
    class Three:
        num_processes = 5

    recipe = made.recipe()
    with pytest.raises(ConfigError, match="12 is not a multiple of 5"):
        run.open_context(recipe, recipe.stages["teacher"], world, trained, Three(), print)


@pytest.mark.slow
def test_the_command_line_trains_in_two_processes(world: Path, tmp_path: Path, train: Train) -> None:
    """`torchrun -m altclip train`: the same curve as one process, written once; killed and resumed by two as well."""
    recipe = made.recipe({"teacher": {"steps": 4, "checkpoint_every": 2}})
    file = made.write_recipe(tmp_path / "tiny.toml", recipe)
    alone = train(recipe, output=tmp_path / "one")
    paths = ("--data", str(world), "--output", str(tmp_path / "two"), "--stage", "teacher", "--device", "cpu")
    done = torchrun("altclip", "train", str(file), *paths)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stderr.count("done: ") == 1
    (tmp_path / "two" / "teacher" / "report.json").unlink()
    again = torchrun("altclip", "train", str(file), *paths, "--resume")
    assert again.returncode == 0, again.stderr[-3000:]
    one, two = (read_log(folder / "log.jsonl") for folder in (alone, tmp_path / "two" / "teacher"))
    assert [entry["step"] for entry in two] == [1, 2, 3, 4]
    for entry, other in zip(one, two, strict=True):
        assert {**other, "rate": 0} == pytest.approx({**entry, "rate": 0}, rel=1e-4)

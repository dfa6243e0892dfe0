"""Gathering with gradients: two processes give what one gives for the same global batch (FIDELITY, fact 9).

Two gloo processes are started once; each writes what it computed, and the tests compare.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn
from torch.multiprocessing.spawn import spawn

from altclip.distributed import barrier, gather_with_grad, rank, world_size

WORLD, BATCH, WIDTH = 2, 8, 5
Result = dict[str, Any]


class Towers(nn.Module):
    """Two linear towers and a logit scale: the least model that a contrastive loss can train."""

    def __init__(self) -> None:
        super().__init__()
        self.image, self.text = nn.Linear(WIDTH, 4), nn.Linear(WIDTH, 4)
        self.logit_scale = nn.Parameter(torch.tensor(1.5))

    def forward(self, images: Tensor, texts: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return F.normalize(self.image(images)), F.normalize(self.text(texts)), self.logit_scale.exp()


def batch() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(BATCH, WIDTH, generator=generator), torch.randn(BATCH, WIDTH, generator=generator)


def towers() -> Towers:
    torch.manual_seed(0)
    return Towers()


def whole_loss(images: Tensor, texts: Tensor, scale: Tensor) -> Tensor:
    """The global loss, computed by every rank from everyone's rows."""
    logits = scale * gather_with_grad(images) @ gather_with_grad(texts).T
    targets = torch.arange(len(logits))
    return (F.cross_entropy(logits, targets) + F.cross_entropy(logits.T, targets)) / 2


def own_rows_loss(images: Tensor, texts: Tensor, scale: Tensor) -> Tensor:
    """This rank's share: its own rows and columns against everyone's."""
    targets = torch.arange(len(images)) + rank() * len(images)
    by_image = F.cross_entropy(scale * images @ gather_with_grad(texts).T, targets)
    by_text = F.cross_entropy(scale * texts @ gather_with_grad(images).T, targets)
    return (by_image + by_text) / 2


LOSSES = {"whole": whole_loss, "own rows": own_rows_loss}


def step(kind: str) -> tuple[float, dict[str, Tensor]]:
    """Loss and gradients of one backward pass over this rank's part of the batch.

    The gradients are averaged as DistributedDataParallel does (which takes seconds to import; training tests use it).
    """
    model = towers()
    part = slice(rank() * BATCH // world_size(), (rank() + 1) * BATCH // world_size())
    images, texts = batch()
    loss = LOSSES[kind](*model(images[part], texts[part]))
    loss.backward()
    gradients = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
    for gradient in gradients.values() if world_size() > 1 else ():
        dist.all_reduce(gradient)
        gradient /= world_size()
    return loss.item(), gradients


def uneven() -> Result:
    """Three rows on rank 0, none on the last rank; the gradient of a sum weighted by place and rank."""
    rows = torch.arange(6.0).reshape(3, 2)[: 3 if rank() == 0 else 0].clone().requires_grad_()
    everyone = gather_with_grad(rows)
    (everyone * torch.arange(1.0, 4.0)[:, None] * (rank() + 1)).sum().backward()
    return {"rows": everyone.detach(), "gradient": rows.grad}


def work(index: int, folder: str) -> None:
    """What each of the two processes does."""
    os.environ.update(GLOO_SOCKET_IFNAME="lo")
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=index, world_size=WORLD)
    mine = torch.full((2, 3), float(index))
    result: Result = {
        "group": (rank(), world_size()),
        "gathered": gather_with_grad(mine),
        "without gradients": gather_with_grad(mine).requires_grad,
        "ids": gather_with_grad(torch.tensor([index, index + 10])),
        "half": gather_with_grad(mine.bfloat16()),
        "uneven": uneven(),
        **{kind: step(kind) for kind in LOSSES},
    }
    Path(folder, f"arrived-{index}").touch()
    barrier()
    result["all arrived"] = all(Path(folder, f"arrived-{i}").exists() for i in range(WORLD))
    torch.save(result, Path(folder, f"{index}.pt"))
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> list[Result]:
    folder = tmp_path_factory.mktemp("gloo")
    spawn(work, args=(str(folder),), nprocs=WORLD)
    return [torch.load(folder / f"{index}.pt") for index in range(WORLD)]


def test_each_process_knows_its_place(results: list[Result]) -> None:
    assert [r["group"] for r in results] == [(0, 2), (1, 2)]


def test_all_rows_come_in_the_order_of_the_ranks(results: list[Result]) -> None:
    expected = torch.tensor([[0.0] * 3] * 2 + [[1.0] * 3] * 2)
    for result in results:
        assert torch.equal(result["gathered"], expected)
        assert torch.equal(result["half"], expected.bfloat16())
        assert result["ids"].tolist() == [0, 10, 1, 11]
        assert result["without gradients"] is False


def test_ranks_may_hold_different_numbers_of_rows(results: list[Result]) -> None:
    expected = torch.arange(6.0).reshape(3, 2)
    assert all(torch.equal(result["uneven"]["rows"], expected) for result in results)
    # place weight 1, 2, 3 times the sum of the rank weights 1 + 2
    assert torch.equal(results[0]["uneven"]["gradient"], torch.tensor([[3.0, 3.0], [6.0, 6.0], [9.0, 9.0]]))
    assert results[1]["uneven"]["gradient"].shape == (0, 2)


@pytest.mark.parametrize("kind", LOSSES)
def test_two_processes_equal_one(results: list[Result], kind: str) -> None:
    loss, gradients = step(kind)
    assert sum(result[kind][0] for result in results) / WORLD == pytest.approx(loss, abs=1e-6)
    for result in results:
        assert result[kind][1].keys() == gradients.keys() == {name for name, _ in towers().named_parameters()}
        for name, gradient in gradients.items():
            torch.testing.assert_close(result[kind][1][name], gradient, atol=1e-6, rtol=1e-5, msg=f"{kind}: {name}")


def test_a_loss_of_the_local_batch_alone_would_not_pass(results: list[Result]) -> None:
    """The comparison above can tell: without gathering, the loss of the halves is another one."""
    model, (images, texts) = towers(), batch()
    halves = [whole_loss(*model(images[i : i + 4], texts[i : i + 4])).item() for i in (0, 4)]
    assert abs(sum(halves) / 2 - step("whole")[0]) > 0.1


def test_the_barrier_waits_for_all(results: list[Result]) -> None:
    assert all(result["all arrived"] for result in results)


def test_one_process_is_a_group_of_one() -> None:
    rows = torch.ones(2, 3, requires_grad=True)
    assert (rank(), world_size()) == (0, 1)
    assert gather_with_grad(rows) is rows
    barrier()

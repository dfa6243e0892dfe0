"""What a program needs to know of the other processes that train or evaluate with it; one process is a group of one.

Gradients. `gather_with_grad` sends to each rank the sum, over all ranks, of the gradients that their losses have for
that rank's rows. DistributedDataParallel then averages parameter gradients over the W ranks. So if

    (1/W) * sum over ranks r of loss_r  =  loss of the global batch,

the averaged gradient of every parameter is the gradient of the global loss, with no factor of W to add anywhere. Both
usual ways of writing a contrastive loss over gathered features satisfy it:

- every rank computes the loss of the whole (W*B) x (W*B) matrix (all loss_r are equal), or
- rank r computes the mean over its own B rows and B columns against all W*B others (their mean is the global loss,
  if every rank holds the same number of rows).

A parameter used after the gathering, such as the logit scale, obeys the same rule.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor


def world_size() -> int:
    """How many processes work together; 1 outside a process group."""
    return dist.get_world_size() if _in_group() else 1


def rank() -> int:
    """The number of this process, from 0; 0 outside a process group."""
    return dist.get_rank() if _in_group() else 0


def barrier() -> None:
    """Wait until every process of the group is here."""
    if world_size() > 1:
        dist.barrier()


def gather_with_grad(tensor: Tensor) -> Tensor:
    """The rows of every rank, in the order of the ranks: (N_r, ...) on rank r -> (N_0 + N_1 + ..., ...) on all.

    Gradients flow back to every rank's rows as this file's opening says. The ranks may hold different numbers of rows;
    the other dimensions and the dtype must agree. Every rank must call this, and must call backward if one does.
    """
    if world_size() == 1:
        return tensor
    gathered: Tensor = _Gather.apply(tensor)  # type: ignore[no-untyped-call]
    return gathered


def _in_group() -> bool:
    return dist.is_available() and dist.is_initialized()


class _Gather(torch.autograd.Function):
    """All-gather whose backward is a sum over ranks (all-reduce), cut to the rows that came from here."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor) -> Tensor:
        counts = _counts(rows)
        start = sum(counts[: rank()])
        ctx.mine = slice(start, start + len(rows))
        # collectives want one shape on all ranks: pad to the longest, and cut what comes back
        padded = rows.new_zeros(max(counts), *rows.shape[1:])
        padded[: len(rows)] = rows
        parts = [torch.empty_like(padded) for _ in counts]
        dist.all_gather(parts, padded)
        return torch.cat([part[:count] for part, count in zip(parts, counts, strict=True)])

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        total = gradient.contiguous().clone()  # all_reduce writes in place, and autograd may still need `gradient`
        dist.all_reduce(total)
        mine: Tensor = total[ctx.mine]
        return mine


def _counts(rows: Tensor) -> list[int]:
    """How many rows each rank holds."""
    mine = torch.tensor([len(rows)], device=rows.device)
    counts = [torch.empty_like(mine) for _ in range(world_size())]
    dist.all_gather(counts, mine)
    return [int(count) for count in counts]

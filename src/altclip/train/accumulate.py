"""Gradients of a batch, in one piece or in several that give the same loss.

A contrastive loss needs all features at once. In pieces, the features are computed twice (Gao et al. 2021, gradient
cache): first without gradients, for the loss of the whole batch and its gradient by feature; then piece by piece with
gradients, from the same random state, so that dropout falls on the same units.
"""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from altclip.train.stages import Features, Stage

if TYPE_CHECKING:
    from accelerate import Accelerator

RandomState = tuple[Tensor, Tensor | None]


def backward(
    stage: Stage[Any], module: nn.Module, batch: Any, pieces: int, accelerator: Accelerator
) -> tuple[Tensor, dict[str, Tensor]]:
    """Add the gradients of the batch's loss to the parameters; returns the loss and the stage's measures, detached."""
    if pieces == 1:
        with accelerator.autocast():
            features = module(batch)
        loss, measures = stage.loss(features, batch)
        accelerator.backward(loss)
        return loss.detach(), measures
    parts = stage.split(batch, pieces)
    features, states = _features(module, parts, accelerator)
    loss, measures = stage.loss(features, batch)
    accelerator.backward(loss)  # ends at the features, which are leaves
    _replay(module, parts, states, features, accelerator)
    return loss.detach(), measures


def _features(module: nn.Module, parts: list[Any], accelerator: Accelerator) -> tuple[Features, list[RandomState]]:
    """Features of all parts, as leaves that take up gradients, and the random state before each part."""
    states, collected = [], []
    for part in parts:
        states.append(random_state(accelerator.device))
        with torch.no_grad(), accelerator.autocast():
            collected.append(module(part))
    joined = {
        name: torch.cat([features[name] for features in collected]) if first.ndim else first
        for name, first in collected[0].items()
    }
    return {name: value.detach().requires_grad_() for name, value in joined.items()}, states


def _replay(
    module: nn.Module, parts: list[Any], states: list[RandomState], leaves: Features, accelerator: Accelerator
) -> None:
    """Each part again, with gradients, from its random state; processes exchange gradients at the last part only.

    The gradient of sum(feature * gradient of the loss by feature) is the gradient of the loss. A feature without a
    dimension (the scale) is one of the whole batch: its gradient is spread over the parts.
    """
    after, begun = random_state(accelerator.device), 0
    for number, (part, state) in enumerate(zip(parts, states, strict=True), 1):
        set_random_state(state, accelerator.device)
        with nullcontext() if number == len(parts) else accelerator.no_sync(module):
            with accelerator.autocast():
                features = module(part)
            count = next(len(value) for value in features.values() if value.ndim)
            terms = [
                (value * gradient[begun : begun + count]).sum() if value.ndim else value * gradient / len(parts)
                for name, value in features.items()
                if (gradient := leaves[name].grad) is not None and value.requires_grad
            ]
            torch.stack(terms).sum().backward()  # type: ignore[no-untyped-call]  # fp16's loss scale is in the gradients
        begun += count
    set_random_state(after, accelerator.device)


def random_state(device: torch.device) -> RandomState:
    """What dropout is drawn from on the CPU and on this process's device."""
    return torch.get_rng_state(), torch.cuda.get_rng_state(device) if device.type == "cuda" else None


def set_random_state(state: RandomState, device: torch.device) -> None:
    """Go back to what `random_state` gave."""
    torch.set_rng_state(state[0])
    if state[1] is not None and device.type == "cuda":
        torch.cuda.set_rng_state(state[1], device)

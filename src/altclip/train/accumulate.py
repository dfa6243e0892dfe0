"""Gradients of a batch, in one piece or in several that give the same loss.

A contrastive loss needs all features at once. In pieces, the features are computed twice (Gao et al. 2021, gradient
cache): first without gradients, for the loss of the whole batch and its gradient by feature; then piece by piece with
gradients, from the same random state, so that dropout falls on the same units.
"""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import torch
from accelerate import Accelerator
from torch import nn

from altclip.train.stages import Features, Stage


def backward(stage: Stage, module: nn.Module, batch: Any, pieces: int, accelerator: Accelerator) -> tuple[float, dict[str, float]]:
    """Add the gradients of the batch's loss to the parameters; returns the loss and the stage's measures."""
    if pieces == 1:
        with accelerator.autocast():
            features = module(batch)
        loss, measures = stage.loss(features, batch)
        accelerator.backward(loss)
        return float(loss.detach()), measures
    parts = stage.split(batch, pieces)
    features, states = _features_twice_safe(module, parts, accelerator)
    loss, measures = stage.loss(features, batch)
    accelerator.backward(loss)
    gradients = {name: value.grad for name, value in features.items()}
    _replay(module, parts, states, gradients, accelerator)
    return float(loss.detach()), measures


def _features_twice_safe(
    module: nn.Module, parts: list[Any], accelerator: Accelerator
) -> tuple[Features, list[list[torch.Tensor]]]:
    """Features of all parts without a graph, as leaves that gather gradients, and the random state before each part."""
    states, collected = [], []
    for part in parts:
        states.append(_random_state())
        with torch.no_grad(), accelerator.autocast():
            collected.append(module(part))
    joined = {
        name: torch.cat([features[name] for features in collected]) if first.ndim else first
        for name, first in collected[0].items()
    }
    return {name: value.detach().requires_grad_() for name, value in joined.items()}, states


def _replay(
    module: nn.Module, parts: list[Any], states: list[list[torch.Tensor]], gradients: dict[str, Any], accelerator: Accelerator
) -> None:
    """Each part again, with gradients, from its random state; processes exchange gradients at the last part only."""
    after, begun = _random_state(), 0
    for number, (part, state) in enumerate(zip(parts, states, strict=True)):
        _set_random_state(state)
        last = number == len(parts) - 1
        with nullcontext() if last else accelerator.no_sync(module):
            with accelerator.autocast():
                features = module(part)
            count = max(len(value) for value in features.values() if value.ndim)
            surrogate = sum(
                (value * gradients[name][begun : begun + count]).sum() if value.ndim else value * gradients[name] / len(parts)
                for name, value in features.items()
                if gradients[name] is not None and value.requires_grad
            )
            surrogate.backward()  # type: ignore[union-attr]  # gradients are scaled already
            begun += count
    _set_random_state(after)


def _random_state() -> list[torch.Tensor]:
    return [torch.get_rng_state(), *(torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [])]


def _set_random_state(state: list[torch.Tensor]) -> None:
    torch.set_rng_state(state[0])
    if len(state) > 1:
        torch.cuda.set_rng_state_all(state[1:])

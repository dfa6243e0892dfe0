"""Parameter groups, learning-rate schedules, and Muon.

Muon (Jordan et al. 2024) orthogonalises the momentum of each weight matrix by a Newton-Schulz iteration. torch ships
one, which computes in bfloat16: on CPUs without bfloat16 arithmetic it costs more than the model. This one keeps the
matrices' own precision and treats equal shapes as one batch.
"""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence

import torch
from torch import Tensor, nn

from altclip.errors import UsageError
from altclip.train.config import OptimizerConfig

_MATRICES = re.compile(r"\.layers\.|^unet\.(down|mid|up)_block")  # whose weights Muon takes
_TOWER = re.compile(r"(vision|text\.tower)\.(?:layers\.(\d+)\.)?")
_QUINTIC = (3.4445, -4.7750, 2.0315)  # Jordan et al.: steepest at zero, settles in [0.7, 1.2]


class Muon(torch.optim.Optimizer):
    """Momentum, orthogonalised, for matrices; a convolution is one of its outputs. Decay is decoupled, as in AdamW."""

    def __init__(self, params: Iterable[nn.Parameter], lr: float, weight_decay: float, momentum: float = 0.95) -> None:
        super().__init__(params, {"lr": lr, "weight_decay": weight_decay, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]  # noqa: ARG002
        for group in self.param_groups:
            by_shape: dict[tuple[int, ...], list[nn.Parameter]] = defaultdict(list)
            for weight in group["params"]:
                if weight.grad is not None:
                    by_shape[tuple(weight.flatten(1).shape)].append(weight)
            for (rows, columns), weights in by_shape.items():
                moves = orthogonalised(torch.stack([self._momentum(weight, group["momentum"]) for weight in weights]))
                for weight, move in zip(weights, moves, strict=True):
                    weight.mul_(1 - group["lr"] * group["weight_decay"])
                    weight.add_(move.view_as(weight), alpha=-group["lr"] * max(1.0, rows / columns) ** 0.5)

    def _momentum(self, weight: nn.Parameter, momentum: float) -> Tensor:
        """Nesterov's momentum of a gradient, as a matrix."""
        grad = weight.grad if weight.grad is not None else torch.zeros_like(weight)
        average = self.state[weight].setdefault("momentum", torch.zeros_like(weight))
        average.lerp_(grad, 1 - momentum)
        return grad.lerp(average, momentum).flatten(1)


def orthogonalised(matrices_NRC: Tensor, steps: int = 5) -> Tensor:
    """Each matrix with its singular values brought near one."""
    if matrices_NRC.shape[-2] > matrices_NRC.shape[-1]:
        return orthogonalised(matrices_NRC.mT, steps).mT  # the Gram matrix of the shorter side costs less
    a, b, c = _QUINTIC
    x: Tensor = matrices_NRC / (matrices_NRC.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(steps):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x


def build_optimizers(model: nn.Module, config: OptimizerConfig) -> list[torch.optim.Optimizer]:
    """One or two optimizers over the parameters that need gradients.

    `groups` maps a pattern of parameter names to a factor on the learning rate; the first that matches counts.
    `layer_decay` lowers the rates from the top of each tower down (`depth_factors`); the two are multiplied.
    """
    depths = depth_factors([name for name, _ in model.named_parameters()], config.layer_decay or 1.0)
    trained = {name: weight for name, weight in model.named_parameters() if weight.requires_grad}
    check_groups(list(trained), config)
    muon = {n: w for n, w in trained.items() if config.name == "muon" and w.ndim >= 2 and _MATRICES.search(n)}
    rest = {name: weight for name, weight in trained.items() if name not in muon}
    optimizers: list[torch.optim.Optimizer] = []
    if rest:
        groups, fused = (
            _groups(rest, config, config.learning_rate, depths),
            all(w.device.type != "mps" for w in rest.values()),
        )
        optimizers.append(torch.optim.AdamW(groups, betas=config.betas, eps=config.eps, fused=fused))
    if muon:
        groups = _groups(muon, config, config.matrix_learning_rate, depths)
        optimizers.append(Muon(groups, config.matrix_learning_rate, config.weight_decay))  # type: ignore[arg-type]
    return optimizers


def check_groups(trained: Sequence[str], config: OptimizerConfig) -> None:
    """Raises UsageError for a pattern that matches no trained parameter."""
    if unused := [pattern for pattern in config.groups if not any(re.search(pattern, name) for name in trained)]:
        raise UsageError(f"optimizer.groups: no trained parameter matches {', '.join(unused)}")


def depth_factors(names: Iterable[str], decay: float) -> dict[str, float]:
    """Factor on the learning rate of each parameter by its depth in its tower: decay ** (layers above it + 1).

    The embeddings of a tower of L layers get decay ** (L + 1), its last layer decay ** 1, and all that comes after the
    layers (norms, projections, the scale) 1, as in ELECTRA (Clark et al. 2020) and BEiT (Bao et al. 2021).
    """
    places = {name: _TOWER.match(name) for name in names}
    layers = [(found[1], int(found[2])) for found in places.values() if found and found[2]]
    heights = {side: max(number for of, number in layers if of == side) + 1 for side, _ in layers}
    factors = {}
    for name, found in places.items():
        depth = int(found[2]) + 1 if found and found[2] else 0
        after = not found or name.startswith("vision.post_norm.")
        factors[name] = 1.0 if after or not found else decay ** (heights.get(found[1], 0) + 1 - depth)
    return factors


def _groups(
    weights: Mapping[str, nn.Parameter], config: OptimizerConfig, rate: float, depths: Mapping[str, float]
) -> list[dict[str, object]]:
    """Groups of equal rate and decay: matrices decay; norms, biases and scalars do not."""
    groups: dict[tuple[float, float], list[nn.Parameter]] = defaultdict(list)
    for name, weight in weights.items():
        factor = next((factor for pattern, factor in config.groups.items() if re.search(pattern, name)), 1.0)
        groups[factor * depths[name], config.weight_decay if weight.ndim >= 2 else 0.0].append(weight)
    return [
        {"params": params, "lr": rate * factor, "base_lr": rate * factor, "weight_decay": decay}
        for (factor, decay), params in groups.items()
    ]


def rate_factor(step: int, steps: int, config: OptimizerConfig) -> float:
    """Factor on the learning rates at a step: linear warm-up, then the schedule down to `final_share`."""
    if step < config.warmup_steps:
        return (step + 1) / config.warmup_steps
    done = (step - config.warmup_steps) / max(1, steps - config.warmup_steps)
    falling = {
        "constant": 1.0,
        "linear": 1 - done,
        "trapezoid": min(1.0, (1 - done) / max(config.decay_share, 1e-9)),
        "cosine": (1 + math.cos(math.pi * done)) / 2,
    }[config.schedule]
    return config.final_share + (1 - config.final_share) * falling


def set_rates(optimizers: Iterable[torch.optim.Optimizer], factor: float) -> None:
    """Set the learning rates of a step: each group's own, times the factor."""
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = group["base_lr"] * factor

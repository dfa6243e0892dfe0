"""What a stage is built from, and what it must be: the protocol of the training loop."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from torch import Tensor, nn

from altclip.data.pairs import BadSamples
from altclip.models import DualEncoder
from altclip.processing import Tokenizer
from altclip.train.config import Recipe, StageConfig

Features = dict[str, Tensor]


@dataclass
class Context:
    """Everything a stage needs to know of the run. `load(name)` opens an earlier stage's model, a folder or a hub id."""

    recipe: Recipe
    config: StageConfig
    data: Path
    output: Path
    tokenizer: Tokenizer
    load: Callable[[str], DualEncoder]
    report: Callable[[str], None]
    device: str = "cpu"
    rank: int = 0
    world_size: int = 1

    def bad_samples(self) -> BadSamples:
        return BadSamples(self.config.max_bad_share, report=self.report)


class Stage(Protocol):
    """One stage: batches by step, features of a (micro-)batch, and the loss of a whole batch's features.

    `module` maps a batch to features; it is what gets wrapped for several processes. `loss` sees the features of all
    micro-batches at once, so that a contrastive loss keeps all its negatives when gradients are accumulated.
    `trained` is the model that is saved.
    """

    trained: DualEncoder
    module: nn.Module

    def batch(self, step: int) -> Any: ...
    def split(self, batch: Any, parts: int) -> list[Any]: ...
    def loss(self, features: Features, batch: Any) -> tuple[Tensor, dict[str, float]]: ...

"""What a stage is built from, and what it must be: the protocol of the training loop."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor, nn

from altclip.processing import ImageProcessor, Tokenizer
from altclip.train.config import Recipe, StageConfig
from altclip.train.leftout import LeftOut

Features = dict[str, Tensor]


@dataclass
class Context:
    """Everything a stage needs to know of the run.

    folder: the folder of an earlier stage's model, of a path or of a hub id; image_processor: that of the model;
    digests: of the data, by name; left_out: what no training text may hold, once it is known (`sources.left_out`).
    """

    recipe: Recipe
    config: StageConfig
    data: Path
    output: Path
    tokenizer: Tokenizer
    folder: Callable[[str], Path]
    report: Callable[[str], None]
    device: str = "cpu"
    rank: int = 0
    world_size: int = 1
    image_processor: ImageProcessor = field(default_factory=ImageProcessor)
    digests: dict[str, str] = field(default_factory=dict)
    left_out: LeftOut | None = None

    def autocast(self) -> AbstractContextManager[object]:
        """The recipe's precision for a forward pass of a model that is not trained."""
        dtype = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(self.recipe.precision)
        return torch.autocast(torch.device(self.device).type, dtype) if dtype else nullcontext()


@dataclass(kw_only=True)
class Batch:
    """What every batch carries beside its tensors: bad samples by name and reason; where the data streams stand."""

    skipped: list[str] = field(default_factory=list)
    position: dict[str, Any] = field(default_factory=dict)


B = TypeVar("B", bound=Batch)


class Stage(Protocol[B]):
    """One stage: batches by step, features of a (micro-)batch, and the loss of a whole batch's features.

    `module` maps a batch to features; it is what gets wrapped for several processes. `loss` sees the features of all
    micro-batches at once, so that a contrastive loss keeps all its negatives when gradients are accumulated; beside the
    loss it gives measures to log, as tensors, so that only steps that are logged wait for the device. `trained` is the
    model whose weights change; `save` writes what the stage leaves into its folder.
    """

    module: nn.Module

    @property
    def trained(self) -> nn.Module: ...
    def batches(self, start: int, stop: int, position: dict[str, Any]) -> Iterator[B]: ...
    def split(self, batch: B, parts: int) -> list[B]: ...
    def loss(self, features: Features, batch: B) -> tuple[Tensor, dict[str, Tensor]]: ...
    def save(self, folder: Path, facts: dict[str, Any]) -> None: ...

"""From a recipe's words to models; shared by the stages and by the estimate that `--dry-run` prints."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import torch
from torch import nn

from altclip.checkpoints import load_model
from altclip.errors import UsageError
from altclip.models import DualEncoder, Head, initialise
from altclip.train.adapters import put_adapter
from altclip.train.config import Recipe, StageConfig
from altclip.train.stages.context import Context
from altclip.train.stages.sizes import model_config

IMAGE_SIDE: Final = (r"^vision\.", r"^visual_projection\.")
_PARTS: Final = {"image": ("vision.", "visual_projection.", "logit_scale"), "text": ("text.",), "all": ("",)}


def empty_model(stage: StageConfig, recipe: Recipe | None = None) -> DualEncoder:
    """The stage's model without memory for weights, with what it trains as it is in training."""
    with torch.device("meta"):
        model = DualEncoder(model_config(stage, recipe))
        prepare(model, stage)
    return model


def build_model(context: Context) -> DualEncoder:
    """A model of the stage's sizes: freshly initialised, then parts taken from where `start` says, then frozen."""
    model = initialise(DualEncoder(model_config(context.config, context.recipe)))
    for part, source in context.config.start.items():
        take_part(model, load_model(context.folder(source)), part)
    prepare(model, context.config)
    model.set_gradient_checkpointing(context.config.gradient_checkpointing)
    return model


def prepare(model: DualEncoder, stage: StageConfig) -> None:
    """Freeze what the stage holds still, and put its adapter on the rest where it trains one."""
    freeze(model, stage)
    if stage.lora is not None:
        put_adapter(model, stage.lora, base_name(stage))


def base_name(stage: StageConfig) -> str:
    """What the stage starts from, in words."""
    return stage.start.get("all") or stage.model or " with ".join(stage.start.values())


def take_part(model: DualEncoder, source: DualEncoder, part: str) -> None:
    """Copy the image side, the text side, or all of `source` into `model`.

    A source that is a text tower alone (XLM-R, BERT) leaves the modules of the head as they are. Raises UsageError
    where the source has no such part, or shapes differ.
    """
    own = model.state_dict()
    weights = {name: weight for name, weight in source.state_dict().items() if name.startswith(_PARTS[part])}
    if not set(weights) - {"logit_scale"}:
        raise UsageError(f"start.{part}: the model there has no such part")
    for name, weight in weights.items():
        if name not in own or own[name].shape != weight.shape:
            shape = tuple(own[name].shape) if name in own else "nothing"
            raise UsageError(f"start.{part}: {name} is {tuple(weight.shape)} there, {shape} here: choose equal sizes")
        own[name].copy_(weight)


def freeze(model: DualEncoder, stage: StageConfig) -> None:
    """No gradients for what the kind of stage or a pattern holds still. Raises UsageError for a pattern in vain."""
    kept: dict[str, tuple[str, ...]] = {
        "contrastive": (),
        "align": IMAGE_SIDE,
        "distill": (*IMAGE_SIDE, "^logit_scale$", *([r"^text\.projections\."] * (stage.teacher_vector == "pooled"))),
    }
    for pattern in kept[stage.kind]:
        for name, weight in model.named_parameters():
            weight.requires_grad_(weight.requires_grad and not re.search(pattern, name))
    freeze_patterns(model, stage.freeze)


def freeze_patterns(model: nn.Module, patterns: Sequence[str]) -> None:
    """No gradients for what a pattern names. Raises UsageError for one in vain, or where nothing is left to train."""
    for pattern in patterns:
        matched = [weight for name, weight in model.named_parameters() if re.search(pattern, name)]
        if not matched:
            raise UsageError(f"freeze: no parameter matches {pattern!r}")
        for weight in matched:
            weight.requires_grad_(False)
    if not any(weight.requires_grad for weight in model.parameters()):
        raise UsageError("freeze: nothing is left to train")


def train_mode(module: nn.Module) -> None:
    """Train mode; but a part that is frozen as a whole is in eval mode, since its dropout would be mere noise."""
    module.train()
    for part in module.modules():
        weights = list(part.parameters())
        if weights and not any(weight.requires_grad for weight in weights):
            part.eval()


def compared_head(model: DualEncoder, stage: StageConfig) -> Head:
    """The read-out whose vectors a distill stage compares: after the projection, or before it (`teacher_vector`)."""
    head = model.text.head("retrieval")
    return head if stage.teacher_vector == "projected" else replace(head, projection=None)

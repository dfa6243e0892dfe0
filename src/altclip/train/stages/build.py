"""From a recipe's words to models; shared by the stages and by the estimate that `--dry-run` prints."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Final

import torch
from torch import nn

from altclip.checkpoints import load_model
from altclip.checkpoints.layouts import layout_for
from altclip.errors import ConfigError, UsageError
from altclip.models import DualEncoder, Head, ModelConfig, initialise, preset
from altclip.train.config import StageConfig
from altclip.train.stages.context import Context

IMAGE_SIDE: Final = (r"^vision\.", r"^visual_projection\.")
_PARTS: Final = {"image": ("vision.", "visual_projection.", "logit_scale"), "text": ("text.",), "all": ("",)}


def model_config(stage: StageConfig) -> ModelConfig:
    """The preset with the recipe's changes of sizes.

    Raises ConfigError where the two sides differ in width, LayoutError for a model that could not be saved.
    """
    config = preset(stage.model)
    if config.vision is None or config.text is None:
        raise ConfigError([f"model {stage.model}: expected one with both towers"])
    config = replace(
        config,
        vision=replace(config.vision, **stage.vision),
        text=replace(config.text, **stage.text),
        projection_dim=stage.projection_dim or config.projection_dim,
    )
    head = config.heads["retrieval"]
    width = config.text.project_dim if head.linear else config.text.hidden_size  # type: ignore[union-attr]
    if not head.projection and width != config.projection_dim:
        raise ConfigError([f"texts are {width} wide, images {config.projection_dim}: set projection_dim"])
    layout_for(config)
    return config


def empty_model(stage: StageConfig) -> DualEncoder:
    """The stage's model without memory for weights, its parameters frozen as they are in training."""
    with torch.device("meta"):
        model = DualEncoder(model_config(stage))
    freeze(model, stage)
    return model


def build_model(context: Context) -> DualEncoder:
    """A model of the stage's sizes: freshly initialised, then parts taken from where `start` says, then frozen."""
    model = initialise(DualEncoder(model_config(context.config)))
    for part, source in context.config.start.items():
        take_part(model, load_model(context.folder(source)), part)
    freeze(model, context.config)
    model.set_gradient_checkpointing(context.config.gradient_checkpointing)
    return model


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
    for pattern in (*kept[stage.kind], *stage.freeze):
        matched = [weight for name, weight in model.named_parameters() if re.search(pattern, name)]
        if not matched and pattern in stage.freeze:
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

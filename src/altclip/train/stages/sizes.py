"""The sizes of a stage's model: of a preset, of the model that it starts from, or of two models put together."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from altclip.checkpoints import open_checkpoint, resolve
from altclip.checkpoints.layouts import layout_for
from altclip.errors import ConfigError, UsageError
from altclip.models import ModelConfig, heads_of, preset
from altclip.train.config import Recipe, StageConfig

# The read-out that a text tower gets: AltCLIP's for XLM-R, Chinese-CLIP's for BERT.
_READOUT: Final = {"xlm-roberta": "altclip", "bert": "chinese-clip"}


def model_config(stage: StageConfig, recipe: Recipe | None = None) -> ModelConfig:
    """The sizes that the stage starts with, and the recipe's changes of them.

    recipe: needed where the stage takes its sizes from an earlier one. Raises ConfigError where the two sides differ in
    width, UsageError for models that have no such towers, LayoutError for a model that could not be saved.
    """
    config = preset(stage.model) if stage.model else _started(stage, recipe)
    if config.vision is None or config.text is None or "retrieval" not in config.heads:
        name = stage.model or stage.start.get("all")
        raise ConfigError([f"model {name}: expected one with both towers, whose texts and images can be compared"])
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


def config_at(source: str, recipe: Recipe | None = None) -> ModelConfig:
    """The sizes of an earlier stage, a folder, a preset with weights, or a hub id."""
    if recipe is not None and source in recipe.stages:
        return model_config(recipe.stages[source], recipe)
    return open_checkpoint(resolve(source)).config


def _started(stage: StageConfig, recipe: Recipe | None) -> ModelConfig:
    start = stage.start
    if "all" in start:
        return config_at(start["all"], recipe)
    if not {"image", "text"} <= start.keys():
        raise ConfigError(["a stage without `model` starts from `all`, or from `image` and `text`"])
    return swapped(config_at(start["image"], recipe), config_at(start["text"], recipe), start["image"], start["text"])


def swapped(image: ModelConfig, text: ModelConfig, image_name: str = "", text_name: str = "") -> ModelConfig:
    """The image side of a CLIP-like model with another text tower and a fresh read-out, as AltCLIP is made.

    The read-out's widths are those of the model's own text side, so that either of its vectors can be learned from.
    """
    if image.vision is None:
        raise UsageError(
            f"start.image (--init-image): {image_name} has no image tower; expected a CLIP-like model with both "
            "towers, such as openai/clip-vit-large-patch14"
        )
    if image.text is None or "retrieval" not in image.heads:
        raise UsageError(
            f"start.image (--init-image): {image_name} has no text tower to learn from; expected a CLIP-like "
            "model with both towers, such as openai/clip-vit-large-patch14"
        )
    if text.text is None or text.text.architecture not in _READOUT or text.vision is not None:
        kind = "no text tower" if text.text is None else "a CLIP-like model" if text.vision else "a CLIP text tower"
        raise UsageError(
            f"start.text (--init-text): {text_name} is {kind}; expected a multilingual text encoder alone, an XLM-R "
            "or a BERT, such as xlm-roberta-large"
        )
    own = image.heads["retrieval"]
    width = image.text.project_dim if own.linear else image.text.hidden_size
    return replace(
        image,
        text=replace(text.text, project_dim=width),
        heads=heads_of(_READOUT[text.text.architecture]),
    )

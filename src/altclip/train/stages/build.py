"""From a recipe's words to models and sources of data; shared by the stages."""

from __future__ import annotations

import re
from dataclasses import replace

from altclip.data.labels import Labels, read_labels
from altclip.data.pairs import PairSource
from altclip.data.parallel import ParallelSource, name_pairs, read_pairs
from altclip.data.reading import open_rows
from altclip.data.texts import Captions, ClassNames
from altclip.errors import ConfigError, UsageError
from altclip.models import DualEncoder, ModelConfig, initialise, preset
from altclip.train.config import LabelsFile, PairData, ParallelData, StageConfig
from altclip.train.leftout import LeftOut
from altclip.train.stages.context import Context


def model_config(stage: StageConfig) -> ModelConfig:
    """The preset with the recipe's changes of sizes."""
    config = preset(stage.model)
    for part in ("vision", "text"):
        changes = getattr(stage, part)
        tower = getattr(config, part)
        if changes and tower is not None:
            if unknown := set(changes) - set(tower.to_dict()):
                raise ConfigError([f"stages.*.{part}.{name}: no such size" for name in sorted(unknown)])
            config = replace(config, **{part: replace(tower, **changes)})
    return config


def build_model(context: Context) -> DualEncoder:
    """A model of the stage's sizes: freshly initialised, then parts taken from where `start` says, then frozen."""
    model = initialise(DualEncoder(model_config(context.config)))
    for part, source in context.config.start.items():
        take_part(model, context.load(source), part)
    freeze(model, context.config.freeze)
    model.set_gradient_checkpointing(context.config.gradient_checkpointing)
    return model


def take_part(model: DualEncoder, source: DualEncoder, part: str) -> None:
    """Copy the image side, the text side, or all of `source` into `model`. Raises UsageError where shapes differ."""
    wanted = {"image": ("vision.", "visual_projection.", "logit_scale"), "text": ("text.",), "all": ("",)}[part]
    own, weights = model.state_dict(), source.state_dict()
    for name, weight in weights.items():
        if not name.startswith(wanted):
            continue
        if name not in own or own[name].shape != weight.shape:
            shape = tuple(own[name].shape) if name in own else "nothing"
            raise UsageError(f"start.{part}: {name} is {tuple(weight.shape)} there and {shape} here: choose equal sizes")
        own[name].copy_(weight)


def freeze(model: DualEncoder, patterns: list[str]) -> None:
    """No gradients for parameters that match a pattern. Raises UsageError for a pattern that matches none."""
    for pattern in patterns:
        matched = [weight for name, weight in model.named_parameters() if re.search(pattern, name)]
        if not matched:
            raise UsageError(f"freeze: no parameter matches {pattern!r}")
        for weight in matched:
            weight.requires_grad_(False)


def read(context: Context, file: LabelsFile) -> Labels:
    """A labels file less the names that the recipe leaves out."""
    labels = read_labels(context.data / file.path, file.key, file.fields)
    return left_out(context).clean_labels(labels)


def left_out(context: Context) -> LeftOut:
    every = context.recipe.leave_out_every
    if not every:
        return LeftOut({})
    file = next(d.labels for stage in context.recipe.stages.values() for d in stage.pairs if d.labels)
    return LeftOut.every(read_labels(context.data / file.path, file.key, file.fields), every)


def pair_source(context: Context, data: PairData) -> PairSource:
    columns = [data.image, *([data.label] if data.label else data.captions.values()), *data.exclude]
    rows = open_rows(context.data / data.path, columns=columns)
    for column, values in data.exclude.items():
        cells, unwanted = rows[column], set(values)
        rows = rows.select([index for index, cell in enumerate(cells) if cell not in unwanted])
    if data.labels and data.label:
        texts = ClassNames(read(context, data.labels), data.label, data.labels.languages, data.labels.template_share)
        return PairSource(data.path, rows, texts, data.image, data.weight)
    return PairSource(data.path, rows, Captions(dict(data.captions)), data.image, data.weight)


def parallel_sources(context: Context, data: ParallelData) -> list[ParallelSource]:
    if data.path and data.language:
        source = read_pairs(context.data / data.path, data.language)
        return [left_out(context).clean_pairs(source)._replace(weight=data.weight)]
    if data.labels is None:
        return []
    labels = read(context, data.labels)
    return [name_pairs(labels, lang, data.labels.template_share, data.weight) for lang in data.labels.languages]



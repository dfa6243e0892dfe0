"""What a stage will cost, from sizes alone: nothing is loaded, and the model is built without memory (meta device).

Arithmetic: a forward pass takes two operations a weight and token, and attention 4 L d more a token and layer; a
backward pass twice that; features computed anew (pieces, gradient checkpointing) once that again. Embedding tables cost
none. Memory: float32 weights, gradients and optimizer state, and activations of 34 d bytes a token and layer in half
precision (Korthikanti et al. 2022, section 4.1, without the attention matrices that torch's attention does not keep).
Time: a stated share of the device's speed. Texts are counted at their full length, so all figures are upper bounds.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch
from torch import nn

from altclip.checkpoints.hub import REPOSITORIES
from altclip.models import DualEncoder, TextConfig, VisionConfig, preset
from altclip.train.config import Recipe, StageConfig
from altclip.train.estimate_pictures import drawing_parts, forward_cost, text_length
from altclip.train.optimizers import check_groups
from altclip.train.stages.build import empty_model, freeze_patterns
from altclip.train.stages.sizes import config_at, model_config

A100: Final = 312e12 * 0.4  # operations a second: bfloat16, two fifths of what the maker states
_GIGA: Final = 1e9


@dataclass(frozen=True)
class Estimate:
    """Of one stage. samples: pairs, each as often as it is seen; memory: bytes in each process; operations: in all."""

    parameters: int
    trained: int
    samples: int
    text_tokens: int
    image_tokens: int
    memory: float
    operations: float

    def hours(self, speed: float) -> float:
        """Hours on one device of `speed` operations a second."""
        return self.operations / speed / 3600


def estimate(recipe: Recipe, stage: StageConfig) -> Estimate:
    """The cost of a stage. Raises as building its model does."""
    if stage.kind == "denoise":
        return _of_drawing(recipe, stage)
    model, config = empty_model(stage, recipe), model_config(stage, recipe)
    check_groups([name for name, weight in model.named_parameters() if weight.requires_grad], stage.optimizer)
    vision, text = config.vision or VisionConfig(), config.text or TextConfig()
    samples = stage.steps * stage.batch_size
    length = min(stage.max_text_tokens or text.max_length, text.max_length)
    texts, images = samples * (2 if stage.kind == "distill" else 1), images_encoded(stage)
    image_tokens = round(images * mean_image_tokens(stage, vision))
    operations = image_tokens * _forward(vision, image_tokens / max(1, images)) * _passes(model, stage, "vision")
    operations += texts * length * _forward(text, length) * _passes(model, stage, "text")
    if stage.kind == "distill":
        teacher = teacher_tower(recipe, stage) or text
        operations += samples * length * _forward(teacher, length)
    weights = {name: weight.numel() for name, weight in model.named_parameters()}
    trained = sum(weight.numel() for weight in model.parameters() if weight.requires_grad)
    return Estimate(
        sum(weights.values()), trained, samples, texts * length, image_tokens,
        _memory(recipe, stage, model, sum(weights.values()), trained, length), operations,
    )  # fmt: skip


def _of_drawing(recipe: Recipe, stage: StageConfig) -> Estimate:
    """Of a stage that draws: the UNet counted by torch, the text tower as for the others."""
    unet, sizes, text = drawing_parts(recipe, stage)
    trained = nn.ModuleDict({"unet": unet})
    freeze_patterns(trained, stage.freeze)
    weights = {name: weight for name, weight in trained.named_parameters() if weight.requires_grad}
    check_groups(list(weights), stage.optimizer)
    samples, length = stage.steps * stage.batch_size, text_length(stage, text)
    once, values = forward_cost(unet, sizes, length)
    operations = samples * ((3 + (stage.accumulate > 1)) * once + length * _forward(text, length))
    every, some = (sum(w.numel() for w in group) for group in (trained.parameters(), weights.values()))
    piece = stage.batch_size / recipe.processes / stage.accumulate
    memory = 4 * every + (12 + 4 * bool(stage.ema)) * some + piece * values * (4 if recipe.precision == "no" else 2)
    tokens = (sizes.side // sizes.patch) ** 2
    return Estimate(every, some, samples, samples * length, samples * tokens, memory, operations)


def images_encoded(stage: StageConfig) -> int:
    """Images that go through the tower: each once where embeddings are cached and the recipe says how many."""
    samples = stage.steps * stage.batch_size
    if stage.kind == "distill":
        return 0
    rows = [data.expected_rows for data in stage.pairs]
    known = [count for count in rows if count]
    return min(samples, sum(known)) if stage.kind == "align" and not stage.live and len(known) == len(rows) else samples


def mean_image_tokens(stage: StageConfig, vision: VisionConfig) -> float:
    """Tokens of an image, on average over the steps: patches and the class token."""
    mean, before = 0.0, 0.0
    for share, size in [*stage.augment.sizes, (1.0, vision.image_size)]:
        mean += max(0.0, share - before) * ((size // vision.patch_size) ** 2 + 1)
        before = max(before, share)
    return mean


def teacher_tower(recipe: Recipe, stage: StageConfig) -> TextConfig | None:
    """The text tower of the teacher: of a stage, of a folder, or of a preset's released weights; None if unknown."""
    if stage.teacher in recipe.stages:
        return model_config(recipe.stages[stage.teacher], recipe).text
    names = {repository: name for name, repository in REPOSITORIES.items()}
    if stage.teacher in names:
        return preset(names[stage.teacher]).text
    return config_at(stage.teacher).text if stage.teacher and Path(stage.teacher).is_dir() else None


def speed_here(seconds: float = 0.3) -> float:
    """Operations a second of this machine's CPU in training: half of what a product of 1024 x 1024 matrices reaches."""
    a = torch.rand(1024, 1024)
    a @ a  # the first product starts the threads
    products, began = 0, time.perf_counter()
    while time.perf_counter() - began < seconds:
        a @ a
        products += 1
    return 0.5 * products * 2 * 1024**3 / (time.perf_counter() - began)


def _forward(tower: VisionConfig | TextConfig, length: float) -> float:
    """Operations a token. Of the last layer all tokens have keys and values, and one token the rest."""
    width, ahead = tower.hidden_size, 2 * tower.hidden_size * tower.intermediate_size
    whole = 2 * (4 * width**2 + ahead) + 4 * length * width
    last = 2 * 2 * width**2 + (2 * (2 * width**2 + ahead) + 4 * length * width) / max(1, length)
    return (tower.num_hidden_layers - 1) * whole + last


def _trains(model: DualEncoder, side: str) -> bool:
    return any(weight.requires_grad for name, weight in model.named_parameters() if name.startswith(f"{side}."))


def _passes(model: DualEncoder, stage: StageConfig, side: str) -> int:
    """Forward passes that a side's work amounts to."""
    if not _trains(model, side):
        return 1
    return 3 + (stage.accumulate > 1) + stage.gradient_checkpointing


def _memory(recipe: Recipe, stage: StageConfig, model: DualEncoder, weights: int, trained: int, length: int) -> float:
    """Bytes in one of the processes that the recipe counts with."""
    averages = 4 * trained if stage.ema else 0
    piece = stage.batch_size / recipe.processes / stage.accumulate
    of_value = 4 if recipe.precision == "no" else 2
    kept = 0.0
    config = model.config
    for side, tower in (("vision", config.vision), ("text", config.text)):
        if tower is None or not _trains(model, side):
            continue
        tokens = length * (2 if stage.kind == "distill" else 1)
        if isinstance(tower, VisionConfig):
            tokens = tower.grid_size**2 + 1
        layers, width = tower.num_hidden_layers, tower.hidden_size
        values = 34 + layers if stage.gradient_checkpointing else 17 * layers  # of a token, in units of its width
        kept += piece * tokens * width * of_value * values
    similarities = 0 if stage.kind == "distill" else 4 * 4 * stage.batch_size**2  # and what the loss makes of them
    return 4 * weights + 12 * trained + averages + kept + similarities

"""The estimate of cost, against counts by hand and torch's own counter."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from altclip.errors import UsageError
from altclip.models import DualEncoder
from altclip.train.estimate import A100, estimate, images_encoded, mean_image_tokens, speed_here, teacher_tower
from altclip.train.loading import load_recipe
from altclip.train.stages.build import empty_model
from altclip.train.stages.sizes import model_config
from tests.train import made

BIG = {"hidden_size": 256, "intermediate_size": 1024, "num_attention_heads": 4, "num_hidden_layers": 4}


def cost(name: str, **changes: Any) -> Any:
    recipe = made.recipe({name: changes})
    return estimate(recipe, recipe.stages[name])


def counted(model: DualEncoder, texts: int, length: int, images: int) -> int:
    """What torch counts for a forward pass."""
    with FlopCounterMode(display=False) as counter, torch.device("meta"):
        if texts:
            model.encode_text(torch.ones(texts, length, dtype=torch.long), None)
        if images:
            model.encode_image(torch.ones(images, 3, 64, 64))
    return counter.get_total_flops()


def test_operations_are_those_that_torch_counts() -> None:
    """Of forward and backward passes of both towers: three times a forward pass, up to the small rest (heads)."""
    changes = {
        "vision": {**made.VISION, **BIG, "image_size": 64},
        "text": {**made.TEXT, **BIG},
        "batch_size": 4,
        "steps": 1,
    }
    found = cost("teacher", **changes, max_text_tokens=20)
    model = empty_model(made.recipe({"teacher": changes}).stages["teacher"])
    assert found.operations == pytest.approx(3 * counted(model, 4, 20, 4), rel=0.05)


def test_counts() -> None:
    found = cost("teacher", max_text_tokens=10)
    model = empty_model(made.recipe().stages["teacher"])
    assert found.parameters == found.trained == sum(weight.numel() for weight in model.parameters())
    assert (found.samples, found.text_tokens, found.image_tokens) == (96, 960, 96 * 5)


def test_distillation_counts_both_sides_and_the_teacher() -> None:
    found, without = cost("student", max_text_tokens=10), cost("align", max_text_tokens=10, live=True)
    assert (found.text_tokens, found.image_tokens) == (2 * 960, 0)
    assert found.trained < found.parameters
    text = without.operations - 96 * 5 * without_forward()
    teacher = text / 3  # the same sizes, forward alone
    assert found.operations == pytest.approx(2 * text + teacher, rel=0.02)


def without_forward() -> float:
    """Operations a token of the tiny image tower: two layers of width 16 and 32, 5 tokens."""
    first = 2 * (4 * 16**2 + 2 * 16 * 32) + 4 * 5 * 16
    last = 2 * 2 * 16**2 + (2 * (2 * 16**2 + 2 * 16 * 32) + 4 * 5 * 16) / 5  # keys and values of all, the rest of one
    return first + last


def test_pieces_and_checkpointing_cost_a_forward_pass_each() -> None:
    plain, pieces, both = (
        cost("align", live=True, text={**made.TEXT, **BIG}, **changes)
        for changes in ({}, {"accumulate": 2}, {"accumulate": 2, "gradient_checkpointing": True})
    )
    assert pieces.operations - plain.operations == pytest.approx(both.operations - pieces.operations)
    assert pieces.memory < plain.memory
    assert both.memory < pieces.memory


def test_what_is_averaged_frozen_or_shared_shows_in_the_memory() -> None:
    plain = cost("teacher")
    assert cost("teacher", ema=0.9).memory - plain.memory == 4 * plain.trained
    assert cost("teacher", freeze=["^vision"]).memory < plain.memory
    recipe = made.recipe(processes=4)
    assert estimate(recipe, recipe.stages["teacher"]).memory < plain.memory
    recipe = made.recipe(precision="bf16")
    assert estimate(recipe, recipe.stages["teacher"]).memory < plain.memory


def test_images_are_encoded_once_where_they_are_cached_and_counted() -> None:
    pairs = [{**made.ALIGN["pairs"][0], "expected_rows": 30}]
    stages = [
        made.recipe({"align": changes}).stages["align"]
        for changes in ({}, {"pairs": pairs}, {"pairs": pairs, "live": True}, {"pairs": pairs, "steps": 1})
    ]
    assert [images_encoded(stage) for stage in stages] == [96, 30, 96, 12]


def test_small_images_count_less() -> None:
    stage = made.recipe({"teacher": {"augment": {"sizes": [[0.5, 8]]}}}).stages["teacher"]
    vision = model_config(stage).vision
    assert vision is not None
    assert mean_image_tokens(stage, vision) == pytest.approx(0.5 * 2 + 0.5 * 5)


def test_the_teacher_is_known_by_stage_or_by_released_weights() -> None:
    recipe = load_recipe("altclip")
    teacher = teacher_tower(recipe, recipe.stages["distill"])
    assert teacher is not None
    assert (teacher.hidden_size, teacher.num_hidden_layers) == (768, 12)
    tiny = made.recipe({"student": {"teacher": "someone/else"}})
    assert teacher_tower(tiny, tiny.stages["student"]) is None
    assert estimate(tiny, tiny.stages["student"]).operations > 0


def test_hours_follow_from_operations_and_speed() -> None:
    assert cost("teacher").hours(A100) == pytest.approx(cost("teacher").operations / A100 / 3600)
    assert 1e8 < speed_here(0.02) < 1e14


def test_mistakes_that_building_would_meet() -> None:
    with pytest.raises(UsageError, match="freeze: no parameter"):
        cost("teacher", freeze=["^txt"])
    with pytest.raises(UsageError, match="no trained parameter"):
        cost("teacher", optimizer={"groups": {"^txt": 1.0}})

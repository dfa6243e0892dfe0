"""What each kind of stage trains and holds still, and where its model's weights come from."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from altclip.checkpoints import load_model, save_model
from altclip.errors import ConfigError, LayoutError, UsageError
from altclip.models import DualEncoder, ModelConfig, TextConfig, heads_of, initialise
from altclip.train.config import StageConfig
from altclip.train.stages import STAGES
from altclip.train.stages.build import build_model, freeze, take_part, train_mode
from altclip.train.stages.sizes import model_config
from tests.train import made
from tests.train.conftest import Open


def trained_parts(model: nn.Module) -> set[str]:
    return {name.split(".")[0] for name, weight in model.named_parameters() if weight.requires_grad}


def test_each_kind_holds_still_what_it_must(context: Open) -> None:
    sides = {name: trained_parts(build_model(context(name))) for name in made.RECIPE["stages"]}
    assert sides["teacher"] == {"vision", "visual_projection", "text", "logit_scale"}
    assert sides["student"] == {"text"}
    assert sides["align"] == {"text", "logit_scale"}


def test_frozen_by_pattern(context: Open) -> None:
    model = build_model(context("teacher", freeze=[r"^vision\.", r"layers\.0\."]))
    still = {name for name, weight in model.named_parameters() if not weight.requires_grad}
    assert {n for n in still if n.startswith("vision.")} == {
        n for n, _ in model.named_parameters() if n.startswith("vision.")
    }
    assert "text.tower.layers.0.expand.weight" in still
    assert "text.tower.layers.1.expand.weight" not in still


@pytest.mark.parametrize(("pattern", "message"), [("^txt", r"matches '\^txt'"), (".", "nothing is left to train")])
def test_patterns_that_cannot_be(pattern: str, message: str, context: Open) -> None:
    with pytest.raises(UsageError, match=message):
        build_model(context("teacher", freeze=[pattern]))


def test_a_frozen_tower_is_in_eval_mode(context: Open) -> None:
    """FIDELITY, fact 11; also where a pattern freezes it, and for a part of a tower."""
    model = build_model(context("teacher", freeze=[r"^vision\.", r"^text\.tower\.layers\.0\."]))
    train_mode(model)
    assert not any(part.training for part in model.vision.modules())
    assert not any(part.training for part in model.text.tower.layers[0].modules())
    assert model.get_submodule("text.tower.layers.1.attention").training
    assert model.training


def test_frozen_weights_do_not_move_and_others_do(trained: Path) -> None:
    teacher, student, align = (
        load_model(trained / name / "model").state_dict() for name in ("teacher", "student", "align")
    )
    for name, weight in align.items():
        if name.startswith(("vision.", "visual_projection.")):
            assert torch.equal(weight, teacher[name])
        elif name.startswith("text.") and not name.endswith(("types.weight", "positions.weight", "key.bias")):
            assert not torch.equal(weight, student[name]), name


# --- where it starts ---


def clip(**text: Any) -> DualEncoder:
    sizes = {**made.TEXT, "architecture": "clip", "type_vocab_size": 0, **text}
    config = replace(
        model_config(made.recipe().stages["student"]), text=TextConfig.from_dict(sizes), heads=heads_of("clip")
    )
    return initialise(DualEncoder(config))


def test_the_image_side_of_a_clip(context: Open, tmp_path: Path) -> None:
    save_model(source := clip(), tmp_path / "clip")
    model = build_model(context("align", start={"image": str(tmp_path / "clip")}))
    assert torch.equal(model.vision.patches.weight, source.vision.patches.weight)
    assert torch.equal(model.visual_projection.weight, source.visual_projection.weight)
    assert model.text.tower.words.weight.shape == (made.VOCABULARY, 16)


@pytest.mark.parametrize("family", ["xlm-roberta", "bert"])
def test_a_text_tower_alone_leaves_the_head_fresh(family: str, context: Open, tmp_path: Path) -> None:
    """XLM-R and BERT as transformers writes them, with heads of their own that are left aside."""
    import transformers

    sizes: dict[str, Any] = {key: made.TEXT[key] for key in made.TEXT if key != "project_dim"}
    kinds: dict[str, Any] = {
        "xlm-roberta": (transformers.XLMRobertaConfig, transformers.XLMRobertaForMaskedLM, "roberta"),
        "bert": (transformers.BertConfig, transformers.BertForMaskedLM, "bert"),
    }
    config, build, prefix = kinds[family]
    extra: dict[str, Any] = (
        {"pad_token_id": 1, "type_vocab_size": 1} if family == "xlm-roberta" else {"pad_token_id": 0}
    )
    theirs = build(config(**sizes, **extra))
    theirs.save_pretrained(tmp_path / "tower")
    changes = {"model": "mini"} if family == "xlm-roberta" else {"model": "taiyi"}
    stage = context("align", start={"text": str(tmp_path / "tower")}, **changes)
    model = build_model(stage)
    words = getattr(theirs, prefix).embeddings.word_embeddings.weight
    assert torch.equal(model.text.tower.words.weight, words)
    head = model.text.projections["text_projection"] if family == "xlm-roberta" else model.text.pooler
    assert isinstance(head, nn.Linear)
    assert head.weight.std() > 0


def test_a_part_that_is_not_there(context: Open, tmp_path: Path) -> None:
    tower = initialise(DualEncoder(ModelConfig(None, TextConfig.from_dict(made.TEXT), heads={})))
    with pytest.raises(UsageError, match=r"start\.image: the model there has no such part"):
        take_part(build_model(context("teacher")), tower, "image")


def test_sizes_must_agree(context: Open, tmp_path: Path) -> None:
    save_model(clip(), tmp_path / "clip")
    changed = {**made.VISION, "hidden_size": 32}
    with pytest.raises(UsageError, match=r"start\.image: vision\..* is \(.*16.*\) there, \(.*32.*\) here"):
        build_model(context("align", start={"image": str(tmp_path / "clip")}, vision=changed))


def test_widths_of_the_two_sides_must_agree() -> None:
    stage = StageConfig.model_validate({**made.ALIGN, "model": "taiyi", "projection_dim": 20})
    with pytest.raises(ConfigError, match="texts are 16 wide, images 20"):
        model_config(stage)


def test_a_model_that_could_not_be_saved_is_refused_at_the_start() -> None:
    text = {**made.TEXT, "architecture": "bert"}
    with pytest.raises(LayoutError, match="no layout holds"):
        model_config(StageConfig.model_validate({**made.ALIGN, "text": text}))


def test_every_kind_of_stage_is_known() -> None:
    assert STAGES.keys() == {"contrastive", "distill", "align", "denoise"}


def test_freezing_is_told_by_the_kind() -> None:
    model = clip()
    freeze(model, made.recipe().stages["align"])
    assert trained_parts(model) == {"text", "logit_scale"}

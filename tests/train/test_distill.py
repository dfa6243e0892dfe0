"""Distillation: texts in groups of like length, a teacher with its own tokenizer, what is compared and counts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from altclip.checkpoints import load_model
from altclip.errors import ConfigError
from altclip.models import TextConfig
from altclip.processing import Tokenizer
from altclip.train.stages import distill as distilling
from altclip.train.stages.build import build_model
from altclip.train.stages.distill import Distill
from altclip.train.stages.texts import check_tokenizer, text_features, tokenize
from tests.train import made
from tests.train.conftest import Open
from tests.train.test_recipes import write_bert_tokenizer, write_teacher


@pytest.mark.parametrize("count", [1, 5, 40, 100])
def test_groups_of_like_length_change_nothing(count: int, context: Open) -> None:
    """Every text has the feature that it has alone, in the order given."""
    opened = context("student")
    model = build_model(opened).eval()
    texts = [" ".join(["red boat"] * (1 + 7 * n % 11)) for n in range(count)]
    ids, mask = tokenize(opened.tokenizer, texts, 30)
    features = text_features(model, ids, mask)
    for row, text in enumerate(texts[:12]):
        alone = model.encode_text(*tokenize(opened.tokenizer, [text], 30))
        torch.testing.assert_close(features[row : row + 1], alone, atol=1e-5, rtol=1e-4)


def test_padding_is_spared(context: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = context("student")
    model = build_model(opened).eval()
    ids, mask = tokenize(opened.tokenizer, ["red"] * 63 + ["the red boat " * 6], 38)
    seen: list[tuple[int, bool]] = []
    real = model.encode_text

    def encode(ids: torch.Tensor, mask: torch.Tensor | None, head: Any) -> torch.Tensor:
        seen.append((ids.numel(), mask is None))
        return real(ids, mask, head)

    monkeypatch.setattr(model, "encode_text", encode)
    text_features(model, ids, mask)
    assert sum(tokens for tokens, _ in seen) < ids.numel() / 2
    assert [unmasked for _, unmasked in seen] == [True, True, True, False]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"vocab_size": 100}, r"the tokenizer has \d+ ids, the text tower 100"),
        ({"vocab_size": 500, "pad_token_id": 0}, "pads with id 1"),
        ({"vocab_size": 500, "architecture": "clip", "eos_token_id": 9}, "ends texts with id 3"),
    ],
)
def test_a_tokenizer_that_does_not_fit(changes: dict[str, Any], message: str, world: Path) -> None:
    tokenizer = Tokenizer.from_folder(world / "words")
    config = TextConfig.from_dict({**made.TEXT, **changes})
    with pytest.raises(ConfigError, match=message):
        check_tokenizer(tokenizer, config, "student")


def test_the_teacher_has_a_tokenizer_of_its_own(context: Open, tmp_path: Path) -> None:
    """CLIP's ids mean nothing to XLM-R, and the other way round: features are those the teacher gives alone."""
    write_teacher(tmp_path / "teacher")
    opened = context("student", teacher=str(tmp_path / "teacher"), projection_dim=768, start={})
    stage = Distill(opened)
    teacher, tokenizer = load_model(tmp_path / "teacher"), Tokenizer.from_folder(tmp_path / "teacher")
    assert tokenizer.encode("the red boat") != opened.tokenizer.encode("the red boat")
    ids, mask = tokenize(tokenizer, ["the red boat"], 30)
    expected = teacher.encode_text(ids, mask)
    torch.testing.assert_close(stage.teacher(["the red boat"]), expected)


def test_both_sides_have_the_teachers_feature_of_the_english(context: Open) -> None:
    stage = Distill(context("student"))
    batch = stage.batch(0)
    pairs, _ = stage.pairs(0)
    english = list(dict.fromkeys(pair.english for pair in pairs))
    assert len(batch.ids) == len(english) + len(pairs)
    expected = stage.teacher([pair.english for pair in pairs[:1]])[0]
    assert torch.equal(batch.targets[0], expected)
    assert torch.equal(batch.targets[len(english)], expected)
    assert batch.counts.sum() == 2 * len(pairs)


def test_an_english_text_goes_through_once_and_counts_as_often_as_it_stands(context: Open) -> None:
    """The loss is that of the plain way: every pair's two texts."""
    stage = Distill(context("student", batch_size=30, parallel=[{"path": "en-zh.tsv", "language": "zh"}] * 2))
    stage.trained.eval()
    batch = stage.batch(0)
    pairs, _ = stage.pairs(0)
    texts = [pair.english for pair in pairs] + [pair.other for pair in pairs]
    assert len(batch.ids) < len(texts)
    ids, mask = tokenize(stage.context.tokenizer, texts, 30)
    targets = torch.stack([stage.teacher([pair.english])[0] for pair in pairs] * 2)
    plain = torch.nn.functional.mse_loss(stage.trained.encode_text(ids, mask), targets)
    loss, measures = stage.loss(stage.module(batch), batch)
    assert loss.item() == pytest.approx(plain.item(), rel=1e-5)
    cosine = torch.cosine_similarity(stage.trained.encode_text(ids, mask), targets).mean()
    assert measures["cosine"].item() == pytest.approx(cosine.item(), rel=1e-4)


def test_each_english_text_is_encoded_once(context: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Distill(context("student"))
    encoded: list[str] = []
    real = stage.teacher._encode

    def encode(texts: list[str]) -> torch.Tensor:
        encoded.extend(texts)
        return real(texts)

    monkeypatch.setattr(stage.teacher, "_encode", encode)
    first = [stage.batch(step) for step in range(4)]
    assert len(encoded) == len(set(encoded))
    again = stage.batch(0)
    assert torch.equal(again.targets, first[0].targets)


def test_what_does_not_fit_into_memory_is_computed_again(context: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distilling, "_KEPT", 1)
    stage = Distill(context("student"))
    first = stage.teacher(["the red boat"])
    stage.teacher(["the blue boat"])
    assert stage.teacher.known.keys() == {"the red boat"}
    assert torch.equal(stage.teacher(["the red boat"]), first)


def test_the_teacher_is_frozen_and_in_eval_mode(context: Open) -> None:
    teacher = Distill(context("student")).teacher.model
    assert not teacher.training
    assert not any(weight.requires_grad for weight in teacher.parameters())


def test_pooled_vectors_are_compared_before_the_projection_which_is_the_teachers(context: Open) -> None:
    stage = Distill(context("student", teacher_vector="pooled"))
    own, given = (
        model.get_parameter("text.projections.text_projection.weight") for model in (stage.trained, stage.teacher.model)
    )
    assert torch.equal(own, given)
    assert not own.requires_grad
    batch = stage.batch(0)
    assert torch.allclose(batch.targets @ given.T, Distill(context("student")).batch(0).targets, atol=1e-5)


def test_a_bert_tokenizer_fits_taiyi(tmp_path: Path) -> None:
    write_bert_tokenizer(tmp_path / "words")
    tokenizer = Tokenizer.from_folder(tmp_path / "words")
    check_tokenizer(tokenizer, TextConfig.from_dict({**made.TEXT, "architecture": "bert", "pad_token_id": 0}), "taiyi")
    assert tokenizer.pad_token_id == 0

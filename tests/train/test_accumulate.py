"""Gradients in pieces: all negatives stay, and dropout falls on the same units both times (FIDELITY, fact 10)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from altclip.train import accumulate
from altclip.train.accelerating import open_accelerator
from altclip.train.accumulate import backward, random_state, set_random_state
from altclip.train.run import open_context
from altclip.train.stages import STAGES, Stage
from altclip.train.stages.build import train_mode
from altclip.train.state import seed_everything
from tests.train import made

DROPOUT = {**made.TEXT, "hidden_dropout_prob": 0.3, "attention_probs_dropout_prob": 0.2}
CLIP_DROPOUT = {**made.TEXT, "attention_probs_dropout_prob": 0.3}


class Setting:
    """A stage with dropout, its accelerator and a batch."""

    def __init__(self, name: str, world: Path, output: Path, precision: str = "no") -> None:
        changes: dict[str, dict[str, Any]] = {"student": {"text": DROPOUT}, "align": {"text": DROPOUT, "start": {}}}
        changes["teacher"] = {"text": CLIP_DROPOUT, "vision": {**made.VISION, "attention_dropout": 0.3}}
        recipe = made.recipe(changes, precision=precision)
        self.accelerator = open_accelerator(recipe, "cpu")
        context = open_context(recipe, recipe.stages[name], world, output, self.accelerator, print)
        seed_everything(1)
        self.stage: Stage[Any] = STAGES[recipe.stages[name].kind](context)
        self.module = self.accelerator.prepare(self.stage.module)
        train_mode(self.module)
        self.batch = next(self.stage.batches(0, 1, {}))

    def gradients(self) -> dict[str, Tensor]:
        """Taken, and removed."""
        named = dict(self.stage.trained.named_parameters())
        found = {name: weight.grad.clone() for name, weight in named.items() if weight.grad is not None}
        self.stage.trained.zero_grad()
        return found

    def in_pieces(self, pieces: int) -> tuple[float, dict[str, Tensor]]:
        torch.manual_seed(3)
        loss, measures = backward(self.stage, self.module, self.batch, pieces, self.accelerator)
        assert not loss.requires_grad
        assert not any(value.requires_grad for value in measures.values())
        return loss.item(), self.gradients()

    def by_hand(self, pieces: int) -> tuple[float, dict[str, Tensor]]:
        """The same pieces with the same dropout, kept in one graph."""
        torch.manual_seed(3)
        parts = [self.module(part) for part in self.stage.split(self.batch, pieces)]
        features = {
            name: torch.cat([part[name] for part in parts]) if value.ndim else value for name, value in parts[0].items()
        }
        loss, _ = self.stage.loss(features, self.batch)
        loss.backward()
        return loss.item(), self.gradients()


@pytest.fixture(params=["teacher", "student", "align"])
def setting(request: pytest.FixtureRequest, world: Path, trained: Path) -> Setting:
    return Setting(request.param, world, trained)


def assert_equal(found: tuple[float, dict[str, Tensor]], expected: tuple[float, dict[str, Tensor]]) -> None:
    assert found[0] == pytest.approx(expected[0], abs=1e-6)
    assert found[1].keys() == expected[1].keys()
    for name, gradient in expected[1].items():
        torch.testing.assert_close(found[1][name], gradient, atol=1e-6, rtol=1e-4, msg=name)


@pytest.mark.parametrize("pieces", [1, 2, 3, 5])
def test_pieces_have_the_loss_and_gradients_of_one_graph(pieces: int, setting: Setting) -> None:
    """12 rows in 5 pieces of unequal length too."""
    assert_equal(setting.in_pieces(pieces), setting.by_hand(pieces))


def test_dropout_is_at_work(setting: Setting) -> None:
    """Otherwise the test above would say nothing of it."""
    first, second = (setting.stage.loss(setting.module(setting.batch), setting.batch)[0].item() for _ in range(2))
    assert first != second


def test_without_the_replay_gradients_would_be_others(setting: Setting, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = setting.by_hand(3)
    monkeypatch.setattr(accumulate, "set_random_state", lambda *_: None)
    _, gradients = setting.in_pieces(3)
    assert any(not torch.allclose(gradients[name], expected[1][name], atol=1e-4) for name in gradients)


def test_the_random_state_goes_on_after_the_pieces(setting: Setting) -> None:
    """Two steps in a row draw different dropout."""
    torch.manual_seed(3)
    backward(setting.stage, setting.module, setting.batch, 2, setting.accelerator)
    first = random_state(torch.device("cpu"))
    backward(setting.stage, setting.module, setting.batch, 2, setting.accelerator)
    assert not torch.equal(first[0], random_state(torch.device("cpu"))[0])
    set_random_state(first, torch.device("cpu"))
    assert torch.equal(first[0], torch.get_rng_state())


def test_every_text_is_a_negative_of_every_image(world: Path, trained: Path) -> None:
    """The loss in 6 pieces of 2 pairs is that of 12 pairs, far above that of 2."""
    setting = Setting("align", world, trained)
    setting.module.eval()
    assert setting.in_pieces(6)[0] == pytest.approx(setting.in_pieces(1)[0], abs=1e-6)
    assert setting.in_pieces(6)[0] > 2


def test_bfloat16_on_the_cpu(world: Path, trained: Path) -> None:
    """Autocast is at work in both ways, and both agree to its precision; weights and gradients stay float32."""
    exact = Setting("teacher", world, trained)
    exact.module.eval()
    half = Setting("teacher", world, trained, precision="bf16")
    half.module.eval()
    loss, gradients = exact.in_pieces(1)
    for pieces in (1, 3):
        half_loss, half_gradients = half.in_pieces(pieces)
        assert half_loss == pytest.approx(loss, rel=0.02)
        assert half_loss != loss
        assert all(gradient.dtype == torch.float32 for gradient in half_gradients.values())
        norm, difference = (
            torch.cat([g.flatten() for g in tree]).norm()
            for tree in (gradients.values(), [gradients[name] - half_gradients[name] for name in gradients])
        )
        assert difference < 0.1 * norm

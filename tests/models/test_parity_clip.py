"""CLIP equals transformers' CLIPModel: features, hidden states, the two rules of the end token, gradients."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from altclip.checkpoints import load_model, open_checkpoint
from altclip.losses import contrastive_loss
from altclip.models import DualEncoder
from tests.models import oracles

Pair = tuple[DualEncoder, Any]


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    theirs = oracles.clip()
    return load_model(oracles.saved(theirs, tmp_path_factory.mktemp("clip"))), theirs


def mask(ids_BL: Tensor) -> Tensor:
    """Up to the first end token, as CLIP's tokenizer gives it."""
    ended_BL = (ids_BL == 98).long().cumsum(1)
    return ((ended_BL == 0) | (ended_BL.diff(dim=1, prepend=torch.zeros_like(ended_BL[:, :1])) == 1)).long()


@pytest.mark.parametrize("masked", [True, False])
def test_features_and_logits(pair: Pair, masked: bool) -> None:
    ours, theirs = pair
    ids_BL, pixels = oracles.clip_ids(), oracles.images()
    mask_BL = mask(ids_BL) if masked else None
    with torch.no_grad():
        expected = theirs(ids_BL, pixels, mask_BL)
        text, image = ours.encode_text(ids_BL, mask_BL), ours.encode_image(pixels)
        text, image = torch.nn.functional.normalize(text), torch.nn.functional.normalize(image)
        logits = ours.logit_scale.exp() * image @ text.T
    assert torch.allclose(text, expected.text_embeds, atol=1e-5)
    assert torch.allclose(image, expected.image_embeds, atol=1e-5)
    assert torch.allclose(logits, expected.logits_per_image, atol=1e-5)


def test_hidden_states_and_attentions(pair: Pair) -> None:
    ours, theirs = pair
    ids_BL = oracles.clip_ids()
    with torch.no_grad():
        expected = theirs.text_model(ids_BL, mask(ids_BL), output_hidden_states=True, output_attentions=True)
        states, attentions = ours.text.tower.states(ids_BL, mask(ids_BL), weights=True)
        final = ours.text.norms["final_norm"](states[-1])
    assert len(states) == 4
    # transformers 5 counts the final norm into the last hidden state
    assert all(torch.allclose(a, b, atol=1e-5) for a, b in zip(states[:-1], expected.hidden_states[:-1], strict=True))
    assert torch.allclose(final, expected.last_hidden_state, atol=1e-5)
    assert all(torch.allclose(a, b, atol=1e-5) for a, b in zip(attentions, expected.attentions, strict=True))


def test_no_token_sees_what_follows(pair: Pair) -> None:
    ours, _ = pair
    ids_BL = oracles.clip_ids()
    changed_BL = ids_BL.clone()
    changed_BL[:, 6:] = 50
    with torch.no_grad():
        before, after = ours.text.tower(ids_BL), ours.text.tower(changed_BL)
    assert torch.allclose(before[:, :6], after[:, :6], atol=1e-6)
    assert not torch.allclose(before[:, 6:], after[:, 6:], atol=1e-2)


def test_the_end_is_the_first_token_of_its_id(pair: Pair) -> None:
    ours, _ = pair
    assert ours.text.end_of_text(oracles.clip_ids()).tolist() == [10, 4, 7, 1]


def test_an_end_token_of_2_means_the_largest_id(tmp_path: Path) -> None:
    """Old configurations say 2, which is not the id in the texts; only then does the largest id count."""
    theirs = oracles.clip(text={"eos_token_id": 2})
    ours = load_model(oracles.saved(theirs, tmp_path))
    ids_BL = oracles.clip_ids(end=95)
    ids_BL[:, 0] = 2  # the configured id itself, which this rule passes over
    ids_BL[0, 3] = 97
    with torch.no_grad():
        expected = theirs.get_text_features(ids_BL).pooler_output
        assert torch.allclose(ours.encode_text(ids_BL), expected, atol=1e-5)
    assert ours.text.end_of_text(ids_BL).tolist() == [3, 4, 7, 1]


def test_a_text_without_an_end_token_is_read_at_its_start(pair: Pair) -> None:
    ours, theirs = pair
    ids_BL = torch.full((2, 5), 7)
    with torch.no_grad():
        assert torch.allclose(ours.encode_text(ids_BL), theirs.get_text_features(ids_BL).pooler_output, atol=1e-5)


@pytest.mark.parametrize("size", [(42, 42), (30, 48)])
def test_other_image_sizes(pair: Pair, size: tuple[int, int]) -> None:
    ours, theirs = pair
    pixels = oracles.images(*size)
    with torch.no_grad():
        expected = theirs.get_image_features(pixels, interpolate_pos_encoding=True).pooler_output
        assert torch.allclose(ours.encode_image(pixels, interpolate=True), expected, atol=1e-5)


def test_every_gradient_is_equal(pair: Pair, tmp_path: Path) -> None:
    ours, theirs = pair
    layout = open_checkpoint(oracles.saved(theirs, tmp_path)).layout
    ids_BL, pixels = oracles.clip_ids(), oracles.images()
    theirs.zero_grad()
    theirs(ids_BL, pixels, mask(ids_BL), return_loss=True).loss.backward()
    ours.zero_grad()
    text, image = ours.encode_text(ids_BL, mask(ids_BL)), ours.encode_image(pixels)
    contrastive_loss(image, text, ours.logit_scale.exp()).backward()
    a = {layout.theirs(name): p.grad for name, p in ours.named_parameters()}
    b = {layout.canonical(name): p.grad for name, p in theirs.named_parameters()}
    assert a.keys() == b.keys()
    for name, gradient in a.items():
        assert gradient is not None
        assert torch.allclose(gradient, b[str(name)], rtol=0, atol=1e-5), name

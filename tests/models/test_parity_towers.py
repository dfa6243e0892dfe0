"""The text towers equal transformers' XLMRobertaModel and BertModel."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from altclip.checkpoints import load_model
from altclip.models import DualEncoder, Head
from altclip.models.readout import TextEncoder
from tests.models import oracles

KINDS = {"XLMRobertaModel": 1, "BertModel": 0}  # and the id of padding


@pytest.fixture(scope="module", params=KINDS)
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[DualEncoder, Any, int]:
    theirs = oracles.text_tower(request.param, type_vocab_size=2)
    folder = oracles.saved(theirs, tmp_path_factory.mktemp(request.param))
    return load_model(folder), theirs, KINDS[request.param]


def test_hidden_states_with_padding(pair: tuple[DualEncoder, Any, int]) -> None:
    ours, theirs, pad = pair
    ids_BL = oracles.ids()
    ids_BL[ids_BL == oracles.PAD] = pad
    mask_BL = (ids_BL != pad).long()
    mask_BL[:, 0] = 1
    with torch.no_grad():
        expected = theirs(ids_BL, mask_BL, output_hidden_states=True).hidden_states
        states, _ = ours.text.tower.states(ids_BL, mask_BL)
    assert len(states) == len(expected) == 4
    assert all(torch.allclose(a, b, atol=1e-5) for a, b in zip(states, expected, strict=True))


def test_token_types_and_positions(pair: tuple[DualEncoder, Any, int]) -> None:
    ours, theirs, _ = pair
    ids_BL = oracles.ids(padded=False)
    types_BL = torch.tensor([[0] * 5 + [1] * 6] * 4)
    positions_BL = torch.arange(11).expand(4, -1) + 9
    with torch.no_grad():
        plain = theirs(ids_BL).last_hidden_state
        assert torch.allclose(ours.text.tower(ids_BL), plain, atol=1e-5)
        typed = theirs(ids_BL, token_type_ids=types_BL).last_hidden_state
        assert torch.allclose(ours.text.tower.states(ids_BL, types_BL=types_BL)[0][-1], typed, atol=1e-5)
        moved = theirs(ids_BL, position_ids=positions_BL).last_hidden_state
        assert torch.allclose(ours.text.tower.states(ids_BL, positions_BL=positions_BL)[0][-1], moved, atol=1e-5)
    assert not torch.allclose(plain, typed, atol=1e-2)
    assert not torch.allclose(plain, moved, atol=1e-2)


def test_positions_of_xlm_roberta_come_from_the_ids(tmp_path: Path) -> None:
    """They begin at the pad id + 1 and pass over padding, wherever it stands and whatever the mask says."""
    theirs = oracles.text_tower("XLMRobertaModel")
    ours = load_model(oracles.saved(theirs, tmp_path))
    ids_BL = torch.tensor([[1, 1, 0, 5, 6, 2], [0, 5, 1, 6, 2, 1]])
    assert ours.text.tower.position_ids(ids_BL).tolist() == [[1, 1, 2, 3, 4, 5], [2, 3, 1, 4, 5, 1]]
    with torch.no_grad():
        for mask_BL in (None, torch.ones_like(ids_BL), (ids_BL != 1).long()):
            expected = theirs(ids_BL, mask_BL).last_hidden_state
            assert torch.allclose(ours.text.tower(ids_BL, mask_BL), expected, atol=1e-5)


def test_the_pooler_of_bert(tmp_path: Path) -> None:
    """The read-out of Taiyi: `BertModel(...)[1]`."""
    theirs = oracles.text_tower("BertModel")
    loaded = load_model(oracles.saved(theirs, tmp_path))
    ids_BL = oracles.ids(padded=False)
    pooled = TextEncoder(loaded.text.config, {"retrieval": Head(pooler=True)}, 16)
    pooled.tower = loaded.text.tower
    assert pooled.pooler is not None
    pooled.pooler.load_state_dict(theirs.pooler.dense.state_dict())
    with torch.no_grad():
        assert torch.allclose(pooled(ids_BL), theirs(ids_BL)[1], atol=1e-5)


def test_the_mean_of_unmasked_tokens(tmp_path: Path) -> None:
    """The read-out of M-CLIP, as its code has it: (states * mask).sum / mask.sum, then a linear map."""
    theirs = oracles.text_tower("XLMRobertaModel")
    loaded = load_model(oracles.saved(theirs, tmp_path))
    head = Head(tokens="mean", linear="LinearTransformation")
    meant = TextEncoder(replace(loaded.text.config, project_dim=8), {"retrieval": head}, 16)
    meant.tower = loaded.text.tower
    ids_BL = oracles.ids()
    mask_BL = (ids_BL != oracles.PAD).long()
    with torch.no_grad():
        states = theirs(ids_BL, mask_BL).last_hidden_state
        mean = (states * mask_BL[..., None]).sum(1) / mask_BL.sum(1)[:, None]
        expected = meant.linears["LinearTransformation"](mean)
        assert torch.allclose(meant(ids_BL, mask_BL), expected, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_reach_no_padding_row(kind: str, tmp_path: Path) -> None:
    theirs = oracles.text_tower(kind)
    ours = load_model(oracles.saved(theirs, tmp_path)).text.tower
    ids_BL = oracles.ids()
    ids_BL[ids_BL == oracles.PAD] = KINDS[kind]
    for model, output in ((ours, ours(ids_BL)), (theirs, theirs(ids_BL).last_hidden_state)):
        model.zero_grad()
        (output**2).sum().backward()
    embeddings = theirs.embeddings
    for table, expected in ((ours.words, embeddings.word_embeddings), (ours.positions, embeddings.position_embeddings)):
        assert table.weight.grad is not None
        assert torch.allclose(table.weight.grad, expected.weight.grad, rtol=1e-4, atol=1e-4)
    assert ours.words.weight.grad is not None
    assert ours.words.weight.grad[KINDS[kind]].abs().sum() == 0

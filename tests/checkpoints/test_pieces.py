"""Tensors that lie in a file otherwise than a model has them: cut, turned, listed, and still memory-mapped."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from altclip.checkpoints.layouts.open_clip import OPENAI
from altclip.checkpoints.pieces import Piece, PiecesOf, in_pieces, pieces
from altclip.checkpoints.weights import Stored, Weights, open_weights

FUSED, BIAS = "visual.transformer.resblocks.3.attn.in_proj_weight", "transformer.resblocks.0.attn.in_proj_bias"


def tensors() -> dict[str, Tensor]:
    drawn = torch.Generator().manual_seed(0)
    shapes = {FUSED: (12, 4), BIAS: (6,), "visual.proj": (4, 3), "text_projection": (4, 3), "ln_final.bias": (4,)}
    return {name: torch.randn(shape, generator=drawn) for name, shape in shapes.items()}


@pytest.fixture(params=["safetensors", "pt"])
def weights(request: pytest.FixtureRequest, tmp_path: Path) -> Weights:
    if request.param == "pt":
        torch.save(tensors(), tmp_path / "weights.pt")
    else:
        save_file(tensors(), tmp_path / "weights.safetensors")
    return in_pieces(open_weights(tmp_path), OPENAI)


def names_of(key: str) -> list[str]:
    return [name for name, _ in pieces(OPENAI, key)]


def test_a_fused_tensor_has_three_names_and_others_keep_theirs() -> None:
    start = "visual.transformer.resblocks.3.attn."
    assert names_of(FUSED) == [f"{start}q_proj.weight", f"{start}k_proj.weight", f"{start}v_proj.weight"]
    assert names_of(f"module.{BIAS}")[1] == "module.transformer.resblocks.0.attn.k_proj.bias"
    assert names_of("ln_final.bias") == ["ln_final.bias"]


@pytest.mark.parametrize("release", [False, True])
def test_what_is_read_is_what_was_stored(weights: Weights, release: bool) -> None:
    read = dict(weights.read(list(weights.entries), release=release))
    stored = tensors()
    assert len(read) == 9
    for name, part in zip(names_of(FUSED), stored[FUSED].chunk(3), strict=True):
        assert torch.equal(read[name], part)
    for name, part in zip(names_of(BIAS), stored[BIAS].chunk(3), strict=True):
        assert torch.equal(read[name], part)
    for name in ("visual.proj", "text_projection"):
        assert torch.equal(read[name], stored[name].T)
        assert read[name].is_contiguous()
    assert torch.equal(read["ln_final.bias"], stored["ln_final.bias"])


def test_the_list_tells_shapes_as_they_will_be_read(weights: Weights) -> None:
    told = {name: row.shape for name, row in weights.entries.items()}
    assert told == {name: tuple(t.shape) for name, t in weights.read(list(weights.entries), release=False)}
    assert sum(row.nbytes for row in weights.entries.values()) == sum(t.nbytes for t in tensors().values())


def test_one_piece_may_be_read_alone(weights: Weights) -> None:
    name = names_of(FUSED)[2]
    ((found, tensor),) = weights.read([name], release=False)
    assert found == name
    assert torch.equal(tensor, tensors()[FUSED][8:])


def test_pieces_are_views_and_copy_nothing(weights: Weights) -> None:
    q, k, v = (tensor for _, tensor in weights.read(names_of(FUSED), release=False))
    assert q.untyped_storage().data_ptr() == k.untyped_storage().data_ptr() == v.untyped_storage().data_ptr()
    assert k.data_ptr() - q.data_ptr() == q.nbytes


def test_what_does_not_divide_is_misshapen_and_no_crash(tmp_path: Path) -> None:
    save_file({FUSED: torch.zeros(10, 4)}, tmp_path / "weights.safetensors")
    entries = PiecesOf(open_weights(tmp_path), OPENAI).entries
    assert {row.shape for row in entries.values()} == {(10, 4)}


def test_a_number_where_a_matrix_should_be_is_described() -> None:
    stored = Stored(Path("x"), (), torch.float32)
    assert Piece("x", 0, 3).described(stored).shape == ()
    assert Piece("x", transposed=True).described(stored).shape == ()


def test_layouts_without_pieces_read_the_file_itself(tmp_path: Path) -> None:
    save_file(tensors(), tmp_path / "weights.safetensors")
    plain = open_weights(tmp_path)
    assert in_pieces(plain, replace(OPENAI, fused=(), transposed=())) is plain

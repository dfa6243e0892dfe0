"""AltCLIP equals transformers' AltCLIPModel: every output and every gradient, to 1e-5 in float32."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from altclip import AltCLIPModel
from tests.models import oracles

Pair = tuple[AltCLIPModel, Any]


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    theirs = oracles.altclip()
    return AltCLIPModel.from_pretrained(oracles.saved(theirs, tmp_path_factory.mktemp("altclip"))), theirs


def inputs(**changes: Any) -> dict[str, Any]:
    ids_BL = oracles.ids()
    mask_BL = (ids_BL != oracles.PAD).long()
    return {"input_ids": ids_BL, "attention_mask": mask_BL, "pixel_values": oracles.images(), **changes}


def test_every_output_is_equal(pair: Pair) -> None:
    ours, theirs = pair
    call = inputs(return_loss=True, output_hidden_states=True, output_attentions=True)
    with torch.no_grad():
        a, b = ours(**call), theirs(**call)
    oracles.assert_equal(a, b)
    assert list(a) == list(b)
    assert {"loss", "logits_per_image", "logits_per_text", "text_embeds", "image_embeds"} <= a.keys()
    assert len(a.text_model_output.hidden_states) == 4
    assert len(a.vision_model_output.attentions) == 2
    assert a.logits_per_image.std() > 0.1  # a comparison of constants would prove nothing


@pytest.mark.parametrize(
    "change",
    [
        {"attention_mask": None},  # padding is then seen, but positions still count from the ids
        {"attention_mask": torch.ones(4, 11, dtype=torch.long)},
        {"attention_mask": torch.tensor([[1] * 3 + [0] * 8] * 4)},  # hides tokens that are no padding
        {"attention_mask": torch.tensor([[1, 0, 1, 1, 0, 1, 1, 1, 1, 1, 1]] * 4)},  # holes
        {"position_ids": torch.arange(11).flip(0).expand(4, -1) + 7},
        {"token_type_ids": torch.zeros(4, 11, dtype=torch.long)},
        {"input_ids": oracles.ids(padded=False), "attention_mask": None},
    ],
    ids=["no mask", "mask of ones", "short mask", "mask with holes", "position ids", "token types", "no padding"],
)
def test_masks_and_positions(pair: Pair, change: dict[str, Any]) -> None:
    ours, theirs = pair
    call = inputs(output_hidden_states=True, **change)
    with torch.no_grad():
        oracles.assert_equal(ours(**call), theirs(**call))


def test_padding_changes_nothing(pair: Pair) -> None:
    """A text alone and the same text beside a longer one."""
    ours, _ = pair
    ids_BL = oracles.ids()
    alone_1L = ids_BL[2:3, :7]
    with torch.no_grad():
        together = ours.get_text_features(ids_BL, (ids_BL != oracles.PAD).long())[2:3]
        assert torch.allclose(ours.get_text_features(alone_1L), together, atol=1e-5)


@pytest.mark.parametrize("size", [(30, 30), (42, 42), (48, 30), (30, 54), (33, 34), (12, 18), (6, 6)])
def test_other_image_sizes(pair: Pair, size: tuple[int, int]) -> None:
    ours, theirs = pair
    call = inputs(pixel_values=oracles.images(*size), interpolate_pos_encoding=True)
    with torch.no_grad():
        oracles.assert_equal(ours(**call), theirs(**call))
        features = theirs.get_image_features(call["pixel_values"], interpolate_pos_encoding=True).pooler_output
        ours_features = ours.get_image_features(call["pixel_values"], interpolate_pos_encoding=True)
    assert torch.allclose(ours_features, features, atol=1e-5)


@pytest.mark.parametrize("act", ["gelu", "quick_gelu", "gelu_new", "relu"])
def test_activations(act: str, tmp_path: Path) -> None:
    theirs = oracles.altclip(text={"hidden_act": act}, vision={"hidden_act": act})
    ours = AltCLIPModel.from_pretrained(oracles.saved(theirs, tmp_path))
    with torch.no_grad():
        oracles.assert_equal(ours(**inputs()), theirs(**inputs()))


def test_features_are_tensors_of_the_projected_width(pair: Pair) -> None:
    """As the model cards have it; transformers 5 returns objects, whose pooler_output is the same."""
    ours, theirs = pair
    call = inputs()
    pixels = call.pop("pixel_values")
    with torch.no_grad():
        text, image = ours.get_text_features(**call), ours.get_image_features(pixels)
        assert text.shape == image.shape == (4, 16)
        assert torch.allclose(text, theirs.get_text_features(**call).pooler_output, atol=1e-5)
        assert torch.allclose(image, theirs.get_image_features(pixels).pooler_output, atol=1e-5)
        assert torch.allclose(text, ours.dual.encode_text(call["input_ids"], call["attention_mask"]), atol=1e-6)


def gradients(model: Any, named: Any, spelling: Callable[[str], str]) -> dict[str, torch.Tensor]:
    """Of the contrastive loss, by the names that `spelling` makes; also of padding that is not masked."""
    model.zero_grad()
    (model(**inputs(return_loss=True)).loss + model(**inputs(return_loss=True, attention_mask=None)).loss).backward()
    return {spelling(name): p.grad.clone() for name, p in named.named_parameters()}


def test_every_gradient_is_equal(pair: Pair) -> None:
    ours, theirs = pair
    spelling = ours.layout.canonical
    a = gradients(ours, ours.dual, lambda name: str(ours.layout.theirs(name)))
    b = gradients(theirs, theirs, spelling)
    assert a.keys() == b.keys()
    assert {
        name: (a[name] - b[name]).abs().max().item() for name in a if not torch.allclose(a[name], b[name], 0, 1e-5)
    } == {}
    assert all(gradient.abs().sum() > 0 for name, gradient in a.items() if not name.endswith("key.bias"))


def test_gradient_checkpointing_gives_the_same_gradients(pair: Pair) -> None:
    ours, _ = pair
    plain = gradients(ours.train(), ours, str)
    all_kept = kept_by_forward(ours)
    ours.gradient_checkpointing_enable()
    recomputed, few_kept = gradients(ours, ours, str), kept_by_forward(ours)
    ours.gradient_checkpointing_disable()
    ours.eval()
    assert few_kept < all_kept / 2
    assert all(torch.allclose(plain[name], recomputed[name], atol=1e-6) for name in plain)


def kept_by_forward(model: AltCLIPModel) -> int:
    """Bytes that the forward pass keeps for the backward pass."""
    kept = []

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        kept.append(tensor.nbytes)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        model(**inputs())
    return sum(kept)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_other_formats(pair: Pair, dtype: torch.dtype, tmp_path: Path) -> None:
    """In float64 the two agree far beyond 1e-5, so the differences in float32 are roundings."""
    _, theirs = pair
    ours = AltCLIPModel.from_pretrained(oracles.saved(theirs, tmp_path), dtype=dtype)
    converted = type(theirs).from_pretrained(tmp_path, dtype=dtype, attn_implementation="sdpa").eval()
    call = inputs(pixel_values=oracles.images().to(dtype))
    with torch.no_grad():
        oracles.assert_equal(ours(**call), converted(**call), 1e-12 if dtype == torch.float64 else 0.2)

"""The last layer computes only the token that is read: features and gradients are those of the whole computation."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from altclip.models import DualEncoder, ModelConfig, TextConfig, VisionConfig, heads_of, initialise
from altclip.models.layers import row_of, token_of

SIZES: dict[str, Any] = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 3, "num_attention_heads": 2}
VISION = VisionConfig(**SIZES, image_size=24, patch_size=8)
IDS = torch.tensor([[0, 5, 6, 7, 2], [0, 7, 2, 1, 1], [0, 2, 1, 1, 1]])  # 2 ends a text, 1 fills up
FAMILIES = {"altclip": "xlm-roberta", "taiyi-pooler": "bert", "clip": "clip"}


def model(family: str) -> DualEncoder:
    torch.manual_seed(0)
    config = TextConfig(
        **SIZES, architecture=FAMILIES[family], vocab_size=20, max_position_embeddings=12, project_dim=16,  # type: ignore[arg-type]
        hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0, type_vocab_size=0 if family == "clip" else 1,
        eos_token_id=19 if family == "clip" else 2,
    )  # fmt: skip
    made = initialise(DualEncoder(ModelConfig(vision=VISION, text=config, projection_dim=16, heads=heads_of(family))))
    return made.double()


def whole_text(made: DualEncoder, ids: Tensor, mask: Tensor) -> Tensor:
    states, _ = made.text.tower.states(ids, mask)
    return made.text.read(made.text.head("retrieval"), states, ids, mask)


def gradients(made: DualEncoder, features: Tensor) -> dict[str, Tensor]:
    made.zero_grad()
    (features * torch.linspace(-1, 1, features.numel()).view_as(features)).sum().backward()
    return {name: weight.grad.clone() for name, weight in made.named_parameters() if weight.grad is not None}


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("checkpointing", [False, True])
def test_texts(family: str, checkpointing: bool) -> None:
    made = model(family)
    ids = torch.where(IDS == 2, 19, IDS) if family == "clip" else IDS
    mask = (IDS != 1).long()
    expected = whole_text(made, ids, mask)
    made.set_gradient_checkpointing(checkpointing)
    found = made.encode_text(ids, mask)
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(gradients(made, found), gradients(made, expected), rtol=1e-9, atol=1e-12)


def test_images() -> None:
    made, images = model("altclip"), torch.randn(2, 3, 24, 24).double()
    states, _ = made.vision.states(images)
    expected, found = made.visual_projection(made.vision.pool(states[-1])), made.encode_image(images)
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(gradients(made, found), gradients(made, expected), rtol=1e-9, atol=1e-12)


def test_the_last_state_is_of_one_token_and_the_others_of_all() -> None:
    made = model("altclip")
    states, _ = made.text.tower.states(IDS, only_B=torch.tensor([4, 2, 1]))
    whole, _ = made.text.tower.states(IDS)
    assert [state.shape[1] for state in states] == [5, 5, 5, 1]
    torch.testing.assert_close(states[-1], token_of(whole[-1], torch.tensor([4, 2, 1])), rtol=1e-10, atol=1e-12)


def test_what_one_token_may_see() -> None:
    causal = torch.ones(4, 4, dtype=torch.bool).tril()[None, None]
    seen = row_of(causal, torch.tensor([0, 2]))
    assert seen is not None
    assert seen.squeeze().tolist() == [[True, False, False, False], [True, True, True, False]]
    same = torch.ones(2, 1, 1, 4, dtype=torch.bool)
    assert row_of(same, torch.tensor([0, 2])) is same
    assert row_of(None, torch.tensor([0])) is None

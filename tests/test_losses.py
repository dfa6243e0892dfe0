"""The losses as pure functions: worked examples, masks, gradients, what they refuse."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from altclip.errors import UsageError
from altclip.losses import contrastive_loss, distillation_loss


def features(count: int = 6, width: int = 4, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, width, generator=generator), torch.randn(count, width, generator=generator)


def test_contrast_by_hand() -> None:
    """Two orthogonal pairs, scale s: each row's loss is log(1 + exp(-s))."""
    loss = contrastive_loss(torch.eye(2), torch.eye(2), torch.tensor(3.0))
    assert loss.item() == pytest.approx(math.log(1 + math.exp(-3)))


def test_contrast_equals_that_of_transformers() -> None:
    from transformers.models.clip.modeling_clip import image_text_contrastive_loss

    images, texts = features()
    logits = 5.0 * F.normalize(texts) @ F.normalize(images).T
    assert contrastive_loss(images, texts, torch.tensor(5.0)).item() == pytest.approx(
        image_text_contrastive_loss(logits).item(), abs=1e-6
    )


def test_length_of_features_does_not_count() -> None:
    images, texts = features()
    scale = torch.tensor(5.0)
    assert torch.allclose(contrastive_loss(images, texts, scale), contrastive_loss(3 * images, 0.1 * texts, scale))


def test_pairs_of_one_meaning_are_no_negatives() -> None:
    """With the other pair of its meaning masked, a pair's loss is that of the batch without it."""
    images, texts = features(3)
    scale = torch.tensor(2.0)
    logits = scale * F.normalize(images) @ F.normalize(texts).T
    third = (F.cross_entropy(logits[2:], torch.tensor([2])) + F.cross_entropy(logits.T[2:], torch.tensor([2]))) / 2
    rows = [
        (F.cross_entropy(logits[i : i + 1, [i, 2]], torch.tensor([0]))
         + F.cross_entropy(logits.T[i : i + 1, [i, 2]], torch.tensor([0]))) / 2
        for i in (0, 1)
    ]  # fmt: skip
    expected = (rows[0] + rows[1] + third) / 3
    assert contrastive_loss(images, texts, scale, torch.tensor([7, 7, 8])).item() == pytest.approx(expected.item())
    assert contrastive_loss(images, texts, scale, torch.tensor([7, 8, 9])) == contrastive_loss(images, texts, scale)
    assert not torch.allclose(contrastive_loss(images, texts, scale), expected)
    for keys in ([[7, 1], [7, 2], [8, 3]], [[1, 7], [2, 7], [3, 8]]):  # of the image, or of the text
        assert contrastive_loss(images, texts, scale, torch.tensor(keys)).item() == pytest.approx(expected.item())
    crossed = torch.tensor([[7, 8], [8, 7], [9, 9]])  # a key of an image is none of a text
    assert contrastive_loss(images, texts, scale, crossed) == contrastive_loss(images, texts, scale)


def test_one_meaning_for_all_leaves_nothing_to_tell_apart() -> None:
    images, texts = features(3)
    assert contrastive_loss(images, texts, torch.tensor(2.0), torch.zeros(3)).item() == 0


def test_the_loss_is_computed_in_float32() -> None:
    images, texts = features()
    loss = contrastive_loss(images.bfloat16(), texts.bfloat16(), torch.tensor(5.0))
    assert loss.dtype == torch.float32
    assert distillation_loss(images.bfloat16(), texts.bfloat16()).dtype == torch.float32


def test_gradients_are_right_and_finite() -> None:
    images, texts = (f.double().requires_grad_() for f in features(4))
    scale = torch.tensor(2.0, dtype=torch.float64, requires_grad=True)
    contrastive_loss(images, texts, scale, torch.tensor([0, 0, 1, 2])).backward()
    assert all(value.grad is not None and value.grad.isfinite().all() for value in (images, texts, scale))
    nudged = images.detach().clone()
    nudged[1, 2] += 1e-2
    keys = torch.tensor([0, 0, 1, 2])
    change = contrastive_loss(nudged, texts, scale, keys) - contrastive_loss(images, texts, scale, keys)
    assert images.grad is not None
    assert change.item() / 1e-2 == pytest.approx(images.grad[1, 2].item(), rel=0.05)


def test_pairs_are_needed() -> None:
    with pytest.raises(UsageError, match="3 image and 2 text features"):
        contrastive_loss(torch.ones(3, 4), torch.ones(2, 4), torch.tensor(1.0))


def test_distillation_is_the_mean_squared_error() -> None:
    student, teacher = features()
    assert distillation_loss(student, teacher).item() == pytest.approx(F.mse_loss(student, teacher).item())
    assert distillation_loss(teacher, teacher).item() == 0


def test_a_text_that_counts_twice_is_as_good_as_two() -> None:
    student, teacher = features(3)
    twice = [0, 0, 1, 2]
    loss = distillation_loss(student, teacher, torch.tensor([2.0, 1.0, 1.0]))
    assert loss.item() == pytest.approx(distillation_loss(student[twice], teacher[twice]).item())


def test_widths_must_agree() -> None:
    with pytest.raises(UsageError, match="projection_dim"):
        distillation_loss(torch.ones(3, 4), torch.ones(3, 5))

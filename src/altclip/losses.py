"""The two losses of the AltCLIP recipe, as pure functions of features.

Sources: contrastive, Radford et al. 2021 (figure 3); distillation, Chen et al. 2022 (section 3.1, after Reimers and
Gurevych 2020): the student's feature is drawn to the teacher's by mean squared error.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from altclip.errors import UsageError


def contrastive_loss(images_ND: Tensor, texts_ND: Tensor, logit_scale: Tensor, keys: Tensor | None = None) -> Tensor:
    """Mean of the image-to-text and text-to-image cross-entropies of N pairs, in float32.

    Features need not be normalised. keys (N,) or (N, K): integers that pairs of one meaning share (a class, a caption
    that occurs twice); pairs with one in the same place equal are not each other's negatives and are masked out.
    logit_scale: the factor itself, after exp().
    """
    if len(images_ND) != len(texts_ND):
        raise UsageError(f"{len(images_ND)} image and {len(texts_ND)} text features: a contrastive loss needs pairs")
    images_ND, texts_ND = F.normalize(images_ND.float(), dim=-1), F.normalize(texts_ND.float(), dim=-1)
    logits_NN = logit_scale.float() * images_ND @ texts_ND.T
    if keys is not None:
        keys_NK = keys.reshape(len(keys), -1)
        same_NN = (keys_NK[:, None] == keys_NK[None, :]).any(-1)
        same_NN.fill_diagonal_(False)
        logits_NN = logits_NN.masked_fill(same_NN, -torch.inf)
    target_N = torch.arange(len(logits_NN), device=logits_NN.device)
    return (F.cross_entropy(logits_NN, target_N) + F.cross_entropy(logits_NN.T, target_N)) / 2


def distillation_loss(student_ND: Tensor, teacher_ND: Tensor, counts_N: Tensor | None = None) -> Tensor:
    """Mean over texts of the squared distance between student and teacher features, averaged over the width; float32.

    counts: how often each text counts in the mean (all once). Raises UsageError where the shapes differ.
    """
    if student_ND.shape != teacher_ND.shape:
        raise UsageError(
            f"student features {tuple(student_ND.shape)} and teacher features {tuple(teacher_ND.shape)} differ: "
            "give the student the teacher's projection_dim"
        )
    if counts_N is None:
        return F.mse_loss(student_ND.float(), teacher_ND.float())
    errors_N = (student_ND.float() - teacher_ND.float()).square().mean(1)
    return (errors_N * counts_N).sum() / counts_N.sum()

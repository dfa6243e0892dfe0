"""Image-text contrast: both towers, or any part of them frozen by pattern (CLIP; LiT with the image tower frozen)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from altclip.data.augment import Augmentation, normalise
from altclip.data.pairs import PairBatches
from altclip.distributed import gather_with_grad
from altclip.losses import contrastive_loss
from altclip.models import DualEncoder
from altclip.processing.images import CLIP_MEAN, CLIP_STD
from altclip.train.stages.build import build_model, pair_source
from altclip.train.stages.context import Context, Features


@dataclass
class PairTensors:
    """images (B, 3, S, S); ids and mask (B, L); keys (B,)."""

    images: Tensor
    ids: Tensor
    mask: Tensor
    keys: Tensor


class TwoTowers(nn.Module):
    """Features of both sides of a batch of pairs, and the scale."""

    def __init__(self, model: DualEncoder) -> None:
        super().__init__()
        self.model = model

    def forward(self, batch: PairTensors) -> Features:
        device = self.model.logit_scale.device
        return {
            "images": self.model.encode_image(batch.images.to(device), interpolate=True),
            "texts": self.model.encode_text(batch.ids.to(device), batch.mask.to(device)),
            "scale": self.model.logit_scale.exp(),
        }


class Contrastive:
    """The stage `contrastive`."""

    def __init__(self, context: Context) -> None:
        self.context, config = context, context.config
        self.trained = build_model(context).to(context.device)
        self.module = TwoTowers(self.trained)
        self.augmentation = Augmentation(config.augment.scale, flip=config.augment.flip)
        self.pairs = PairBatches(
            [pair_source(context, data) for data in config.pairs], config.batch_size, context.recipe.seed,
            self.image, context.bad_samples(), context.rank, context.world_size,
        )  # fmt: skip

    def batch(self, step: int) -> PairTensors:
        made = self.pairs(step)
        ids, mask = tokenize(self.context, made.texts)
        return PairTensors(torch.from_numpy(made.images), ids, mask, torch.from_numpy(made.keys))

    def image(self, source: int, index: int, draw: np.random.Generator, step: int) -> NDArray[np.float32]:
        image = self.pairs.sources[source].open(index)
        return normalise(self.augmentation(image, self.image_size(step), draw), CLIP_MEAN, CLIP_STD)

    def image_size(self, step: int) -> int:
        """Side in pixels at that step: small first saves most of the cost (Li et al. 2023, CLIPA)."""
        for share, size in self.context.config.augment.sizes:
            if step < share * self.context.config.steps:
                return size
        vision = self.trained.config.vision
        return vision.image_size if vision is not None else 0

    def split(self, batch: PairTensors, parts: int) -> list[PairTensors]:
        return [PairTensors(*part) for part in zip(*(t.chunk(parts) for t in vars(batch).values()), strict=True)]

    def loss(self, features: Features, batch: PairTensors) -> tuple[Tensor, dict[str, float]]:
        """Contrast over the pairs of all processes."""
        images, texts = gather_with_grad(features["images"]), gather_with_grad(features["texts"])
        keys = gather_with_grad(batch.keys.to(images.device))
        return contrastive_loss(images, texts, features["scale"], keys), {"scale": float(features["scale"])}


def tokenize(context: Context, texts: list[str]) -> tuple[Tensor, Tensor]:
    """Ids and mask (B, L) of texts, cut to the stage's or the model's length."""
    limit = context.config.max_text_tokens or context.tokenizer.model_max_length
    encoded = context.tokenizer(
        texts, padding=True, truncation=True, max_length=limit, return_tensors="pt", split_special_tokens=True
    )
    return encoded["input_ids"], encoded["attention_mask"]

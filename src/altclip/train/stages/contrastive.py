"""Image-text contrast: both towers, or any part of them frozen by pattern (CLIP; LiT with the image tower frozen)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from altclip.data.augment import Augmentation, normalise
from altclip.data.pairs import PairBatches, Plan, Row
from altclip.data.prefetch import prefetched
from altclip.distributed import gather_with_grad
from altclip.losses import contrastive_loss
from altclip.models import DualEncoder
from altclip.train.stages.build import build_model
from altclip.train.stages.context import Batch, Context, Features
from altclip.train.stages.result import save_towers
from altclip.train.stages.sources import pair_source
from altclip.train.stages.texts import text_features, text_limit, tokenize


@dataclass
class PairTensors(Batch):
    """images (B, 3, S, S), or their embeddings (B, D); ids and mask (B, L); keys (B, 2), see `Pairs`."""

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
        return {
            "images": self.images(batch.images.to(self.model.logit_scale.device, non_blocking=True)),
            "texts": text_features(self.model, batch.ids, batch.mask),
            "scale": self.model.logit_scale.exp(),
        }

    def images(self, images: Tensor) -> Tensor:
        return self.model.encode_image(images, interpolate=True)


class Contrastive:
    """The stage `contrastive`."""

    def __init__(self, context: Context) -> None:
        self.context, config = context, context.config
        self.trained = build_model(context).to(context.device)
        self.module: nn.Module = TwoTowers(self.trained)
        self.augmentation = Augmentation(config.augment.scale, flip=config.augment.flip)
        self.limit = text_limit(context.tokenizer, self.trained, config)
        self.pairs = PairBatches(
            [pair_source(context, data) for data in config.pairs], config.batch_size, context.recipe.seed, self.image,
            context.rank, context.world_size,
        )  # fmt: skip

    def batches(self, start: int, stop: int, position: dict[str, Any]) -> Iterator[PairTensors]:
        plans = self.pairs.plans(start, stop, position)
        if any(source.streaming for source in self.pairs.sources):
            read = plans  # in a thread of its own, or a step would wait for it
            plans = prefetched(lambda _: next(read), range(start, stop))
        return prefetched(self.batch, plans, self.context.recipe.workers)

    def batch(self, plan: Plan) -> PairTensors:
        made = self.pairs(plan)
        ids, mask = tokenize(self.context.tokenizer, made.texts, self.limit)
        return PairTensors(
            torch.from_numpy(made.images), ids, mask, torch.from_numpy(made.keys),
            skipped=made.skipped, position=made.position,
        )  # fmt: skip

    def image(self, row: Row, draw: np.random.Generator, step: int) -> NDArray[np.float32]:
        image = self.pairs.sources[row.source].open(row.index, row.cells)
        settings = self.context.image_processor
        pixels = self.augmentation(image, self.image_size(step), draw)
        return normalise(pixels, settings.image_mean, settings.image_std)

    def image_size(self, step: int) -> int:
        """Side in pixels at that step: small first saves most of the cost (Li et al. 2023, CLIPA)."""
        for share, size in self.context.config.augment.sizes:
            if step < share * self.context.config.steps:
                return size
        vision = self.trained.config.vision
        return vision.image_size if vision is not None else 0

    def split(self, batch: PairTensors, parts: int) -> list[PairTensors]:
        tensors = (batch.images, batch.ids, batch.mask, batch.keys)
        return [PairTensors(*part) for part in zip(*(tensor.chunk(parts) for tensor in tensors), strict=True)]

    def loss(self, features: Features, batch: PairTensors) -> tuple[Tensor, dict[str, Tensor]]:
        """Contrast over the pairs of all processes."""
        images, texts = gather_with_grad(features["images"]), gather_with_grad(features["texts"])
        keys = gather_with_grad(batch.keys.to(images.device))
        return contrastive_loss(images, texts, features["scale"], keys), {"scale": features["scale"].detach()}

    def save(self, folder: Path, facts: dict[str, Any]) -> None:
        """`model/`, or the adapter of a stage with `lora`."""
        save_towers(self.trained, self.context, folder, facts)

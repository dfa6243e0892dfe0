"""The stage of AltDiffusion: a UNet learns to take noise out of pictures, told what they show by a frozen text tower.

The recipe makes it as AltDiffusion was made (Chen et al. 2022, section 5): a model of an English text tower, that tower
exchanged for the multilingual one and the cross-attention's keys and values trained, then all of the UNet. What is
predicted and how noise is added is diffusers' scheduler's, the same object that the pipeline is saved with.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import mse_loss

from altclip.data.augment import Augmentation, normalise
from altclip.data.order import generator
from altclip.data.pairs import PairBatches, Plan, Row
from altclip.data.prefetch import prefetched
from altclip.errors import DataError, ImageError
from altclip.train.config_pictures import DenoiseConfig
from altclip.train.stages.context import Batch, Context, Features
from altclip.train.stages.drawing import Drawing, build_drawing, noise_schedule, save_drawing
from altclip.train.stages.sources import pair_source
from altclip.train.stages.tokens import TokenStates

_FITTED: Final = 4096  # pictures that the autoencoder is fitted to
_CENTRE: Final = (0.5, 0.5, 0.5)  # mean and deviation that bring pixels to [-1, 1]


@dataclass
class NoisyLatents(Batch):
    """latents with noise (B, C, H, W) of levels (B,), states of the texts (B, L, D), and what is to be predicted."""

    latents: Tensor
    levels: Tensor
    states: Tensor
    targets: Tensor


class Predictor(nn.Module):
    """What the UNet predicts of a batch."""

    def __init__(self, drawing: Drawing) -> None:
        super().__init__()
        self.drawing = drawing

    def forward(self, batch: NoisyLatents) -> Features:
        device = self.drawing.vae.device
        latents, levels, states = (x.to(device) for x in (batch.latents, batch.levels, batch.states))
        return {"predicted": self.drawing.unet(latents, levels, encoder_hidden_states=states).sample}


class Denoise:
    """The stage `denoise`."""

    def __init__(self, context: Context) -> None:
        self.context, config = context, context.config
        self.sizes = config.denoise or DenoiseConfig()
        self.sources = [pair_source(context, data) for data in config.pairs]
        self.augmentation = Augmentation(config.augment.scale, ratio=1.0, flip=config.augment.flip)
        self.words = TokenStates(context)
        fresh = "unet" not in config.start
        self.trained = build_drawing(context, self.words.width, self._pixels() if fresh else None)
        self.trained.to(context.device)
        self.side = self.trained.unet.config.sample_size * self.trained.vae.patch
        self.scheduler = noise_schedule(context)
        self.module: nn.Module = Predictor(self.trained)
        self.pairs = PairBatches(
            self.sources, config.batch_size, context.recipe.seed, self.image, context.rank, context.world_size
        )

    def batches(self, start: int, stop: int, position: dict[str, Any]) -> Iterator[NoisyLatents]:
        return prefetched(self.batch, self.pairs.plans(start, stop, position), self.context.recipe.workers)

    def batch(self, plan: Plan) -> NoisyLatents:
        """The same of a step whenever it is made: noise, its levels and which texts are dropped are of the step."""
        pairs = self.pairs(plan)
        draw = generator(self.context.recipe.seed, len(self.sources), self.context.rank, plan.step)
        dropped = draw.random(len(pairs.texts)) < self.sizes.drop_text
        texts = ["" if drop else text for drop, text in zip(dropped, pairs.texts, strict=True)]
        with torch.no_grad():
            latents = self.trained.latents(torch.from_numpy(pairs.images).to(self.context.device))
            noise = torch.from_numpy(draw.standard_normal(latents.shape, dtype=np.float32)).to(latents)
            shares = draw.random(len(texts)) ** self.sizes.level_power
            levels = torch.from_numpy((shares * len(self.scheduler.alphas_cumprod)).astype(np.int64))
            levels = levels.to(self.context.device)
            noisy = self.scheduler.add_noise(latents, noise, levels)
            velocity = self.scheduler.config.prediction_type == "v_prediction"
            targets = self.scheduler.get_velocity(latents, noise, levels) if velocity else noise
        return NoisyLatents(
            noisy, levels, self.words(texts), targets, skipped=pairs.skipped, position=pairs.position
        )  # fmt: skip

    def image(self, row: Row, draw: np.random.Generator, _step: int) -> NDArray[np.float32]:
        """Pixels (3, side, side) in [-1, 1]."""
        picture = self.sources[row.source].open(row.index, row.cells)
        return normalise(self.augmentation(picture, self.side, draw), _CENTRE, _CENTRE)

    def split(self, batch: NoisyLatents, parts: int) -> list[NoisyLatents]:
        tensors = (batch.latents, batch.levels, batch.states, batch.targets)
        return [NoisyLatents(*part) for part in zip(*(tensor.chunk(parts) for tensor in tensors), strict=True)]

    def loss(self, features: Features, batch: NoisyLatents) -> tuple[Tensor, dict[str, Tensor]]:
        """Mean squared error, every level of noise alike, however often it is drawn."""
        predicted = features["predicted"].float()
        return mse_loss(predicted, batch.targets.to(predicted.device)), {}

    def save(self, folder: Path, facts: dict[str, Any]) -> None:
        """`model/`, a pipeline's folder."""
        save_drawing(
            self.trained, self.scheduler, self.words, folder / "model",
            dtype=self.context.config.save_dtype, guidance=self.sizes.guidance, facts=facts,
        )  # fmt: skip

    def _pixels(self) -> Tensor:
        """Pictures to fit the autoencoder to, of the first source, as they are. Raises DataError without any."""
        source, self.side = self.sources[0], self.sizes.side
        if source.streaming:
            raise DataError(f"{source.name} is a stream: the first stage that draws needs data that can be looked up")
        rows = range(0, len(source.rows), max(1, len(source.rows) // _FITTED))
        still = Augmentation((1.0, 1.0), ratio=1.0, flip=0.0)
        found = []
        for index in rows:
            try:
                picture = still(source.open(index), self.side, generator(0, 0, index, 0))
            except ImageError:  # counted and named when a batch would take it
                continue
            found.append(torch.from_numpy(normalise(picture, _CENTRE, _CENTRE)))
        if not found:
            raise DataError(f"{source.name}: no picture can be read")
        return torch.stack(found)

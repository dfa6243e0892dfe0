"""Stage 2 of AltCLIP: image-text contrast with the image tower frozen, so that only the text encoder moves.

The frozen tower sees an image once: its embeddings are computed before the first step and cached on disk (`data.cache`),
and an epoch then costs text alone. `live = true` encodes augmented images at every step instead.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from altclip.data.cache import cached_embeddings, digest_weights
from altclip.data.pairs import PairSource
from altclip.models import DualEncoder
from altclip.processing.images import ImageProcessor
from altclip.train.stages.context import Context, Features
from altclip.train.stages.contrastive import Contrastive, PairTensors

IMAGE_SIDE = ("vision.", "visual_projection.")


class TextBesideImages(nn.Module):
    """Text features of a batch beside its image embeddings, which are given or encoded without gradients."""

    def __init__(self, model: DualEncoder, live: bool) -> None:
        super().__init__()
        self.model, self.live = model, live

    def forward(self, batch: PairTensors) -> Features:
        device = self.model.logit_scale.device
        return {
            "images": self._images(batch.images.to(device)),
            "texts": self.model.encode_text(batch.ids.to(device), batch.mask.to(device)),
            "scale": self.model.logit_scale.exp(),
        }

    def _images(self, images: Tensor) -> Tensor:
        if not self.live:
            return images
        with torch.no_grad():
            return self.model.encode_image(images, interpolate=True)

    def train(self, mode: bool = True) -> TextBesideImages:
        """A frozen tower is also in eval mode."""
        super().train(mode)
        self.model.vision.eval()
        return self


class Align(Contrastive):
    """The stage `align`."""

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        for name, weight in self.trained.named_parameters():
            if name.startswith(IMAGE_SIDE):
                weight.requires_grad_(False)
        self.module = TextBesideImages(self.trained, context.config.live)
        if not context.config.live:
            self.embeddings = [self._embeddings(source) for source in self.pairs.sources]

    def image(self, source: int, index: int, draw: np.random.Generator, step: int) -> NDArray[np.float32]:
        if self.context.config.live:
            return super().image(source, index, draw, step)
        return np.asarray(self.embeddings[source][index])

    def _embeddings(self, source: PairSource) -> NDArray[np.float32]:
        """Embeddings of a source's images, from the cache or made now."""
        vision = self.trained.config.vision
        size = vision.image_size if vision else 0
        processor = ImageProcessor.from_dict({"size": size, "crop_size": size})
        weights = [(n, w) for n, w in self.trained.state_dict().items() if n.startswith(IMAGE_SIDE)]
        parts = (digest_weights(weights), repr(processor.to_dict()), str(source.rows._fingerprint))
        self.context.report(f"image embeddings of {source.name}: {len(source.rows)} images")

        @torch.inference_mode()
        def embed(start: int, stop: int) -> NDArray[np.float32]:
            pixels = np.stack([processor.preprocess(source.open(index)) for index in range(start, stop)])
            features = self.trained.encode_image(torch.from_numpy(pixels).to(self.context.device))
            return features.float().cpu().numpy()

        self.trained.eval()
        return cached_embeddings(self.context.output / "cache", parts, len(source.rows), embed, 256)

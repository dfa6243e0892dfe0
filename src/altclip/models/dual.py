"""The dual encoder: an image tower and a text encoder that meet in one space. Either may be absent."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from altclip.errors import UsageError
from altclip.models.config import ModelConfig
from altclip.models.heads import Head
from altclip.models.readout import TextEncoder
from altclip.models.vision import VisionTower


class DualEncoder(nn.Module):
    """Image and text features of one width. Similarity = logit_scale.exp() * cosine, as in CLIP."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        if config.vision is not None:
            self.vision = VisionTower(config.vision)
            self.visual_projection = nn.Linear(config.vision.hidden_size, config.projection_dim, bias=False)
        if config.text is not None:
            self.text = TextEncoder(config.text, config.heads, config.projection_dim)
        self.logit_scale = nn.Parameter(torch.tensor(config.logit_scale_init_value))

    def encode_image(self, pixel_values: Tensor, *, interpolate: bool = False) -> Tensor:
        """Features (B, D), not normalised, of images (B, C, S, S) as the processor prepares them.

        interpolate: take sizes other than the configured one (see `VisionTower.states`).
        """
        if self.config.vision is None:
            raise UsageError("this model has no image tower: load one with image_weights=")
        features_BD = self.vision.features(pixel_values, interpolate=interpolate)
        return self.visual_projection(features_BD)  # type: ignore[no-any-return]

    def encode_text(
        self, input_ids: Tensor, attention_mask: Tensor | None = None, head: str | Head = "retrieval"
    ) -> Tensor:
        """Features (B, D), not normalised, of token ids (B, L); (B, L, D) for a head of all tokens."""
        if self.config.text is None:
            raise UsageError("this model has no text tower")
        return self.text(input_ids, attention_mask, head)  # type: ignore[no-any-return]

    def set_gradient_checkpointing(self, on: bool = True) -> None:
        """Recompute activations in the backward pass: less memory, about a third more time."""
        if self.config.vision is not None:
            self.vision.layers.gradient_checkpointing = on
        if self.config.text is not None:
            self.text.tower.layers.gradient_checkpointing = on

"""The image tower: ViT as in CLIP (Radford et al. 2021, section 2.4): class token, learned positions, norm first.

Shapes: B images, C channels, S image side, G grid side (S / patch), L = G*G + 1 tokens, D width.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from altclip.errors import UsageError
from altclip.models.config import VisionConfig
from altclip.models.layers import Layer, Layers


class VisionTower(nn.Module):
    """Pixels to hidden states and pooled features."""

    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        self.config = config
        width, eps = config.hidden_size, config.layer_norm_eps
        self.patches = nn.Conv2d(config.num_channels, width, config.patch_size, config.patch_size, bias=False)
        self.class_embedding = nn.Parameter(torch.zeros(width))
        self.positions = nn.Embedding(config.grid_size**2 + 1, width)
        self.pre_norm, self.post_norm = nn.LayerNorm(width, eps), nn.LayerNorm(width, eps)
        self.layers = Layers(
            Layer(
                width, config.intermediate_size, config.num_attention_heads, config.hidden_act, eps,
                norm_first=True, attention_dropout=config.attention_dropout,
            )
            for _ in range(config.num_hidden_layers)
        )  # fmt: skip

    def forward(self, images_BCSS: Tensor) -> Tensor:
        """Pooled feature of each image (B, D): the class token of the last layer, normalised."""
        return self.features(images_BCSS)

    def features(self, images_BCSS: Tensor, *, interpolate: bool = False) -> Tensor:
        """As `forward`. interpolate: see `states`."""
        x_BLD = self._tokens(images_BCSS, interpolate)
        first_B = torch.zeros(len(x_BLD), dtype=torch.long, device=x_BLD.device)
        return self.pool(self.layers.run(x_BLD, None, keep=1, only_B=first_B)[0][-1])

    def pool(self, states_BLD: Tensor) -> Tensor:
        return self.post_norm(states_BLD[:, 0])  # type: ignore[no-any-return]

    def states(
        self, images_BCSS: Tensor, *, weights: bool = False, interpolate: bool = False, keep: int | None = None
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Hidden states before each layer and after the last (or the last `keep`), and attention weights if asked for.

        interpolate: allow image sizes other than the configured one, by bicubic resizing of the position embeddings
        (as transformers' `interpolate_pos_encoding`). Raises UsageError for a size that does not fit.
        """
        return self.layers.run(self._tokens(images_BCSS, interpolate), None, weights, keep)

    def _tokens(self, images_BCSS: Tensor, interpolate: bool) -> Tensor:
        """The class token and the patches with their positions (B, L, D), normalised: what the layers work on."""
        self._check_size(images_BCSS, interpolate)
        patches_BLD = self.patches(images_BCSS.to(self.patches.weight.dtype))
        grid = (patches_BLD.shape[-2], patches_BLD.shape[-1])
        tokens_BLD = patches_BLD.flatten(2).transpose(1, 2)
        class_B1D = self.class_embedding.expand(len(tokens_BLD), 1, -1)
        x_BLD = torch.cat([class_B1D, tokens_BLD], 1) + self._positions(grid)
        return self.pre_norm(x_BLD)  # type: ignore[no-any-return]

    def _positions(self, grid: tuple[int, int]) -> Tensor:
        """Position embeddings for that grid (1, L, D); resized bicubically where it is not the configured one."""
        side, table_LD = self.config.grid_size, self.positions.weight
        if grid == (side, side):
            return table_LD[None]
        square_1DGG = table_LD[1:].T.reshape(1, -1, side, side)
        resized_1DGG = F.interpolate(square_1DGG.float(), grid, mode="bicubic", align_corners=False)
        return torch.cat([table_LD[None, :1], resized_1DGG.flatten(2).transpose(1, 2).to(table_LD.dtype)], 1)

    def _check_size(self, images_BCSS: Tensor, interpolate: bool) -> None:
        height, width = images_BCSS.shape[-2:]
        size, patch = self.config.image_size, self.config.patch_size
        if (height, width) == (size, size) or (interpolate and min(height, width) >= patch):
            return
        raise UsageError(
            f"images of {height}x{width} pixels for a model of {size}x{size}: resize them (the processor does), "
            f"or pass interpolate_pos_encoding=True with sides of at least {patch}"
        )

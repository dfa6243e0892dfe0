"""What a stage that draws will cost: its UNet run once without memory (meta device), operations counted by torch."""

from __future__ import annotations

from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from altclip.diffusion.tokens import LENGTH
from altclip.errors import CheckpointError, HubError
from altclip.models import TextConfig
from altclip.train.config import Recipe, StageConfig
from altclip.train.config_pictures import DenoiseConfig
from altclip.train.stages.drawing import new_unet, sizes_of
from altclip.train.stages.sizes import config_at

_UNKNOWN: Final = TextConfig(hidden_size=768, project_dim=768)  # of a model that is not there yet


def drawing_parts(recipe: Recipe, stage: StageConfig) -> tuple[nn.Module, DenoiseConfig, TextConfig]:
    """UNet on the meta device, its sizes, and those of the text tower (assumed, where that model is not there yet)."""
    sizes, text = sizes_of(recipe, stage), _text(recipe, stage)
    width = text.hidden_size if text.architecture == "clip" else text.project_dim
    with torch.device("meta"):
        return new_unet(sizes, width), sizes, text


def forward_cost(unet: Any, sizes: DenoiseConfig, length: int) -> tuple[float, int]:
    """Operations of one picture's forward pass, and how many numbers its modules put out."""
    values: list[int] = []

    def count(_module: nn.Module, _given: object, output: object) -> None:
        values.append(output.numel() if isinstance(output, Tensor) else 0)

    hooks = [part.register_forward_hook(count) for part in unet.modules() if not list(part.children())]
    side, width = sizes.side // sizes.patch, unet.config.cross_attention_dim
    with torch.device("meta"), torch.no_grad(), FlopCounterMode(display=False) as counter:
        latents, states = torch.empty(1, sizes.channels, side, side), torch.empty(1, length, width)
        unet(latents, torch.zeros(1), encoder_hidden_states=states)
    for hook in hooks:
        hook.remove()
    return float(counter.get_total_flops()), sum(values)


def text_length(stage: StageConfig, text: TextConfig) -> int:
    """Tokens of every text."""
    return min(stage.max_text_tokens or LENGTH, text.max_length, LENGTH)


def _text(recipe: Recipe, stage: StageConfig) -> TextConfig:
    try:
        return config_at(stage.start["text"], recipe).text or _UNKNOWN
    except (CheckpointError, HubError):
        return _UNKNOWN

"""All initialisation of weights, in one place.

CLIP's towers as in Radford et al. 2021 (and OpenAI's code): widths of normal distributions shrink with width and depth.
BERT's and XLM-R's: normal of `initializer_range`, zero biases, zero pad row.
"""

from __future__ import annotations

import torch
from torch import nn

from altclip.models.dual import DualEncoder
from altclip.models.layers import Layer, Layers
from altclip.models.readout import TextEncoder
from altclip.models.vision import VisionTower


def initialise(model: DualEncoder) -> DualEncoder:
    """Draw every weight anew from torch's global generator; norms to one, biases to zero. Returns the model."""
    for module in model.modules():
        if isinstance(module, nn.LayerNorm):
            nn.init.ones_(module.weight)
            nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Linear) and module.bias is not None:
            nn.init.zeros_(module.bias)
    if model.config.vision is not None:
        _vision(model.vision)
        nn.init.normal_(model.visual_projection.weight, std=model.config.vision.hidden_size**-0.5)
    if model.config.text is not None:
        _text(model.text)
    nn.init.constant_(model.logit_scale, model.config.logit_scale_init_value)
    return model


def _vision(tower: VisionTower) -> None:
    width = tower.config.hidden_size
    nn.init.normal_(tower.class_embedding, std=width**-0.5)
    nn.init.normal_(tower.patches.weight, std=tower.config.initializer_range)
    nn.init.normal_(tower.positions.weight, std=tower.config.initializer_range)
    _clip_layers(tower.layers, width)


def _text(encoder: TextEncoder) -> None:
    tower, std = encoder.tower, encoder.config.initializer_range
    for module in encoder.modules():
        if isinstance(module, nn.Linear | nn.Embedding):
            nn.init.normal_(module.weight, std=std)
    for projection in encoder.projections.values():
        if isinstance(projection, nn.Linear):
            nn.init.normal_(projection.weight, std=projection.in_features**-0.5)
    if tower.causal:
        nn.init.normal_(tower.positions.weight, std=std / 2)
        _clip_layers(tower.layers, encoder.config.hidden_size)
    else:
        with torch.no_grad():
            for embedding in (tower.words, tower.positions):
                if embedding.padding_idx is not None:
                    embedding.weight[embedding.padding_idx].zero_()


def _clip_layers(layers: Layers, width: int) -> None:
    out_std = width**-0.5 * (2 * len(layers)) ** -0.5
    for layer in layers:
        if isinstance(layer, Layer):
            for linear in (layer.attention.query, layer.attention.key, layer.attention.value):
                nn.init.normal_(linear.weight, std=width**-0.5)
            nn.init.normal_(layer.attention.output.weight, std=out_std)
            nn.init.normal_(layer.expand.weight, std=(2 * width) ** -0.5)
            nn.init.normal_(layer.contract.weight, std=out_std)

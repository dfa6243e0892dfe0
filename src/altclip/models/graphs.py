"""The two encoders as modules with named tensors in and embeddings of length 1 out, and torch.export's program of each.

Every exported form, and every engine that compiles, comes from these, so that all compute the same. Weights may be
float16: embeddings are normalised and given out in float32 all the same.

Shapes: B images or texts, S image side, L tokens, D length of an embedding.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from altclip.models import DualEncoder

_EXAMPLES: Final = 2  # texts or images that a graph is traced with; torch.export takes 0 and 1 for constants
_EXAMPLE_TOKENS: Final = 8


class ImageGraph(nn.Module):
    """Pixels (B, 3, S, S) float32 to embeddings (B, D)."""

    def __init__(self, model: DualEncoder) -> None:
        super().__init__()
        self.vision, self.projection = model.vision, model.visual_projection

    def forward(self, pixel_values: Tensor) -> Tensor:
        return F.normalize(self.projection(self.vision(pixel_values)).float(), dim=-1)


class TextGraph(nn.Module):
    """Token ids and mask (B, L), integers, to embeddings (B, D), read through a head of one token."""

    def __init__(self, model: DualEncoder, head: str = "retrieval") -> None:
        super().__init__()
        self.text, self.head = model.text, head

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        return F.normalize(self.text(input_ids.long(), attention_mask, self.head).float(), dim=-1)


class PaddedTextGraph(nn.Module):
    """Token ids (B, L), padded, to embeddings (B, D): the mask is told from the ids.

    A causal tower needs none, for what stands before the end of the text does not see what comes after it; and CLIP
    pads with its end-of-text token, which must be seen.
    """

    def __init__(self, model: DualEncoder, pad: int) -> None:
        super().__init__()
        self.text, self.pad = model.text, pad

    def forward(self, text: Tensor) -> Tensor:
        ids_BL = text.long()
        mask_BL = None if self.text.tower.causal else (ids_BL != self.pad).long()
        return F.normalize(self.text(ids_BL, mask_BL).float(), dim=-1)


@dataclass(frozen=True)
class Graph:
    """A module with what it is traced by.

    inputs: name -> example, in the order of `forward`; axes: name -> axis -> what may vary along it; limits: how far.
    """

    module: nn.Module
    inputs: Mapping[str, Tensor]
    output: str = "embeddings"
    axes: Mapping[str, Mapping[int, str]] = field(default_factory=dict)
    limits: Mapping[str, int] = field(default_factory=dict)

    def half(self) -> Graph:
        """The same with a copy of the weights in float16."""
        return replace(self, module=copy.deepcopy(self.module).half())

    @property
    def weight_bytes(self) -> int:
        return sum(tensor.nbytes for tensor in self.module.state_dict().values())


def image_graph(model: DualEncoder) -> Graph:
    """The image encoder, for batches of any size."""
    return Graph(ImageGraph(model), {"pixel_values": _pixels(model, _EXAMPLES)}, axes={"pixel_values": {0: "batch"}})


def text_graph(model: DualEncoder, longest: int, head: str = "retrieval") -> Graph:
    """The text encoder, for batches of any size and texts of up to `longest` tokens."""
    axes = {0: "batch", 1: "length"}
    ids = _ids(_EXAMPLES, min(_EXAMPLE_TOKENS, longest), torch.int64)
    return Graph(
        TextGraph(model, head),
        {"input_ids": ids, "attention_mask": torch.ones_like(ids)},
        axes={"input_ids": axes, "attention_mask": axes},
        limits={"length": longest},
    )


def single_image_graph(model: DualEncoder, name: str, output: str) -> Graph:
    """The image encoder for one image at a time."""
    return Graph(ImageGraph(model), {name: _pixels(model, 1)}, output)


def single_text_graph(model: DualEncoder, length: int, pad: int, output: str) -> Graph:
    """The text encoder for one padded text at a time, an int32 input `text` (1, length)."""
    return Graph(PaddedTextGraph(model, pad), {"text": _ids(1, length, torch.int32)}, output)


def single_masked_text_graph(model: DualEncoder, length: int, output: str) -> Graph:
    """The text encoder for one padded text at a time with its mask, both int32 (1, length)."""
    ids = _ids(1, length, torch.int32)
    return Graph(TextGraph(model), {"input_ids": ids, "attention_mask": torch.ones_like(ids)}, output)


def traced(graph: Graph) -> torch.export.ExportedProgram:
    """torch.export's program of a graph.

    It is traced strictly, by looking at the bytecode: the towers ask tensors for their `len`, which the other way of
    tracing takes for a constant.
    """
    names = sorted({name for axes in graph.axes.values() for name in axes.values()})
    dims = {name: torch.export.Dim(name, min=1, max=graph.limits.get(name)) for name in names}
    shapes = {name: {axis: dims[of] for axis, of in graph.axes.get(name, {}).items()} for name in graph.inputs}
    with torch.no_grad():
        return torch.export.export(
            graph.module.eval(), tuple(graph.inputs.values()), dynamic_shapes=tuple(shapes.values()), strict=True
        )


def _pixels(model: DualEncoder, count: int) -> Tensor:
    config = model.config.vision
    side, channels = (config.image_size, config.num_channels) if config else (0, 0)
    return torch.zeros(count, channels, side, side)


def _ids(count: int, length: int, dtype: torch.dtype) -> Tensor:
    return torch.full((count, length), 3, dtype=dtype)

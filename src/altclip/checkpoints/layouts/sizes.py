"""The sizes of a model as its tensors tell them: for files without a configuration, and against one that contradicts.

How many attention heads there are, no tensor tells: in all of CLIP's and its peers' towers a head is 64 wide.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from altclip.checkpoints.layouts.base import Shapes
from altclip.models import ModelConfig

HEAD_WIDTH: Final = 64

# field of a tower's configuration -> one of our tensors, and which of its sides
_VISION: Final = {
    "hidden_size": ("vision.class_embedding", 0),
    "intermediate_size": ("vision.layers.0.expand.weight", 0),
    "patch_size": ("vision.patches.weight", 3),
    "num_channels": ("vision.patches.weight", 1),
}
_TEXT: Final = {
    "vocab_size": ("text.tower.words.weight", 0),
    "hidden_size": ("text.tower.words.weight", 1),
    "intermediate_size": ("text.tower.layers.0.expand.weight", 0),
    "max_position_embeddings": ("text.tower.positions.weight", 0),
    "type_vocab_size": ("text.tower.types.weight", 0),
    "project_dim": (r"text\.linears\..+\.weight", 0),
}
_TOP: Final = {"projection_dim": ("visual_projection.weight", 0)}
Sizes = dict[str, int]


def vision_sizes(shapes: Shapes) -> Sizes:
    """Of the image tower, as far as its tensors are there."""
    found = _looked_up(_VISION, shapes) | _layers(r"vision\.layers\.(\d+)\.", shapes)
    positions = shapes.get("vision.positions.weight")
    if positions and "patch_size" in found:
        found["image_size"] = round((positions[0] - 1) ** 0.5) * found["patch_size"]
    return found


def text_sizes(shapes: Shapes) -> Sizes:
    """Of the text tower and its linear read-out."""
    return _looked_up(_TEXT, shapes) | _layers(r"text\.tower\.layers\.(\d+)\.", shapes)


def contradictions(config: ModelConfig, shapes: Shapes) -> list[str]:
    """What the configuration says otherwise than the tensors, each in words."""
    told = {"vision": vision_sizes(shapes), "text": text_sizes(shapes)}
    found = []
    for tower, sizes in told.items():
        section = getattr(config, tower)
        for key, size in sizes.items() if section is not None else ():
            if getattr(section, key) != size:
                found.append(f"{tower} {key} is {getattr(section, key)}, the tensors have {size}")
    width = _looked_up(_TOP, shapes).get("projection_dim", config.projection_dim)
    if width != config.projection_dim:
        found.append(f"projection_dim is {config.projection_dim}, the tensors have {width}")
    return found


def _looked_up(fields: Mapping[str, tuple[str, int]], shapes: Shapes) -> Sizes:
    found = {}
    for field, (name, side) in fields.items():
        shape = shapes.get(name) or next((s for n, s in shapes.items() if re.fullmatch(name, n)), ())
        if len(shape) > side:
            found[field] = shape[side]
    return found


def _layers(pattern: str, shapes: Shapes) -> Sizes:
    numbers = [int(found[1]) for name in shapes if (found := re.match(pattern, name))]
    return {"num_hidden_layers": max(numbers) + 1} if numbers else {}

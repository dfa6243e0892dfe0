"""Layouts of both towers in one folder, which differ in data alone: sections, heads, names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from altclip.checkpoints.layouts import tables
from altclip.checkpoints.layouts.base import Layout, Rows, Settings, Shapes
from altclip.checkpoints.layouts.sections import Section, number, part
from altclip.models import ModelConfig, TextConfig, VisionConfig, heads_of

# Of a configuration of both towers, beside the width of their space.
DEFAULTS: Final[Mapping[str, Any]] = {"logit_scale_init_value": 2.6592, "initializer_factor": 1.0}


def dual(
    name: str, *, vision: Section[VisionConfig], text: Section[TextConfig], family: str, projection_dim: int,
    model_type: str, architecture: str | None, rows: Rows, starts: tuple[str, ...], **more: Any,
) -> Layout:  # fmt: skip
    """A layout whose config.json nests `text_config` and `vision_config`.

    family: of the heads; projection_dim: where the file is silent; architecture: the class that transformers opens it
    with; rows: beside those of the image side; more: further fields of `Layout`.
    """
    heads = heads_of(family)
    scale = DEFAULTS["logit_scale_init_value"]

    def read(settings: Mapping[str, Any], _shapes: Shapes) -> ModelConfig:
        return ModelConfig(
            vision=vision.read(part(settings, "vision", vision.defaults)),
            text=text.read(part(settings, "text", text.defaults)),
            projection_dim=int(number(settings, "projection_dim", projection_dim)),
            logit_scale_init_value=number(settings, "logit_scale_init_value", scale),
            heads=heads,
        )

    def write(config: ModelConfig) -> Settings:
        space = {"projection_dim": config.projection_dim}
        towers = {} if config.text is None else {"text_config": text.write(config.text, **space)}
        if config.vision is not None:
            towers["vision_config"] = vision.write(config.vision, **space)
        top = {**DEFAULTS, "logit_scale_init_value": config.logit_scale_init_value, **space}
        classes = {"architectures": [architecture]} if architecture else {}
        return {**top, **towers, "model_type": model_type, **classes}

    def absent(settings: Mapping[str, Any]) -> Settings:
        towers: dict[str, Section[Any]] = {"vision": vision, "text": text}
        found = {
            f"{tower}_config.{key}": value
            for tower, section in towers.items()
            for key, value in section.absent(part(settings, tower, section.defaults)).items()
            if key != "projection_dim"  # of the classes of one tower alone; both towers share that of the top
        }
        top = {} if settings.get("projection_dim") is not None else {"projection_dim": projection_dim}
        return {**top, **found}

    def holds(config: ModelConfig) -> bool:
        architecture_here = None if config.text is None else config.text.architecture
        return architecture_here == text.fixed["architecture"] and config.vision is not None and config.heads == heads

    image_side = (*tables.vit("vision_model."), ("visual_projection", "visual_projection"))
    return Layout(
        name=name, rows=(*image_side, *rows, ("logit_scale", "logit_scale")), starts=starts, read=read, write=write,
        holds=holds, absent=absent, **{"ignored": tables.BUFFERS, **more},
    )  # fmt: skip

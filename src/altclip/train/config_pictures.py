"""What a recipe may say of a model that draws: the sizes of its UNet, and how it is trained."""

# ruff: noqa: RUF012 - pydantic copies defaults; ruff does not see that a Section is a pydantic model

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

from pydantic import Field

from altclip.train.sections import Above0, Positive, Section, Share

OF_THE_STAGE: Final = frozenset({"drop_text", "guidance", "level_power"})  # all else is the UNet's, once and for all


class DenoiseConfig(Section):
    """What a stage of kind `denoise` has beside the others.

    side: of the pictures, in pixels. patch, channels: how the pictures become latents (`PatchAutoencoder`), fitted to
    the stage's own where it starts from no UNet. widths: of the UNet from its finest level to its coarsest, each half
    as fine as the one before; attention: whether a level sees itself and the text; layers: of a level; head_dim: of an
    attention head. prediction: what the UNet tells (`v_prediction`: Salimans & Ho 2022). pooled: the text, pooled by
    attention over its tokens, also goes where the level of noise goes, and both scale and shift what the norms give
    (Saharia et al. 2022; Dhariwal & Nichol 2021). drop_text: share of pictures trained without their text, for
    guidance; guidance: of pictures where nothing else is said. level_power: levels of noise are drawn as u **
    level_power of the largest, u uniform: below 1 more noise, where the text alone decides what is there.
    """

    side: Positive = 64
    patch: Literal[2, 4, 8, 16] = 8
    channels: Positive = 48
    widths: Annotated[list[Positive], Field(min_length=1)] = [96, 192]
    attention: list[bool] = [True, True]
    layers: Positive = 1
    head_dim: Positive = 32
    groups: Positive = 16
    pooled: bool = False
    drop_text: Share = 0.1
    level_power: Above0 = 1.0
    guidance: Annotated[float, Field(ge=0, le=100)] | None = None
    prediction: Literal["v_prediction", "epsilon"] = "v_prediction"

    @classmethod
    def needs(cls, data: Mapping[str, Any]) -> list[str]:
        sizes = {name: data.get(name, cls.model_fields[name].default) for name in ("side", "patch", "widths")}
        levels, attention = sizes["widths"], data.get("attention", cls.model_fields["attention"].default)
        problems = []
        if isinstance(levels, list) and isinstance(attention, list) and len(levels) != len(attention):
            problems.append(f"`attention` has {len(attention)} levels, `widths` {len(levels)}: give one a level")
        if isinstance(levels, list) and isinstance(sizes["side"], int) and sizes["patch"] in (2, 4, 8, 16):
            multiple = sizes["patch"] * 2 ** (len(levels) - 1)
            if sizes["side"] % multiple:
                problems.append(f"`side` {sizes['side']} is no multiple of {multiple}: patch x 2 a level but one")
        groups = data.get("groups", cls.model_fields["groups"].default)
        if isinstance(levels, list) and isinstance(groups, int) and groups > 0:
            wrong = [str(width) for width in levels if isinstance(width, int) and width % groups]
            problems += [f"`widths` {', '.join(wrong)}: no multiple of the {groups} groups of its norms"] * bool(wrong)
        return problems

"""The text encoders of AltDiffusion, AltDiffusion-m9 and -m18, as diffusers keeps them in a pipeline's `text_encoder`.

diffusers' class is `RobertaSeriesModelWithTransformation`; it is deprecated, and opens what is written here. m18 is
told by its second linear map. All released configurations say `use_attention_mask`, and a missing entry means the same;
one that denies it gives heads that read the padding too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from altclip.checkpoints.layouts import altclip, altclip_m18, tables
from altclip.checkpoints.layouts.base import Layout, Rows, Settings, Shapes
from altclip.checkpoints.layouts.sections import Section
from altclip.models import ModelConfig, TextConfig, heads_of

_CLASS: Final = {
    "architectures": ["RobertaSeriesModelWithTransformation"], "pooler_fn": "cls", "learn_encoder": False,
}  # fmt: skip
_MASKED: Final = "use_attention_mask"


def _text_encoder(
    name: str, family: str, defaults: Mapping[str, Any], rows: Rows, *, own: Settings,
    starts: tuple[str, ...], lacks: tuple[str, ...],
) -> Layout:  # fmt: skip
    """own: entries of config.json that this one has beside the other's; starts, lacks: see `Layout`."""
    section = Section(TextConfig, "xlm-roberta", defaults, fixed={"architecture": "xlm-roberta"})
    masked = heads_of(family)
    unmasked = {name: replace(head, masked=False) for name, head in masked.items()}

    def read(settings: Mapping[str, Any], _shapes: Shapes) -> ModelConfig:
        heads = unmasked if settings.get(_MASKED) is False else masked
        return ModelConfig(vision=None, text=section.read(settings), heads=heads)

    def write(config: ModelConfig) -> Settings:
        text = {} if config.text is None else section.write(config.text)
        return {**text, **_CLASS, _MASKED: config.heads == masked, **own}

    def holds(config: ModelConfig) -> bool:
        return config.vision is None and config.text is not None and config.heads in (masked, unmasked)

    return Layout(
        name=name,
        rows=(*tables.bert("roberta."), *rows),
        starts=starts,
        lacks=lacks,
        aliases=((r"^text_model\.", ""), (r"^roberta\.encoder\.layers\.", "roberta.encoder.layer.")),
        ignored=(*altclip.UNUSED, r"^logit_scale$"),
        read=read,
        write=write,
        holds=holds,
        absent=section.absent,
    )


ALTDIFFUSION: Final = _text_encoder(
    "AltDiffusion text encoder",
    "altdiffusion",
    altclip.TEXT.defaults,
    (("text.linears.transformation", "transformation"),),
    own={},
    starts=("roberta.", "transformation."),
    lacks=("pre_LN.", "transformation_pre.", "vision_model."),
)
ALTDIFFUSION_M18: Final = _text_encoder(
    "AltDiffusion-m18 text encoder",
    "altdiffusion-m18",
    altclip_m18.TEXT.defaults,
    (*altclip.READOUT, ("text.linears.transformation_pre", "transformation_pre")),
    own={"has_pre_transformation": True},
    starts=("roberta.", "pre_LN.", "transformation.", "transformation_pre."),
    lacks=("vision_model.",),
)

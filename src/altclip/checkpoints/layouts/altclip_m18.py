"""AltCLIP-m18: AltCLIP's names and one more linear map, `transformation_pre`, through which it conditions AltDiffusion.

Its config.json says `altclip` all the same, so the map tells the family. Sizes that a file leaves out are those of the
released model, whose image tower is LAION's ViT-H/14, and not the defaults of transformers' class.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from altclip.checkpoints.layouts import altclip, tables
from altclip.checkpoints.layouts.dual import dual

VISION: Final = replace(
    altclip.VISION,
    defaults={
        **altclip.VISION.defaults, "hidden_size": 1280, "intermediate_size": 5120, "projection_dim": 1024,
        "num_hidden_layers": 32, "num_attention_heads": 16, "patch_size": 14, "hidden_act": "gelu",
    },
)  # fmt: skip
TEXT: Final = replace(altclip.TEXT, defaults={**altclip.TEXT.defaults, "project_dim": 1024})

ALTCLIP_M18: Final = dual(
    "AltCLIP-m18",
    vision=VISION,
    text=TEXT,
    family="altclip-m18",
    projection_dim=1024,
    model_type="altclip",
    architecture="AltCLIPModel",
    rows=(
        *tables.bert("text_model.roberta."),
        *((ours, f"text_model.{theirs}") for ours, theirs in altclip.READOUT),
        ("text.linears.transformation_pre", "text_model.transformation_pre"),
        ("text.projections.text_projection", "text_projection"),
    ),
    starts=(
        "text_model.roberta.", "text_model.transformation_pre.weight", "text_model.transformation_pre.bias",
        "vision_model.",
    ),
    aliases=altclip.SPELLINGS,
    ignored=altclip.UNUSED,
)  # fmt: skip

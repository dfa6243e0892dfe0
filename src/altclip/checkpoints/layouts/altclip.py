"""AltCLIP as transformers writes it: both towers, or the text tower alone. AltCLIP-m9 and mini are of this layout.

Several spellings are read: transformers 5 numbers the layers of a dual model's image tower `encoder.layer.N`, 4
`encoder.layers.N`; the text tower is `text_model.roberta.encoder.layer.N`, alone `roberta.encoder.layers.N` or, from 4,
`roberta.encoder.layer.N`. Written is, for both, the spelling of transformers 4, which all versions read; for the text
tower alone that of 5, since no spelling is read by both. FlagAI's own checkpoints, and the hub's of before transformers
knew the model, have the same names, and a few more that no read-out uses.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from altclip.checkpoints.layouts import tables
from altclip.checkpoints.layouts.base import Layout, Settings
from altclip.checkpoints.layouts.dual import DEFAULTS, dual
from altclip.checkpoints.layouts.sections import Section
from altclip.models import Head, ModelConfig, TextConfig, VisionConfig

VISION: Final = Section(
    VisionConfig,
    "altclip_vision_model",
    {  # ViT-B/32, not the ViT-L/14 of the released models
        "hidden_size": 768, "intermediate_size": 3072, "projection_dim": 512, "num_hidden_layers": 12,
        "num_attention_heads": 12, "num_channels": 3, "image_size": 224, "patch_size": 32, "hidden_act": "quick_gelu",
        "layer_norm_eps": 1e-5, "attention_dropout": 0.0, "initializer_range": 0.02, "initializer_factor": 1.0,
    },
)  # fmt: skip
TEXT: Final = Section(
    TextConfig,
    "altclip_text_model",
    {
        "vocab_size": 250002, "hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 24,
        "num_attention_heads": 16, "max_position_embeddings": 514, "hidden_act": "gelu", "layer_norm_eps": 1e-5,
        "initializer_range": 0.02, "initializer_factor": 0.02, "pad_token_id": 1, "bos_token_id": 0,
        "eos_token_id": 2, "hidden_dropout_prob": 0.1, "attention_probs_dropout_prob": 0.0, "type_vocab_size": 1,
        "project_dim": 768,
    },
    fixed={"architecture": "xlm-roberta"},
)  # fmt: skip
DUAL: Final[Mapping[str, Any]] = {**DEFAULTS, "projection_dim": 768}

# The text tower alone: without the projection its states are no embeddings, whatever their width.
TEXT_HEADS: Final = {"tokens": Head(norm="pre_LN", linear="transformation", tokens="all")}
READOUT: Final = (("text.norms.pre_LN", "pre_LN"), ("text.linears.transformation", "transformation"))
SPELLINGS: Final = (
    (r"^vision_model\.encoder\.layer\.", "vision_model.encoder.layers."),
    (r"^text_model\.roberta\.encoder\.layers\.", "text_model.roberta.encoder.layer."),
)
# XLM-R's pooler, and what FlagAI trains beside the read-out (`learn_encoder`, `add_lm_task`).
UNUSED: Final = (*tables.BUFFERS, r"(^|\.)roberta\.pooler\.", r"^(text_model\.)?(encoder_tfm|lm_head)\.")


def _write_text(config: ModelConfig) -> Settings:
    return {**({} if config.text is None else TEXT.write(config.text)), "architectures": ["AltCLIPTextModel"]}


def _holds_text(config: ModelConfig) -> bool:
    is_xlm_r = config.text is not None and config.text.architecture == "xlm-roberta"
    return is_xlm_r and config.vision is None and config.heads == TEXT_HEADS


ALTCLIP: Final = dual(
    "Hugging Face AltCLIP",
    vision=VISION,
    text=TEXT,
    family="altclip",
    projection_dim=DUAL["projection_dim"],
    model_type="altclip",
    architecture="AltCLIPModel",
    rows=(
        *tables.bert("text_model.roberta."),
        *((ours, f"text_model.{theirs}") for ours, theirs in READOUT),
        ("text.projections.text_projection", "text_projection"),
    ),
    starts=("text_model.roberta.", "vision_model."),
    aliases=SPELLINGS,
    ignored=UNUSED,
)

ALTCLIP_TEXT: Final = Layout(
    name="Hugging Face AltCLIPTextModel",
    rows=(*tables.bert("roberta.", "layers"), *READOUT),
    starts=("roberta.", "transformation.", "pre_LN."),
    aliases=((r"^text_model\.", ""), (r"^roberta\.encoder\.layer\.", "roberta.encoder.layers.")),
    lacks=("vision_model.",),
    ignored=UNUSED,
    read=lambda settings, _shapes: ModelConfig(vision=None, text=TEXT.read(settings), heads=TEXT_HEADS),
    write=_write_text,
    holds=_holds_text,
    absent=TEXT.absent,
)

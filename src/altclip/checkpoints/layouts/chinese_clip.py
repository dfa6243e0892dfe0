"""Chinese-CLIP as transformers writes it, and as its authors do: a BERT read at its first token beside a ViT.

The original `.pt` files hold a state dict in OpenAI's names, with `bert.` for the text tower, and no sizes: these are
told by the tensors, and the rest is the same in all released models. The RN50 model has another kind of image tower,
and is not computed here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from altclip.checkpoints.layouts import tables
from altclip.checkpoints.layouts.base import Layout, Shapes
from altclip.checkpoints.layouts.clip import VISION as CLIP_VISION
from altclip.checkpoints.layouts.dual import dual
from altclip.checkpoints.layouts.open_clip import openai_vision
from altclip.checkpoints.layouts.sections import Section
from altclip.checkpoints.layouts.sizes import HEAD_WIDTH, text_sizes
from altclip.errors import LayoutError, UsageError
from altclip.models import ModelConfig, TextConfig, VisionConfig, heads_of

VISION: Final = Section(VisionConfig, "chinese_clip_vision_model", CLIP_VISION.defaults)
TEXT: Final = Section(
    TextConfig,
    "chinese_clip_text_model",
    {
        "vocab_size": 30522, "hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12,
        "num_attention_heads": 12, "max_position_embeddings": 512, "hidden_act": "gelu", "layer_norm_eps": 1e-12,
        "initializer_range": 0.02, "initializer_factor": 1.0, "pad_token_id": 0, "bos_token_id": 0,
        "hidden_dropout_prob": 0.1, "attention_probs_dropout_prob": 0.1, "type_vocab_size": 2,
    },
    fixed={"architecture": "bert"},
)  # fmt: skip

# Not told by tensors, and the same in all of cn_clip's models.
_BERT: Final[Mapping[str, Any]] = {
    "architecture": "bert", "hidden_act": "gelu", "layer_norm_eps": 1e-12, "pad_token_id": 0,
    "initializer_factor": 1.0,
}  # fmt: skip
_HEAD_WIDTHS: Final = {1280: 80}  # width of the image tower -> of its heads, where it is not 64: ViT-H/14


def _read_tensors(_settings: Mapping[str, Any], shapes: Shapes) -> ModelConfig:
    vision, text = openai_vision(shapes), dict[str, Any](text_sizes(shapes))
    absent = set(_WANTED) - text.keys()
    if absent or "visual_projection.weight" not in shapes:
        raise LayoutError(f"the tensors do not tell {', '.join(sorted(absent)) or 'visual.proj'}: is the file whole?")
    vision["num_attention_heads"] = vision["hidden_size"] // _HEAD_WIDTHS.get(vision["hidden_size"], HEAD_WIDTH)
    try:
        return ModelConfig(
            vision=VisionConfig(**vision),
            text=TextConfig(**_BERT, **text, num_attention_heads=text["hidden_size"] // HEAD_WIDTH),
            projection_dim=shapes["visual_projection.weight"][0],
            heads=heads_of("chinese-clip"),
        )
    except UsageError as error:
        raise LayoutError(f"the sizes do not fit together: {error}") from error


_WANTED: Final = (
    "vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "max_position_embeddings", "type_vocab_size",
)  # fmt: skip

CHINESE_CLIP: Final = dual(
    "Hugging Face Chinese-CLIP",
    vision=VISION,
    text=TEXT,
    family="chinese-clip",
    projection_dim=512,
    model_type="chinese_clip",
    architecture="ChineseCLIPModel",
    rows=(*tables.bert("text_model."), ("text.projections.text_projection", "text_projection")),
    starts=("text_model.embeddings.word_embeddings", "vision_model.", "text_projection"),
    aliases=(
        (r"^vision_model\.encoder\.layer\.", "vision_model.encoder.layers."),
        (r"^text_model\.encoder\.layers\.", "text_model.encoder.layer."),
    ),
    ignored=(*tables.BUFFERS, r"^text_model\.pooler\."),
)

CHINESE_CLIP_ORIGINAL: Final = Layout(
    name="Chinese-CLIP of its authors",
    rows=(
        *tables.OPENAI_VIT,
        *tables.bert("bert."),
        ("text.projections.text_projection.weight", "text_projection"),
        ("logit_scale", "logit_scale"),
    ),
    starts=("bert.embeddings.word_embeddings", "visual."),
    lacks=("token_embedding",),
    aliases=((r"^module\.", ""),),
    ignored=(*tables.BUFFERS, r"^bert\.pooler\."),
    fused=tables.OPENAI_FUSED,
    transposed=tables.OPENAI_TRANSPOSED,
    read=_read_tensors,
    needs_config=False,
)

"""Sizes of the released models and of the bundled one, by name."""

from __future__ import annotations

from typing import Final

from altclip.errors import UsageError
from altclip.models.config import ModelConfig, TextConfig, VisionConfig
from altclip.models.heads import heads_of

_CLIP_TEXT_L: Final = TextConfig(
    architecture="clip", vocab_size=49408, hidden_size=768, intermediate_size=3072, num_hidden_layers=12,
    num_attention_heads=12, max_position_embeddings=77, type_vocab_size=0, hidden_act="quick_gelu",
    attention_probs_dropout_prob=0.0, pad_token_id=49407, bos_token_id=49406, eos_token_id=49407,
)  # fmt: skip
_VIT_H: Final = VisionConfig(  # LAION's ViT-H/14
    hidden_size=1280, intermediate_size=5120, num_hidden_layers=32, num_attention_heads=16, hidden_act="gelu"
)
_CHINESE_BERT: Final = TextConfig(  # chinese-roberta-wwm-ext, which is a BERT in all but name
    architecture="bert", vocab_size=21128, hidden_size=768, intermediate_size=3072, num_hidden_layers=12,
    num_attention_heads=12, max_position_embeddings=512, type_vocab_size=2, layer_norm_eps=1e-12, pad_token_id=0,
)  # fmt: skip
_MINI_VISION: Final = VisionConfig(
    hidden_size=192, intermediate_size=768, num_hidden_layers=8, num_attention_heads=3, image_size=64, patch_size=8,
    hidden_act="gelu",
)  # fmt: skip
_MINI_TEXT: Final = TextConfig(
    vocab_size=12000, hidden_size=192, intermediate_size=768, num_hidden_layers=4, num_attention_heads=3,
    max_position_embeddings=66, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0, project_dim=256,
)  # fmt: skip
_MINI_TEACHER_TEXT: Final = TextConfig(
    architecture="clip", vocab_size=12000, hidden_size=192, intermediate_size=768, num_hidden_layers=2,
    num_attention_heads=3, max_position_embeddings=64, type_vocab_size=0, attention_probs_dropout_prob=0.0,
    pad_token_id=1, bos_token_id=0, eos_token_id=3,
)  # fmt: skip

PRESETS: Final[dict[str, ModelConfig]] = {
    "altclip": ModelConfig(),
    "altclip-m9": ModelConfig(),
    "altclip-m18": ModelConfig(
        vision=_VIT_H, text=TextConfig(project_dim=1024), projection_dim=1024, heads=heads_of("altclip-m18")
    ),
    "clip-vit-l-14": ModelConfig(text=_CLIP_TEXT_L, heads=heads_of("clip")),
    "taiyi": ModelConfig(text=_CHINESE_BERT, heads=heads_of("taiyi-pooler")),
    "mini": ModelConfig(vision=_MINI_VISION, text=_MINI_TEXT, projection_dim=256),
    "mini-teacher": ModelConfig(
        vision=_MINI_VISION, text=_MINI_TEACHER_TEXT, projection_dim=256, heads=heads_of("clip")
    ),
}


def preset(name: str) -> ModelConfig:
    """The configuration of that name. Raises UsageError for an unknown one."""
    if name not in PRESETS:
        raise UsageError(f"no preset '{name}': known are {', '.join(PRESETS)}")
    return PRESETS[name]

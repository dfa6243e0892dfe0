"""Rows of names that several layouts share: the ViT, the BERT-like text tower and CLIP's causal one.

Each tower of CLIP has two spellings: that of transformers, and that of OpenAI's code, which open_clip and the original
Chinese-CLIP kept.
"""

from __future__ import annotations

from typing import Final

from altclip.checkpoints.layouts.base import Rows

_CLIP_LAYER: Final[Rows] = (
    ("attention.query", "self_attn.q_proj"),
    ("attention.key", "self_attn.k_proj"),
    ("attention.value", "self_attn.v_proj"),
    ("attention.output", "self_attn.out_proj"),
    ("norm1", "layer_norm1"),
    ("norm2", "layer_norm2"),
    ("expand", "mlp.fc1"),
    ("contract", "mlp.fc2"),
)
_BERT_LAYER: Final[Rows] = (
    ("attention.query", "attention.self.query"),
    ("attention.key", "attention.self.key"),
    ("attention.value", "attention.self.value"),
    ("attention.output", "attention.output.dense"),
    ("norm1", "attention.output.LayerNorm"),
    ("expand", "intermediate.dense"),
    ("contract", "output.dense"),
    ("norm2", "output.LayerNorm"),
)
_VIT: Final[Rows] = (
    ("class_embedding", "embeddings.class_embedding"),
    ("patches", "embeddings.patch_embedding"),
    ("positions", "embeddings.position_embedding"),
    ("pre_norm", "pre_layrnorm"),  # so spelt in all released files
    ("post_norm", "post_layernorm"),
)
_BERT: Final[Rows] = (
    ("words", "embeddings.word_embeddings"),
    ("positions", "embeddings.position_embeddings"),
    ("types", "embeddings.token_type_embeddings"),
    ("norm", "embeddings.LayerNorm"),
)
_CLIP_TEXT: Final[Rows] = (
    ("words", "embeddings.token_embedding"),
    ("positions", "embeddings.position_embedding"),
)

_OPENAI_LAYER: Final[Rows] = (
    ("attention.query", "attn.q_proj"),
    ("attention.key", "attn.k_proj"),
    ("attention.value", "attn.v_proj"),
    ("attention.output", "attn.out_proj"),
    ("norm1", "ln_1"),
    ("norm2", "ln_2"),
    ("expand", "mlp.c_fc"),
    ("contract", "mlp.c_proj"),
)
OPENAI_VIT: Final[Rows] = (
    ("vision.class_embedding", "visual.class_embedding"),
    ("vision.patches", "visual.conv1"),
    ("vision.positions.weight", "visual.positional_embedding"),
    ("vision.pre_norm", "visual.ln_pre"),
    ("vision.post_norm", "visual.ln_post"),
    ("visual_projection.weight", "visual.proj"),
    *((f"vision.layers.{{}}.{a}", f"visual.transformer.resblocks.{{}}.{b}") for a, b in _OPENAI_LAYER),
)
OPENAI_TEXT: Final[Rows] = (
    ("text.tower.words", "token_embedding"),
    ("text.tower.positions.weight", "positional_embedding"),
    ("text.norms.final_norm", "ln_final"),
    ("text.projections.text_projection.weight", "text_projection"),
    *((f"text.tower.layers.{{}}.{a}", f"transformer.resblocks.{{}}.{b}") for a, b in _OPENAI_LAYER),
)
# Query, key and value lie in one tensor there; projections are multiplied from the right, so they lie the other way.
OPENAI_FUSED: Final = ((r"attn\.in_proj_(weight|bias)$", (r"attn.q_proj.\1", r"attn.k_proj.\1", r"attn.v_proj.\1")),)
OPENAI_TRANSPOSED: Final = (r"(^|\.)visual\.proj$", r"(^|\.)text_projection$")

# Buffers that older versions of transformers stored; they hold 0, 1, 2, ...
BUFFERS: Final = (r"(^|\.)position_ids$", r"(^|\.)token_type_ids$")


def vit(theirs: str) -> Rows:
    """The image tower, whose names begin with `theirs` there."""
    return _under("vision.", theirs, _VIT) + _under("vision.layers.{}.", f"{theirs}encoder.layers.{{}}.", _CLIP_LAYER)


def bert(theirs: str, numbered: str = "layer") -> Rows:
    """An XLM-R or BERT text tower. numbered: what stands before the number of a layer."""
    layers = _under("text.tower.layers.{}.", f"{theirs}encoder.{numbered}.{{}}.", _BERT_LAYER)
    return _under("text.tower.", theirs, _BERT) + layers


def clip_text(theirs: str) -> Rows:
    """CLIP's causal text tower."""
    layers = _under("text.tower.layers.{}.", f"{theirs}encoder.layers.{{}}.", _CLIP_LAYER)
    return _under("text.tower.", theirs, _CLIP_TEXT) + layers


def _under(ours: str, theirs: str, rows: Rows) -> Rows:
    return tuple((ours + a, theirs + b) for a, b in rows)

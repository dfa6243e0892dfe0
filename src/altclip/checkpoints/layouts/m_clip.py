"""Multilingual-CLIP: XLM-RoBERTa, the mean of its last states, and a linear map to the width of a CLIP image tower.

The released configurations name the base model and give two widths; the rest is what the tensors tell. diffusers'
Kandinsky writes the whole configuration instead, and its class opens what is written here; the authors' own does not,
as it wants XLM-R's pooler too, which no read-out uses.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from altclip.checkpoints.layouts import altclip, tables
from altclip.checkpoints.layouts.base import Layout, Settings, Shapes
from altclip.checkpoints.layouts.clip import VISION
from altclip.checkpoints.layouts.dual import dual
from altclip.checkpoints.layouts.sections import Section
from altclip.checkpoints.layouts.sizes import HEAD_WIDTH, text_sizes
from altclip.errors import LayoutError
from altclip.models import ModelConfig, TextConfig, heads_of

_HEADS: Final = heads_of("m-clip")
# Of XLM-R large, 1024 -> 768.
_SIZES: Final[Mapping[str, Any]] = {**altclip.TEXT.defaults, "attention_probs_dropout_prob": 0.1}
_OWN: Final = {"hidden_size": "transformerDimensions", "project_dim": "numDims"}  # XLM-R's or our field -> M-CLIP's
_FIXED: Final = {"architecture": "xlm-roberta"}
TEXT: Final = Section(
    TextConfig,
    "M-CLIP",
    {_OWN.get(key, key): value for key, value in _SIZES.items()},
    renamed={theirs: ours for ours, theirs in _OWN.items()},
    fixed=_FIXED,
)


def _read(settings: Mapping[str, Any], shapes: Shapes) -> ModelConfig:
    """From config.json as far as it says; then from the tensors, with XLM-R's 64 numbers to an attention head."""
    base = settings.get("modelBase")
    if base is not None and "xlm-roberta" not in str(base).lower():
        raise LayoutError(f"modelBase is {base!r}: of M-CLIP's text encoders those of XLM-RoBERTa are known here")
    told = {_OWN.get(key, key): size for key, size in text_sizes(shapes).items()}
    given = {**told, **{key: value for key, value in settings.items() if value is not None}}
    width = given.get("transformerDimensions")
    heads = {"num_attention_heads": max(1, width // HEAD_WIDTH)} if isinstance(width, int) else {}
    return ModelConfig(vision=None, text=TEXT.read({**heads, **given}), heads=_HEADS)


def _write(config: ModelConfig) -> Settings:
    if config.text is None:
        return {}
    base = "xlm-roberta-large" if config.text.hidden_size == _SIZES["hidden_size"] else "xlm-roberta-base"
    own = {"modelBase": base, "hidden_size": config.text.hidden_size, "architectures": ["MultilingualCLIP"]}
    return {**TEXT.write(config.text), **own}


def _holds(config: ModelConfig) -> bool:
    return config.vision is None and config.text is not None and config.heads == _HEADS


M_CLIP: Final = Layout(
    name="M-CLIP text encoder",
    rows=(*tables.bert("transformer."), ("text.linears.LinearTransformation", "LinearTransformation")),
    starts=("transformer.embeddings.", "LinearTransformation."),
    aliases=((r"^transformer\.encoder\.layers\.", "transformer.encoder.layer."),),
    ignored=(*tables.BUFFERS, r"^transformer\.pooler\."),
    read=_read,
    write=_write,
    holds=_holds,
)

# With its image tower, as `Encoder.save` leaves it; the layout is ours, and no other program reads it.
M_CLIP_DUAL: Final = dual(
    "M-CLIP with its image tower",
    vision=VISION,
    text=Section(TextConfig, "xlm-roberta", _SIZES, fixed=_FIXED),
    family="m-clip",
    projection_dim=768,
    model_type="altclip-m-clip",
    architecture=None,
    rows=(
        *tables.bert("text_model."),
        ("text.linears.LinearTransformation", "text_model.LinearTransformation"),
    ),
    starts=("text_model.embeddings.word_embeddings", "text_model.LinearTransformation.", "vision_model."),
)

"""CLIP in the names of OpenAI's code: open_clip's folders, and state dicts without any configuration.

open_clip describes a model in `model_cfg` of open_clip_config.json. It knows many variants; those that compute
something else than CLIP are refused with the key that asks for them. A state dict alone tells its sizes as OpenAI's own
`build_model` reads them; activation and heads are those of OpenAI's models, since tensors do not tell them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from altclip.checkpoints.layouts import tables
from altclip.checkpoints.layouts.base import Layout, Shapes
from altclip.checkpoints.layouts.sections import typed
from altclip.checkpoints.layouts.sizes import HEAD_WIDTH, text_sizes, vision_sizes
from altclip.errors import LayoutError, UsageError
from altclip.models import ModelConfig, TextConfig, VisionConfig, heads_of

# The sizes, with open_clip's defaults.
_VISION: Final[Mapping[str, Any]] = {
    "layers": 12, "width": 768, "head_width": 64, "mlp_ratio": 4.0, "patch_size": 16, "image_size": 224,
}  # fmt: skip
_TEXT: Final[Mapping[str, Any]] = {
    "context_length": 77, "vocab_size": 49408, "width": 512, "heads": 8, "layers": 12, "mlp_ratio": 4.0,
}  # fmt: skip
_TOP: Final = frozenset({"embed_dim", "vision_cfg", "text_cfg", "quick_gelu"})
# What every other key may say: only this, or nothing (null, false, 0, ""), which is the default of most.
_PLAIN: Final[Mapping[str, tuple[Any, ...]]] = {
    "block_type": ("default",), "custom_text": (True,), "pos_embed_type": ("learnable",), "proj_type": ("linear",),
    "vision_cfg.pool_type": ("tok",), "text_cfg.pool_type": ("argmax",),
}  # fmt: skip
# Of training, of other programs, or of options that are off.
_IDLE: Final = frozenset(
    {
        "patch_dropout", "init_logit_scale", "cast_dtype", "output_dict", "output_tokens", "pad_id", "eos_id",
        "attn_pooler_queries", "attn_pooler_heads", "timm_model_pretrained", "timm_pool", "timm_proj", "timm_drop",
        "timm_drop_path", "hf_model_pretrained", "hf_proj_type", "hf_pooler_type", "proj", "pooler_type",
    }
)  # fmt: skip
_WIDEST: Final = 1024  # of OpenAI's towers; larger ones are LAION's, of other heads and activation


def _read(settings: Mapping[str, Any], _shapes: Shapes) -> ModelConfig:
    model = settings.get("model_cfg")
    if not isinstance(model, Mapping):
        raise LayoutError("there is no 'model_cfg': the tensors are open_clip's, so fetch open_clip_config.json too")
    vision, text = (_section(model, name) for name in ("vision_cfg", "text_cfg"))
    _refuse_variants(model, vision, text)
    activation = "quick_gelu" if model.get("quick_gelu") else "gelu"
    return _config(_vision(vision, activation), _text(text, activation), int(_number(model, "embed_dim", 512)))


def _vision(values: Mapping[str, Any], activation: str) -> dict[str, Any]:
    width, head_width = (int(_number(values, key, _VISION[key])) for key in ("width", "head_width"))
    if not head_width or width % head_width:
        raise LayoutError(f"vision_cfg.width {width} does not divide into heads of head_width {head_width}")
    return {
        **_layers(values, _VISION, activation),
        "num_attention_heads": width // head_width,
        "image_size": int(_number(values, "image_size", _VISION["image_size"])),
        "patch_size": int(_number(values, "patch_size", _VISION["patch_size"])),
    }


def _text(values: Mapping[str, Any], activation: str) -> dict[str, Any]:
    return {
        **_layers(values, _TEXT, activation),
        "num_attention_heads": int(_number(values, "heads", _TEXT["heads"])),
        "vocab_size": int(_number(values, "vocab_size", _TEXT["vocab_size"])),
        "max_position_embeddings": int(_number(values, "context_length", _TEXT["context_length"])),
    }


def _layers(values: Mapping[str, Any], defaults: Mapping[str, Any], activation: str) -> dict[str, Any]:
    width = int(_number(values, "width", defaults["width"]))
    return {
        "hidden_size": width,
        "intermediate_size": int(width * _number(values, "mlp_ratio", defaults["mlp_ratio"])),
        "num_hidden_layers": int(_number(values, "layers", defaults["layers"])),
        "hidden_act": activation,
    }


def _read_tensors(_settings: Mapping[str, Any], shapes: Shapes) -> ModelConfig:
    """Of a state dict alone."""
    vision, text = openai_vision(shapes), dict[str, Any](text_sizes(shapes))
    absent = [name for name in ("vocab_size", "num_hidden_layers", "intermediate_size") if name not in text]
    if absent or "text.projections.text_projection.weight" not in shapes:
        raise LayoutError(f"the tensors do not tell {absent[0] if absent else 'text_projection'} of the text tower")
    if vision["hidden_size"] > _WIDEST:
        raise LayoutError(
            f"the image tower is {vision['hidden_size']} wide: none of OpenAI's is, and tensors do not tell activation "
            "and heads; put the open_clip_config.json of these weights beside them"
        )
    text = {**text, "num_attention_heads": text["hidden_size"] // HEAD_WIDTH, "hidden_act": "quick_gelu"}
    return _config(vision, text, shapes["text.projections.text_projection.weight"][0])


def openai_vision(shapes: Shapes) -> dict[str, Any]:
    """An image tower in OpenAI's names as its tensors tell it. Raises LayoutError for a ResNet."""
    sizes = vision_sizes(shapes)
    if "hidden_size" not in sizes:
        raise LayoutError("the image tower is a ResNet (RN50), which is not computed here: take a ViT model")
    absent = {"intermediate_size", "patch_size", "image_size", "num_hidden_layers"} - sizes.keys()
    if absent:
        raise LayoutError(f"the tensors do not tell {', '.join(sorted(absent))} of the image tower: is the file whole?")
    return {**sizes, "num_attention_heads": sizes["hidden_size"] // HEAD_WIDTH, "hidden_act": "quick_gelu"}


def _config(vision: Mapping[str, Any], text: Mapping[str, Any], width: int) -> ModelConfig:
    """End of text: the largest id, as in both codes, which a configured 2 means (see `TextEncoder.end_of_text`)."""
    causal = {"architecture": "clip", "type_vocab_size": 0, "attention_probs_dropout_prob": 0.0, "eos_token_id": 2}
    try:
        return ModelConfig(
            vision=VisionConfig(**vision),
            text=TextConfig(**{**causal, **text}),
            projection_dim=width,
            heads=heads_of("clip"),
        )
    except UsageError as error:
        raise LayoutError(f"the sizes do not fit together: {error}") from error


def _section(model: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    values = model.get(name)
    if not isinstance(values, Mapping):
        raise LayoutError(f"model_cfg.{name} is {values!r}: expected the values of a tower")
    return values


def _number(values: Mapping[str, Any], name: str, default: float) -> float:
    value = values.get(name)
    return default if value is None else float(typed(name, value, default))


def _refuse_variants(model: Mapping[str, Any], vision: Mapping[str, Any], text: Mapping[str, Any]) -> None:
    """Raise LayoutError with every key that asks for something else than CLIP with a ViT."""
    if isinstance(vision.get("layers"), list | tuple):
        layers = vision["layers"]
        raise LayoutError(f"vision_cfg.layers is {layers}, a ResNet, which is not computed here: take a ViT model")
    places = {"": (model, _TOP), "vision_cfg.": (vision, frozenset(_VISION)), "text_cfg.": (text, frozenset(_TEXT))}
    strange = [
        f"{place}{key} {value!r:.60}"
        for place, (values, sizes) in places.items()
        for key, value in values.items()
        if key not in sizes | _IDLE and value and value not in _PLAIN.get(place + key, _PLAIN.get(key, ()))
    ]
    if strange:
        raise LayoutError(
            f"this variant of open_clip is not computed here: {', '.join(strange)}; "
            "known are ViT models of the class CLIP with a text tower of their own"
        )


_NAMES: Final[dict[str, Any]] = {
    "rows": (*tables.OPENAI_VIT, *tables.OPENAI_TEXT, ("logit_scale", "logit_scale")),
    "aliases": ((r"^module\.", ""), (r"^text\.", "")),  # of distributed training, and of open_clip's `custom_text`
    "ignored": (*tables.BUFFERS, r"^(input_resolution|context_length|vocab_size|attn_mask)$"),
    "fused": tables.OPENAI_FUSED,
    "transposed": tables.OPENAI_TRANSPOSED,
    "lacks": ("bert.",),
}
OPEN_CLIP: Final = Layout(name="open_clip", starts=("visual.",), read=_read, **_NAMES)
OPENAI: Final = Layout(
    name="OpenAI CLIP state dict", starts=("visual.", "transformer.resblocks.", "token_embedding"), read=_read_tensors,
    needs_config=False, **_NAMES,
)  # fmt: skip

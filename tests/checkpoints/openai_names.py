"""Tensors of transformers' CLIP classes under the names of OpenAI's code, made here without any table of ours.

Read off the modules of openai/CLIP's model.py, which open_clip and cn_clip kept: query, key and value lie in one
tensor, projections are multiplied from the right, position embeddings are plain parameters.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from altclip.models import DualEncoder

State = dict[str, Tensor]
_BLOCK = {
    "self_attn.out_proj": "attn.out_proj", "layer_norm1": "ln_1", "layer_norm2": "ln_2", "mlp.fc1": "mlp.c_fc",
    "mlp.fc2": "mlp.c_proj",
}  # fmt: skip


def clip_state(theirs: Any) -> State:
    """Of a CLIPModel."""
    state = theirs.state_dict()
    return {
        **image_side(state),
        **_blocks(state, "text_model.", "transformer."),
        "token_embedding.weight": state["text_model.embeddings.token_embedding.weight"],
        "positional_embedding": state["text_model.embeddings.position_embedding.weight"],
        "ln_final.weight": state["text_model.final_layer_norm.weight"],
        "ln_final.bias": state["text_model.final_layer_norm.bias"],
        "text_projection": state["text_projection.weight"].T.contiguous(),
        "logit_scale": state["logit_scale"],
    }


def chinese_clip_state(theirs: Any, prefix: str = "module.") -> State:
    """Of a ChineseCLIPModel, in the names of cn_clip under distributed training."""
    state = theirs.state_dict()
    bert = {f"bert.{key.removeprefix('text_model.')}": t for key, t in state.items() if key.startswith("text_model.")}
    top = {"text_projection": state["text_projection.weight"].T.contiguous(), "logit_scale": state["logit_scale"]}
    return {prefix + key: tensor for key, tensor in {**image_side(state), **bert, **top}.items()}


def image_side(state: Mapping[str, Tensor]) -> State:
    """The image tower and its projection."""
    place = "vision_model."
    norms = {"pre_layrnorm": "ln_pre", "post_layernorm": "ln_post"}
    return {
        **_blocks(state, place, "visual.transformer."),
        **{
            f"visual.{new}.{kind}": state[f"{place}{old}.{kind}"]
            for old, new in norms.items()
            for kind in ("weight", "bias")
        },
        "visual.class_embedding": state[f"{place}embeddings.class_embedding"],
        "visual.conv1.weight": state[f"{place}embeddings.patch_embedding.weight"],
        "visual.positional_embedding": state[f"{place}embeddings.position_embedding.weight"],
        "visual.proj": state["visual_projection.weight"].T.contiguous(),
    }


def _blocks(state: Mapping[str, Tensor], theirs: str, ours: str) -> State:
    made = {}
    layers = {int(found[1]) for key in state if (found := re.match(rf"{theirs}encoder\.layers\.(\d+)\.", key))}
    for number in layers:
        old, new = f"{theirs}encoder.layers.{number}.", f"{ours}resblocks.{number}."
        for kind in ("weight", "bias"):
            parts = [state[f"{old}self_attn.{part}_proj.{kind}"] for part in "qkv"]
            made[f"{new}attn.in_proj_{kind}"] = torch.cat(parts)
            made.update({f"{new}{b}.{kind}": state[f"{old}{a}.{kind}"] for a, b in _BLOCK.items()})
    return made


def written(state: State, file: Path) -> Path:
    """The state in a file of that name; returns its folder."""
    file.parent.mkdir(parents=True, exist_ok=True)
    if file.suffix == ".safetensors":
        save_file(state, file)
    else:
        torch.save(state, file)
    return file.parent


def assert_same_features(
    ours: DualEncoder, theirs: Any, ids_BL: Tensor, pixels: Tensor, mask_BL: Tensor | None = None
) -> None:
    """Text and image features, before and after the norm, and logits, within 1e-5."""
    with torch.no_grad():
        expected = theirs(input_ids=ids_BL, pixel_values=pixels, attention_mask=mask_BL)
        text, image = ours.encode_text(ids_BL, mask_BL), ours.encode_image(pixels)
        assert torch.allclose(text, theirs.get_text_features(ids_BL, mask_BL).pooler_output, atol=1e-5)
        assert torch.allclose(image, theirs.get_image_features(pixels).pooler_output, atol=1e-5)
        text, image = torch.nn.functional.normalize(text), torch.nn.functional.normalize(image)
        assert torch.allclose(text, expected.text_embeds, atol=1e-5)
        assert torch.allclose(image, expected.image_embeds, atol=1e-5)
        assert torch.allclose(ours.logit_scale.exp() * image @ text.T, expected.logits_per_image, atol=1e-5)

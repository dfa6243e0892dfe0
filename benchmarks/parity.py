"""How far our outputs are from transformers' with the same random weights: the largest absolute difference, in float32.

    python benchmarks/parity.py                 # tiny models and full-size AltCLIP (864 M parameters; 12 GB of memory)
    python benchmarks/parity.py --tiny          # tiny models alone

transformers makes the model and saves it; ours opens the folder. Asked for: 1e-5 in every output and gradient of the
tiny models, 1e-4 in the logits of the full-size one. Gradients here are those of the contrastive loss by projections and
logit scale; tests/models compares those of every weight, hidden states and attentions too.
"""

from __future__ import annotations

import argparse
import gc
import json
import tempfile
from pathlib import Path
from typing import Any

import torch
from common import write_result
from torch import Tensor

TINY_TEXT = {
    "vocab_size": 99, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 3, "num_attention_heads": 4,
    "max_position_embeddings": 40, "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0, "project_dim": 24,
}  # fmt: skip
TINY_VISION = {
    "hidden_size": 36, "intermediate_size": 72, "num_hidden_layers": 2, "num_attention_heads": 3, "image_size": 30,
    "patch_size": 6,
}  # fmt: skip
FULL_TEXT = {
    "vocab_size": 250002, "hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 24,
    "num_attention_heads": 16, "max_position_embeddings": 514, "type_vocab_size": 1, "project_dim": 768,
}  # fmt: skip
FULL_VISION = {
    "hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 24, "num_attention_heads": 16,
    "image_size": 224, "patch_size": 14,
}  # fmt: skip
OUTPUTS = ("logits_per_image", "logits_per_text", "image_embeds", "text_embeds", "loss")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tiny", action="store_true")
    parser.add_argument("--no-write", action="store_true")
    arguments = parser.parse_args()
    result: dict[str, Any] = {"tiny": compare(TINY_TEXT, TINY_VISION, 16, gradients=True)}
    if not arguments.tiny:
        result["full_size"] = compare(FULL_TEXT, FULL_VISION, 768, gradients=False)
    print(json.dumps(result, indent=2))
    if not arguments.no_write and not arguments.tiny:
        print(write_result("parity", result, ["transformers"]))


def compare(text: dict[str, Any], vision: dict[str, Any], projection_dim: int, *, gradients: bool) -> dict[str, Any]:
    """Largest differences between transformers' AltCLIPModel and ours, opened from the folder it saved."""
    from altclip import AltCLIPModel

    inputs = made_inputs(text["vocab_size"], vision["image_size"])
    with tempfile.TemporaryDirectory() as folder:
        theirs = run(peer(text, vision, projection_dim, Path(folder)), inputs, gradients)
        gc.collect()
        ours = run(AltCLIPModel.from_pretrained(folder), inputs, gradients)
    rows = {name: difference(ours[0][name], theirs[0][name]) for name in OUTPUTS}
    result: dict[str, Any] = {"parameters": ours[2], "largest_difference": rows}
    if gradients:
        result["largest_gradient_difference"] = max(difference(a, b) for a, b in zip(ours[1], theirs[1], strict=True))
    return result


def peer(text: dict[str, Any], vision: dict[str, Any], projection_dim: int, folder: Path) -> Any:
    from transformers import AltCLIPConfig, AltCLIPModel

    torch.manual_seed(0)
    settings = {"vision_config": {**vision, "hidden_act": "quick_gelu"}, "projection_dim": projection_dim}
    model = AltCLIPModel(AltCLIPConfig(text_config=text, **settings)).eval()
    model.save_pretrained(folder)
    return model


def made_inputs(vocabulary: int, side: int) -> dict[str, Tensor]:
    """Two images and two texts, one of them padded."""
    generator = torch.Generator().manual_seed(1)
    ids = torch.randint(5, vocabulary - 1, (2, 12), generator=generator)
    ids[:, 0], ids[1, 8:] = 0, 1
    pixels = torch.randn(2, 3, side, side, generator=generator)
    return {"input_ids": ids, "attention_mask": (ids != 1).long(), "pixel_values": pixels}


def run(model: Any, inputs: dict[str, Tensor], gradients: bool) -> tuple[dict[str, Tensor], list[Tensor], int]:
    """Outputs; gradients of the contrastive loss by projections and logit scale, if asked for; parameters."""
    with torch.set_grad_enabled(gradients):
        output = model(**inputs, return_loss=True)
    if gradients:
        output["loss"].backward()
    shared = [model.text_projection.weight, model.visual_projection.weight, model.logit_scale] if gradients else []
    found = {name: output[name].detach() for name in OUTPUTS}
    return found, [weight.grad for weight in shared], sum(weight.numel() for weight in model.parameters())


def difference(ours: Tensor, theirs: Tensor) -> float:
    return float((ours - theirs).abs().max())


if __name__ == "__main__":
    main()

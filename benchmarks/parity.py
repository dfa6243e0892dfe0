"""Equality with the references on the same random weights: every output of tiny models, every family and layout, and
the logits of full-size AltCLIP.

    python benchmarks/parity.py                 # all; the full size needs 864 M weights twice in memory, 8 GB
    python benchmarks/parity.py --size tiny
    python benchmarks/parity.py --size families # also writes results/checkpoints.md, the table of docs/checkpoints.md

Prints the largest absolute difference of each output in float32, and of each gradient of the contrastive loss, beside
what is allowed; fails if one is over it.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from common import RESULTS, write_result
from torch import Tensor

from altclip import AltCLIPModel
from altclip.checkpoints import load_model, save_model
from altclip.checkpoints.layouts import Layout
from altclip.checkpoints.layouts.clip import CLIP
from altclip.losses import contrastive_loss
from altclip.models import DualEncoder, initialise, preset

TINY_ALLOWED, FULL_ALLOWED = 1e-5, 1e-4
PAD, TEXTS, IMAGES = 1, 6, 4
SIZES = {"intermediate_size": 37, "num_hidden_layers": 3, "num_attention_heads": 4}
VISION = {**SIZES, "hidden_size": 48, "image_size": 30, "patch_size": 6}


def main() -> None:
    arguments = parsed()
    torch.manual_seed(arguments.seed)
    result: dict[str, Any] = {"seed": arguments.seed, "dtype": "float32"}
    if arguments.size in ("families", "all"):
        from parity_families import measured

        result["families"] = {"allowed": TINY_ALLOWED, "rows": measured()}
        result["families"]["largest_difference"] = max(
            difference for row in result["families"]["rows"] for difference in row["differences"].values()
        )
    if arguments.size in ("tiny", "all"):
        result["tiny"] = {"allowed": TINY_ALLOWED, "AltCLIPModel": tiny_altclip(), "CLIPModel": tiny_clip()}
    if arguments.size in ("full", "all"):
        result["full"] = {"allowed": FULL_ALLOWED, "AltCLIPModel": full_altclip()}
    print(json.dumps(result, indent=2))
    if not arguments.no_write:
        name = "parity" if arguments.size == "all" else f"parity_{arguments.size}"
        print(write_result(name, result, ["transformers", "diffusers"]))
        if "families" in result:
            (RESULTS / "checkpoints.md").write_text(table(result["families"]["rows"]), encoding="utf-8")
    sys.exit(0 if within(result) else 1)


def table(rows: list[dict[str, Any]]) -> str:
    """Markdown: a row a quantity."""
    lines = ["| family | layout | reference | quantity | max abs difference |", "|---|---|---|---|---|"]
    for row in rows:
        found = row["differences"].items()
        lines += [f"| {row['family']} | {row['layout']} | {row['reference']} | {q} | {d:.1e} |" for q, d in found]
    return "\n".join(lines) + "\n"


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=["tiny", "families", "full", "all"], default="all")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--no-write", action="store_true")
    return parser.parse_args()


def tiny_altclip() -> dict[str, Any]:
    """Every output, and the gradient of every weight."""
    from transformers import AltCLIPConfig
    from transformers import AltCLIPModel as Theirs

    text = {**SIZES, "hidden_size": 32, "vocab_size": 99, "max_position_embeddings": 40, "project_dim": 24}
    config = AltCLIPConfig(text_config=text, vision_config=VISION, projection_dim=16)
    theirs = randomised(Theirs._from_config(config, attn_implementation="eager"))
    with tempfile.TemporaryDirectory() as folder:
        theirs.save_pretrained(folder)
        ours = AltCLIPModel.from_pretrained(folder)
        call = inputs(99, 30, texts=IMAGES)
        a, b = (m(**call, return_loss=True, output_hidden_states=True, output_attentions=True) for m in (ours, theirs))
        a.loss.backward()
        b.loss.backward()
    return {"outputs": largest(flat(a), flat(b)), "gradients": gradients(ours.dual, theirs, ours.layout)}


def tiny_clip() -> dict[str, Any]:
    """Features, logits and the gradient of every weight; CLIP is opened as a DualEncoder here."""
    from transformers import CLIPConfig
    from transformers import CLIPModel as Theirs

    tokens = {"pad_token_id": PAD, "bos_token_id": 97, "eos_token_id": 98}
    text = {**SIZES, **tokens, "hidden_size": 32, "vocab_size": 99, "max_position_embeddings": 40}
    theirs = randomised(Theirs(CLIPConfig(text_config=text, vision_config=VISION, projection_dim=16)))
    with tempfile.TemporaryDirectory() as folder:
        theirs.save_pretrained(folder)
        ours = load_model(folder)
        call = inputs(98, 30, texts=IMAGES)
        call["input_ids"][:, 8] = 98  # the end of the text, which CLIP reads
        b = theirs(**call, return_loss=True)
        image = F.normalize(ours.encode_image(call["pixel_values"]))
        words = F.normalize(ours.encode_text(call["input_ids"], call["attention_mask"]))
        scale = ours.logit_scale.exp()
        a = {"image_embeds": image, "text_embeds": words, "logits_per_image": scale * image @ words.T}
        a["loss"] = contrastive_loss(image, words, scale)
        a["loss"].backward()
        b.loss.backward()
    return {"outputs": largest(a, {name: b[name] for name in a}), "gradients": gradients(ours, theirs, CLIP)}


def full_altclip() -> dict[str, Any]:
    """AltCLIP's own sizes: ViT-L/14 and XLM-R large."""
    from transformers import AltCLIPModel as Theirs

    model = initialise(DualEncoder(preset("altclip")))
    parameters = sum(p.numel() for p in model.parameters())
    with tempfile.TemporaryDirectory() as folder, torch.no_grad():
        save_model(model, folder)
        del model
        call = inputs(250002, 224, texts=TEXTS, length=40)
        a = dict(flat(AltCLIPModel.from_pretrained(folder)(**call)))
        b = dict(flat(Theirs.from_pretrained(folder).eval()(**call)))
    shown = ("logits_per_image", "logits_per_text", "text_embeds", "image_embeds")
    return {"parameters": parameters, "outputs": largest({n: a[n] for n in shown}, {n: b[n] for n in shown})}


def randomised(model: Any) -> Any:
    """All weights drawn, biases and norms too, so that each one shows."""
    for name, parameter in model.named_parameters():
        if not name.endswith("logit_scale"):
            parameter.data.normal_(std=0.2)
            parameter.data += float("norm" in name.lower() and name.endswith("weight"))
    return model.eval()


def inputs(vocabulary: int, side: int, *, texts: int, length: int = 12) -> dict[str, Any]:
    """Random images, and random texts of several lengths with padding."""
    ids = torch.randint(3, vocabulary, (texts, length))
    for row in range(1, texts):
        ids[row, length - row :] = PAD
    return {"input_ids": ids, "attention_mask": (ids != PAD).long(), "pixel_values": torch.randn(IMAGES, 3, side, side)}


def gradients(ours: DualEncoder, theirs: Any, layout: Layout) -> dict[str, Any]:
    mine = {layout.theirs(name): p.grad for name, p in ours.named_parameters()}
    return largest(mine, {layout.canonical(name): p.grad for name, p in theirs.named_parameters()})


def flat(output: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Tensor]]:
    for name, value in output.items():
        if isinstance(value, Tensor):
            yield prefix + name, value
        elif isinstance(value, tuple):
            yield from ((f"{prefix}{name}[{index}]", tensor) for index, tensor in enumerate(value))
        else:
            yield from flat(value, f"{prefix}{name}.")


def largest(ours: Any, theirs: Any) -> dict[str, Any]:
    """The largest absolute difference of all, and how many tensors were compared."""
    a, b = dict(ours), dict(theirs)
    if a.keys() != b.keys():
        raise SystemExit(f"outputs of one side only: {sorted(map(str, a.keys() ^ b.keys()))}")
    differences = {str(name): (a[name] - b[name]).abs().max().item() for name in a}
    worst = max(differences, key=lambda name: differences[name])
    return {"tensors": len(differences), "largest_difference": differences[worst], "in": worst}


def within(result: Mapping[str, Any], allowed: float = 0.0) -> bool:
    """Whether every `largest_difference` is at most the `allowed` above it."""
    allowed = result.get("allowed", allowed)
    parts = [part for part in result.values() if isinstance(part, dict)]
    return result.get("largest_difference", 0.0) <= allowed and all(within(part, allowed) for part in parts)


if __name__ == "__main__":
    main()

"""Tiny models of every family and layout with random weights, beside their references; a part of parity.py.

The references are made by the functions that the tests use. Each case gives the largest absolute difference of each
quantity in float32: embeddings of texts and images (features brought to length 1), the logits of both, the states for
diffusion as they are.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from common import ROOT
from torch import Tensor

from altclip import Encoder
from altclip.checkpoints import load_model
from altclip.models import DualEncoder

sys.path.insert(0, str(ROOT))
from tests.checkpoints import families, test_family_altclip, test_family_altdiffusion, test_family_m18
from tests.checkpoints import test_family_chinese_clip as chinese_clip
from tests.checkpoints import test_family_clip as clip
from tests.checkpoints import test_family_m_clip as m_clip
from tests.checkpoints import test_family_taiyi as taiyi
from tests.checkpoints.openai_names import clip_state, written
from tests.models import oracles

Differences = dict[str, float]


@dataclass(frozen=True)
class Case:
    """measure: makes a folder below the one given, opens it, and tells the differences by quantity."""

    family: str
    layout: str
    reference: str
    measure: Callable[[Path], Differences]


def measured() -> list[dict[str, Any]]:
    """All cases, in the order of the table."""
    rows = []
    for case in CASES:
        with tempfile.TemporaryDirectory() as folder, torch.no_grad():
            found = case.measure(Path(folder))
        rows.append({"family": case.family, "layout": case.layout, "reference": case.reference, "differences": found})
    return rows


def compared(ours: Mapping[str, Tensor], theirs: Mapping[str, Tensor]) -> Differences:
    def shown(name: str, tensor: Tensor) -> Tensor:
        return tensor if name in ("logits", "diffusion") else torch.nn.functional.normalize(tensor, dim=-1)

    return {name: (shown(name, ours[name]) - shown(name, theirs[name])).abs().max().item() for name in theirs}


def both_sides(model: DualEncoder, theirs: Any, ids: Tensor, mask: Tensor | None, pixels: Tensor) -> Differences:
    """Against a class of transformers with both towers."""
    text, image = model.encode_text(ids, mask), model.encode_image(pixels)
    expected = {
        "text": theirs.get_text_features(ids, mask).pooler_output,
        "image": theirs.get_image_features(pixels).pooler_output,
        "logits": theirs(ids, pixels, mask).logits_per_image,
    }
    return compared({"text": text, "image": image, "logits": families.logits(model, image, text)}, expected)


def altclip(folder: Path) -> Differences:
    theirs = oracles.altclip()
    return both_sides(load_model(oracles.saved(theirs, folder)), theirs, *families.inputs())


def altclip_flagai(folder: Path) -> Differences:
    theirs = oracles.altclip(text={"vocab_size": 320})
    spelt = {key.replace("encoder.layer.", "encoder.layers.", 1) if key.startswith("vision") else key: tensor
             for key, tensor in theirs.state_dict().items()}  # fmt: skip
    made = families.written(folder / "old", test_family_altclip.CONFIGURATIONS["FlagAI"], spelt, pickle=True)
    return both_sides(load_model(made), theirs, *families.inputs())


def m18(folder: Path) -> Differences:
    text, rest = (
        test_family_altdiffusion.text_encoder("altdiffusion-m18"),
        oracles.altclip(vision={"hidden_act": "gelu"}),
    )
    image_side = {key: tensor for key, tensor in rest.state_dict().items() if not key.startswith("text_model.")}
    tensors = {**{f"text_model.{key}": tensor for key, tensor in text.state_dict().items()}, **image_side}
    theirs = test_family_m18.Theirs(text, rest, tensors)
    model = load_model(families.written(folder / "m18", test_family_m18.SETTINGS, tensors, pickle=True))
    ids, mask, pixels = families.inputs()
    words, image = theirs.retrieval(ids, mask), rest.get_image_features(pixels).pooler_output
    expected = {
        "text": words, "image": image, "logits": rest.logit_scale.exp() * families.cosines(image, words),
        "diffusion": text(ids, attention_mask=mask, return_dict=True).projection_state,
    }  # fmt: skip
    mine = {"text": model.encode_text(ids, mask), "image": model.encode_image(pixels)}
    mine["logits"] = families.logits(model, mine["image"], mine["text"])
    return compared({**mine, "diffusion": model.encode_text(ids, mask, "diffusion")}, expected)


def altdiffusion(family: str) -> Callable[[Path], Differences]:
    def measure(folder: Path) -> Differences:
        theirs = test_family_altdiffusion.text_encoder(family)
        model = load_model(oracles.saved(theirs, folder / "text_encoder"))
        ids, mask, _ = families.inputs()
        expected = theirs(ids, attention_mask=mask, return_dict=True).projection_state
        return compared({"diffusion": model.encode_text(ids, mask, "diffusion")}, {"diffusion": expected})

    return measure


def m_clip_text(folder: Path) -> Differences:
    tower = oracles.text_tower("XLMRobertaModel", vocab_size=320, layer_norm_eps=1e-5, pad_token_id=1)
    theirs = m_clip.Theirs(tower, oracles.randomised(torch.nn.Linear(m_clip.WIDTH, m_clip.DIM)))
    model = load_model(families.written(folder / "text", m_clip.SETTINGS, theirs.tensors, pickle=True))
    ids, mask, _ = families.inputs()
    return compared({"text": model.encode_text(ids, mask)}, {"text": theirs.embedding(ids, mask)})


def taiyi_beside_clip(family: str) -> Callable[[Path], Differences]:
    def measure(folder: Path) -> Differences:
        released = taiyi.Released(family, folder)
        model = Encoder(released.text_folder, image_weights=released.image_folder, device="cpu").model
        ids, pixels = oracles.ids() % taiyi.VOCABULARY, oracles.images()
        ids[:, 0], ids[ids == oracles.PAD] = 3, 0
        mask = (ids != 0).long()
        expected = {
            "text": released.text_features(ids, mask), "text, unmasked": released.text_features(ids, None),
            "image": released.image.get_image_features(pixels).pooler_output,
        }  # fmt: skip
        scale = released.image.logit_scale.exp()
        expected["logits"] = scale * families.cosines(expected["image"], expected["text"])
        mine = {"text": model.encode_text(ids, mask), "image": model.encode_image(pixels)}
        mine["logits"] = families.logits(model, mine["image"], mine["text"])
        return compared({**mine, "text, unmasked": model.encode_text(ids, mask, "unmasked")}, expected)

    return measure


def chinese_clip_folder(folder: Path) -> Differences:
    theirs = chinese_clip.peer()
    ids, pixels, mask = chinese_clip.inputs()
    return both_sides(load_model(oracles.saved(theirs, folder)), theirs, ids, mask, pixels)


def chinese_clip_file(folder: Path) -> Differences:
    theirs = chinese_clip.peer()
    ids, pixels, mask = chinese_clip.inputs()
    return both_sides(load_model(chinese_clip.original(theirs, folder)), theirs, ids, mask, pixels)


def clip_folder(folder: Path) -> Differences:
    theirs = clip.peer()
    return both_sides(
        load_model(oracles.saved(theirs, folder)), theirs, oracles.clip_ids(clip.END), None, oracles.images()
    )


def clip_open_clip(folder: Path) -> Differences:
    theirs = clip.peer()
    model = load_model(clip.open_clip_folder(theirs, folder))
    return both_sides(model, theirs, oracles.clip_ids(clip.END), None, oracles.images())


def clip_openai(folder: Path) -> Differences:
    theirs = clip.peer(width=128, heads=2, text=64, text_heads=1)
    model = load_model(written(clip_state(theirs), folder / "clip.safetensors"))
    return both_sides(model, theirs, oracles.clip_ids(clip.END), None, oracles.images())


CASES = (
    Case("AltCLIP, AltCLIP-m9", "Hugging Face", "transformers AltCLIPModel", altclip),
    Case("AltCLIP, AltCLIP-m9", "FlagAI, older hub", "transformers AltCLIPModel", altclip_flagai),
    Case("AltCLIP-m18", "FlagAI, hub", "formula, diffusers, transformers", m18),
    Case("AltDiffusion, -m9", "diffusers `text_encoder`", "diffusers", altdiffusion("altdiffusion")),
    Case("AltDiffusion-m18", "diffusers `text_encoder`", "diffusers", altdiffusion("altdiffusion-m18")),
    Case("Taiyi 326M L/14, 102M B/32", "text folder + CLIP folder",
         "transformers BertForSequenceClassification, CLIPModel", taiyi_beside_clip("taiyi-classifier")),
    Case("Taiyi 102M L/14", "text folder + CLIP folder", "transformers BertModel, CLIPModel",
         taiyi_beside_clip("taiyi-pooler")),
    Case("Chinese-CLIP", "Hugging Face", "transformers ChineseCLIPModel", chinese_clip_folder),
    Case("Chinese-CLIP", "original `.pt`", "transformers ChineseCLIPModel", chinese_clip_file),
    Case("CLIP", "Hugging Face", "transformers CLIPModel", clip_folder),
    Case("CLIP", "open_clip safetensors", "transformers CLIPModel", clip_open_clip),
    Case("CLIP", "state dict in OpenAI's names", "transformers CLIPModel", clip_openai),
    Case("M-CLIP", "Hugging Face", "formula, transformers XLMRobertaModel", m_clip_text),
)  # fmt: skip

"""What the tests of the families share: folders with made weights, and the quantities that are compared."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors.torch import save_file
from torch import Tensor

from altclip.checkpoints import load_model, save_model
from altclip.models import DualEncoder
from altclip.processing import ImageProcessor
from tests.models import oracles
from tests.processing.tiny import sentencepiece_folder, with_config

SIDE = oracles.VISION["image_size"]
EXACT = 1e-5


class Inputs(NamedTuple):
    ids: Tensor
    mask: Tensor
    pixels: Tensor


def inputs() -> Inputs:
    ids_BL = oracles.ids()
    return Inputs(ids_BL, (ids_BL != oracles.PAD).long(), oracles.images())


def written(folder: Path, settings: Mapping[str, Any], tensors: Mapping[str, Tensor], *, pickle: bool = False) -> Path:
    """A folder with these settings and tensors: safetensors, or the pickle of older repositories."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(settings))
    whole = {name: tensor.detach().clone().contiguous() for name, tensor in tensors.items()}
    if pickle:
        torch.save(whole, folder / "pytorch_model.bin")
    else:
        save_file(whole, folder / "model.safetensors")
    return folder


def assert_close(ours: Tensor, theirs: Tensor) -> None:
    assert ours.shape == theirs.shape
    difference = (ours - theirs).abs().max().item()
    assert difference <= EXACT, f"differs by {difference}"


def logits(model: DualEncoder, image: Tensor, text: Tensor) -> Tensor:
    """Scaled cosines (images, texts), as every model of the family defines them."""
    return model.logit_scale.exp() * cosines(image, text)


def cosines(image: Tensor, text: Tensor) -> Tensor:
    return torch.nn.functional.normalize(image) @ torch.nn.functional.normalize(text).T


def assert_round_trip(model: DualEncoder, folder: Path) -> DualEncoder:
    """Saved and opened again, the model is the same to the last bit. Returns the second one."""
    again = load_model(save_model(model, folder))
    assert again.config == model.config
    before, after = model.state_dict(), again.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    return again


def with_xlm_tokenizer(folder: Path, **config: object) -> Path:
    """The tokenizer files of XLM-RoBERTa, made from a few sentences (at most 300 tokens)."""
    return with_config(sentencepiece_folder(folder), tokenizer_class="XLMRobertaTokenizer", **config)


def with_image_settings(folder: Path) -> Path:
    """CLIP's preprocessing at the size of the tiny image towers."""
    ImageProcessor(size={"shortest_edge": SIDE}, crop_size={"height": SIDE, "width": SIDE}).save(folder)
    return folder

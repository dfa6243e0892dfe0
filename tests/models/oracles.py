"""Tiny models of transformers with random weights, inputs for them, and comparison of nested outputs.

transformers takes seconds to import, so functions import it themselves.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

VOCABULARY, PAD = 99, 1
TEXT = {
    "vocab_size": VOCABULARY, "hidden_size": 32, "intermediate_size": 37, "num_hidden_layers": 3,
    "num_attention_heads": 4, "max_position_embeddings": 40, "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
}  # fmt: skip
VISION = {
    "hidden_size": 36, "intermediate_size": 41, "num_hidden_layers": 2, "num_attention_heads": 3, "image_size": 30,
    "patch_size": 6,
}  # fmt: skip


def altclip(*, text: Mapping[str, Any] | None = None, vision: Mapping[str, Any] | None = None) -> Any:
    """A transformers AltCLIPModel that returns attentions."""
    from transformers import AltCLIPConfig, AltCLIPModel

    config = AltCLIPConfig(
        text_config={**TEXT, "project_dim": 24, **(text or {})}, vision_config={**VISION, **(vision or {})},
        projection_dim=16,
    )  # fmt: skip
    return randomised(AltCLIPModel._from_config(config, attn_implementation="eager"))


def clip(*, text: Mapping[str, Any] | None = None) -> Any:
    """A transformers CLIPModel; its end token is 98."""
    from transformers import CLIPConfig, CLIPModel

    sizes = {key: value for key, value in TEXT.items() if not key.endswith("dropout_prob")}
    tokens = {"pad_token_id": PAD, "bos_token_id": 97, "eos_token_id": 98}
    config = CLIPConfig(text_config={**sizes, **tokens, **(text or {})}, vision_config=VISION, projection_dim=16)
    return randomised(CLIPModel._from_config(config, attn_implementation="eager"))


def text_tower(kind: str, **changes: Any) -> Any:
    """A transformers model of that class name, of BERT's or XLM-RoBERTa's kind."""
    import transformers

    family = "Bert" if kind.startswith("Bert") else "XLMRoberta"
    config = getattr(transformers, f"{family}Config")(**{**TEXT, **changes})
    return randomised(getattr(transformers, kind)(config))


def randomised(model: Any) -> Any:
    """Every weight drawn anew and so large that each one shows in the outputs; in eval mode."""
    generator = torch.Generator().manual_seed(0)
    for name, parameter in model.named_parameters():
        if name.endswith("logit_scale"):
            continue
        parameter.data.normal_(std=0.3, generator=generator)
        if "norm" in name.lower() and name.endswith("weight"):
            parameter.data += 1
    return model.eval()


def saved(model: Any, folder: Path) -> Path:
    model.save_pretrained(folder)
    return folder


def saved_tensors(model: Any, folder: Path) -> dict[str, Tensor]:
    """Save, and give what is in the file."""
    from safetensors.torch import load_file

    return load_file(saved(model, folder) / "model.safetensors")


def ids(*, seed: int = 0, batch: int = 4, length: int = 11, padded: bool = True) -> Tensor:
    """Token ids (B, L) that begin with 0, end with 2 and, but for the first text, have padding."""
    generator = torch.Generator().manual_seed(seed)
    drawn_BL = torch.randint(3, VOCABULARY, (batch, length), generator=generator)
    drawn_BL[:, 0], drawn_BL[:, -1] = 0, 2
    for row in range(1, batch if padded else 0):
        drawn_BL[row, length - 2 * row - 1], drawn_BL[row, length - 2 * row :] = 2, PAD
    return drawn_BL


def clip_ids(end: int = 98) -> Tensor:
    """As `ids`, with CLIP's end token after the text and as padding, as its tokenizer does."""
    drawn_BL = ids(seed=1) % 90 + 3
    for row, length in enumerate((10, 4, 7, 1)):
        drawn_BL[row, length:] = end
    return drawn_BL


def images(*size: int, batch: int = 4) -> Tensor:
    height, width = size or (30, 30)
    return torch.randn(batch, 3, height, width, generator=torch.Generator().manual_seed(2))


def flat(output: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Tensor]]:
    """Every tensor of nested outputs with its path."""
    for name, value in output.items():
        if isinstance(value, Tensor):
            yield prefix + name, value
        elif isinstance(value, tuple):
            yield from ((f"{prefix}{name}[{index}]", tensor) for index, tensor in enumerate(value))
        else:
            yield from flat(value, f"{prefix}{name}.")


def assert_equal(ours: Mapping[str, Any], theirs: Mapping[str, Any], tolerance: float = 1e-5) -> None:
    """The same tensors under the same paths, to within `tolerance` anywhere."""
    a, b = dict(flat(ours)), dict(flat(theirs))
    assert a.keys() == b.keys()
    for name, tensor in a.items():
        assert tensor.shape == b[name].shape, name
        difference = (tensor - b[name]).abs().max().item()
        assert difference <= tolerance, f"{name} differs by {difference}"

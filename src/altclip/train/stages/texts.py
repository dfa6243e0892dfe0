"""Texts as ids, and their features at little cost: short texts are not padded to the longest of the batch."""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor

from altclip.errors import ConfigError
from altclip.models import DualEncoder, Head, TextConfig
from altclip.processing import Tokenizer
from altclip.train.config import StageConfig

_LEAST: Final = {"cpu": 16}  # texts that are worth a pass of their own; of other devices:
_LEAST_ELSEWHERE: Final = 64
_MOST: Final = 16  # groups


def text_limit(tokenizer: Tokenizer, model: DualEncoder, stage: StageConfig) -> int:
    """Tokens that a text may have: what tokenizer, tower and recipe all allow."""
    most = min(tokenizer.model_max_length, model.text.config.max_length)
    return min(most, stage.max_text_tokens or most)


def tokenize(tokenizer: Tokenizer, texts: list[str], limit: int) -> tuple[Tensor, Tensor]:
    """Ids and mask (B, L) of texts, cut to `limit` tokens."""
    encoded = tokenizer(
        texts, padding=True, truncation=True, max_length=limit, return_tensors="pt", split_special_tokens=True
    )
    return encoded["input_ids"], encoded["attention_mask"]


def text_features(model: DualEncoder, ids_BL: Tensor, mask_BL: Tensor, head: str | Head = "retrieval") -> Tensor:
    """Features (B, D) of texts whose ids lie on the CPU, in up to 16 groups of like length, each padded to its own.

    On a CPU 256 sentences of 15 tokens on average and 64 at most take a third of the time of one padded pass
    (benchmarks/train_step.py). A group of equal lengths needs no mask, which lets attention take its fastest way.
    """
    device = model.logit_scale.device
    lengths = mask_BL.sum(1)
    order = lengths.argsort(stable=True)
    features = []
    groups = len(order) // _LEAST.get(device.type, _LEAST_ELSEWHERE)
    for rows in order.chunk(max(1, min(groups, _MOST))):
        shortest, longest = int(lengths[rows[0]]), int(lengths[rows[-1]])
        mask = mask_BL[rows, :longest].to(device) if shortest < longest else None
        features.append(model.encode_text(ids_BL[rows, :longest].to(device), mask, head))
    return torch.cat(features)[order.argsort().to(device)]


def check_tokenizer(tokenizer: Tokenizer, config: TextConfig, whose: str) -> None:
    """Refuse a tokenizer whose ids mean something else to the text tower. Raises ConfigError with every mismatch."""
    problems = []
    if len(tokenizer) > config.vocab_size:
        problems.append(f"{whose}: the tokenizer has {len(tokenizer)} ids, the text tower {config.vocab_size}")
    if config.architecture == "xlm-roberta" and tokenizer.pad_token_id != config.pad_token_id:
        problems.append(
            f"{whose}: the tokenizer pads with id {tokenizer.pad_token_id}, the text tower counts positions by pad id "
            f"{config.pad_token_id}"
        )
    if config.architecture == "clip" and config.eos_token_id not in (2, tokenizer.eos_token_id):
        problems.append(
            f"{whose}: the tokenizer ends texts with id {tokenizer.eos_token_id}, the text tower reads the feature at "
            f"id {config.eos_token_id}"
        )
    if problems:
        raise ConfigError(problems)

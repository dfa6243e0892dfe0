"""Texts as the token ids that a model reads."""

from __future__ import annotations

from altclip.models import TextConfig
from altclip.processing import Tokenizer


def token_ids(texts: list[str], tokenizer: Tokenizer, config: TextConfig) -> list[list[int]]:
    """The ids of each text, cut to the model's limit. Strings such as `</s>` in a text are text, not tokens."""
    encoded = tokenizer(
        texts,
        truncation=True,
        max_length=min(tokenizer.model_max_length, config.max_length),
        split_special_tokens=True,
        return_attention_mask=False,
    )
    ids: list[list[int]] = encoded["input_ids"]
    return ids

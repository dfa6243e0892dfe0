"""The tokenizer of prompts: 77 tokens, what is left out of longer ones, and words that textual inversion adds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import tokenizers

from altclip.processing import Tokenizer

LENGTH: Final = 77  # the UNet was trained on prompts padded to this


class PromptTokenizer(Tokenizer):
    """A `tokenizer` for diffusers' pipelines. Its `model_max_length` is 77, or less where the files say so."""

    def __init__(
        self,
        backend: tokenizers.Tokenizer,
        *,
        tokens: Mapping[str, str],
        model_max_length: int,
        config: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(backend, tokens=tokens, model_max_length=min(LENGTH, model_max_length), config=config)

    def save_pretrained(self, folder: str | Path, **_options: Any) -> None:
        """As `save`, by the name that pipelines call."""
        self.save(folder)

    def add_tokens(self, tokens: str | Iterable[str]) -> int:
        """Add words that are one token each; how many were new. The text encoder needs rows for them."""
        return int(self._backend.add_tokens([tokens] if isinstance(tokens, str) else list(tokens)))

    def get_vocab(self) -> dict[str, int]:
        """Every token with its id, the added ones too."""
        return dict(self._backend.get_vocab(with_added_tokens=True))

    def convert_tokens_to_ids(self, tokens: str | list[str]) -> Any:
        """The id of a token, or of several; that of the unknown token for one that is not there."""
        if isinstance(tokens, str):
            found = self._backend.token_to_id(tokens)
            return self.unk_token_id if found is None else found
        return [self.convert_tokens_to_ids(token) for token in tokens]


def left_out(tokenizer: Tokenizer, text: str) -> tuple[int, str]:
    """How many tokens of a prompt, its ends included, there are, and what of it is behind the last that is read."""
    ids = tokenizer.encode(text, split_special_tokens=True)
    over = len(ids) - tokenizer.model_max_length
    return len(ids), tokenizer.decode(ids[-1 - over : -1], skip_special_tokens=False).strip() if over > 0 else ""

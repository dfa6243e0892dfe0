"""The states of every token of a text, which a model that draws is conditioned on, of a frozen text tower."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from altclip.checkpoints import load_model
from altclip.checkpoints.hub import BUNDLED
from altclip.diffusion import AltDiffusionTextEncoder
from altclip.diffusion.folders import weights_digest
from altclip.diffusion.tokens import PromptTokenizer
from altclip.errors import UsageError
from altclip.train.stages.context import Context
from altclip.train.stages.texts import check_tokenizer


class TokenStates:
    """Texts as (B, L, width), each padded to L tokens, as pipelines do it.

    Of an AltCLIP the states are those of AltDiffusion; of a CLIP those that Stable Diffusion takes (the last, after
    its norm), which is what an English model is trained with before the text towers are exchanged.
    """

    def __init__(self, context: Context) -> None:
        source = context.config.start["text"]
        folder = context.folder(source)
        model = load_model(folder, dtype=torch.float32)
        if model.config.text is None:
            raise UsageError(f"start.text: {source} has no text tower")
        self.english = model.config.text.architecture == "clip"
        self.tokenizer = PromptTokenizer.from_folder(folder)
        check_tokenizer(self.tokenizer, model.config.text, f"model {source}")
        most = min(self.tokenizer.model_max_length, model.config.text.max_length)
        self.tokenizer.model_max_length = min(most, context.config.max_text_tokens or most)
        self.encoder = (model if self.english else AltDiffusionTextEncoder(model)).requires_grad_(False).eval()
        self.encoder.to(context.device)
        self.context = context
        self.width = model.config.text.hidden_size if self.english else model.config.text.project_dim

    @torch.no_grad()
    def __call__(self, texts: list[str]) -> Tensor:
        """(B, L, width) on the device. A special token's name in a text is text."""
        tokens = self.tokenizer(
            texts, padding="max_length", truncation=True, max_length=self.tokenizer.model_max_length,
            return_tensors="pt", split_special_tokens=True,
        )  # fmt: skip
        ids, mask = (tokens[name].to(self.context.device) for name in ("input_ids", "attention_mask"))
        with self.context.autocast():
            if self.english:
                states: Tensor = self.encoder.text(ids, None, self.encoder.text.head("retrieval").all_tokens())
            else:
                states = self.encoder(ids, attention_mask=mask)[0]
        return states.float()

    def parts(self) -> dict[str, Any]:
        """What of a pipeline this is: nothing, where the tower is no AltDiffusion's, or in every altclip."""
        own = not self.english and self.context.config.start["text"] != BUNDLED
        return {"text_encoder": self.encoder, "tokenizer": self.tokenizer} if own else {}

    def index(self) -> dict[str, Any]:
        """What the pipeline's index says of a tower that is in every altclip."""
        if self.context.config.start["text"] != BUNDLED:
            return {}
        digest = weights_digest(self.context.folder(BUNDLED))
        return {
            "text_encoder": ["altclip", BUNDLED], "tokenizer": ["altclip", BUNDLED], "text_sha256": digest,
            "text_tokens": self.tokenizer.model_max_length,
        }  # fmt: skip

"""The text towers: XLM-R and BERT (norm after, bidirectional) and CLIP's causal one (norm before, sees only the past).

Differences, by `architecture`:
- xlm-roberta: positions count the non-pad ids from pad id + 1 (from the ids, never from the mask); one token type;
- bert: positions 0, 1, 2, ...; token types;
- clip: positions 0, 1, 2, ...; no token types, no norm on the embeddings, causal mask.

Shapes: B texts, L tokens, D width.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from altclip.errors import UsageError
from altclip.models.config import TextConfig
from altclip.models.layers import Layer, Layers


class TextTower(nn.Module):
    """Token ids to hidden states."""

    def __init__(self, config: TextConfig) -> None:
        super().__init__()
        self.config = config
        width, eps = config.hidden_size, config.layer_norm_eps
        self.causal = config.architecture == "clip"
        # CLIP's embeddings have no padding row; BERT's and XLM-R's pad row gets no gradient, as in their originals. In
        # XLM-R that goes for positions too, of which padding has the row of its id.
        padding = None if self.causal else config.pad_token_id
        of_positions = padding if config.architecture == "xlm-roberta" else None
        self.words = nn.Embedding(config.vocab_size, width, padding)
        self.positions = nn.Embedding(config.max_position_embeddings, width, of_positions)
        if not self.causal:
            self.types = nn.Embedding(config.type_vocab_size, width)
            self.norm = nn.LayerNorm(width, eps)
        self.dropout = nn.Dropout(0.0 if self.causal else config.hidden_dropout_prob)
        self.layers = Layers(
            Layer(
                width, config.intermediate_size, config.num_attention_heads, config.hidden_act, eps,
                norm_first=self.causal, attention_dropout=config.attention_probs_dropout_prob,
                dropout=0.0 if self.causal else config.hidden_dropout_prob,
            )
            for _ in range(config.num_hidden_layers)
        )  # fmt: skip

    def forward(self, ids_BL: Tensor, mask_BL: Tensor | None = None) -> Tensor:
        """Last hidden states (B, L, D). mask: 1 where a token counts, 0 for padding; none means that all count."""
        return self.states(ids_BL, mask_BL, keep=1)[0][-1]

    def states(
        self,
        ids_BL: Tensor,
        mask_BL: Tensor | None = None,
        *,
        types_BL: Tensor | None = None,
        positions_BL: Tensor | None = None,
        weights: bool = False,
        keep: int | None = None,
        only_B: Tensor | None = None,
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Hidden states, the embeddings first (or the last `keep`), and attention weights if asked for.

        only_B: the one token of each text that will be read; the last state is of it alone, (B, 1, D).

        Raises UsageError if the texts are too long.
        """
        self._check_length(ids_BL)
        x_BLD = self.words(ids_BL) + self.positions(self.position_ids(ids_BL) if positions_BL is None else positions_BL)
        if not self.causal:
            types_BL = torch.zeros_like(ids_BL) if types_BL is None else types_BL
            x_BLD = self.norm(x_BLD + self.types(types_BL))
        return self.layers.run(self.dropout(x_BLD), self._mask(ids_BL, mask_BL), weights, keep, only_B)

    def position_ids(self, ids_BL: Tensor) -> Tensor:
        """Row of the position table for each token (B, L)."""
        if self.config.architecture != "xlm-roberta":
            return torch.arange(ids_BL.shape[1], device=ids_BL.device).expand_as(ids_BL)
        counts_BL = (ids_BL != self.config.pad_token_id).long()  # OpenVINO adds truth values up to a truth value
        return counts_BL.cumsum(1) * counts_BL + self.config.pad_token_id

    def _mask(self, ids_BL: Tensor, mask_BL: Tensor | None) -> Tensor | None:
        """Which tokens may be seen, True for yes, broadcastable to (B, H, L, L); None if all may."""
        seen = None if mask_BL is None else mask_BL.bool()[:, None, None, :]
        if not self.causal:
            return seen
        past_LL = torch.ones(2 * ids_BL.shape[1:], dtype=torch.bool, device=ids_BL.device).tril()
        return past_LL[None, None] if seen is None else past_LL & seen

    def _check_length(self, ids_BL: Tensor) -> None:
        if ids_BL.shape[1] > self.config.max_length:
            raise UsageError(
                f"{ids_BL.shape[1]} tokens for a model of at most {self.config.max_length}: "
                "truncate when tokenizing (the processor does)"
            )

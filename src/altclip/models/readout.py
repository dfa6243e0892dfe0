"""A text tower with the modules its heads name, and the reading of hidden states through a head."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from altclip.errors import UsageError
from altclip.models.config import TextConfig
from altclip.models.heads import Head
from altclip.models.layers import token_of
from altclip.models.text import TextTower


class TextEncoder(nn.Module):
    """A text tower and its heads. Modules that several heads name exist once."""

    def __init__(self, config: TextConfig, heads: Mapping[str, Head], projection_dim: int) -> None:
        super().__init__()
        self.config, self.heads = config, dict(heads)
        self.tower = TextTower(config)
        rows, width = self.heads.values(), config.hidden_size
        norms = dict.fromkeys(row.norm for row in rows if row.norm)
        self.norms = nn.ModuleDict({name: nn.LayerNorm(width, config.layer_norm_eps) for name in norms})
        self.pooler = nn.Linear(width, width) if any(row.pooler for row in rows) else None
        linears = dict.fromkeys(row.linear for row in rows if row.linear)
        self.linears = nn.ModuleDict({name: nn.Linear(width, config.project_dim) for name in linears})
        self.projections = nn.ModuleDict(
            {
                row.projection: nn.Linear(config.project_dim if row.linear else width, projection_dim, bias=False)
                for row in rows
                if row.projection
            }
        )

    def forward(self, ids_BL: Tensor, mask_BL: Tensor | None = None, head: str | Head = "retrieval") -> Tensor:
        """Feature of each text through a head, named or given: (B, D), or (B, L, D) for a head of all tokens."""
        row = head if isinstance(head, Head) else self.head(head)
        mask_BL = mask_BL if row.masked else None
        only_B = self._place(row, ids_BL)
        states, _ = self.tower.states(ids_BL, mask_BL, keep=-row.hidden, only_B=only_B if row.hidden == -1 else None)
        if only_B is not None and row.hidden == -1:
            return self._mapped(row, states[-1][:, 0])
        return self.read(row, states, ids_BL, mask_BL)

    def before_projection(self, heads: Mapping[str, Head]) -> TextEncoder:
        """The same modules but the projections, with other heads."""
        alone = copy.copy(self)
        alone._modules = {**self._modules, "projections": nn.ModuleDict()}
        alone.heads = dict(heads)
        return alone

    def head(self, name: str) -> Head:
        if name not in self.heads:
            raise UsageError(f"no head '{name}': this model has {', '.join(self.heads) or 'none'}")
        return self.heads[name]

    def read(self, head: Head, states: Sequence[Tensor], ids_BL: Tensor, mask_BL: Tensor | None) -> Tensor:
        """Apply a head to hidden states: tokens, norm, pooler, linear, projection, each where the head names it."""
        x_BLD, place_B = states[head.hidden], self._place(head, ids_BL)
        if place_B is not None:
            return self._mapped(head, token_of(x_BLD, place_B)[:, 0])
        if head.tokens == "all":
            return self._mapped(head, x_BLD)
        weights_BL1 = torch.ones_like(ids_BL) if mask_BL is None else mask_BL
        weights_BL1 = weights_BL1.to(x_BLD.dtype)[..., None]
        return self._mapped(head, (x_BLD * weights_BL1).sum(1) / weights_BL1.sum(1))

    def _place(self, head: Head, ids_BL: Tensor) -> Tensor | None:
        """Which token of each text a head reads (B,); None if it reads several."""
        if head.tokens == "first":
            return torch.zeros(len(ids_BL), dtype=torch.long, device=ids_BL.device)
        return self.end_of_text(ids_BL) if head.tokens == "end" else None

    def _mapped(self, head: Head, x: Tensor) -> Tensor:
        """What follows the choice of tokens, each where the head names it."""
        if head.norm:
            x = self.norms[head.norm](x)
        if head.pooler and self.pooler is not None:
            x = self.pooler(x).tanh()
        if head.linear:
            x = self.linears[head.linear](x)
        return self.projections[head.projection](x) if head.projection else x

    def end_of_text(self, ids_BL: Tensor) -> Tensor:
        """Index of each text's end token (B,), as in transformers' CLIPTextModel.

        The largest id where the config says 2, as OpenAI's old ones do; else the first token of the configured id.
        """
        if self.config.eos_token_id == 2:
            return ids_BL.int().argmax(1)
        return (ids_BL == self.config.eos_token_id).int().argmax(1)

"""The transformer layer both towers are made of: attention, feed-forward, residuals with the norm before or after.

Shapes: B batch, L tokens, D width, H attention heads, K width of a head.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from altclip.errors import UsageError


def quick_gelu(x: Tensor) -> Tensor:
    """x * sigmoid(1.702 x), the approximation in OpenAI's CLIP weights."""
    return x * torch.sigmoid(1.702 * x)


def tanh_gelu(x: Tensor) -> Tensor:
    """GELU by its tanh approximation."""
    return F.gelu(x, approximate="tanh")


ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "gelu": F.gelu,
    "quick_gelu": quick_gelu,
    "gelu_new": tanh_gelu,
    "gelu_pytorch_tanh": tanh_gelu,
    "relu": F.relu,
}


def activation(name: str) -> Callable[[Tensor], Tensor]:
    """The function of that Hugging Face name. Raises UsageError for an unknown one."""
    if name not in ACTIVATIONS:
        raise UsageError(f"no activation '{name}': known are {', '.join(ACTIVATIONS)}")
    return ACTIVATIONS[name]


class Attention(nn.Module):
    """Multi-head self-attention by torch's scaled_dot_product_attention."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.query, self.key, self.value = (nn.Linear(width, width) for _ in range(3))
        self.output = nn.Linear(width, width)

    def forward(
        self, x_BLD: Tensor, mask: Tensor | None, weights: bool = False, only_B: Tensor | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """mask: True where a token may be seen, broadcastable to (B, H, L, L). weights: return them, (B, H, L, L).

        only_B: compute this token of each row alone, (B, 1, D); it still sees all that it may.
        """
        if only_B is not None:
            mask = row_of(mask, only_B)
        q = self._split(self.query(x_BLD if only_B is None else token_of(x_BLD, only_B)))
        k, v = self._split(self.key(x_BLD)), self._split(self.value(x_BLD))
        dropout = self.dropout if self.training else 0.0
        if weights:
            y_BHLK, weights_BHLL = explicit_attention(q, k, v, mask, dropout)
        else:
            y_BHLK, weights_BHLL = F.scaled_dot_product_attention(q, k, v, mask, dropout), None
        return self.output(y_BHLK.transpose(1, 2).flatten(2)), weights_BHLL

    def _split(self, x_BLD: Tensor) -> Tensor:
        return x_BLD.view(*x_BLD.shape[:-1], self.heads, -1).transpose(1, 2)


def token_of(x_BLD: Tensor, only_B: Tensor) -> Tensor:
    """One token of each row, (B, 1, D)."""
    return x_BLD[torch.arange(len(x_BLD), device=x_BLD.device), only_B][:, None]


def row_of(mask: Tensor | None, only_B: Tensor) -> Tensor | None:
    """What one token of each row may see, (B, 1, 1, L); a mask that is the same for all tokens stays as it is."""
    if mask is None or mask.shape[-2] == 1:
        return mask
    mask_BLL = mask[:, 0].expand(len(only_B), -1, -1)
    return mask_BLL[torch.arange(len(only_B), device=only_B.device), only_B][:, None, None]


def explicit_attention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, dropout: float) -> tuple[Tensor, Tensor]:
    """Attention written out, for callers who ask for its weights. All of (B, H, L, K); weights (B, H, L, L)."""
    scores = q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5
    if mask is not None:
        scores = scores.masked_fill(~mask, torch.finfo(scores.dtype).min)
    weights = scores.softmax(-1)
    return F.dropout(weights, dropout) @ v, weights


class Layer(nn.Module):
    """One transformer layer. norm_first: x + f(norm(x)) as in CLIP; else norm(x + f(x)) as in BERT."""

    def __init__(
        self, width: int, hidden: int, heads: int, act: str, eps: float, *,
        norm_first: bool, dropout: float = 0.0, attention_dropout: float = 0.0,
    ) -> None:  # fmt: skip
        super().__init__()
        self.attention = Attention(width, heads, attention_dropout)
        self.norm1, self.norm2 = nn.LayerNorm(width, eps), nn.LayerNorm(width, eps)
        self.expand, self.contract = nn.Linear(width, hidden), nn.Linear(hidden, width)
        self.act, self.norm_first, self.dropout = activation(act), norm_first, nn.Dropout(dropout)

    def forward(
        self, x: Tensor, mask: Tensor | None, weights: bool = False, only_B: Tensor | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """Arguments as for `Attention`."""
        y, attention_weights = self.attention(self.norm1(x) if self.norm_first else x, mask, weights, only_B)
        x = (x if only_B is None else token_of(x, only_B)) + self.dropout(y)
        if self.norm_first:
            return x + self.dropout(self.feed_forward(self.norm2(x))), attention_weights
        x = self.norm1(x)
        return self.norm2(x + self.dropout(self.feed_forward(x))), attention_weights

    def feed_forward(self, x: Tensor) -> Tensor:
        return self.contract(self.act(self.expand(x)))  # type: ignore[no-any-return]


class Layers(nn.ModuleList):
    """A stack of layers that can recompute activations in the backward pass (`gradient_checkpointing = True`)."""

    gradient_checkpointing = False

    def run(
        self,
        x: Tensor,
        mask: Tensor | None,
        weights: bool = False,
        keep: int | None = None,
        only_B: Tensor | None = None,
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Hidden states (B, L, D), the input first, and each layer's attention weights if asked for.

        keep: hold the last so many states only, which spares the memory of the others.
        only_B: the one token of each row that will be read: the last layer computes it alone, (B, 1, D), for a sixth to
        a third of that layer's work.
        """
        states, attentions = [x], []
        for number, layer in enumerate(self, 1):
            only = only_B if number == len(self) else None
            if self.gradient_checkpointing and self.training:
                x, attention_weights = checkpoint(layer, x, mask, weights, only, use_reentrant=False)
            else:
                x, attention_weights = layer(x, mask, weights, only)
            states.append(x)
            if keep:
                del states[:-keep]
            if attention_weights is not None:
                attentions.append(attention_weights)
        return states, attentions

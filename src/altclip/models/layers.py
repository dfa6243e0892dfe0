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

    def forward(self, x_BLD: Tensor, mask: Tensor | None, weights: bool = False) -> tuple[Tensor, Tensor | None]:
        """mask: True where a token may be seen, broadcastable to (B, H, L, L). weights: return them, (B, H, L, L)."""
        q, k, v = (self._split(part(x_BLD)) for part in (self.query, self.key, self.value))
        dropout = self.dropout if self.training else 0.0
        if weights:
            y_BHLK, weights_BHLL = explicit_attention(q, k, v, mask, dropout)
        else:
            y_BHLK, weights_BHLL = F.scaled_dot_product_attention(q, k, v, mask, dropout), None
        return self.output(y_BHLK.transpose(1, 2).flatten(2)), weights_BHLL

    def _split(self, x_BLD: Tensor) -> Tensor:
        return x_BLD.view(*x_BLD.shape[:-1], self.heads, -1).transpose(1, 2)


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

    def forward(self, x: Tensor, mask: Tensor | None, weights: bool = False) -> tuple[Tensor, Tensor | None]:
        if self.norm_first:
            y, attention_weights = self.attention(self.norm1(x), mask, weights)
            x = x + self.dropout(y)
            return x + self.dropout(self.feed_forward(self.norm2(x))), attention_weights
        y, attention_weights = self.attention(x, mask, weights)
        x = self.norm1(x + self.dropout(y))
        return self.norm2(x + self.dropout(self.feed_forward(x))), attention_weights

    def feed_forward(self, x: Tensor) -> Tensor:
        return self.contract(self.act(self.expand(x)))  # type: ignore[no-any-return]


class Layers(nn.ModuleList):
    """A stack of layers that can recompute activations in the backward pass (`gradient_checkpointing = True`)."""

    gradient_checkpointing = False

    def run(
        self, x: Tensor, mask: Tensor | None, weights: bool = False, keep: int | None = None
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Hidden states (B, L, D), the input first, and each layer's attention weights if asked for.

        keep: hold the last so many states only, which spares the memory of the others.
        """
        states, attentions = [x], []
        for layer in self:
            if self.gradient_checkpointing and self.training:
                x, attention_weights = checkpoint(layer, x, mask, weights, use_reentrant=False)
            else:
                x, attention_weights = layer(x, mask, weights)
            states.append(x)
            if keep:
                del states[:-keep]
            if attention_weights is not None:
                attentions.append(attention_weights)
        return states, attentions

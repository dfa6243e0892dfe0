"""Read-outs of a text tower as data: one row a family and use.

A head is applied in this order: pick a hidden state, pick tokens, normalise, pool, map linearly, project.
`norm`, `linear` and `projection` name modules of the text encoder, so two heads may share weights: AltDiffusion reads
the same `transformation` as AltCLIP, without the norm. Sources: the released configurations and the code of FlagAI,
diffusers, transformers, Fengshenbang-LM and Multilingual-CLIP.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, Literal

from altclip.errors import UsageError


@dataclass(frozen=True)
class Head:
    """How a text's hidden states become its feature.

    hidden: index of the hidden state (-1 last, -2 one before); norm: name of a LayerNorm; tokens: `first`, `end` (of
    text), `mean` over unmasked tokens, or `all`; pooler: BERT's dense layer with tanh; linear: name of a Linear with
    bias to `project_dim`; projection: name of a Linear without bias to `projection_dim`; masked: whether padding is
    hidden from the tower; where it is not, as on Taiyi's cards, a feature changes with the padding beside the text.
    """

    hidden: int = -1
    norm: str | None = None
    tokens: Literal["first", "end", "mean", "all"] = "first"
    pooler: bool = False
    linear: str | None = None
    projection: str | None = None
    masked: bool = True

    def all_tokens(self) -> Head:
        """The same read-out of every token, before the projection: transformers' `last_hidden_state`."""
        return replace(self, tokens="all", projection=None)


_ALTCLIP: Final = Head(norm="pre_LN", linear="transformation", projection="text_projection")
_M18: Final = Head(hidden=-2, norm="pre_LN", linear="transformation_pre", tokens="all")
_CLIP: Final = Head(norm="final_norm", tokens="end", projection="text_projection")

HEADS: Final[dict[str, dict[str, Head]]] = {
    "altclip": {"retrieval": _ALTCLIP},
    "altdiffusion": {"diffusion": Head(linear="transformation", tokens="all")},
    "altclip-m18": {"retrieval": _ALTCLIP, "diffusion": _M18},
    # `tokens` is what FlagAI's code returns beside the other, and keeps `transformation` with its text encoder
    "altdiffusion-m18": {"diffusion": _M18, "tokens": _ALTCLIP.all_tokens()},
    "chinese-clip": {"retrieval": Head(projection="text_projection")},
    "taiyi-classifier": {
        "retrieval": Head(pooler=True, linear="classifier"),
        "unmasked": Head(pooler=True, linear="classifier", masked=False),
    },
    "taiyi-pooler": {"retrieval": Head(pooler=True), "unmasked": Head(pooler=True, masked=False)},
    "clip": {"retrieval": _CLIP},
    "m-clip": {"retrieval": Head(tokens="mean", linear="LinearTransformation")},
    "text-tower": {},
}


def heads_of(family: str) -> dict[str, Head]:
    """The named heads of a family. Raises UsageError for an unknown one."""
    if family not in HEADS:
        raise UsageError(f"no family '{family}': known are {', '.join(HEADS)}")
    return dict(HEADS[family])

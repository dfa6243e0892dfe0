"""What AltDiffusion's UNet is conditioned on: the states of every token of a text, as a stock pipeline asks for them.

AltDiffusion and -m9 map the last hidden states linearly, without the norm that AltCLIP has there; -m18 normalises and
maps those one before last. Sources: diffusers' `RobertaSeriesModelWithTransformation`, FlagAI's AltDiffusion.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final, Self, Unpack

import torch
from torch import Tensor, nn

from altclip.checkpoints import HubOptions, load_model
from altclip.checkpoints.layouts import layout_for
from altclip.checkpoints.opening import without_memory
from altclip.checkpoints.save import save_module
from altclip.errors import LayoutError, UsageError
from altclip.models import DualEncoder, Head, ModelConfig, ModelOutput, heads_of

HEAD: Final = "diffusion"


class AltDiffusionTextEncoder(nn.Module):
    """A `text_encoder` for diffusers' StableDiffusionPipeline and its kin.

    config: what pipelines look up (`use_attention_mask`, `hidden_size`, `project_dim`, ...) as attributes.
    """

    def __init__(self, model: DualEncoder) -> None:
        """Around the text encoder of a model: one of AltDiffusion, or of AltCLIP and AltCLIP-m9, read as theirs.

        Raises LayoutError for a model that conditions no AltDiffusion.
        """
        super().__init__()
        model = _conditioner(model)
        self._model_config = model.config
        self._head = model.config.heads[HEAD]
        self.text = model.text
        self.config = SimpleNamespace(
            **vars(self.text.config), model_type="altdiffusion", use_attention_mask=self._head.masked
        )
        self.training = self.text.training

    @classmethod
    def from_pretrained(
        cls, path_or_id: str | Path, *, torch_dtype: torch.dtype | None = None, **hub: Unpack[HubOptions]
    ) -> Self:
        """From a pipeline's folder, its `text_encoder`, an AltCLIP, or a hub id of either; in eval mode.

        torch_dtype: format of the weights; None means float32, as with diffusers.

        Raises:
            CheckpointError: see `altclip.checkpoints.load_model`; LayoutError for a model of another family.
        """
        return cls(load_model(path_or_id, dtype=torch_dtype or torch.float32, **hub))

    def save_pretrained(self, folder: str | Path, **_options: Any) -> None:
        """Write the folder that diffusers keeps as a pipeline's `text_encoder`."""
        layout = layout_for(self._model_config)
        save_module(self, layout, layout.write(self._model_config), folder)

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
    ) -> Any:
        """The states of token ids (B, L), padded to one length; mask: 1 for a token, 0 for padding, (B, L).

        Returns:
            projection_state (B, L, project_dim), what the UNet sees, first; last_hidden_state (B, L, hidden_size),
            and on request hidden_states of every layer. With `return_dict=False` the same as a tuple.
        """
        mask_BL = attention_mask if self._head.masked else None
        keep = None if output_hidden_states else -self._head.hidden
        states, _ = self.text.tower.states(input_ids, mask_BL, keep=keep)
        output = ModelOutput(
            projection_state=self.text.read(self._head, states, input_ids, mask_BL),
            last_hidden_state=states[-1],
            hidden_states=tuple(states) if output_hidden_states else None,
        )
        return output.to_tuple() if return_dict is False else output

    @property
    def dtype(self) -> torch.dtype:
        return next(self.parameters()).dtype

    @property
    def device(self) -> torch.device:
        return next(self.parameters()).device

    def get_input_embeddings(self) -> nn.Embedding:
        """The table of tokens, which diffusers' textual inversion writes into."""
        return self.text.tower.words

    def resize_token_embeddings(self, tokens: int | None = None) -> nn.Embedding:
        """Make room for new tokens behind those there are (or take the last away); their rows are zero."""
        old = self.text.tower.words
        if tokens is None or tokens == old.num_embeddings:
            return old
        if tokens < 1:
            raise UsageError(f"{tokens} tokens: expected 1 or more")
        kept = min(tokens, old.num_embeddings)
        weight = old.weight.new_zeros(tokens, old.embedding_dim)
        weight[:kept] = old.weight.detach()[:kept]
        new = nn.Embedding(tokens, old.embedding_dim, old.padding_idx, _weight=weight)
        self.text.tower.words = new.requires_grad_(old.weight.requires_grad)
        text = replace(self.text.config, vocab_size=tokens)
        self.text.config = self.text.tower.config = text
        self._model_config = replace(self._model_config, text=text)
        self.config.vocab_size = tokens
        return new


def _conditioner(model: DualEncoder) -> DualEncoder:
    """The model itself, or of an AltCLIP what AltDiffusion takes from it, in the same memory."""
    heads = _heads(model.config)
    if model.config.vision is None and model.config.heads == heads:
        return model
    with without_memory():
        alone = DualEncoder(replace(model.config, vision=None, heads=heads))
    state = model.state_dict()
    alone.load_state_dict({name: state[name] for name in alone.state_dict()}, assign=True)
    return alone.train(model.training)


def _heads(config: ModelConfig) -> dict[str, Head]:
    """The read-outs of an AltDiffusion with this text tower. Raises LayoutError where it conditions none."""
    if HEAD in config.heads:
        return dict(config.heads) if config.vision is None else heads_of("altdiffusion-m18")
    own = config.heads.get("retrieval") or config.heads.get("tokens")
    if own is not None and (own.norm, own.linear) == ("pre_LN", "transformation"):
        return heads_of("altdiffusion")
    kind = "no text encoder" if config.text is None else f"{config.text.architecture}, heads {', '.join(config.heads)}"
    raise LayoutError(
        f"the model ({kind}) conditions no AltDiffusion: expected the text encoder of AltDiffusion, AltDiffusion-m9 or "
        "-m18, or the AltCLIP that these come from"
    )

"""AltCLIPTextModel and AltCLIPVisionModel: one tower, with the outputs of transformers' classes."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from altclip.checkpoints.layouts.altclip import ALTCLIP_TEXT
from altclip.checkpoints.layouts.clip import IMAGE_TOWER
from altclip.hf.base import PretrainedModel, on_request, packed
from altclip.hf.config import AltCLIPTextConfig, AltCLIPVisionConfig
from altclip.models import DualEncoder, ModelOutput, initialise
from altclip.models.readout import TextEncoder
from altclip.models.vision import VisionTower


class AltCLIPTextModel(PretrainedModel):
    """XLM-R with `pre_LN` and `transformation`.

    text: the modules to use, those of an AltCLIPModel; None draws new ones from torch's global generator.
    """

    config_class = AltCLIPTextConfig
    layout = ALTCLIP_TEXT
    config: AltCLIPTextConfig

    def __init__(self, config: AltCLIPTextConfig, text: TextEncoder | None = None) -> None:
        super().__init__()
        self.config = config
        self.text = initialise(DualEncoder(config.model_config())).text if text is None else text

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
    ) -> Any:
        """Features of token ids (B, L).

        Returns:
            last_hidden_state (B, L, project_dim), the transformed states of all tokens; pooler_output (B, project_dim),
            of the first; on request hidden_states and attentions of every layer.
        """
        weights, hidden, as_dict = self.asked(
            output_attentions=output_attentions, output_hidden_states=output_hidden_states, return_dict=return_dict
        )
        states, attentions = self.text.tower.states(
            input_ids, attention_mask, types_BL=token_type_ids, positions_BL=position_ids, weights=weights,
            keep=None if hidden else 1,
        )  # fmt: skip
        last_BLD = self.text.read(self.text.head("tokens"), states, input_ids, attention_mask)
        output = ModelOutput(
            last_hidden_state=last_BLD,
            pooler_output=last_BLD[:, 0],
            hidden_states=on_request(states, hidden),
            attentions=on_request(attentions, weights),
        )
        return packed(output, as_dict)

    def gradient_checkpointing_enable(self) -> None:
        self.text.tower.layers.gradient_checkpointing = True

    def gradient_checkpointing_disable(self) -> None:
        self.text.tower.layers.gradient_checkpointing = False


class AltCLIPVisionModel(PretrainedModel):
    """The ViT without its projection. vision: the module to use, that of an AltCLIPModel; None draws a new one."""

    config_class = AltCLIPVisionConfig
    layout = IMAGE_TOWER
    config: AltCLIPVisionConfig

    def __init__(self, config: AltCLIPVisionConfig, vision: VisionTower | None = None) -> None:
        super().__init__()
        self.config = config
        self.vision = initialise(DualEncoder(config.model_config())).vision if vision is None else vision

    def forward(
        self,
        pixel_values: Tensor,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        interpolate_pos_encoding: bool = False,
        return_dict: bool | None = None,
    ) -> Any:
        """Features of images (B, C, S, S).

        Returns:
            last_hidden_state (B, L, hidden_size), the class token first; pooler_output (B, hidden_size), that token
            normalised; on request hidden_states and attentions of every layer.
        """
        weights, hidden, as_dict = self.asked(
            output_attentions=output_attentions, output_hidden_states=output_hidden_states, return_dict=return_dict
        )
        states, attentions = self.vision.states(
            pixel_values, weights=weights, interpolate=interpolate_pos_encoding, keep=None if hidden else 1
        )
        output = ModelOutput(
            last_hidden_state=states[-1],
            pooler_output=self.vision.pool(states[-1]),
            hidden_states=on_request(states, hidden),
            attentions=on_request(attentions, weights),
        )
        return packed(output, as_dict)

    def gradient_checkpointing_enable(self) -> None:
        self.vision.layers.gradient_checkpointing = True

    def gradient_checkpointing_disable(self) -> None:
        self.vision.layers.gradient_checkpointing = False

"""AltCLIPModel: both towers, with the outputs of transformers' class and the features as the model cards take them."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from altclip.checkpoints.layouts.altclip import ALTCLIP, TEXT_HEADS
from altclip.errors import UsageError
from altclip.hf.base import PretrainedModel, packed
from altclip.hf.config import AltCLIPConfig
from altclip.hf.towers import AltCLIPTextModel, AltCLIPVisionModel
from altclip.losses import contrastive_loss
from altclip.models import DualEncoder, ModelOutput, initialise


class AltCLIPModel(PretrainedModel):
    """AltCLIP with new weights from torch's global generator; `from_pretrained` opens trained ones.

    `dual` is the same model as the rest of this library takes it (`Encoder.from_model(model.dual, processor)`).
    """

    config_class = AltCLIPConfig
    layout = ALTCLIP
    config: AltCLIPConfig

    def __init__(self, config: AltCLIPConfig) -> None:
        super().__init__()
        self.config = config
        self.dual = initialise(DualEncoder(config.model_config()))
        # in a tuple, where torch does not find them: their parameters are those of `dual`
        self._towers = (
            AltCLIPTextModel(config.text_config, self.dual.text.before_projection(TEXT_HEADS)),
            AltCLIPVisionModel(config.vision_config, self.dual.vision),
        )

    def __setattr__(self, name: str, value: Any) -> None:
        """Parts that are replaced are those of `dual`. Raises UsageError for a whole tower."""
        if name in ("text_model", "vision_model"):
            raise UsageError(f"{name} cannot be replaced: build a model with AltCLIPConfig.from_text_vision_configs")
        if name == "text_projection":
            self.dual.text.projections[name] = value
        elif name in ("visual_projection", "logit_scale"):
            setattr(self.dual, name, value)
        else:
            super().__setattr__(name, value)

    def named(self) -> nn.Module:
        return self.dual

    def save_pretrained(self, folder: str | Path, *, max_shard_size: int = 5 * 10**9) -> None:
        """As for the towers; weights that this class had no place for when it was opened are warned of."""
        super().save_pretrained(folder, max_shard_size=max_shard_size)
        if self.left_aside:
            warnings.warn(
                f"{', '.join(self.left_aside)}: not saved, for this class has no place for them; open and save the "
                "model with altclip.Encoder to keep them",
                stacklevel=2,
            )

    @property
    def text_model(self) -> AltCLIPTextModel:
        """The text tower, sharing its weights with this model."""
        tower = self._towers[0]
        tower.training = self.dual.text.tower.training  # torch tells `dual` alone
        return tower

    @property
    def vision_model(self) -> AltCLIPVisionModel:
        """The image tower, sharing its weights with this model."""
        tower = self._towers[1]
        tower.training = self.dual.vision.training
        return tower

    @property
    def text_projection(self) -> nn.Module:
        return self.dual.text.projections["text_projection"]

    @property
    def visual_projection(self) -> nn.Linear:
        return self.dual.visual_projection

    @property
    def logit_scale(self) -> nn.Parameter:
        return self.dual.logit_scale

    def get_text_features(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
    ) -> Tensor:
        """Features (B, projection_dim) of token ids (B, L), not normalised."""
        output = self.text_model(input_ids, attention_mask, token_type_ids, position_ids, return_dict=True)
        return self.text_projection(output.pooler_output)  # type: ignore[no-any-return]

    def get_image_features(self, pixel_values: Tensor, interpolate_pos_encoding: bool = False) -> Tensor:
        """Features (B, projection_dim) of images (B, C, S, S), not normalised."""
        return self.dual.encode_image(pixel_values, interpolate=interpolate_pos_encoding)

    def forward(
        self,
        input_ids: Tensor | None = None,
        pixel_values: Tensor | None = None,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
        return_loss: bool | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        interpolate_pos_encoding: bool = False,
        return_dict: bool | None = None,
    ) -> Any:
        """Compare N images with M texts.

        Returns:
            logits_per_image (N, M) and logits_per_text (M, N), exp(logit_scale) times the cosine; text_embeds and
            image_embeds, normalised; text_model_output and vision_model_output of the towers; with `return_loss` first
            the contrastive loss of N = M pairs.

        Raises:
            UsageError: texts or images are missing.
        """
        if input_ids is None or pixel_values is None:
            raise UsageError(
                "both input_ids and pixel_values are needed: get_text_features, get_image_features take one"
            )
        asked = {"output_attentions": output_attentions, "output_hidden_states": output_hidden_states}
        weights, hidden, as_dict = self.asked(**asked, return_dict=return_dict)
        text = self.text_model(
            input_ids, attention_mask, token_type_ids, position_ids, weights, hidden, return_dict=True
        )
        vision = self.vision_model(pixel_values, weights, hidden, interpolate_pos_encoding, return_dict=True)
        text_MD = F.normalize(self.text_projection(text.pooler_output), dim=-1)
        image_ND = F.normalize(self.visual_projection(vision.pooler_output), dim=-1)
        scale = self.logit_scale.exp()
        logits_MN = scale * text_MD @ image_ND.T
        output = ModelOutput(
            loss=contrastive_loss(image_ND, text_MD, scale) if return_loss else None,
            logits_per_image=logits_MN.T,
            logits_per_text=logits_MN,
            text_embeds=text_MD,
            image_embeds=image_ND,
            text_model_output=text,
            vision_model_output=vision,
        )
        return packed(output, as_dict)

    def gradient_checkpointing_enable(self) -> None:
        """Recompute activations in the backward pass: less memory, about a third more time."""
        self.dual.set_gradient_checkpointing(True)

    def gradient_checkpointing_disable(self) -> None:
        """Keep activations again."""
        self.dual.set_gradient_checkpointing(False)


AltCLIP = AltCLIPModel  # the name on the card of AltCLIP-m9

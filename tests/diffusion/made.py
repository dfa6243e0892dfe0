"""Tiny pipelines of AltDiffusion with random weights: diffusers' deprecated one as the oracle, and its folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import torch

from tests.checkpoints.families import with_xlm_tokenizer
from tests.models import oracles

SIDE: Final = 64  # pixels of the tiny model's pictures
WIDTH: Final = 24  # of what the UNet is conditioned on
TEXT: Final = {
    **oracles.TEXT, "vocab_size": 400, "project_dim": WIDTH, "layer_norm_eps": 1e-5, "pad_token_id": 1,
    "type_vocab_size": 1, "hidden_act": "gelu", "max_position_embeddings": 80,
}  # fmt: skip
PROMPT: Final = "两个孩子在海边放风筝"
NEGATIVE: Final = "la niña come una manzana"


def text_encoder(*, m18: bool = False, **changes: Any) -> Any:
    """diffusers' class with random weights."""
    from diffusers.pipelines.deprecated.alt_diffusion import modeling_roberta_series as series

    config = series.RobertaSeriesConfig(**{**TEXT, **changes}, has_pre_transformation=m18)
    return oracles.randomised(series.RobertaSeriesModelWithTransformation(config))


def unet() -> Any:
    from diffusers import UNet2DConditionModel

    torch.manual_seed(0)
    model: Any = UNet2DConditionModel(
        sample_size=SIDE // 8, in_channels=4, out_channels=4, block_out_channels=(16, 32), layers_per_block=1,
        norm_num_groups=4, attention_head_dim=2, cross_attention_dim=WIDTH,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"), up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
    )  # fmt: skip
    return model.eval()


def vae() -> Any:
    from diffusers import AutoencoderKL

    torch.manual_seed(1)
    model: Any = AutoencoderKL(
        block_out_channels=(8, 8, 8, 8), latent_channels=4, norm_num_groups=4, sample_size=SIDE,
        down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4,
    )  # fmt: skip
    return model.eval()


def scheduler(name: str = "PNDMScheduler", **changes: Any) -> Any:
    """As Stable Diffusion 1 has it."""
    import diffusers

    usual = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "steps_offset": 1}
    more = {"PNDMScheduler": {"skip_prk_steps": True}, "DDIMScheduler": {"clip_sample": False}}.get(name, {})
    return getattr(diffusers, name)(**usual, **more, **changes)


def safety_checker() -> Any:
    """A checker that finds every picture unsafe."""
    from diffusers.pipelines.stable_diffusion.safety_checker import StableDiffusionSafetyChecker
    from transformers import CLIPConfig

    config = CLIPConfig(vision_config={**oracles.VISION, "image_size": 32, "patch_size": 8}, projection_dim=16)
    checker = oracles.randomised(StableDiffusionSafetyChecker(config))
    checker.concept_embeds_weights.data.fill_(-2.0)
    return checker


def feature_extractor() -> Any:
    from transformers import CLIPImageProcessor

    return CLIPImageProcessor(size={"shortest_edge": 32}, crop_size=32)


def oracle(tokenizer: Path, *, m18: bool = False, safety: bool = False, **changes: Any) -> Any:
    """diffusers' deprecated AltDiffusionPipeline; changes: of the text encoder's configuration."""
    from diffusers import AltDiffusionPipeline
    from transformers import XLMRobertaTokenizer

    pipeline: Any = AltDiffusionPipeline(
        vae=vae(), text_encoder=text_encoder(m18=m18, **changes), unet=unet(), scheduler=scheduler(),
        tokenizer=XLMRobertaTokenizer.from_pretrained(tokenizer), safety_checker=safety_checker() if safety else None,
        feature_extractor=feature_extractor() if safety else None, requires_safety_checker=False,
    )  # fmt: skip
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def tokenizer_folder(folder: Path) -> Path:
    return with_xlm_tokenizer(folder, model_max_length=77)


def released(folder: Path, pipeline: Any, tokenizer: Path) -> Path:
    """The folder of a pipeline as the hub has those of AltDiffusion; the tokenizer as sentencepiece's model."""
    pipeline.save_pretrained(folder)
    for file in (folder / "tokenizer").iterdir():
        file.unlink()
    for file in tokenizer.iterdir():
        (folder / "tokenizer" / file.name).write_bytes(file.read_bytes())
    index = json.loads((folder / "model_index.json").read_text())
    index["text_encoder"] = ["alt_diffusion", "RobertaSeriesModelWithTransformation"]
    index["tokenizer"] = ["transformers", "XLMRobertaTokenizer"]
    (folder / "model_index.json").write_text(json.dumps(index))
    return folder

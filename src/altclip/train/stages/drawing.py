"""A model that draws, from a recipe's words: UNet and autoencoder, new or of an earlier stage; and its folder.

The folder is a pipeline's, as `altclip.diffusion` opens it: `unet`, `vae`, `scheduler`, and the text encoder with its
tokenizer where that is one of AltDiffusion. (Of a CLIP's text there is none: the next stage needs only what draws.)
"""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor, nn

from altclip.device import pick_dtype
from altclip.diffusion import library
from altclip.diffusion.folders import INDEX, OWN_GUIDANCE, find_pipeline
from altclip.diffusion.patches import PatchAutoencoder
from altclip.diffusion.pipelines import index_of
from altclip.errors import UsageError
from altclip.silence import silenced
from altclip.train.config import Recipe, StageConfig
from altclip.train.config_pictures import OF_THE_STAGE, DenoiseConfig
from altclip.train.saving import whole_folder
from altclip.train.stages.build import freeze_patterns
from altclip.train.stages.context import Context
from altclip.train.stages.tokens import TokenStates

_UNET: Final = "UNet2DConditionModel"
_NOISE_LEVELS: Final = 1000
_SAMPLER: Final = "DDPMScheduler"
_POOLED: Final = {
    "addition_embed_type": "text", "addition_embed_type_num_heads": 8, "resnet_time_scale_shift": "scale_shift",
}  # fmt: skip


class Drawing(nn.Module):
    """What such a stage trains (`unet`, of diffusers) with what it takes as given (`vae`)."""

    unet: Any  # a module of diffusers, whose configuration is its own kind of dictionary
    vae: PatchAutoencoder

    def __init__(self, unet: nn.Module, vae: PatchAutoencoder) -> None:
        super().__init__()
        self.unet, self.vae = unet, vae

    def latents(self, pixels: Tensor) -> Tensor:
        """(B, C, H, W) of pixels in [-1, 1], with standard deviation one over all."""
        return self.vae.encode(pixels).latents * self.vae.config.scaling_factor  # type: ignore[no-any-return]


def build_drawing(context: Context, width: int, pixels: Tensor | None) -> Drawing:
    """The stage's model; width: of a token's state; pixels: to fit an autoencoder to, where it starts from none."""
    config = context.config
    if pixels is not None:
        sizes = config.denoise or DenoiseConfig()
        drawing = Drawing(new_unet(sizes, width), PatchAutoencoder.fitted(pixels, sizes.patch, sizes.channels))
    else:
        folder = place_of(context, config.start["unet"])
        unet, anew = _taken_unet(folder / "unet", width)
        if anew:
            context.report(f"{len(anew)} maps of the text are made anew, its states are {width} wide: {anew[0]}, ...")
        drawing = Drawing(unet, PatchAutoencoder.from_pretrained(folder / "vae"))
    if torch.device(context.device).type == "cpu":  # 0.81 s a step of 64 with torch's fused attention, 0.49 without
        library.write_attention_out(drawing.unet)
    freeze_patterns(drawing, config.freeze)
    return drawing


def new_unet(sizes: DenoiseConfig, width: int) -> nn.Module:
    """diffusers' UNet of these sizes, with fresh weights."""
    unet: nn.Module = library.named(_UNET)(
        sample_size=sizes.side // sizes.patch, in_channels=sizes.channels, out_channels=sizes.channels,
        block_out_channels=tuple(sizes.widths), layers_per_block=sizes.layers, norm_num_groups=sizes.groups,
        down_block_types=tuple("CrossAttnDownBlock2D" if sees else "DownBlock2D" for sees in sizes.attention),
        up_block_types=tuple("CrossAttnUpBlock2D" if sees else "UpBlock2D" for sees in reversed(sizes.attention)),
        attention_head_dim=tuple(max(1, wide // sizes.head_dim) for wide in sizes.widths),  # the number of heads
        cross_attention_dim=width, **(_POOLED if sizes.pooled else {}),
    )  # fmt: skip
    return unet


def sizes_of(recipe: Recipe, stage: StageConfig) -> DenoiseConfig:
    """The sizes of the first stage that this one goes back to. Raises UsageError where that is no stage."""
    while (source := stage.start.get("unet")) is not None:
        if source not in recipe.stages:
            raise UsageError(f"start.unet: {source} is no stage of the recipe, so its sizes are not known here")
        stage = recipe.stages[source]
    return stage.denoise or DenoiseConfig()


def place_of(context: Context, source: str) -> Path:
    """The folder of an earlier stage, of one from another run, or of any pipeline. Raises as `find_pipeline` does."""
    if source in context.recipe.stages:
        return context.folder(source)
    place = Path(source).expanduser()
    return place if (place / "unet").is_dir() else find_pipeline(source).root


def _taken_unet(folder: Path, width: int) -> tuple[nn.Module, list[str]]:
    """The UNet of a folder for states of that width, and what had to be made anew for it."""
    kind = library.named(_UNET)
    old = kind.from_pretrained(folder)
    if old.config.cross_attention_dim == width:
        return old, []
    new = kind.from_config({**old.config, "cross_attention_dim": width})
    weights, own = old.state_dict(), new.state_dict()
    anew = [name for name, weight in own.items() if weight.shape != weights[name].shape]
    new.load_state_dict({**weights, **{name: own[name] for name in anew}})
    return new, anew


def noise_schedule(context: Context) -> Any:
    """That of what the stage starts from, as diffusers' DDIM where it is another sampler's.

    Else the cosine schedule (Nichol & Dhariwal 2021), whose last level is noise alone, sampled with fresh noise in each
    step (DDPM, Ho et al. 2020): a small model's mistakes stay in a picture without it.
    """
    start = context.config.start
    if "unet" in start:
        folder = place_of(context, start["unet"]) / "scheduler"
        own = library.named(_SAMPLER)
        with_noise = own.load_config(folder).get("_class_name") == _SAMPLER
        return (own if with_noise else library.named("DDIMScheduler")).from_pretrained(folder)
    sizes = context.config.denoise or DenoiseConfig()
    return library.named(_SAMPLER)(
        num_train_timesteps=_NOISE_LEVELS, beta_schedule="squaredcos_cap_v2", prediction_type=sizes.prediction,
        clip_sample=False, timestep_spacing="trailing", steps_offset=1,
    )  # fmt: skip


def save_drawing(
    drawing: Drawing,
    scheduler: Any,
    words: TokenStates,
    folder: Path,
    *,
    dtype: str,
    guidance: float | None,
    facts: dict[str, Any],
) -> None:
    """The folder of the pipeline, whole or not at all. Raises CheckpointError."""
    with silenced():  # diffusers warns of modules to be kept in float32 where there are none
        unet = copy.deepcopy(drawing.unet).to(pick_dtype(dtype, torch.device("cpu"))).cpu()
    unet.register_to_config(_name_or_path=None)  # where it began, on this machine
    parts = {"unet": unet, "vae": drawing.vae, "scheduler": scheduler, **words.parts()}
    if "unet" in facts["stage"]["start"]:  # its sizes are another's: the parts' own settings tell them
        asked = {key: value for key, value in facts["stage"]["denoise"].items() if key in OF_THE_STAGE}
        facts = {**facts, "stage": {**facts["stage"], "denoise": asked}}
    with whole_folder(folder) as fresh:
        for name, part in parts.items():
            part.save_pretrained(fresh / name)
        content = {**index_of(parts), **words.index(), "requires_safety_checker": False, "altclip_training": facts}
        content |= {} if guidance is None else {OWN_GUIDANCE: guidance}
        (fresh / INDEX).write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")

"""Pictures from prompts: a prompt is encoded once, a picture has noise of its own seed, and comes when it is done.

What a picture starts from depends on its seed and size alone: the noise is drawn on the CPU in float32, one generator a
picture, so batch size, device and format do not change it. Order: check everything, encode the negative prompt, then
for each prompt encode it, and draw its pictures batch by batch.
"""

from __future__ import annotations

import hashlib
import math
import secrets
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeAlias

import torch
from PIL import Image
from torch import Tensor

from altclip import __version__
from altclip.diffusion import library
from altclip.diffusion.folders import OWN_GUIDANCE
from altclip.diffusion.options import GUIDANCE, LARGEST_SEED, MULTIPLE, SAMPLERS, Options, no_multiple
from altclip.diffusion.pictures import Picture
from altclip.diffusion.tokens import left_out
from altclip.encoder.memory import is_out_of_memory
from altclip.errors import AltclipError, UsageError
from altclip.processing import ImageSource, Tokenizer, open_image

_SHOWN: Final = 400  # letters of what was left out of a prompt that a warning shows


class PromptCut(UserWarning):
    """A prompt is longer than the model reads; says what was left out."""


class Cancelled(Exception):  # noqa: N818 - no error, but how `on_step` ends a generation
    """Raise it in `on_step` to give up; any other exception does the same."""


class Progress(NamedTuple):
    """Where a generation is: `done` of `pictures` are finished, the next are at `step` of `steps`."""

    done: int
    pictures: int
    step: int
    steps: int


OnStep: TypeAlias = Callable[[Progress], object]
OnCut: TypeAlias = Callable[[int, str], object]


@dataclass(frozen=True)
class _Work:
    """What all pictures of a call share. pipeline: one of its own around the user's modules."""

    pipeline: Any
    name: str
    options: Options
    guidance: float
    seed: int
    size: tuple[int, int]
    image: Image.Image | None
    pictures: int
    on_step: OnStep


def generate(
    pipeline: Any,
    prompts: str | Sequence[str],
    *,
    image: ImageSource | None = None,
    on_step: OnStep | None = None,
    on_cut: OnCut | None = None,
    **options: Any,
) -> Iterator[Picture]:
    """Pictures in the order of the prompts, `number` for each, each as soon as it is finished.

    Args:
        pipeline: of `AltDiffusionPipeline.from_pretrained`, wherever and however it is set up. Neither it nor its
            scheduler is changed.
        prompts: one text or several, in any language of the model.
        image: begin from this picture (whatever `open_image` takes) instead of from noise alone; it is resized where
            `height` and `width` are given, else to multiples of 8.
        on_step: told after every step; what it raises ends the generation.
        on_cut: told of each prompt that is too long, instead of the warning: its tokens, and what is left out.
        options: see `Options` (seed, steps, sampler, guidance, ...). The n-th picture of every prompt has the seed + n.

    Raises:
        UsageError: an option or a prompt is wrong, before anything is drawn.
        ImageError: the image cannot be read.
        PromptCut (a warning): a prompt is longer than the model reads.
    """
    wanted = Options.of(options)
    if not isinstance(pipeline.tokenizer, Tokenizer):
        raise UsageError("the pipeline is none of altclip's: open it with altclip.diffusion.AltDiffusionPipeline")
    texts = check_prompts([prompts] if isinstance(prompts, str) else list(prompts))
    seed = secrets.randbelow(LARGEST_SEED - wanted.number + 2) if wanted.seed is None else wanted.seed
    wanted.check_seeds(seed)
    if image is not None:
        wanted.check_strength()
    start = None if image is None else open_image(image)
    width, height = _size(pipeline, wanted, start)
    for text in dict.fromkeys([*texts, wanted.negative_prompt]):
        count, rest = left_out(pipeline.tokenizer, text)
        if rest:
            (on_cut or partial(_warn_cut, pipeline.tokenizer.model_max_length))(count, rest)
    drawn = None if start is None else _fitted(start, (width, height))
    guidance = own_guidance(pipeline) if wanted.guidance is None else wanted.guidance
    scheduler = _scheduler(pipeline, wanted.sampler)
    _check_steps(scheduler, wanted.steps)
    work = _Work(
        library.with_parts_of(pipeline, image=drawn is not None, scheduler=scheduler),
        _name(pipeline), wanted, guidance, seed, (width, height), drawn, len(texts) * wanted.number, on_step or _nobody,
    )  # fmt: skip
    return _pictures(work, texts, pipeline)


def _nobody(_progress: Progress) -> None:
    """Is told where nobody asks."""


def check_prompts(texts: list[str]) -> list[str]:
    """The prompts themselves. Raises UsageError where there are none, or one says nothing."""
    if not texts:
        raise UsageError("no prompts: expected a text that says what to draw")
    for number, text in enumerate(texts, 1):
        if not isinstance(text, str):
            raise UsageError(f"prompt {number} is a {type(text).__name__}: expected a text")
        if not text.strip():
            raise UsageError(f"prompt {number} of {len(texts)} is empty: say what to draw")
    return texts


def _warn_cut(limit: int, count: int, rest: str) -> None:
    shown = rest if len(rest) <= _SHOWN else f"{rest[: _SHOWN // 2]} [...] {rest[-_SHOWN // 2 :]}"
    message = f"a prompt has {count:,} tokens, the model reads {limit}; left out is: {shown}"
    warnings.warn(message, PromptCut, stacklevel=3)


def own_guidance(pipeline: Any) -> float:
    """What the model's folder says, else Stable Diffusion's."""
    own = getattr(pipeline, OWN_GUIDANCE, None)
    return GUIDANCE if own is None else float(own)


def own_size(pipeline: Any) -> tuple[int, int]:
    """Width and height of the pictures that the model was trained on."""
    own = pipeline.unet.config.sample_size
    high, wide = (side * pipeline.vae_scale_factor for side in (own if isinstance(own, list | tuple) else (own, own)))
    return wide, high


def _size(pipeline: Any, wanted: Options, image: Image.Image | None) -> tuple[int, int]:
    """Width and height: as wanted, else the model's own; an image keeps its shape, and is not made larger.

    Raises UsageError for a size that the model's latents do not fill.
    """
    wide, high = own_size(pipeline)
    multiple = math.lcm(MULTIPLE, pipeline.vae_scale_factor)
    for name in ("height", "width"):
        pixels = getattr(wanted, name)
        if pixels is not None and pixels % multiple:
            raise UsageError(
                f"{name} = {pixels}: {no_multiple(pixels, multiple)}, for a latent of this model is {multiple}"
            )
    if image is not None:
        width, height = image.size
        scale = min(1.0, min(high, wide) / min(image.size))
        if wanted.width or wanted.height:
            scale = wanted.width / width if wanted.width else (wanted.height or height) / height
        whole = math.floor if scale == 1 else round  # as it is, an image is cut down as diffusers does it
        high, wide = (max(multiple, whole(side * scale / multiple) * multiple) for side in (height, width))
    return wanted.width or wide, wanted.height or high


def _fitted(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    plain = image.convert("RGB")
    return plain if plain.size == size else plain.resize(size, Image.Resampling.LANCZOS)


def _scheduler(pipeline: Any, name: str | None) -> Any:
    """A scheduler with the model's own settings: of its own kind, or of the sampler's."""
    config = dict(pipeline.scheduler.config)
    if name is None:
        return type(pipeline.scheduler).from_config(config)
    sampler = SAMPLERS[name]
    unsaid = set(config.get("_use_default_values", ()))  # defaults of the model's class, not of this one
    said = {key: value for key, value in config.items() if key not in unsaid and not key.startswith("_")}
    return library.named(sampler.scheduler).from_config({**sampler.usual, **said, **sampler.always})


def _check_steps(scheduler: Any, steps: int) -> None:
    """Raise UsageError for more steps than the scheduler has levels of noise; with an offset one less."""
    levels = int(scheduler.config.get("num_train_timesteps", steps))
    most = levels - int(scheduler.config.get("steps_offset") or 0)
    if steps > most:
        raise UsageError(
            f"steps = {steps}: the model's schedule has {levels} levels of noise; take at most {most} steps"
        )


def _pictures(work: _Work, texts: Sequence[str], lent: Any) -> Iterator[Picture]:
    """lent: the user's pipeline, whose modules go back to where its offloading keeps them."""
    options, seeds = work.options, range(work.seed, work.seed + work.options.number)
    try:
        negative_1LD = _states(work.pipeline, options.negative_prompt) if work.guidance > 1 else None
        for number, text in enumerate(texts):
            states_1LD = _states(work.pipeline, text)
            for at in range(0, options.number, options.batch):
                done = number * options.number + at
                yield from _batch(work, text, seeds[at : at + options.batch], states_1LD, negative_1LD, done)
    finally:
        lent.maybe_free_model_hooks()


def _states(pipeline: Any, text: str) -> Tensor:
    """What the UNet is conditioned on (1, L, D), as the pipeline's own `encode_prompt` gives it.

    A user's text is text: `</s>` in it is no token, as it would be there.
    """
    tokenizer, encoder = pipeline.tokenizer, pipeline.text_encoder
    tokens = tokenizer(
        pipeline.maybe_convert_prompt(text, tokenizer), padding="max_length", max_length=tokenizer.model_max_length,
        truncation=True, return_tensors="pt", split_special_tokens=True,
    )  # fmt: skip
    device = pipeline._execution_device  # public in all but name: diffusers' guides pass it to `encode_prompt`
    mask_1L = tokens.attention_mask.to(device) if encoder.config.use_attention_mask else None
    with torch.no_grad():
        states_1LD: Tensor = encoder(tokens.input_ids.to(device), attention_mask=mask_1L)[0]
    return states_1LD.to(encoder.dtype)


def _batch(
    work: _Work, text: str, seeds: Sequence[int], states_1LD: Tensor, negative_1LD: Tensor | None, done: int
) -> list[Picture]:
    """Pictures of one prompt, drawn together."""
    pipeline, options, count = work.pipeline, work.options, len(seeds)

    def stepped(_pipeline: Any, step: int, _time: Any, _tensors: Any) -> dict[str, Any]:
        work.on_step(Progress(done, work.pictures, step + 1, pipeline.num_timesteps))
        return {}

    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    try:
        found = pipeline(
            prompt_embeds=states_1LD.expand(count, -1, -1),
            negative_prompt_embeds=None if negative_1LD is None else negative_1LD.expand(count, -1, -1),
            num_inference_steps=options.steps, guidance_scale=work.guidance, eta=options.eta,
            generator=generators, callback_on_step_end=stepped, **_start(work, generators, states_1LD.dtype),
        )  # fmt: skip
    except (RuntimeError, MemoryError) as error:  # on CPUs torch has no class of error for it
        if not is_out_of_memory(error):
            raise
        raise AltclipError(
            f"the device has no room for {count} picture(s) of {work.size[0]}x{work.size[1]}: take a smaller size or "
            "batch, or pipeline.vae.enable_tiling() and pipeline.enable_model_cpu_offload()"
        ) from error
    flags = found.nsfw_content_detected or [None] * count
    return [
        Picture(image, _parameters(work, text, seed), None if flag is None else bool(flag))
        for image, seed, flag in zip(found.images, seeds, flags, strict=True)
    ]


def _start(work: _Work, generators: Sequence[torch.Generator], dtype: torch.dtype) -> dict[str, Any]:
    """What a batch begins with: noise, or the image, which the pipeline itself adds noise to."""
    pipeline, (width, height) = work.pipeline, work.size
    if work.image is not None:
        return {"image": [work.image] * len(generators), "strength": work.options.strength}
    scale = pipeline.vae_scale_factor
    shape = (pipeline.unet.config.in_channels, height // scale, width // scale)
    noise_BCHW = torch.stack([torch.randn(shape, generator=generator) for generator in generators])
    return {"latents": noise_BCHW.to(dtype), "height": height, "width": width}


def _parameters(work: _Work, text: str, seed: int) -> dict[str, Any]:
    pipeline, options = work.pipeline, work.options
    texts = {"left_out": text, "negative_left_out": options.negative_prompt}
    cut = {name: rest for name, of in texts.items() if (rest := left_out(pipeline.tokenizer, of)[1])}
    image = {} if work.image is None else {"strength": options.strength, "image_sha256": _digest(work.image)}
    return {
        "prompt": text, "negative_prompt": options.negative_prompt, "seed": seed, "steps": options.steps,
        "sampler": options.sampler or type(pipeline.scheduler).__name__, "guidance": work.guidance,
        "eta": options.eta, "width": work.size[0], "height": work.size[1], **image,
        **cut, "model": work.name,
        "dtype": str(pipeline.unet.dtype).removeprefix("torch."),
        "programs": f"altclip {__version__}, diffusers {library.version()}, torch {torch.__version__}",
    }  # fmt: skip


def _digest(image: Image.Image) -> str:
    return hashlib.sha256(image.tobytes()).hexdigest()


def _name(pipeline: Any) -> str:
    """The hub id, or the name of a folder without the path to it, which is nobody's business."""
    name = str(pipeline.config.get("_name_or_path") or "")
    folder = Path(name).expanduser()
    return folder.resolve().name if folder.is_dir() else name

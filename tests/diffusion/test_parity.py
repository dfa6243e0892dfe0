"""The pictures equal those of diffusers' deprecated AltDiffusion pipelines, to one grey level, in every combination."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from altclip.diffusion import AltDiffusionImg2ImgPipeline, generate
from tests.diffusion import made

STEPS = 3
WAYS: dict[str, dict[str, Any]] = {
    "plain": {"guidance_scale": 1.0},
    "guided": {"guidance_scale": 7.5},
    "negative": {"guidance_scale": 7.5, "negative_prompt": made.NEGATIVE},
    "negative, not guided": {"guidance_scale": 1.0, "negative_prompt": made.NEGATIVE},
}


@pytest.fixture(scope="module", params=["m9", "m18", pytest.param("unmasked", marks=pytest.mark.slow)])
def family(
    request: pytest.FixtureRequest, tokenizer: Path, opened: Callable[..., Any], tmp_path_factory: Any
) -> tuple[Any, Any]:
    """diffusers' pipeline and ours from its folder."""
    changes = {"use_attention_mask": False} if request.param == "unmasked" else {}
    theirs = made.oracle(tokenizer, m18=request.param == "m18", **changes)
    return theirs, opened(made.released(tmp_path_factory.mktemp("family") / "p", theirs, tokenizer))


def drawn(pipeline: Any, **options: Any) -> np.ndarray:
    generator = torch.Generator().manual_seed(7)
    found = pipeline(made.PROMPT, num_inference_steps=STEPS, generator=generator, **options)
    return grey(found.images[0])


def grey(image: Image.Image) -> np.ndarray:
    return np.asarray(image.convert("RGB"), dtype=int)


def assert_same(ours: np.ndarray, theirs: np.ndarray) -> None:
    assert ours.shape == theirs.shape == (made.SIDE, made.SIDE, 3)
    assert theirs.std() > 10, "a flat picture tells nothing"
    assert np.abs(ours - theirs).max() <= 1


@pytest.mark.parametrize("way", WAYS)
def test_text_to_image(family: tuple[Any, Any], way: str) -> None:
    theirs, ours = family
    assert_same(drawn(ours, **WAYS[way]), drawn(theirs, **WAYS[way]))


@pytest.mark.parametrize("way", WAYS)
def test_image_to_image(family: tuple[Any, Any], way: str, photograph: Image.Image) -> None:
    from diffusers import AltDiffusionImg2ImgPipeline as Reference
    from diffusers import StableDiffusionImg2ImgPipeline as Stock

    kinds: tuple[Any, Any] = (Reference, Stock)
    theirs, ours = (
        kind(**pipeline.components, requires_safety_checker=False) for kind, pipeline in zip(kinds, family, strict=True)
    )
    for pipeline in (theirs, ours):
        pipeline.set_progress_bar_config(disable=True)
    options: dict[str, Any] = {"image": photograph, "strength": 0.75, **WAYS[way]}
    assert_same(drawn(ours, **options), drawn(theirs, **options))


@pytest.mark.parametrize("way", ["plain", "negative"])
@pytest.mark.parametrize("image", [False, True], ids=["text", "image"])
def test_generate_draws_the_same(oracle: Any, pipeline: Any, way: str, image: bool, photograph: Image.Image) -> None:
    from diffusers import AltDiffusionImg2ImgPipeline as Reference

    theirs: Any = Reference(**oracle.components, requires_safety_checker=False) if image else oracle
    theirs.set_progress_bar_config(disable=True)
    options: dict[str, Any] = {"image": photograph, "strength": 0.75} if image else {}
    (picture,) = generate(
        pipeline, made.PROMPT, steps=STEPS, seed=7, guidance=WAYS[way]["guidance_scale"],
        negative_prompt=str(WAYS[way].get("negative_prompt", "")), **options,
    )  # fmt: skip
    assert_same(grey(picture.image), drawn(theirs, **WAYS[way], **options))


@pytest.mark.parametrize("size", [(70, 60), (62, 62), (61, 90)])
def test_an_image_of_any_sides_becomes_as_large_as_there(
    oracle: Any, pipeline: Any, photograph: Image.Image, size: tuple[int, int]
) -> None:
    from diffusers import AltDiffusionImg2ImgPipeline as Reference

    theirs: Any = Reference(**oracle.components, requires_safety_checker=False)
    theirs.set_progress_bar_config(disable=True)
    options: dict[str, Any] = {"image": photograph.resize(size), "strength": 0.75}
    (picture,) = generate(pipeline, made.PROMPT, steps=STEPS, seed=7, **options)
    expected = drawn(theirs, **options)
    assert grey(picture.image).shape == expected.shape
    assert np.abs(grey(picture.image) - expected).max() <= 1


@pytest.mark.parametrize(
    ("name", "scheduler"),
    [("plms", "PNDMScheduler"), ("ddim", "DDIMScheduler"), ("dpm++", "DPMSolverMultistepScheduler")],
)
def test_each_sampler_is_the_scheduler_of_stable_diffusion(
    oracle: Any, pipeline: Any, name: str, scheduler: str
) -> None:
    """With the model's own settings; its scheduler is left alone."""
    from diffusers import AltDiffusionPipeline as Reference

    said = {"timestep_spacing": "leading"} if name == "dpm++" else {"set_alpha_to_one": False}  # as in the folder
    theirs: Any = Reference(**{**oracle.components, "scheduler": made.scheduler(scheduler, **said)})
    theirs.set_progress_bar_config(disable=True)
    before = dict(pipeline.scheduler.config)
    (picture,) = generate(pipeline, made.PROMPT, steps=STEPS, seed=7, sampler=name)
    assert_same(grey(picture.image), drawn(theirs))
    assert (type(pipeline.scheduler).__name__, dict(pipeline.scheduler.config)) == ("PNDMScheduler", before)


def test_the_image_pipeline_of_a_folder(
    oracle: Any, released: Path, opened: Callable[..., Any], photograph: Any
) -> None:
    from diffusers import AltDiffusionImg2ImgPipeline as Reference

    theirs: Any = Reference(**oracle.components, requires_safety_checker=False)
    theirs.set_progress_bar_config(disable=True)
    options: dict[str, Any] = {"image": photograph, "strength": 0.5}
    assert_same(drawn(opened(released, AltDiffusionImg2ImgPipeline), **options), drawn(theirs, **options))


def test_a_sampler_on_a_model_that_comes_with_another(
    pipeline: Any, opened: Callable[..., Any], released: Path
) -> None:
    """What its settings do not say is as in Stable Diffusion, and not as diffusers' classes have it."""
    from altclip.diffusion.generating import _scheduler

    other = opened(released)
    other.scheduler = made.scheduler("DPMSolverMultistepScheduler", prediction_type="v_prediction")
    ddim = _scheduler(other, "ddim").config
    assert (ddim.clip_sample, ddim.set_alpha_to_one, ddim.timestep_spacing) == (False, False, "leading")
    assert (ddim.prediction_type, ddim.beta_schedule, ddim.steps_offset) == ("v_prediction", "scaled_linear", 1)
    plms = _scheduler(other, "plms").config
    assert (plms.skip_prk_steps, plms.set_alpha_to_one, plms.prediction_type) == (True, False, "v_prediction")
    own = _scheduler(other, None)
    assert own is not other.scheduler
    assert dict(own.config) == dict(other.scheduler.config)

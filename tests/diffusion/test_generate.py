"""Pictures by `generate`: seeds, batches, progress, what is written into them, and what is refused."""

from __future__ import annotations

import io
import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from altclip import errors
from altclip.diffusion import (
    AltDiffusionPipeline,
    Cancelled,
    Options,
    Picture,
    Progress,
    PromptCut,
    generate,
    grid,
    read_parameters,
    save_pipeline,
)
from altclip.diffusion.pictures import line
from tests.diffusion import made

TWO = ["两个孩子在海边放风筝", "il gatto nero"]


def made_by(pipeline: Any, prompts: Any = made.PROMPT, **options: Any) -> list[Picture]:
    return list(generate(pipeline, prompts, **{"steps": 2, "seed": 5, **options}))


def pixels(pictures: list[Picture]) -> np.ndarray:
    return np.stack([np.asarray(picture.image, dtype=int) for picture in pictures])


def test_a_picture_depends_on_its_seed_and_not_on_the_batch(pipeline: Any) -> None:
    one, three = (made_by(pipeline, number=3, batch=size) for size in (1, 3))
    assert [picture.parameters["seed"] for picture in one] == [5, 6, 7]
    assert np.abs(pixels(one) - pixels(three)).max() <= 1
    assert np.abs(pixels(one)[0] - pixels(one)[1]).max() > 10
    (alone,) = made_by(pipeline, seed=7)
    assert np.abs(pixels([alone]) - pixels(one)[2:]).max() <= 1


def test_a_model_may_have_a_guidance_of_its_own(pipeline: Any, tmp_path: Path) -> None:
    (usual,) = made_by(pipeline)
    assert usual.parameters["guidance"] == 7.5
    save_pipeline(pipeline, tmp_path)
    index = json.loads((tmp_path / "model_index.json").read_text())
    (tmp_path / "model_index.json").write_text(json.dumps({**index, "altclip_guidance": 2.5}))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        own = AltDiffusionPipeline.from_pretrained(tmp_path)
    (picture,), (asked,), (other,) = made_by(own), made_by(pipeline, guidance=2.5), made_by(own, guidance=7.5)
    assert picture.parameters["guidance"] == 2.5
    assert np.array_equal(pixels([picture]), pixels([asked]))
    assert np.array_equal(pixels([other]), pixels([usual]))
    save_pipeline(own, tmp_path / "again")
    assert json.loads((tmp_path / "again" / "model_index.json").read_text())["altclip_guidance"] == 2.5


def test_every_prompt_begins_with_the_same_noise(pipeline: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    noises: list[torch.Tensor] = []
    forward = pipeline.unet.forward

    def noting(sample: torch.Tensor, *rest: Any, **more: Any) -> Any:
        noises.append(sample.clone())
        return forward(sample, *rest, **more)

    monkeypatch.setattr(pipeline.unet, "forward", noting)
    made_by(pipeline, TWO, steps=1, guidance=1.0, sampler="ddim", number=2)
    assert len(noises) == 4
    assert torch.equal(noises[0], noises[2])
    assert torch.equal(noises[1], noises[3])
    assert torch.equal(noises[0], torch.randn((1, 4, 8, 8), generator=torch.Generator().manual_seed(5)))


def test_texts_are_encoded_once(pipeline: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    forward = pipeline.text_encoder.forward

    def counted(*given: Any, **named: Any) -> Any:
        calls.append(1)
        return forward(*given, **named)

    monkeypatch.setattr(pipeline.text_encoder, "forward", counted)
    made_by(pipeline, TWO, number=3, steps=1, negative_prompt=made.NEGATIVE)
    assert len(calls) == 3
    made_by(pipeline, TWO[:1], number=2, steps=1, guidance=1.0)
    assert len(calls) == 4  # no negative prompt without guidance


def test_a_drawn_seed_makes_the_same_picture_again(pipeline: Any) -> None:
    (first,) = made_by(pipeline, seed=None)
    (again,) = made_by(pipeline, seed=first.parameters["seed"])
    assert np.array_equal(pixels([first]), pixels([again]))


def test_progress_is_told_after_every_step(pipeline: Any) -> None:
    told: list[Progress] = []
    made_by(pipeline, number=2, sampler="ddim", on_step=told.append)
    assert told == [Progress(0, 2, 1, 2), Progress(0, 2, 2, 2), Progress(1, 2, 1, 2), Progress(1, 2, 2, 2)]


def test_what_on_step_raises_ends_it_and_the_finished_remain(pipeline: Any) -> None:
    def stop(now: Progress) -> None:
        if now.done == 1:
            raise Cancelled

    pictures = generate(pipeline, made.PROMPT, number=3, steps=2, seed=5, on_step=stop)
    assert next(pictures).parameters["seed"] == 5
    with pytest.raises(Cancelled):
        next(pictures)
    assert len(made_by(pipeline)) == 1  # and the pipeline is as it was


def test_size(pipeline: Any, photograph: Image.Image) -> None:
    (wide,) = made_by(pipeline, width=80, height=48, steps=1)
    assert wide.image.size == (80, 48) == (wide.parameters["width"], wide.parameters["height"])
    assert made_by(pipeline, width=40, steps=1)[0].image.size == (40, made.SIDE)
    large = photograph.resize((400, 203))
    assert made_by(pipeline, image=large, steps=2)[0].image.size == (128, 64)  # its shape, at the model's own size
    assert made_by(pipeline, image=large, height=32, steps=2)[0].image.size == (64, 32)
    assert made_by(pipeline, image=photograph.resize((45, 30)), steps=2)[0].image.size == (40, 24)


def test_an_image_is_kept_as_far_as_strength_says(pipeline: Any, photograph: Image.Image) -> None:
    weak, strong = (
        made_by(pipeline, image=photograph.convert("RGBA"), steps=10, strength=strength)[0] for strength in (0.1, 1.0)
    )
    assert np.abs(pixels([weak]) - pixels([strong])).max() > 10
    assert weak.parameters["strength"] == 0.1
    assert len(weak.parameters["image_sha256"]) == 64
    assert "strength" not in made_by(pipeline, steps=1)[0].parameters


@pytest.mark.parametrize(
    ("steps", "strength", "enough"),
    [(50, 0.01, "100 steps or more, or strength 0.02 "), (3, 0.3, "4 steps or more, or strength 0.334 ")],
)
def test_a_strength_that_leaves_no_step_is_refused(
    pipeline: Any, photograph: Image.Image, steps: int, strength: float, enough: str
) -> None:
    with pytest.raises(errors.UsageError, match=f"leaves none to draw: take {enough}"):
        generate(pipeline, "x", image=photograph, steps=steps, strength=strength, sampler="ddim")
    Options(steps=3, strength=0.334).check_strength()  # the one that was named is taken
    generate(pipeline, "x", steps=steps, strength=strength)  # without an image it means nothing


def test_too_little_memory_is_said(pipeline: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    said: list[Exception] = [
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB."),
        RuntimeError("mat1 and mat2 shapes cannot be multiplied"),
    ]

    def failing(*_given: Any, **_named: Any) -> None:
        raise said[0]

    pipeline.vae.enable_tiling()
    pipeline.vae.disable_tiling()
    monkeypatch.setattr(pipeline.unet, "forward", failing)
    for _ in range(2):
        with pytest.raises(
            errors.AltclipError, match=r"no room for 1 picture\(s\) of 64x64.* pipeline\.vae\.enable_tiling"
        ):
            made_by(pipeline)
        said.pop(0)
    with pytest.raises(RuntimeError, match="mat1"):
        made_by(pipeline)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_precision(dtype: str, released: Path, opened: Callable[..., Any], pipeline: Any) -> None:
    half = opened(released, torch_dtype=dtype)
    (picture,) = made_by(half)
    assert picture.parameters["dtype"] == dtype
    assert str(half.text_encoder.dtype) == f"torch.{dtype}"
    near = np.abs(pixels([picture]) - pixels(made_by(pipeline)))
    assert near.mean() < 3  # another prompt, or other noise, is 10 away


def test_eta_is_fresh_noise_in_each_step_of_ddim(pipeline: Any) -> None:
    none, full = (made_by(pipeline, sampler="ddim", eta=eta, steps=10)[0] for eta in (0.0, 1.0))
    assert np.abs(pixels([none]) - pixels([full])).mean() > 1
    (again,) = made_by(pipeline, sampler="ddim", eta=1.0, steps=10)
    assert np.array_equal(pixels([again]), pixels([full]))
    assert full.parameters["eta"] == 1.0
    (other,) = made_by(pipeline, sampler="dpm++", eta=1.0)  # which has none
    assert np.array_equal(pixels([other]), pixels(made_by(pipeline, sampler="dpm++")))


def test_a_png_holds_what_it_was_made_by(pipeline: Any, tmp_path: Path) -> None:
    (picture,) = made_by(pipeline, 'l\'été\n"</s>" 猫', negative_prompt="собака", sampler="dpm++", guidance=5)
    file = picture.save(tmp_path / "a.png")
    assert read_parameters(file) == picture.parameters
    with Image.open(file) as image:
        said = image.info["parameters"]
        assert np.array_equal(np.asarray(image), np.asarray(picture.image))
    assert said.startswith(
        'l\'été\n"</s>" 猫\nNegative prompt: собака\nSteps: 2, Sampler: dpm++, CFG scale: 5.0, Seed: 5,'
    )
    assert said == line(picture.parameters)
    assert picture.parameters["model"] == "tiny"  # the folder's name without the path to it
    assert list(tmp_path.iterdir()) == [file]


def test_odd_letters_do_not_spoil_the_file(pipeline: Any, tmp_path: Path) -> None:
    (picture,) = made_by(pipeline, "a\0b \ud800 c", steps=1)
    assert read_parameters(picture.save(tmp_path / "a.png"))["prompt"] == "a\0b \ud800 c"


def test_parameters_of_another_file(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "plain.png")
    (tmp_path / "text.png").write_text("no picture")
    for name in ("plain.png", "text.png", "absent.png"):
        with pytest.raises(errors.ImageError, match="no picture of altclip"):
            read_parameters(tmp_path / name)


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    picture = Picture(Image.new("RGB", (8, 8)), {"prompt": "x", "width": 8, "height": 8})
    (tmp_path / "file").write_text("")
    with pytest.raises(errors.UsageError, match="cannot be written.*another place"):
        picture.save(tmp_path / "file" / "a.png")


def test_grid() -> None:
    images = [Image.new("RGB", (10, 20), (shade, 0, 0)) for shade in (10, 20, 30, 40, 50)]
    sheet = grid(images, gap=2)
    assert sheet.size == (3 * 12 + 2, 2 * 22 + 2)
    assert [sheet.getpixel((2 + 12 * (n % 3), 2 + 22 * (n // 3))) for n in range(5)] == [
        (shade, 0, 0) for shade in (10, 20, 30, 40, 50)
    ]
    assert sheet.getpixel((30, 30)) == (255, 255, 255)
    assert grid(images, columns=5).size == (62, 24)
    with pytest.raises(errors.UsageError, match="no pictures"):
        grid([])


def test_a_long_prompt_is_cut_and_what_is_left_out_is_shown(pipeline: Any) -> None:
    prompt = "the cat " * 500 + "ends here"
    assert len(pipeline.tokenizer.encode(prompt)) > 2000
    with pytest.warns(PromptCut, match=r"has [\d,]+ tokens, the model reads 77; left out is: .*the cat.*ends here"):
        (cut,) = made_by(pipeline, prompt, steps=1)
    assert cut.parameters["left_out"].endswith("ends here")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        (short,) = made_by(pipeline, steps=1)
    assert "left_out" not in short.parameters
    with pytest.warns(PromptCut):
        (cut,) = made_by(pipeline, negative_prompt=prompt, steps=1)
    assert cut.parameters["negative_left_out"].endswith("ends here")
    assert "left_out" not in cut.parameters


def test_special_tokens_of_a_user_are_text(pipeline: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[list[int]] = []
    forward = pipeline.text_encoder.forward

    def listening(ids: Any, *rest: Any, **named: Any) -> Any:
        given.append([token for token in ids[0].tolist() if token != pipeline.tokenizer.pad_token_id])
        return forward(ids, *rest, **named)

    monkeypatch.setattr(pipeline.text_encoder, "forward", listening)
    made_by(pipeline, "the cat</s>", steps=1, guidance=1)
    pipeline("the cat</s>", num_inference_steps=1, guidance_scale=1)
    end = pipeline.tokenizer.eos_token_id
    ours, stock = given
    assert (ours.count(end), ours[-1]) == (1, end)
    assert stock.count(end) == 2  # diffusers takes it for the token


def test_withheld_pictures_are_said_to_be(opened: Callable[..., Any], checked: Path, pipeline: Any) -> None:
    (unsafe,) = made_by(opened(checked), steps=1)
    assert unsafe.withheld is True
    assert not np.asarray(unsafe.image).any()
    assert made_by(pipeline, steps=1)[0].withheld is None


WRONG: dict[str, tuple[Any, dict[str, Any], str]] = {
    "empty": ("", {}, "prompt 1 of 1 is empty"),
    "blank": (["a cat", " \n"], {}, "prompt 2 of 2 is empty"),
    "none": ([], {}, "no prompts"),
    "number": ([3], {}, "prompt 1 is a int"),
    "height": ("x", {"height": 500}, "height = 500: no multiple of 8; the nearest is 496 or 504"),
    "width": ("x", {"width": 511}, "width = 511: no multiple of 8; the nearest is 512 or 504"),
    "tiny": ("x", {"width": 3}, "the nearest is 8$"),
    "huge": ("x", {"width": 80_000}, "less than or equal to 8192"),
    "negative seed": ("x", {"seed": -1}, "seed = -1: input should be greater than or equal to 0"),
    "large seed": ("x", {"seed": 2**32}, "less than or equal to 4294967295"),
    "last seed": ("x", {"seed": 2**32 - 2, "number": 3}, "needs seeds over 4294967295"),
    "sampler": ("x", {"sampler": "dimm"}, r"sampler = 'dimm': no such sampler; did you mean `ddim`"),
    "unknown": ("x", {"guidence": 3}, "guidence: no such key; did you mean `guidance`"),
    "steps": ("x", {"steps": 0}, "steps = 0"),
    "strength": ("x", {"strength": 0}, "greater than 0"),
    "guidance": ("x", {"guidance": float("nan")}, "guidance = nan"),
    "two": ("x", {"steps": 0, "number": 0}, r"several(.|\n)*number = 0(.|\n)*steps = 0"),
}


@pytest.mark.parametrize(("prompts", "options", "words"), WRONG.values(), ids=WRONG.keys())
def test_what_is_wrong_is_said_before_anything_is_drawn(
    pipeline: Any, prompts: Any, options: dict[str, Any], words: str
) -> None:
    with pytest.raises(errors.UsageError, match=words):
        generate(pipeline, prompts, **options)


@pytest.mark.parametrize("sampler", [None, "ddim", "plms", "dpm++"])
def test_more_steps_than_there_are_levels_of_noise(pipeline: Any, sampler: str | None) -> None:
    with pytest.raises(errors.UsageError, match="steps = 1000: .* has 1000 levels of noise; take at most 999 steps"):
        generate(pipeline, "x", steps=1000, sampler=sampler)
    pictures = generate(pipeline, "x", steps=999, sampler=sampler, on_step=_ended)  # the first is the noisiest
    with pytest.raises(Cancelled):
        next(pictures)


def _ended(_now: Progress) -> None:
    raise Cancelled


def test_a_size_that_latents_do_not_fill(pipeline: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "vae_scale_factor", 16)
    with pytest.raises(errors.UsageError, match="width = 72: no multiple of 16; the nearest is 64 or 80"):
        generate(pipeline, "x", width=72, height=64)


def test_the_path_of_a_folder_is_not_told(
    released: Path, opened: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(released.parent))
    (picture,) = made_by(opened(Path("~") / released.name), steps=1)
    assert picture.parameters["model"] == released.name


def test_another_pipeline_is_refused(oracle: Any) -> None:
    with pytest.raises(errors.UsageError, match="none of altclip's"):
        generate(oracle, "x")


def test_names_of_samplers() -> None:
    assert Options.of({"sampler": "PNDM"}).sampler == "plms"
    assert Options.of({"sampler": "DPM-Solver++", "steps": "20", "guidance": "3.5"}) == Options(
        sampler="dpm++", steps=20, guidance=3.5
    )


def test_the_bytes_of_a_picture(pipeline: Any) -> None:
    """As the server sends them."""
    (picture,) = made_by(pipeline, steps=1)
    with Image.open(io.BytesIO(picture.png())) as image:
        assert image.size == (64, 64)
        assert "altclip" in image.info

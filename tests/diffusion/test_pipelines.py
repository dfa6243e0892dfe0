"""Released folders opened and written; that what diffusers offers works on them; folders as they should not be."""

from __future__ import annotations

import importlib.util
import json
import shutil
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from altclip import errors
from altclip.checkpoints.notice import LicenceNotice
from altclip.diffusion import (
    AltDiffusionImg2ImgPipeline,
    AltDiffusionPipeline,
    SafetyNotice,
    generate,
    library,
    open_pipeline,
    save_pipeline,
)
from tests.checkpoints.fake_hub import serving
from tests.checkpoints.test_hub import point_to
from tests.diffusion import made
from tests.models import oracles

Open = Callable[..., Any]


def drawn(pipeline: Any, **options: Any) -> np.ndarray:
    generator = torch.Generator().manual_seed(7)
    pipeline.set_progress_bar_config(disable=True)
    array = pipeline(made.PROMPT, num_inference_steps=2, generator=generator, output_type="np", **options).images
    return np.asarray(array)


def test_it_is_diffusers_own_class(released: Path, recwarn: pytest.WarningsRecorder) -> None:
    from diffusers import StableDiffusionImg2ImgPipeline, StableDiffusionPipeline

    assert type(AltDiffusionPipeline.from_pretrained(released)) is StableDiffusionPipeline
    assert type(AltDiffusionImg2ImgPipeline.from_pretrained(str(released))) is StableDiffusionImg2ImgPipeline
    said = [warning for warning in recwarn if warning.category is SafetyNotice]
    assert "without a safety checker" in str(said[0].message)
    with pytest.raises(errors.UsageError, match=r"AltDiffusionPipeline.from_pretrained"):
        AltDiffusionPipeline(unet=None)


def test_without_a_checker_it_is_said_once(released: Path) -> None:
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        for _ in range(2):
            AltDiffusionPipeline.from_pretrained(released)
    assert [warning.category for warning in said] == [SafetyNotice]


def test_a_checker_that_is_there_is_opened(checked: Path, recwarn: pytest.WarningsRecorder) -> None:
    pipeline = AltDiffusionPipeline.from_pretrained(checked)
    assert pipeline.safety_checker is not None
    assert not [warning for warning in recwarn if warning.category is SafetyNotice]
    assert AltDiffusionPipeline.from_pretrained(checked, safety_checker=None).safety_checker is None


def test_a_checker_that_is_named_and_absent_is_left_out(checked: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(checked, tmp_path / "p"))
    shutil.rmtree(folder / "safety_checker")
    with pytest.warns(SafetyNotice, match="without a safety checker"):
        assert AltDiffusionPipeline.from_pretrained(folder).safety_checker is None


def test_the_licence_is_said(folder: Path) -> None:
    (folder / "README.md").write_text("---\nlicense: creativeml-openrail-m\n---\n")
    with pytest.warns(LicenceNotice, match=r"creativeml-openrail-m.*restrictions of use"):
        AltDiffusionPipeline.from_pretrained(folder)


def test_saved_and_opened_by_us_and_by_diffusers(pipeline: Any, opened: Open, tmp_path: Path) -> None:
    from diffusers import AltDiffusionPipeline as Reference
    from diffusers import AutoencoderKL, UNet2DConditionModel
    from transformers import XLMRobertaTokenizer

    save_pipeline(pipeline, tmp_path / "saved")
    again = opened(tmp_path / "saved")
    assert np.array_equal(drawn(again), drawn(pipeline))
    parts: dict[str, Any] = {
        "text_encoder": type(made.text_encoder()), "tokenizer": XLMRobertaTokenizer, "unet": UNet2DConditionModel,
        "vae": AutoencoderKL,
    }  # fmt: skip
    theirs = {name: kind.from_pretrained(tmp_path / "saved" / name) for name, kind in parts.items()}
    reference = Reference(
        **theirs, scheduler=made.scheduler(), safety_checker=None, feature_extractor=None, requires_safety_checker=False
    )
    assert np.abs(drawn(reference) - drawn(pipeline)).max() < 1 / 255
    assert json.loads((tmp_path / "saved" / "model_index.json").read_text())["safety_checker"] == [None, None]
    (tmp_path / "file").write_text("")
    with pytest.raises(errors.CheckpointError, match="cannot be written"):
        save_pipeline(pipeline, tmp_path / "file" / "below")


def test_samplers_draw_the_same_from_what_was_saved(folder: Path, opened: Open, tmp_path: Path) -> None:
    """Settings of that age leave much unsaid; diffusers would write its defaults as if they had been said."""
    file = folder / "scheduler" / "scheduler_config.json"
    said = {"_class_name": "PNDMScheduler", "beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
    file.write_text(json.dumps({**said, "skip_prk_steps": True}))
    first = opened(folder)
    again = opened(save_pipeline(first, tmp_path / "saved"))
    for sampler in (None, "ddim", "plms", "dpm++"):
        (one,), (two,) = (list(generate(of, "x", seed=1, steps=5, sampler=sampler)) for of in (first, again))
        assert np.array_equal(np.asarray(one.image), np.asarray(two.image)), sampler


def test_pickles_of_older_releases_are_opened(folder: Path, opened: Open, pipeline: Any) -> None:
    from safetensors.torch import load_file

    for name, pickle in (("unet", "diffusion_pytorch_model"), ("vae", "diffusion_pytorch_model")):
        torch.save(load_file(folder / name / f"{pickle}.safetensors"), folder / name / f"{pickle}.bin")
        (folder / name / f"{pickle}.safetensors").unlink()
    index = json.loads((folder / "model_index.json").read_text())
    index["_diffusers_version"] = "0.9.0"
    index["feature_extractor"] = ["transformers", "CLIPFeatureExtractor"]  # a class that is gone
    (folder / "model_index.json").write_text(json.dumps(index))
    assert np.abs(drawn(opened(folder)) - drawn(pipeline)).max() < 1e-5


def test_format_and_device(released: Path) -> None:
    with pytest.warns(SafetyNotice):
        half = open_pipeline(released, device="cpu", dtype="bf16")
    assert {half.unet.dtype, half.vae.dtype, half.text_encoder.dtype} == {torch.bfloat16}
    with pytest.raises(errors.UsageError, match="dtype 'int8'"):
        open_pipeline(released, device="cpu", dtype="int8")
    with pytest.raises(errors.UsageError, match="device 'tpu'"):
        open_pipeline(released, device="tpu")


def test_every_scheduler(pipeline: Any, opened: Open, released: Path) -> None:
    from diffusers import EulerAncestralDiscreteScheduler, HeunDiscreteScheduler, UniPCMultistepScheduler

    other = opened(released)
    images = [drawn(pipeline)]
    for kind in (EulerAncestralDiscreteScheduler, HeunDiscreteScheduler, UniPCMultistepScheduler):
        other.scheduler = kind.from_config(other.scheduler.config)
        images.append(drawn(other))
        assert len(list(generate(other, made.PROMPT, steps=2, seed=1))) == 1
    assert all(np.isfinite(image).all() and image.std() > 0.05 for image in images)


def test_tiling_slicing_and_callbacks(opened: Open, released: Path, pipeline: Any) -> None:
    other = opened(released)
    other.enable_attention_slicing()
    other.vae.enable_slicing()
    other.vae.enable_tiling()
    assert np.abs(drawn(other) - drawn(pipeline)).max() < 1e-4  # a picture of one tile
    steps: list[int] = []

    def told(_pipeline: Any, step: int, _time: Any, tensors: dict[str, Any]) -> dict[str, Any]:
        steps.append(step)
        return tensors

    drawn(other, callback_on_step_end=told, callback_on_step_end_tensor_inputs=["latents", "prompt_embeds"])
    assert steps == [0, 1, 2]


def test_a_lora_in_the_unet(opened: Open, released: Path, pipeline: Any, tmp_path: Path) -> None:
    pytest.importorskip("peft")
    from diffusers import StableDiffusionPipeline
    from peft import LoraConfig, get_peft_model_state_dict

    tuned = made.unet()
    tuned.add_adapter(LoraConfig(r=2, target_modules=["to_q", "to_v"], init_lora_weights="gaussian"))
    layers = {name: tensor + 0.3 for name, tensor in get_peft_model_state_dict(tuned).items()}
    StableDiffusionPipeline.save_lora_weights(tmp_path, unet_lora_layers=layers)
    other = opened(released)
    other.load_lora_weights(tmp_path)
    with_lora = drawn(other)
    assert np.abs(with_lora - drawn(pipeline)).max() > 0.05
    half = drawn(other, cross_attention_kwargs={"scale": 0.5})
    assert np.abs(half - with_lora).max() > 1e-3
    (picture,) = generate(other, made.PROMPT, steps=2, seed=7)
    assert np.abs(np.asarray(picture.image) / 255 - with_lora[0]).max() < 1.01 / 255
    other.unload_lora_weights()
    assert np.abs(drawn(other) - drawn(pipeline)).max() < 1e-5


def test_textual_inversion(opened: Open, released: Path, pipeline: Any) -> None:
    other = opened(released)
    width = int(str(made.TEXT["hidden_size"]))
    other.load_textual_inversion({"<mine>": torch.ones(2, width)}, token="<mine>")
    assert other.text_encoder.config.vocab_size == len(other.tokenizer) == len(pipeline.tokenizer) + 2
    (one,) = generate(other, "the <mine> cat", steps=1, seed=1)
    (none,) = generate(pipeline, "the <mine> cat", steps=1, seed=1)
    assert np.abs(np.asarray(one.image, int) - np.asarray(none.image, int)).max() > 0
    stock = other("the <mine> cat", num_inference_steps=1, output_type="np", generator=torch.Generator().manual_seed(1))
    assert np.abs(np.asarray(one.image) / 255 - stock.images[0]).max() < 1.01 / 255


def test_offload(opened: Open, released: Path, pipeline: Any) -> None:
    pytest.importorskip("accelerate")
    other = opened(released)
    other.enable_model_cpu_offload(device="cpu")
    assert np.abs(drawn(other) - drawn(pipeline)).max() < 1e-5
    (picture,) = generate(other, made.PROMPT, steps=2, seed=7)
    assert np.abs(np.asarray(picture.image) / 255 - drawn(pipeline)[0]).max() < 1.01 / 255
    assert len(other._all_hooks) == 3


def test_from_the_hub(checked: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, pipeline: Any) -> None:
    files = {str(f.relative_to(checked)): f.read_bytes() for f in checked.rglob("*") if f.is_file()}
    files["unet/diffusion_pytorch_model.non_ema.bin"] = files["v1-full.ckpt"] = b"large"
    with serving({"BAAI/AltDiffusion-m9": files}) as hub:
        point_to(hub.url, monkeypatch, tmp_path)
        found = AltDiffusionPipeline.from_pretrained("BAAI/AltDiffusion-m9", cache_dir=tmp_path)
        assert found.safety_checker is not None
        assert not [asked for asked in hub.requests if asked.endswith((".ckpt", "non_ema.bin"))]
        with pytest.raises(errors.HubError, match="was not found"):
            AltDiffusionPipeline.from_pretrained("BAAI/Nothing", cache_dir=tmp_path)
    again = AltDiffusionPipeline.from_pretrained(
        "BAAI/AltDiffusion-m9", cache_dir=tmp_path, local_files_only=True, safety_checker=None
    )
    assert np.array_equal(drawn(again), drawn(pipeline))
    (picture,) = generate(again, "x", steps=1)
    assert picture.parameters["model"] == "BAAI/AltDiffusion-m9"


@pytest.mark.parametrize(
    ("variant", "kept"),
    [
        (None, {"unet/diffusion_pytorch_model.bin", "vae/diffusion_pytorch_model.safetensors"}),
        (
            "fp16",
            {"unet/diffusion_pytorch_model.fp16-00001-of-00001.safetensors", "vae/diffusion_pytorch_model.safetensors"},
        ),
    ],
)
def test_which_weights_of_a_repository_are_fetched(
    variant: str | None, kept: set[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, released: Path
) -> None:
    from altclip.diffusion.folders import find_pipeline

    small = {str(f.relative_to(released)): f.read_bytes() for f in released.rglob("*.*") if f.suffix != ".safetensors"}
    names = {
        "unet/diffusion_pytorch_model.bin", "unet/diffusion_pytorch_model.fp16-00001-of-00001.safetensors",
        "vae/diffusion_pytorch_model.safetensors", "vae/diffusion_pytorch_model.bin", "unet/other.safetensors",
        "safety_checker/pytorch_model.bin",
    }  # fmt: skip
    with serving({"BAAI/AltDiffusion-m9": {**small, **dict.fromkeys(names, b"weights")}}) as hub:
        point_to(hub.url, monkeypatch, tmp_path)
        root = find_pipeline("BAAI/AltDiffusion-m9", checker=False, variant=variant, cache_dir=tmp_path).root
    assert {name for name in names if (root / name).is_file()} == kept
    assert (root / "tokenizer").is_dir()


def test_plain_stable_diffusion_is_not_fetched(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    index = {"_class_name": "StableDiffusionPipeline", "text_encoder": ["transformers", "CLIPTextModel"]}
    files = {
        "model_index.json": json.dumps(index).encode(),
        "text_encoder/config.json": b'{"model_type": "clip_text_model"}',
        "text_encoder/model.safetensors": b"large", "unet/diffusion_pytorch_model.safetensors": b"large",
    }  # fmt: skip
    with serving({"some/sd": files}) as hub:
        point_to(hub.url, monkeypatch, tmp_path)
        with pytest.raises(errors.LayoutError, match="some/sd is a plain Stable Diffusion"):
            AltDiffusionPipeline.from_pretrained("some/sd", cache_dir=tmp_path)
        assert not [asked for asked in hub.requests if asked.endswith("safetensors")]


def test_without_the_extra(released: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.util.find_spec
    for absent in ("diffusers", "transformers"):
        monkeypatch.setattr(importlib.util, "find_spec", lambda name, gone=absent: None if name == gone else real(name))
        with pytest.raises(errors.MissingExtraError, match=rf"'{absent}': pip install 'altclip\[diffusion\]'"):
            AltDiffusionPipeline.from_pretrained(released)
    monkeypatch.setattr(importlib.util, "find_spec", real)
    monkeypatch.setitem(sys.modules, "diffusers", None)
    with pytest.raises(errors.MissingExtraError, match="diffusers"):
        library.named("DDIMScheduler")


@pytest.mark.parametrize("part", ["text_encoder", "tokenizer", "unet", "vae", "scheduler"])
def test_a_missing_part_is_named(folder: Path, part: str) -> None:
    shutil.rmtree(folder / part)
    with pytest.raises(errors.LayoutError, match=rf"lacks {part} \(.*fetch the rest"):
        AltDiffusionPipeline.from_pretrained(folder)


def test_plain_stable_diffusion_is_told_apart(folder: Path) -> None:
    clip = oracles.clip()
    shutil.rmtree(folder / "text_encoder")
    clip.text_model.config.architectures = ["CLIPTextModel"]
    clip.text_model.save_pretrained(folder / "text_encoder")
    index = json.loads((folder / "model_index.json").read_text())
    index |= {"_class_name": "StableDiffusionPipeline", "text_encoder": ["transformers", "CLIPTextModel"]}
    (folder / "model_index.json").write_text(json.dumps(index))
    with pytest.raises(
        errors.LayoutError, match=r"plain Stable Diffusion \(StableDiffusionPipeline with CLIPTextModel\).*open it with"
    ):
        AltDiffusionPipeline.from_pretrained(folder)


@pytest.mark.parametrize("kind", ["StableDiffusionXLPipeline", "FluxPipeline"])
def test_others_with_clip_are_not_called_stable_diffusion(folder: Path, kind: str) -> None:
    index = json.loads((folder / "model_index.json").read_text())
    index |= {"_class_name": kind, "text_encoder": ["transformers", "CLIPTextModel"]}
    (folder / "model_index.json").write_text(json.dumps(index))
    (folder / "text_encoder" / "config.json").write_text('{"model_type": "clip_text_model"}')
    with pytest.raises(errors.LayoutError, match=rf"is a {kind} with the text encoder CLIPTextModel: expected an AltD"):
        AltDiffusionPipeline.from_pretrained(folder)


def test_another_pipeline_is_named(folder: Path) -> None:
    index = json.loads((folder / "model_index.json").read_text())
    index |= {"_class_name": "PixArtAlphaPipeline", "text_encoder": ["transformers", "T5EncoderModel"]}
    (folder / "model_index.json").write_text(json.dumps(index))
    (folder / "text_encoder" / "config.json").write_text('{"model_type": "t5"}')
    with pytest.raises(errors.LayoutError, match=r"PixArtAlphaPipeline with the text encoder T5EncoderModel"):
        AltDiffusionPipeline.from_pretrained(folder)


def test_folders_that_are_no_pipelines(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(errors.LayoutError, match=r"one part of a pipeline: give the folder above"):
        AltDiffusionPipeline.from_pretrained(folder / "unet")
    with pytest.raises(errors.LayoutError, match=r"a model without what draws.*altclip\.Encoder"):
        AltDiffusionPipeline.from_pretrained("mini")
    (tmp_path / "empty").mkdir()
    with pytest.raises(errors.LayoutError, match=r"no pipeline's folder.*found nothing"):
        AltDiffusionPipeline.from_pretrained(tmp_path / "empty")
    with pytest.raises(errors.CheckpointError, match="is no folder here"):
        AltDiffusionPipeline.from_pretrained("./absent")
    for text, words in (("{", "cannot be read"), ("[]", "expected a JSON object")):
        (folder / "model_index.json").write_text(text)
        with pytest.raises(errors.CheckpointError, match=words):
            AltDiffusionPipeline.from_pretrained(folder)


def test_a_damaged_part_is_an_error_of_ours(folder: Path) -> None:
    file = folder / "unet" / "diffusion_pytorch_model.safetensors"
    file.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(errors.LayoutError, match="diffusers cannot open unet, vae, scheduler"):
        AltDiffusionPipeline.from_pretrained(folder)


def test_a_tokenizer_of_another_model(folder: Path) -> None:
    settings = json.loads((folder / "text_encoder" / "config.json").read_text())
    assert settings["vocab_size"] == 400
    wide = made.text_encoder(vocab_size=100)
    wide.save_pretrained(folder / "text_encoder")
    with pytest.raises(errors.LayoutError, match=r"tokenizer has \d+ tokens, the text encoder 100"):
        AltDiffusionPipeline.from_pretrained(folder)

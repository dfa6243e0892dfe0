"""AltDiffusion at full size, random weights: seconds a step and peak memory, beside diffusers' StableDiffusionPipeline.

    python benchmarks/generate.py                                   # 512x512, float32 and bfloat16; 12 GB
    python benchmarks/generate.py --scale 8 --side 64 --no-write    # a trial: widths divided by 8

Both pipelines are of one process and share the very same UNet (859 M) and VAE, and take turns, each first in every
other round. Ours has XLM-R large before it and is asked by `generate`; the other has CLIP's text encoder (ViT-L/14),
and is called itself. A step is the time from the call of the UNet to that of the step's callback; memory is the peak
RSS (VmHWM, reset before each) while a picture is made, before the rounds and with that pipeline alone.
"""

from __future__ import annotations

import argparse
import gc
import json
import math
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import torch
from common import write_result

PROMPT: Final = "一只戴帽子的小狗"
FORMATS: Final = {"float32": torch.float32, "bfloat16": torch.bfloat16}
Run = Callable[[], dict[str, Any]]


def main() -> None:
    arguments = parsed()
    if arguments.one:
        print(json.dumps(measured(arguments)))
        return
    result: dict[str, Any] = {name: in_a_process(name) for name in arguments.formats}
    result |= {"size": f"{arguments.side}x{arguments.side}", "steps": arguments.steps}
    print(json.dumps(result, indent=2))
    if not arguments.no_write:
        print(write_result("generate", result, ["diffusers", "transformers"]))


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--formats", nargs="+", default=list(FORMATS), choices=FORMATS)
    parser.add_argument("--steps", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=4, help="at most")
    parser.add_argument("--seconds", type=float, default=150, help="after so many no further round of a format begins")
    parser.add_argument("--side", type=int, default=512, help="pixels")
    parser.add_argument("--scale", type=int, default=1, help="divide all widths by this")
    parser.add_argument("--no-write", action="store_true")
    parser.add_argument("--one", choices=FORMATS, help=argparse.SUPPRESS)
    return parser.parse_args()


def in_a_process(name: str) -> dict[str, Any]:
    command = [sys.executable, __file__, *sys.argv[1:], "--one", name]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def measured(arguments: argparse.Namespace) -> dict[str, Any]:
    """Both pipelines in turn, in one format."""
    import diffusers

    dtype, scale = FORMATS[arguments.one], arguments.scale
    unet, vae = drawn(lambda: unet_of(scale), dtype), drawn(lambda: vae_of(scale), dtype)
    shared = {"unet": unet, "vae": vae, "scheduler": scheduler(), "safety_checker": None, "feature_extractor": None}
    encoders = {"altclip": ours, "diffusers": theirs}
    warmed(unet, scale, arguments.side, dtype)

    def opened(name: str) -> Any:
        encoder, tokenizer = encoders[name](scale, dtype)
        pipeline = diffusers.StableDiffusionPipeline(
            **shared, text_encoder=encoder, tokenizer=tokenizer, requires_safety_checker=False
        )
        pipeline.set_progress_bar_config(disable=True)
        return pipeline

    memory = {}
    for name in encoders:  # of one that is alone; what is left behind by opening it would slow its steps, so no times
        memory[name] = asked(name, opened(name), arguments)["peak_gib"]
        gc.collect()
    both = {name: opened(name) for name in encoders}
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in encoders}
    begin = time.monotonic()
    for number in range(arguments.rounds):
        if number and time.monotonic() - begin > arguments.seconds:
            break
        for name in list(both)[:: 1 if number % 2 else -1]:
            found[name].append({**asked(name, both[name], arguments), "peak_gib": memory[name]})
            print(name, found[name][-1], file=sys.stderr)
    return {**{name: summary(rows) for name, rows in found.items()}, **ratios(found), "unet_parameters": count(unet)}


def warmed(unet: Any, scale: int, side: int, dtype: torch.dtype) -> None:
    """The first step of a process prepares its kernels, and is nobody's."""
    with torch.no_grad():
        latents, states = torch.zeros(2, 4, side // 8, side // 8), torch.zeros(2, 77, 768 // scale)
        unet(latents.to(dtype), 1, encoder_hidden_states=states.to(dtype))


def summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "seconds_a_step": round(statistics.median(s for row in rows for s in row["steps"]), 2),
        "steps": [round(s, 2) for row in rows for s in row["steps"]],
        "seconds_before_the_first_step": [round(row["first"], 2) for row in rows],
        "seconds_a_picture": [round(row["whole"], 2) for row in rows],
        "peak_gib": rows[0]["peak_gib"],
        "text_encoder_parameters": rows[0]["text_encoder"],
    }


def ratios(found: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    """Of each round, ours by theirs."""
    pairs = zip(found["altclip"], found["diffusers"], strict=True)
    return {"step_ratios": [round(statistics.mean(a["steps"]) / statistics.mean(b["steps"]), 3) for a, b in pairs]}


def asked(name: str, pipeline: Any, arguments: argparse.Namespace) -> dict[str, Any]:
    """One picture: the time of each step but the first, of all, and the peak of memory."""
    from altclip.diffusion import generate

    begun: list[float] = []
    moments: list[float] = []
    hook = pipeline.unet.register_forward_pre_hook(lambda *_: begun.append(time.perf_counter()))
    forget_peak()
    begin = time.perf_counter()
    if name == "altclip":
        note = lambda _now: moments.append(time.perf_counter())  # noqa: E731
        sizes = {"height": arguments.side, "width": arguments.side}
        list(generate(pipeline, PROMPT, steps=arguments.steps, seed=1, sampler="ddim", on_step=note, **sizes))
    else:

        def told(_pipeline: Any, _step: int, _time: Any, _tensors: Any) -> dict[str, Any]:
            moments.append(time.perf_counter())
            return {}

        pipeline(
            PROMPT, num_inference_steps=arguments.steps, height=arguments.side, width=arguments.side,
            generator=torch.Generator().manual_seed(1), callback_on_step_end=told,
        )  # fmt: skip
    whole = time.perf_counter() - begin
    hook.remove()
    steps = [b - a for a, b in zip(begun, moments, strict=True)]
    found = {"first": begun[0] - begin, "steps": steps, "whole": whole, "peak_gib": peak()}
    return {**found, "text_encoder": count(pipeline.text_encoder)}


def forget_peak() -> None:
    """Linux counts the peak anew from here."""
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def peak() -> float:
    """GiB since `forget_peak`; where /proc is not, since the process began."""
    status = Path("/proc/self/status")
    if status.is_file():
        line = next(row for row in status.read_text(encoding="ascii").splitlines() if row.startswith("VmHWM"))
        return round(int(line.split()[1]) / 2**20, 2)
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2)


def drawn(make: Callable[[], Any], dtype: torch.dtype) -> Any:
    """A module of random weights, without the time that its own initialisation takes."""
    with torch.device("meta"):
        module = make()
    module = module.to(dtype).to_empty(device="cpu").eval().requires_grad_(False)
    for name, tensor in [*module.named_parameters(), *module.named_buffers()]:
        if not tensor.dtype.is_floating_point:  # positions
            tensor.copy_(torch.arange(tensor.numel()).reshape(tensor.shape))
        elif tensor.dim() > 1:
            tensor.normal_(std=1 / math.sqrt(tensor[0].numel()))
        else:
            tensor.fill_(1.0 if "norm" in name and name.endswith("weight") else 0.0)
    return module


def count(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def unet_of(scale: int) -> Any:
    """As Stable Diffusion 1 and AltDiffusion-m9 have it."""
    from diffusers import UNet2DConditionModel

    return UNet2DConditionModel(
        sample_size=64, block_out_channels=tuple(c // scale for c in (320, 640, 1280, 1280)), attention_head_dim=8,
        cross_attention_dim=768 // scale, norm_num_groups=32 if scale == 1 else 8,
    )  # fmt: skip


def vae_of(scale: int) -> Any:
    from diffusers import AutoencoderKL

    return AutoencoderKL(
        block_out_channels=tuple(c // scale for c in (128, 256, 512, 512)), layers_per_block=2, latent_channels=4,
        sample_size=512, norm_num_groups=32 if scale == 1 else 8,
        down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4,
    )  # fmt: skip


def scheduler() -> Any:
    from diffusers import DDIMScheduler

    return DDIMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", clip_sample=False, set_alpha_to_one=False,
        steps_offset=1,
    )  # fmt: skip


def tokenizer() -> Any:
    """The bundled one: which ids a text has makes no difference here."""
    from altclip.checkpoints import resolve
    from altclip.diffusion.tokens import PromptTokenizer

    return PromptTokenizer.from_folder(resolve("mini"))


def ours(scale: int, dtype: torch.dtype) -> tuple[Any, Any]:
    from altclip.diffusion import AltDiffusionTextEncoder
    from altclip.models import DualEncoder, ModelConfig, TextConfig, heads_of

    text = TextConfig(hidden_size=1024 // scale, intermediate_size=4096 // scale, project_dim=768 // scale)
    config = ModelConfig(vision=None, text=text, heads=heads_of("altdiffusion"))
    return AltDiffusionTextEncoder(drawn(lambda: DualEncoder(config), dtype)), tokenizer()


def theirs(scale: int, dtype: torch.dtype) -> tuple[Any, Any]:
    from transformers import CLIPTextConfig, CLIPTextModel

    config = CLIPTextConfig(
        hidden_size=768 // scale, intermediate_size=3072 // scale, num_hidden_layers=12, num_attention_heads=12
    )
    return drawn(lambda: CLIPTextModel(config), dtype), tokenizer()


if __name__ == "__main__":
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    main()

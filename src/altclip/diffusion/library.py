"""The one file that imports diffusers: its pipelines and schedulers, by name."""

from __future__ import annotations

import importlib
import importlib.util
import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import torch

from altclip.errors import MissingExtraError
from altclip.silence import silenced

TEXT_TO_IMAGE: Final = "StableDiffusionPipeline"
IMAGE_TO_IMAGE: Final = "StableDiffusionImg2ImgPipeline"
_EXTRA: Final = "diffusion"


def check_installed() -> None:
    """Raise MissingExtraError unless all of the extra `diffusion` is here; nothing is imported for this."""
    for library in ("diffusers", "transformers"):  # without the second, the first has no such pipelines
        if importlib.util.find_spec(library) is None:
            raise MissingExtraError(library, _EXTRA)


def version() -> str:
    """The version of diffusers."""
    return str(_library().__version__)


def named(name: str) -> Any:
    """A class of diffusers. Raises MissingExtraError without the library."""
    check_installed()
    with silenced():
        return getattr(_library(), name)


def write_attention_out(unet: Any) -> None:
    """Have a UNet compute attention as products of matrices: on CPUs torch's fused form is slow going backward.

    The UNet's own setting, unlike torch's choice of a form, which is the whole process's and so another thread's too.
    """
    _library()
    unet.set_attn_processor(importlib.import_module("diffusers.models.attention_processor").AttnProcessor())


def opened(name: str, folder: Path, dtype: torch.dtype, options: Mapping[str, Any]) -> Any:
    """A pipeline of that class, opened by diffusers."""
    kind = named(name)
    format_ = "torch_dtype" if version().startswith("0.") else "dtype"  # 1.0 takes the old word away
    with silenced(), _without_bars(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*torch_dtype", category=FutureWarning)
        return kind.from_pretrained(folder, **{format_: dtype}, **options)


def with_parts_of(pipeline: Any, *, image: bool, scheduler: Any) -> Any:
    """A pipeline from text, or from text and an image, around the very modules of another, with its own scheduler."""
    parts = {**pipeline.components, "scheduler": scheduler}
    kind = named(IMAGE_TO_IMAGE if image else TEXT_TO_IMAGE)
    with silenced():
        made = kind(**parts, requires_safety_checker=False)
    made.set_progress_bar_config(disable=True)
    return made


def _library() -> Any:
    try:
        return importlib.import_module("diffusers")
    except ImportError as error:
        raise MissingExtraError("diffusers", _EXTRA) from error


@contextmanager
def _without_bars() -> Iterator[None]:
    """While this lasts, diffusers and transformers (which diffusers imports) show no bars of their own."""
    logs = [sys.modules.get(f"{library}.utils.logging") for library in ("diffusers", "transformers")]
    shown = [log for log in logs if log is not None and log.is_progress_bar_enabled()]
    for log in shown:
        log.disable_progress_bar()
    try:
        yield
    finally:
        for log in shown:
            log.enable_progress_bar()

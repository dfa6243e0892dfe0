"""What every form has in common: what is asked of the model, and what a conversion tells when it is done."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from altclip.encoder import Encoder
from altclip.encoder.companions import wanted_image_tower
from altclip.encoder.loading import HEAD, text_dim
from altclip.errors import UsageError
from altclip.export.samples import Agreement


@dataclass(frozen=True)
class Converted:
    """A finished folder. checks: by encoder, `image` or `text`; notes: what the user should know beside."""

    folder: Path
    form: str
    precision: str
    checks: Mapping[str, Agreement] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        return {**asdict(self), "folder": str(self.folder)}


def crop_notes(encoder: Encoder) -> tuple[str, ...]:
    """What is to be said where other programs crop otherwise than the model's own."""
    processor = encoder.image_processor
    if processor is None or not processor.do_center_crop or processor.crop_rounding == "down":
        return ()
    return (
        "this model's own program crops half a pixel to the even side, and what opens this folder crops it down: the "
        "vectors of some sizes of images, a quarter at most, differ by a shift of one pixel",
    )


def facts(
    encoder: Encoder, form: str, precision: str, checks: Mapping[str, Agreement] | None = None, **more: Any
) -> dict[str, Any]:
    """What report.json says of a conversion. The logit scale makes logits of cosines: exp(logit_scale) * cosine."""
    described = {name: asdict(agreement) for name, agreement in (checks or {}).items()}
    space = {"dim": encoder.dim, "logit_scale": encoder.logit_scale}
    return {"form": form, "precision": precision, **space, **more, **({"checks": described} if checks else {})}


def check_both(encoder: Encoder) -> None:
    """Raise UsageError or LayoutError unless images and texts can be embedded in one space, with exact arithmetic."""
    config = encoder.model.config
    if config.vision is None or encoder.image_processor is None:
        raise UsageError(f"{encoder.name} has no image tower: {wanted_image_tower(config)}")
    if config.text is None or encoder.tokenizer is None:
        raise UsageError(f"{encoder.name} has no text tower: give a model of images and texts")
    text_dim(config)
    if encoder.head != HEAD:  # an embedding of the other depends on the texts beside it, and no graph knows these
        raise UsageError(f"{encoder.name} is read through '{encoder.head}': open it with head='{HEAD}'")


def check_exact(encoder: Encoder) -> None:
    """Raise UsageError unless the model computes in float32 on the CPU, as what is exported is compared with it."""
    if encoder.dtype != torch.float32 or encoder.device.type != "cpu":
        raise UsageError(
            f"the model computes in {encoder.dtype} on {encoder.device}: open it with device='cpu', dtype='float32'"
        )


def check_precision(precision: str, known: tuple[str, ...], form: str) -> None:
    """Raise UsageError for a precision that a form does not come in."""
    if precision not in known:
        raise UsageError(f"precision '{precision}' is not there for {form}: expected one of {', '.join(known)}")


def longest_text(encoder: Encoder) -> int:
    """Tokens of the longest text that tokenizer and model both take."""
    config, tokenizer = encoder.model.config.text, encoder.tokenizer
    if config is None or tokenizer is None:
        raise UsageError(f"{encoder.name} has no text tower: give a model of images and texts")
    return min(tokenizer.model_max_length, config.max_length)

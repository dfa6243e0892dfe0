"""Which engine runs a model, in which precision, and why."""

from __future__ import annotations

from typing import Final

import torch

from altclip.device import pick_dtype
from altclip.engines.base import Engine
from altclip.engines.eager import TorchEngine
from altclip.errors import UsageError
from altclip.models import DualEncoder

ENGINES: Final = ("torch",)
PRECISIONS: Final = ("fast", "exact")


def check_choices(engine: str, precision: str) -> None:
    """Raise UsageError for an engine or a precision that there is none of, before anything is loaded for it."""
    for what, given, known in (("engine", engine, ("auto", *ENGINES)), ("precision", precision, PRECISIONS)):
        if given not in known:
            raise UsageError(f"{what} '{given}' is not known: expected one of {', '.join(known)}")


def dtype_for(dtype: str | torch.dtype, precision: str, device: torch.device) -> torch.dtype:
    """The number format to load weights in: the one named, else float32 if exact, else the device's quickest."""
    return torch.float32 if dtype == "auto" and precision == "exact" else pick_dtype(dtype, device)


def choose(engine: str, model: DualEncoder, *, precision: str = "fast", head: str = "retrieval") -> tuple[Engine, str]:
    """The engine of that name around a model, and the reason in words. head: through which it reads texts.

    Raises:
        UsageError: an unknown engine or precision; the message lists those there are.
    """
    check_choices(engine, precision)
    return TorchEngine(model, exact=precision == "exact", head=head), reason_for(engine)


def reason_for(engine: str) -> str:
    """Which engine that choice takes, and why."""
    return "torch: " + ("the only engine so far" if engine == "auto" else "asked for by name")

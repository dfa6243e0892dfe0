"""What a run must remember to go on as if nothing had happened, in one file that is whole or absent."""

from __future__ import annotations

import os
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from altclip.errors import CheckpointError


def save_state(
    path: Path, step: int, model: nn.Module, optimizers: Sequence[Any], averages: dict[str, torch.Tensor], facts: dict[str, Any]
) -> None:
    """Write beside the old file, flush to the disk, then take its place: a full disk or a kill leaves the last one whole."""
    state = {
        "step": step,
        "model": model.state_dict(),
        "optimizers": [optimizer.state_dict() for optimizer in optimizers],
        "averages": averages,
        "torch_random": torch.get_rng_state(),
        "facts": facts,
    }
    partial = path.with_suffix(".part")
    try:
        with partial.open("wb") as file:
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise CheckpointError(f"checkpoint {path} could not be written: {error}; the one before it is whole") from error


def load_state(path: Path, model: nn.Module, optimizers: Sequence[Any]) -> tuple[int, dict[str, torch.Tensor], dict[str, Any]]:
    """Restore in this order: weights, optimizers, random state. Returns the next step, the averages and the facts."""
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds for a damaged file
        raise CheckpointError(f"checkpoint {path} cannot be read: {error}; start the stage anew without --resume") from error
    model.load_state_dict(state["model"])
    for optimizer, saved in zip(optimizers, state["optimizers"], strict=True):
        optimizer.load_state_dict(saved)
    torch.set_rng_state(state["torch_random"])
    return state["step"], state["averages"], state["facts"]


def seed_everything(seed: int) -> None:
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 - libraries below us draw from it
    torch.manual_seed(seed)

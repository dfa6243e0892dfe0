"""What a run must remember to go on as if nothing had happened, in one file that is whole or absent."""

from __future__ import annotations

import json
import os
import random
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from altclip.data.bad import BadSamples
from altclip.errors import CheckpointError, ConfigError
from altclip.train.accelerating import gathered
from altclip.train.accumulate import random_state, set_random_state

if TYPE_CHECKING:
    from accelerate import Accelerator


@dataclass
class TrainingState:
    """All that changes while a stage trains.

    wrapped: the optimizers as accelerate steps them; averages: moving average of the trained weights, empty without
    `ema`; facts: what the run is made of (recipe, seed, digests of the data, commit).
    """

    model: nn.Module
    optimizers: list[torch.optim.Optimizer]
    wrapped: list[Any]
    averages: dict[str, Tensor]
    bad: BadSamples
    accelerator: Accelerator
    facts: dict[str, Any]

    def save(self, path: Path, step: int, position: dict[str, Any]) -> None:
        """Write beside the old file, flush to the disk, take its place: a full disk or a kill leaves the old one whole.

        Every process must call this; the main one writes, with the random state and data position of each.
        Raises CheckpointError if it cannot be written.
        """
        mine = (random_state(self.accelerator.device), json.dumps(position))
        processes = gathered(mine, self.accelerator.num_processes)
        if not self.accelerator.is_main_process:
            return
        content = {
            "step": step,
            "model": self.model.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            "averages": self.averages,
            "loss_scale": self.accelerator.scaler.state_dict() if self.accelerator.scaler else None,
            "bad": asdict(self.bad),
            "processes": processes,
            "facts": json.dumps(self.facts),
        }
        partial = path.with_suffix(".part")
        try:
            with partial.open("wb") as file:
                torch.save(content, file)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(path)
        except (OSError, RuntimeError) as error:  # torch's writer turns an error of the file into a RuntimeError
            partial.unlink(missing_ok=True)
            raise CheckpointError(f"{path} could not be written: {error}; the checkpoint before it is whole") from error

    def load(self, path: Path) -> tuple[int, dict[str, Any]]:
        """Restore, in this order: weights, optimizers, loss scale, averages, counts, random state.

        Returns the next step and this process's data position. Raises CheckpointError for a file that cannot be read,
        ConfigError for one of another recipe, data, or number of processes.
        """
        try:
            content = torch.load(path, map_location="cpu", weights_only=True)
        except Exception as error:  # torch raises many kinds for a damaged file
            raise CheckpointError(f"{path} cannot be read: {error}; remove it to train the stage anew") from error
        self._check(path, json.loads(content["facts"]), len(content["processes"]))
        self.model.load_state_dict(content["model"])
        for optimizer, saved in zip(self.optimizers, content["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        if self.accelerator.scaler and content["loss_scale"]:
            self.accelerator.scaler.load_state_dict(content["loss_scale"])
        for name, value in content["averages"].items():
            self.averages[name].copy_(value)
        self.bad.seen, self.bad.bad = content["bad"]["seen"], content["bad"]["bad"]
        random_before, position = content["processes"][self.accelerator.process_index]
        set_random_state(random_before, self.accelerator.device)
        return content["step"], json.loads(position)

    def _check(self, path: Path, facts: dict[str, Any], processes: int) -> None:
        mine = json.loads(json.dumps(self.facts))
        problems = differences(facts["stage"], mine["stage"], "") + differences(facts["data"], mine["data"], "data")
        if "settings" in facts:  # not in checkpoints of before
            problems += differences(facts["settings"], mine["settings"], "")
        if facts["seed"] != mine["seed"]:
            problems.append(f"seed was {facts['seed']} and is {mine['seed']}")
        if processes != self.accelerator.num_processes:
            problems.append(f"{processes} processes trained, now there are {self.accelerator.num_processes}")
        if problems:
            raise ConfigError([f"{path} is of another run: go on as it was, or take another --output", *problems])


# What may change between a run and its continuation.
_FREE = frozenset({"checkpoint_every", "log_every", "max_bad_share"})


def differences(before: Any, now: Any, place: str) -> list[str]:
    """Where two trees of plain values differ, one line each."""
    if isinstance(before, dict) and isinstance(now, dict):
        keys = [key for key in sorted({*before, *now}) if key not in _FREE]
        return [line for key in keys for line in differences(before.get(key), now.get(key), f"{place} {key}".strip())]
    return [] if before == now else [f"{place} was {before!r} and is {now!r}"]


def seed_everything(seed: int) -> None:
    """Start all generators anew."""
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 - libraries below us draw from it
    torch.manual_seed(seed)

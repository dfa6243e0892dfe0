"""What each of several processes does for test_processes.py: one batch's loss and gradients, written to a file.

Run by torchrun, or alone: python -m tests.train.two_processes WORLD OUTPUT RESULT
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import torch

from altclip.train.accelerating import gathered, open_accelerator
from altclip.train.accumulate import backward
from altclip.train.config import Recipe
from altclip.train.run import open_context
from altclip.train.stages import STAGES
from altclip.train.stages.build import train_mode
from altclip.train.state import seed_everything
from tests.train import made

PIECES = (1, 2)


def recipe() -> Recipe:
    """English texts that stand twice in a batch, and texts of many lengths, in batches that two processes share."""
    return made.recipe({"student": {"batch_size": 16, "parallel": [{"path": "en-zh.tsv", "language": "zh"}] * 2}})


def gradients(world: Path, output: Path) -> dict[str, Any]:
    """Of every stage, in one piece and in two: loss and gradient by parameter, as all processes have them then."""
    made_recipe, results = recipe(), {}
    accelerator = open_accelerator(made_recipe, "cpu")
    for name, config in made_recipe.stages.items():
        for pieces in PIECES:
            context = open_context(made_recipe, config, world, output, accelerator, print)
            seed_everything(1)
            stage = STAGES[config.kind](context)
            module = accelerator.prepare(stage.module)
            train_mode(module)
            batch = next(stage.batches(1, 2, {}))
            loss, _ = backward(stage, module, batch, pieces, accelerator)
            mean = accelerator.reduce(loss, "mean").item()
            found = {n: p.grad.clone() for n, p in stage.trained.named_parameters() if p.grad is not None}
            results[f"{name} {pieces}"] = (mean, found, gathered(len(batch.ids), accelerator.num_processes))
    return {"processes": accelerator.num_processes, "main": accelerator.is_main_process, "results": results}


if __name__ == "__main__":
    world, output, target = map(Path, sys.argv[1:])
    found = gradients(world, output)
    if found["main"]:
        torch.save(found, target)

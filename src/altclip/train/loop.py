"""The training loop. One page, read straight down.

Order of a start:
 1. seed; 2. stage (model, data); 3. optimizers; 4. accelerate wraps for device, precision and processes;
 5. with `resume`: weights, optimizers, averages, random state and step from the last checkpoint;
 6. steps: batch, rates, gradients, clipping, update, average, log, checkpoint; 7. the averaged weights are the result.
"""

from __future__ import annotations

import time
from pathlib import Path

import torch
from accelerate import Accelerator
from torch import Tensor

from altclip.data.prefetch import prefetched
from altclip.models import DualEncoder
from altclip.train.accumulate import backward
from altclip.train.logs import StepLog
from altclip.train.optimizers import build_optimizers, rate_factor, set_rates
from altclip.train.stages import Stage
from altclip.train.stages.context import Context
from altclip.train.state import load_state, save_state


def run_stage(stage: Stage, context: Context, accelerator: Accelerator, folder: Path, log: StepLog, resume: bool) -> DualEncoder:
    """Train one stage and return its model with the weights to keep (averaged if `ema` is set)."""
    config, model = context.config, stage.trained
    optimizers = build_optimizers(model, config.optimizer)
    module, *wrapped = accelerator.prepare(stage.module, *optimizers)
    checkpoint = folder / "checkpoint.pt"
    averages = {n: w.detach().clone() for n, w in model.state_dict().items()} if config.ema else {}
    start, facts = 0, {"recipe": context.recipe.model_dump_json()}
    if resume and checkpoint.is_file():
        start, averages, facts = load_state(checkpoint, model, optimizers)
        context.report(f"resumed at step {start} of {config.steps}")
    module.train()
    began, seen = time.perf_counter(), 0
    for step, batch in enumerate(prefetched(stage.batch, start, config.steps, context.recipe.workers), start):
        set_rates(optimizers, rate_factor(step, config.steps, config.optimizer))
        loss, measures = backward(stage, module, batch, config.accumulate, accelerator)
        if config.optimizer.clip_norm:
            measures["gradient_norm"] = float(accelerator.clip_grad_norm_(model.parameters(), config.optimizer.clip_norm))
        for optimizer in wrapped:
            optimizer.step()
            optimizer.zero_grad()
        with torch.no_grad():
            model.logit_scale.clamp_(max=torch.tensor(config.max_logit_scale).log().item())
            update_averages(averages, model, config.ema, step)
        seen += config.batch_size
        if (step + 1) % config.log_every == 0 or step + 1 == config.steps:
            rate = seen / (time.perf_counter() - began)
            log.write(step + 1, {"loss": loss, "rate": rate, "learning_rate": optimizers[0].param_groups[0]["lr"], **measures})
        if accelerator.is_main_process and ((step + 1) % config.checkpoint_every == 0 or step + 1 == config.steps):
            save_state(checkpoint, step + 1, model, optimizers, averages, facts)
    if averages:
        model.load_state_dict(averages)
    return model.eval()


def update_averages(averages: dict[str, Tensor], model: torch.nn.Module, decay: float, step: int) -> None:
    """Exponential moving average of the weights, quick at first: decay at most (1 + step) / (10 + step)."""
    if averages:
        weight = 1 - min(decay, (1 + step) / (10 + step))
        for name, value in model.state_dict().items():
            averages[name].lerp_(value, weight)



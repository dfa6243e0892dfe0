"""The training loop. One page, read straight down.

Order of a start:
 1. seed; 2. stage (model, data); 3. optimizers; 4. accelerate wraps for device, precision and processes;
 5. with `resume`: weights, optimizers, averages, counts, random state, step and data position from the last checkpoint;
 6. steps: batch, rates, gradients, clipping, update, average, log, checkpoint; 7. the averaged weights are the result.
"""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from altclip.data.bad import BadSamples
from altclip.train.accelerating import gathered
from altclip.train.accumulate import backward
from altclip.train.logs import StepLog
from altclip.train.optimizers import build_optimizers, rate_factor, set_rates
from altclip.train.stages import Context, Stage
from altclip.train.stages.build import train_mode
from altclip.train.state import TrainingState

if TYPE_CHECKING:
    from accelerate import Accelerator

CHECKPOINT_NAME = "checkpoint.pt"


def run_stage(
    name: str, stage: Stage[Any], context: Context, facts: dict[str, Any], accelerator: Accelerator, folder: Path, *,
    resume: bool, show: bool,
) -> None:  # fmt: skip
    """Train one stage; its model then has the weights to keep (averaged if `ema` is set)."""
    config, model = context.config, stage.trained
    optimizers = build_optimizers(model, config.optimizer)
    module, *wrapped = accelerator.prepare(stage.module, *optimizers)
    averages = {n: w.detach().clone() for n, w in model.named_parameters() if w.requires_grad} if config.ema else {}
    torch.manual_seed(context.recipe.seed + context.rank)  # dropout of its own in every process
    state = TrainingState(model, optimizers, wrapped, averages, BadSamples(config.max_bad_share), accelerator, facts)
    start, position = 0, dict[str, Any]()
    if resume and (folder / CHECKPOINT_NAME).is_file():
        start, position = state.load(folder / CHECKPOINT_NAME)
        streams = "; the streams go on in the same shards, their shuffle buffers are filled anew" if position else ""
        context.report(f"{name}: resumed at step {start} of {config.steps}{streams}")
    train_mode(module)
    with StepLog(folder, name, start, config.steps, write=accelerator.is_main_process, show=show) as log:
        train_steps(stage, module, context, state, range(start, config.steps), position, folder, log)
    model.load_state_dict(averages, strict=False)
    model.eval()


def train_steps(
    stage: Stage[Any], module: nn.Module, context: Context, state: TrainingState, steps: range,
    position: dict[str, Any], folder: Path, log: StepLog,
) -> None:  # fmt: skip
    """The steps of one stage, from the one that comes next to the last."""
    config, model, accelerator = context.config, stage.trained, state.accelerator
    skipped: list[str] = []
    timed, since = steps.start, time.perf_counter()
    for step, batch in zip(steps, stage.batches(steps.start, steps.stop, position), strict=True):
        factor = rate_factor(step, config.steps, config.optimizer)
        set_rates(state.optimizers, factor)
        loss, measures = backward(stage, module, batch, config.accumulate, accelerator)
        if config.optimizer.clip_norm:
            measures["gradient_norm"] = accelerator.clip_grad_norm_(model.parameters(), config.optimizer.clip_norm)
        for optimizer in state.wrapped:
            optimizer.step()
            optimizer.zero_grad()
        clamp_scale(model, config.max_logit_scale)
        update_averages(state.averages, model, config.ema, step)
        done = step + 1
        log.advance(done)
        skipped += batch.skipped
        logs = done == config.steps or done % config.log_every == 0
        saves = done == config.steps or done % config.checkpoint_every == 0
        if logs or saves:
            told = [sample for part in gathered(skipped, context.world_size) for sample in part]
            log.skipped(done, told)
            state.bad.count(done * config.batch_size - state.bad.seen, told)
            skipped = []
        if logs:
            rate = (done - timed) * config.batch_size / (time.perf_counter() - since)
            rates = {"rate": rate, "learning_rate": config.optimizer.learning_rate * factor}
            log.write(done, {**means({"loss": loss, **measures}, accelerator), **rates})
            timed, since = done, time.perf_counter()
        if saves:
            state.save(folder / CHECKPOINT_NAME, done, batch.position)


def means(measures: dict[str, Tensor], accelerator: Accelerator) -> dict[str, float]:
    """The mean of each measure over the processes; here alone the program waits for the device."""
    values = torch.stack([value.detach().float() for value in measures.values()])
    return dict(zip(measures, accelerator.reduce(values, "mean").tolist(), strict=True))


@torch.no_grad()
def clamp_scale(model: nn.Module, largest: float) -> None:
    """Keep the factor on the cosines from growing without end (Radford et al. 2021, section 2.5); frozen, it stays."""
    scale = getattr(model, "logit_scale", None)
    if scale is not None and scale.requires_grad:
        scale.clamp_(max=math.log(largest))


@torch.no_grad()
def update_averages(averages: dict[str, Tensor], model: nn.Module, decay: float, step: int) -> None:
    """Exponential moving average of the trained weights, quick at first: decay at most (1 + step) / (10 + step)."""
    if averages:
        weights = dict(model.named_parameters())
        weight = 1 - min(decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(list(averages.values()), [weights[name] for name in averages], weight)

"""Runs a recipe: the tokenizer, then each stage in order, each from the models the earlier ones left behind.

OUTPUT/tokenizer/           the tokenizer, where the recipe trains one
OUTPUT/cache/               image embeddings of the frozen tower
OUTPUT/<stage>/checkpoint.pt, log.jsonl, tensorboard/, curves.png    what a stage needs to go on; what it measured
OUTPUT/<stage>/model/       the stage's result, a folder that `Encoder` opens; of a stage that draws, a pipeline's
OUTPUT/<stage>/adapter/     of a stage with `lora` the adapter, and the model only with `lora.merge`
OUTPUT/<stage>/report.json  what the result was made from; written last, so where it is the stage is done
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from altclip import __version__
from altclip.checkpoints import resolve
from altclip.checkpoints.weights import read_json
from altclip.errors import ConfigError, UsageError
from altclip.models import ModelConfig
from altclip.processing import Tokenizer
from altclip.processing.images import ImageProcessor
from altclip.train.accelerating import open_accelerator
from altclip.train.config import Recipe, StageConfig
from altclip.train.curves import draw_curves
from altclip.train.exclusion import excluded
from altclip.train.leftout import NOTHING
from altclip.train.logs import LOG_NAME, read_log
from altclip.train.loop import CHECKPOINT_NAME, run_stage
from altclip.train.provenance import versions
from altclip.train.stages import STAGES, Context
from altclip.train.stages.build import base_name
from altclip.train.stages.sizes import model_config
from altclip.train.stages.texts import check_tokenizer
from altclip.train.state import differences, seed_everything
from altclip.train.tokenizer import tokenizer_folder
from altclip.whole import write_whole

if TYPE_CHECKING:
    from accelerate import Accelerator

REPORT_NAME = "report.json"
# Of a recipe, beside its stages: what decides what a stage comes to.
_DECIDES = {"precision", "exclude", "leave_out_every", "tokenizer", "model", "data"}


def run_recipe(
    recipe: Recipe,
    data: Path,
    output: Path,
    *,
    only: str | None = None,
    resume: bool = False,
    device: str = "auto",
    report: Callable[[str], None] | None = None,
    show_progress: bool = True,
) -> Path:
    """Run all stages, or one (`only`). Returns the last stage's folder.

    resume: pass over finished stages and go on in the middle of one; without it, a folder in which a stage has begun is
    an error, so that no run is lost by a slip.

    Raises:
        UsageError: no such stage or device; the output holds a run already; the stage before has no result yet.
        ConfigError: the recipe does not go together with its tokenizer, or with the number of processes.
        DataError: data are missing, or too many samples are bad.
    """
    stages = chosen(recipe, only)
    begun = [name for name in stages if (output / name / CHECKPOINT_NAME).is_file() or is_done(output / name)]
    if begun and not resume:
        raise UsageError(f"{output / begun[0]} holds a run already: pass --resume to go on, or another --output")
    accelerator = open_accelerator(recipe, device)
    tell = report if report and accelerator.is_main_process else _silent
    if accelerator.is_main_process:
        words_folder(recipe, data, output)
    accelerator.wait_for_everyone()
    for name, config in stages.items():
        if is_done(output / name):
            _check_as_it_was(output / name, recipe, config)
            tell(f"{name}: done already")
        else:
            context = open_context(recipe, config, data, output, accelerator, tell)
            train_one(name, context, accelerator, resume=resume, show=show_progress)
    accelerator.end_training()
    last = output / list(stages)[-1]
    tell(f"done: {last / 'model' if (last / 'model').is_dir() else last / 'adapter'}")
    return last


def _silent(_line: str) -> None:
    """In place of a report that no one reads."""


def chosen(recipe: Recipe, only: str | None) -> dict[str, StageConfig]:
    """The stages to run. Raises UsageError for one that the recipe has not."""
    if only and only not in recipe.stages:
        raise UsageError(f"no stage '{only}' in recipe {recipe.name}: it has {', '.join(recipe.stages)}")
    return {name: config for name, config in recipe.stages.items() if only in (None, name)}


def is_done(folder: Path) -> bool:
    """Whether a stage's folder holds its result."""
    return (folder / REPORT_NAME).is_file()


def settings_of(recipe: Recipe) -> dict[str, Any]:
    """What of a recipe decides what a stage comes to, beside the stage itself and the seed."""
    return recipe.model_dump(mode="json", include=_DECIDES)


def _check_as_it_was(folder: Path, recipe: Recipe, config: StageConfig) -> None:
    """Raise ConfigError where a stage is done, and with other settings than those that the next ones would have."""
    report = read_json(folder / REPORT_NAME)
    if report.get("altclip") != __version__:  # another version may have other settings
        return
    before = {"seed": report.get("seed"), "stage": report.get("stage"), "settings": report.get("settings")}
    now = {"seed": recipe.seed, "stage": config.model_dump(mode="json"), "settings": settings_of(recipe)}
    problems = [line for key in now if before[key] is not None for line in differences(before[key], now[key], key)]
    if problems:
        raise ConfigError([f"{folder} was made otherwise: go on as it was, or take another --output", *problems])


def train_one(name: str, context: Context, accelerator: Accelerator, *, resume: bool, show: bool) -> None:
    """One stage from start to saved model."""
    folder, began = context.output / name, time.perf_counter()
    seed_everything(context.recipe.seed)
    stage = STAGES[context.config.kind](context)
    facts = {
        "recipe": context.recipe.name, "seed": context.recipe.seed, "stage": context.config.model_dump(mode="json"),
        "settings": settings_of(context.recipe), "data": context.digests, **versions(),
    }  # fmt: skip
    context.report(f"{name}: {context.config.steps} steps on {context.device}, {context.world_size} process(es)")
    run_stage(name, stage, context, facts, accelerator, folder, resume=resume, show=show)
    if accelerator.is_main_process:
        stage.save(folder, facts)
        report_on(folder, context, facts, time.perf_counter() - began)
    accelerator.wait_for_everyone()
    accelerator.free_memory()


def report_on(folder: Path, context: Context, facts: dict[str, Any], seconds: float) -> None:
    """The picture of the curves, and report.json."""
    measured = [entry for entry in read_log(folder / LOG_NAME) if "loss" in entry]
    skipped = [entry for entry in read_log(folder / LOG_NAME) if "skipped" in entry]
    draw_curves(folder, measured, context.report)
    run = {
        "device": context.device, "processes": context.world_size, "precision": context.recipe.precision,
        "seconds_of_last_run": round(seconds, 1), "skipped_samples": len(skipped),
        "last": measured[-1] if measured else {},
    }  # fmt: skip
    write_whole(folder / REPORT_NAME, (json.dumps({**facts, **run}, indent=2, ensure_ascii=False) + "\n").encode())


def open_context(
    recipe: Recipe,
    config: StageConfig,
    data: Path,
    output: Path,
    accelerator: Accelerator,
    report: Callable[[str], None],
) -> Context:
    """What a stage needs to know; checks that recipe, tokenizer and processes go together."""

    def folder(source: str) -> Path:
        if source not in recipe.stages:
            return resolve(source)
        if not is_done(output / source):
            raise UsageError(f"stage '{source}' has no result in {output / source} yet: run it first")
        return output / source / "model"

    if config.batch_size % accelerator.num_processes:
        raise ConfigError(
            [f"batch_size {config.batch_size} is not a multiple of {accelerator.num_processes} processes"]
        )
    sizes = None if config.kind == "denoise" else model_config(config, recipe)
    tokenizer = Tokenizer.from_folder(words_folder(recipe, data, output))
    context = Context(
        recipe, config, data, output, tokenizer, folder, report,
        str(accelerator.device), accelerator.process_index, accelerator.num_processes,
    )  # fmt: skip
    return with_towers(context, sizes) if sizes else context


def with_towers(context: Context, sizes: ModelConfig) -> Context:
    """The context of a stage that trains towers: its tokenizer checked, and the settings of its images."""
    config = context.config
    if sizes.text is not None:
        check_tokenizer(context.tokenizer, sizes.text, f"model {config.model or base_name(config)}")
    side = sizes.vision.image_size if sizes.vision else 224
    return replace(context, image_processor=image_settings(config, context.folder, side))


def words_folder(recipe: Recipe, data: Path, output: Path) -> Path:
    """The folder of the tokenizer: as the recipe says, or that of the model it starts from."""
    if recipe.tokenizer is not None:
        hidden = excluded(recipe, data) if not recipe.tokenizer.path else NOTHING
        return tokenizer_folder(recipe.tokenizer, data, output, hidden)
    return resolve(str(recipe.model), weights=False)


def image_settings(config: StageConfig, folder: Callable[[str], Path], side: int) -> ImageProcessor:
    """CLIP's at the model's size; of a model whose sizes are taken from another, that one's."""
    source = config.start.get("image") or config.start.get("all")
    if config.model or source is None:
        return ImageProcessor.from_dict({"size": side, "crop_size": side})
    return ImageProcessor.from_folder(folder(source))

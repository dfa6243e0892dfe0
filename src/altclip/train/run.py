"""Runs a recipe: the tokenizer, then each stage in order, each from the models the earlier ones left behind.

    OUTPUT/tokenizer/           the tokenizer
    OUTPUT/<stage>/checkpoint.pt, log.jsonl, tensorboard/    what a stage needs to go on, and what it measured
    OUTPUT/<stage>/model/       the stage's result, a folder that `Encoder` opens
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from accelerate import Accelerator

from altclip.checkpoints import load_model, save_model
from altclip.data.labels import read_labels
from altclip.data.parallel import read_pairs
from altclip.errors import ConfigError, UsageError
from altclip.models import DualEncoder
from altclip.processing import Processor, Tokenizer
from altclip.processing.images import ImageProcessor
from altclip.train.config import Recipe, StageConfig, TokenizerConfig
from altclip.train.logs import StepLog
from altclip.train.loop import run_stage
from altclip.train.stages import STAGES, Context
from altclip.train.stages.build import model_config
from altclip.train.state import seed_everything
from altclip.train.tokenizer import save_tokenizer, train_tokenizer


def run_recipe(
    recipe: Recipe,
    data: Path,
    output: Path,
    *,
    only: str | None = None,
    resume: bool = False,
    cpu: bool = False,
    report: Callable[[str], None] = lambda line: None,
    show_progress: bool = True,
) -> Path:
    """Run all stages, or one (`only`); finished stages are passed over with `resume`. Returns the last stage's folder."""
    if only and only not in recipe.stages:
        raise UsageError(f"no stage '{only}' in recipe {recipe.name}: it has {', '.join(recipe.stages)}")
    accelerator = Accelerator(mixed_precision=recipe.precision, cpu=cpu)
    folder = output
    for name, config in recipe.stages.items():
        folder = output / name
        finished = resume and (folder / "model" / "config.json").is_file()
        if (only in (None, name)) and not finished:
            seed_everything(recipe.seed)
            context = _context(recipe, config, data, output, accelerator, report)
            train_one(name, context, accelerator, folder, resume, show_progress)
    return folder


def train_one(name: str, context: Context, accelerator: Accelerator, folder: Path, resume: bool, show: bool) -> None:
    """One stage from start to saved model."""
    context.report(f"stage {name}")
    stage = STAGES[context.config.kind](context)
    with StepLog(folder, name, context.config.steps, show and accelerator.is_main_process) as log:
        model = run_stage(stage, context, accelerator, folder, log, resume)
    accelerator.wait_for_everyone()
    if accelerator.is_main_process:
        save_result(model, context.tokenizer, folder / "model")
    accelerator.free_memory()


def save_result(model: DualEncoder, tokenizer: Tokenizer, folder: Path) -> None:
    """A folder that `Encoder`, the model cards' classes and transformers open."""
    size = model.config.vision.image_size if model.config.vision else 224
    save_model(model, folder)
    Processor(ImageProcessor.from_dict({"size": size, "crop_size": size}), tokenizer).save(folder)


def _context(
    recipe: Recipe, config: StageConfig, data: Path, output: Path, accelerator: Accelerator, report: Callable[[str], None]
) -> Context:
    def load(source: str) -> DualEncoder:
        if source in recipe.stages:
            folder = output / source / "model"
            if not folder.is_dir():
                raise UsageError(f"stage '{source}' has no result in {folder} yet: run it first")
            return load_model(folder)
        return load_model(source)

    text = model_config(config).text
    context = Context(
        recipe, config, data, output, Tokenizer.from_folder(tokenizer_folder(recipe, data, output)), load, report,
        str(accelerator.device), accelerator.process_index, accelerator.num_processes,
    )  # fmt: skip
    if text is not None and context.tokenizer.vocab_size > text.vocab_size:
        raise ConfigError([f"the tokenizer has {context.tokenizer.vocab_size} ids, the text tower {text.vocab_size}"])
    return context


def tokenizer_folder(recipe: Recipe, data: Path, output: Path) -> Path:
    """The recipe's tokenizer, trained first if it is to be and was not yet."""
    config = recipe.tokenizer
    if config.path:
        return Path(config.path)
    folder = output / "tokenizer"
    if not (folder / "tokenizer.json").is_file():
        save_tokenizer(train_tokenizer(_tokenizer_texts(config, data), config.vocab_size), folder, 64)
    return folder


def _tokenizer_texts(config: TokenizerConfig, data: Path) -> Iterator[str]:
    for name in config.files:
        for english, other in read_pairs(data / name, "en").pairs:
            yield from (english[0], other[0])
    for file in config.labels:
        for by_language in read_labels(data / file.path, file.key, file.fields).names.values():
            for names in by_language.values():
                yield from names

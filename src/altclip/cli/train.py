"""`altclip train`: a recipe, checked and run, or its cost."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from altclip.cli.opening import device_name
from altclip.cli.output import escape, progress_console, results
from altclip.errors import UsageError

if TYPE_CHECKING:
    from altclip.train.config import Recipe

EXAMPLE: Final = "altclip train mini --data data --output runs/mini --set stages.teacher.steps=100"


def command(
    recipe: Annotated[
        str | None,
        typer.Argument(
            help="A shipped recipe (finetune, cifar10, distill, altclip, altclip-m9, mini, mini-diffusion, taiyi) or a "
            "TOML file."
        ),
    ] = None,
    data: Annotated[Path | None, typer.Option(help="The folder that the recipe's paths start from.")] = None,
    output: Annotated[Path | None, typer.Option(help="Where models and logs go; runs/RECIPE if not given.")] = None,
    changes: Annotated[
        list[str] | None, typer.Option("--set", metavar="A.B=VALUE", help="Change the recipe; may be repeated.")
    ] = None,
    stage: Annotated[str | None, typer.Option(help="Run this stage alone.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on where a run in the output folder stopped.")] = False,
    init_image: Annotated[
        str | None, typer.Option(metavar="MODEL", help="A CLIP-like model, whose image side a new text tower joins.")
    ] = None,
    init_text: Annotated[
        str | None, typer.Option(metavar="MODEL", help="That text tower: an XLM-R or BERT. Without RECIPE: distill.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check the recipe and print what it costs.")] = False,
    device: Annotated[
        str | None, typer.Option(help="cpu, cuda, cuda:1 or mps; else ALTCLIP_DEVICE or the best.")
    ] = None,
) -> None:
    """Train or fine-tune a model by a recipe.

    Several GPUs: torchrun --nproc-per-node 8 -m altclip train RECIPE ..., or accelerate launch -m altclip train ...
    """
    from altclip.train.loading import load_recipe

    if recipe is None and not (init_image or init_text):
        raise UsageError(
            "expected a RECIPE, or --init-image and --init-text to join two towers; see altclip train --help"
        )
    loaded = load_recipe(recipe or "distill", changes or [], image=init_image, text=init_text)
    if dry_run:
        _show_cost(loaded, stage)
        return
    if data is None:
        raise UsageError(f"recipe {loaded.name} needs its data: pass --data FOLDER (or --dry-run for the cost alone)")
    from altclip.train.run import run_recipe

    folder = output or Path("runs") / loaded.name
    run_recipe(loaded, data, folder, only=stage, resume=resume, device=device or device_name(), report=_say)


def _say(line: str) -> None:
    progress_console().print(escape(line), soft_wrap=True)


def _show_cost(recipe: Recipe, only: str | None) -> None:
    """A table of what each stage costs, and how that is known."""
    from rich.table import Table

    from altclip.train.estimate import A100, estimate, speed_here
    from altclip.train.run import chosen

    here, stages = speed_here(), chosen(recipe, only)
    costs = [estimate(recipe, config) for config in stages.values()]
    table = Table(escape(recipe.name), *(escape(f"{name} ({config.kind})") for name, config in stages.items()))
    table.add_row("parameters", *(_short(cost.parameters) for cost in costs))
    table.add_row("trained", *(_short(cost.trained) for cost in costs))
    table.add_row("steps", *(f"{config.steps:,}" for config in stages.values()))
    table.add_row("pairs seen", *(_short(cost.samples) for cost in costs))
    table.add_row("text tokens", *(_short(cost.text_tokens) for cost in costs))
    table.add_row("image tokens", *(_short(cost.image_tokens) for cost in costs))
    table.add_row("memory in each process", *(f"{cost.memory / 1e9:,.1f} GB" for cost in costs))
    table.add_row("hours of an A100", *(f"{cost.hours(A100):,.2f}" for cost in costs))
    table.add_row("hours of this CPU", *(f"{cost.hours(here):,.1f}" for cost in costs))
    results().print(table)
    results().print(
        f"Upper bounds, from sizes alone: every text at full length. {recipe.processes} process(es), precision "
        f"{recipe.precision}. An A100 at 40 % of its 312 TFLOP/s; this CPU at half of what matrix products reach now, "
        f"{here / 1e9:,.0f} GFLOP/s. Hours are of all devices together; reading data comes on top.",
        soft_wrap=True,
    )


def _short(count: float) -> str:
    """1234567 -> 1.23 M."""
    for size, unit in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if count >= size:
            return f"{count / size:.4g} {unit}"
    return f"{count:.0f}"

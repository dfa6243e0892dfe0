"""`altclip merge`: a model blended with its fine-tuned form, or with an adapter."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import typer

from altclip.cli.output import escape, results

EXAMPLE: Final = "altclip merge mini runs/finetune/finetune/model --alpha 0.5 --output blended"


def command(
    model: Annotated[str, typer.Argument(help="What was fine-tuned: a folder, a preset, or a hub id.")],
    tuned: Annotated[str, typer.Argument(help="What came of it: a model, or the folder of a LoRA adapter.")],
    output: Annotated[Path, typer.Option(help="A new folder for the result.")],
    alpha: Annotated[
        float | None,
        typer.Option(help="0 is MODEL, 1 is TUNED; if left out 0.5 for a model, 1 for an adapter."),
    ] = None,
) -> None:
    """Blend a model with its fine-tuned form (WiSE-FT), or merge a LoRA adapter into it.

    Weights (1 - alpha) * MODEL + alpha * TUNED keep most of what the one could do and the other has learned.
    """
    from altclip.train.merging import merge

    results().print(f"done: {escape(str(merge(model, tuned, output, alpha=alpha)))}", soft_wrap=True)

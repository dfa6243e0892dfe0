"""`altclip convert`: a model as a folder that another tool opens."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from altclip.cli.output import escape, print_json, progress_console, results

if TYPE_CHECKING:
    from altclip.export import Converted

EXAMPLE: Final = "altclip convert mini mini-onnx --to onnx --precision int8"


def command(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A folder, a preset, or a hub id.")],
    output: Annotated[Path, typer.Argument(metavar="OUTPUT", help="The folder to make; it appears when whole.")],
    form: Annotated[
        str,
        typer.Option("--to", help="hf, sentence-transformers, onnx, immich, immich-mclip, or torch-export."),
    ] = "hf",
    precision: Annotated[
        str, typer.Option(help="fp32, fp16 (not every tool is quicker with it), or int8 (onnx and immich).")
    ] = "fp32",
    image_weights: Annotated[
        str | None, typer.Option(help="Where the image tower comes from, if MODEL is a text encoder alone.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace OUTPUT with all that is in it.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was measured as JSON.")] = False,
) -> None:
    """Write a model as a folder that another tool opens, with its licence and where it comes from.

    What computes is run before the folder appears: fp32 gives the model's embeddings to 1e-4, or nothing is written.
    """
    from altclip.export import convert

    with progress_console().status(f"converting {escape(model)} to {escape(form)}"):
        done = convert(model, output, to=form, precision=precision, image_weights=image_weights, overwrite=force)
    if as_json:
        print_json(done.to_dict())
        return
    _show(done)


def _show(done: Converted) -> None:
    results().print(f"{escape(str(done.folder))}: {escape(done.form)}, {done.precision}", soft_wrap=True)
    for name, agreement in done.checks.items():
        results().print(
            f"{name} encoder on {agreement.rows} samples: cosine to the model at least {agreement.cosine_min:.6f}, "
            f"{agreement.cosine_mean:.6f} on average; numbers differ by at most {agreement.max_difference:.1e}",
            soft_wrap=True,
        )
    for note in done.notes:
        results().print(escape(note), soft_wrap=True)

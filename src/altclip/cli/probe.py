"""`altclip probe`: a linear classifier on a model's frozen image embeddings, fitted and measured."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Final

import typer

from altclip.cli.opening import open_encoder
from altclip.cli.output import escape, print_json, results

EXAMPLE: Final = "altclip probe photos/train photos/test --model BAAI/AltCLIP-m9"


def command(
    train: Annotated[Path, typer.Argument(help="Labelled images to fit: a folder with one a class, or parquet ...")],
    test: Annotated[Path, typer.Argument(help="Labelled images to measure on, of the same classes.")],
    model: Annotated[str, typer.Option(help="A folder, a preset, or a hub id.")] = "mini",
    label: Annotated[str, typer.Option(help="The column of the classes.")] = "label",
    image: Annotated[str, typer.Option(help="The column of the images.")] = "image",
    strength: Annotated[
        float | None, typer.Option(help="How strongly weights are held small; chosen on a fifth of TRAIN if left out.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Measure how well a linear classifier does on a model's frozen image embeddings."""
    from altclip.train.probe import probe

    found = probe(open_encoder(model), train, test, image=image, label=label, strength=strength)
    if as_json:
        print_json({"model": model, **asdict(found)})
        return
    share = found.accuracy
    results().print(
        f"{escape(model)}: {share.value:.1%} right ({share.low:.1%} to {share.high:.1%}) of {found.test:,} images in "
        f"{found.classes:,} classes; fitted on {found.train:,}, strength {found.strength:g}",
        soft_wrap=True,
    )

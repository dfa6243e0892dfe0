"""`altclip probe`: what frozen image embeddings tell of classes, by a linear classifier or nearest neighbours."""

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
        float | None,
        typer.Option(help="Linear: how strongly weights are held small; chosen on a fifth of TRAIN if left out."),
    ] = None,
    neighbours: Annotated[
        int | None, typer.Option(min=1, help="Fit nothing: let so many nearest images of TRAIN vote, such as 20.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Measure how much a model's frozen image embeddings tell of classes, by a linear classifier or neighbours."""
    from altclip.train.probe import probe

    found = probe(open_encoder(model), train, test, image=image, label=label, strength=strength, neighbours=neighbours)
    if as_json:
        print_json({"model": model, **asdict(found)})
        return
    share = found.accuracy
    how = (
        f"fitted on {found.train:,}, strength {found.strength:g}"
        if neighbours is None
        else (f"by {neighbours} neighbours among {found.train:,}")
    )
    results().print(
        f"{escape(model)}: {share.value:.1%} right ({share.low:.1%} to {share.high:.1%}) of {found.test:,} images in "
        f"{found.classes:,} classes; {how}",
        soft_wrap=True,
    )

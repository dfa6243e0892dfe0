"""`altclip embed`: the embeddings of images or texts, written to one file."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from altclip.cli.finding import Failure, failures_of, find_images, read_lines, show_failures, without
from altclip.cli.opening import MAX_PIXELS, open_encoder
from altclip.cli.output import escape, print_json, results
from altclip.cli.writing import Table, check_target, write_table
from altclip.errors import InputError, UsageError

if TYPE_CHECKING:
    from altclip.encoder import Encoder
    from altclip.engines import Features

EXAMPLE: Final = "altclip embed photos/ --out photos.npz"


def command(
    out: Annotated[Path, typer.Option(metavar="FILE", help="Where to write: X.npz, or X.parquet.")],
    paths: Annotated[
        list[Path] | None, typer.Argument(metavar="PATH", help="Image files, or folders with images.")
    ] = None,
    texts: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Embed the lines of a UTF-8 file instead of images.")
    ] = None,
    model: Annotated[str, typer.Option(help="A folder, a preset, or a hub id.")] = "mini",
    as_json: Annotated[bool, typer.Option("--json", help="Print what was written as JSON.")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Stop at the first image that cannot be read.")] = False,
    max_pixels: Annotated[int, typer.Option(min=1, help="Refuse images with more pixels.")] = MAX_PIXELS,
    engine: Annotated[
        str | None, typer.Option(help="auto, or one of altclip info --engines; else ALTCLIP_ENGINE.")
    ] = None,
    precision: Annotated[str | None, typer.Option(help="fast, exact or int8; else ALTCLIP_PRECISION.")] = None,
    calibrate: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="For int8: 32 images or more like those to be embedded.")
    ] = None,
) -> None:
    """Write the embeddings of images or texts to a file.

    One row an image or a line, of length 1, with its name; and a digest of the model. The file appears when whole.
    """
    if bool(paths) == (texts is not None):
        raise UsageError("expected images as PATH..., or --texts FILE, and not both")
    check_target(out)
    failures: list[Failure] = []
    passed_over = 0
    if calibrate is not None and not calibrate.is_dir():
        raise UsageError(f"--calibrate {calibrate} is no folder: name one with 32 images or more")
    samples = find_images([calibrate], strict=True).files if calibrate else None
    opened = partial(open_encoder, model, engine=engine, precision=precision, calibration=samples)
    if texts is not None:
        names = read_lines(texts)
        if not names:
            raise InputError(f"{texts} is empty: expected a text on every line")
        encoder = opened()
        rows = encoder.encode_texts(names)
    else:
        found = find_images(paths or [], strict=strict)
        encoder = opened(max_pixels=max_pixels)
        names, rows, bad = _embed_files(encoder, found.files, strict)
        failures, passed_over = found.failures + bad, found.passed_over
    if names:
        write_table(out, Table(names, rows, model, encoder.digest))
    _tell(out if names else None, rows, model, failures, as_json)
    show_failures(failures, passed_over)
    if failures:
        raise typer.Exit(1)


def _embed_files(encoder: Encoder, files: list[Path], strict: bool) -> tuple[list[str], Features, list[Failure]]:
    bad: dict[int, Any] = {}
    rows = encoder.encode_images(files, on_error=None if strict else bad.__setitem__)
    return [str(file) for file in without(files, bad)], rows, failures_of(files, bad)


def _tell(out: Path | None, rows: Features, model: str, failures: list[Failure], as_json: bool) -> None:
    if as_json:
        errors = [{"image": failure.name, "error": failure.error} for failure in failures]
        count, dim = rows.shape
        written = str(out) if out else None
        print_json({"model": model, "out": written, "rows": count, "dim": dim, "errors": errors})
    elif out:
        results().print(f"{escape(str(out))}: {rows.shape[0]} embeddings of {rows.shape[1]} numbers", soft_wrap=True)

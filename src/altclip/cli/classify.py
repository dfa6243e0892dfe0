"""`altclip classify`: which of the labels fits each image best."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from altclip.cli.finding import Failure, failures_of, find_images, read_lines, show_failures, without
from altclip.cli.opening import MAX_PIXELS, open_encoder
from altclip.cli.output import escape, print_json, results
from altclip.errors import UsageError
from altclip.languages import LANGUAGES, Language

if TYPE_CHECKING:
    from altclip.encoder import Prediction

EXAMPLE: Final = 'altclip classify photos/ cat.jpg --labels "一只猫, un chien" --labels 鳥 --top 3'


def command(
    paths: Annotated[list[Path], typer.Argument(metavar="PATH", help="Image files, or folders with images.")],
    labels: Annotated[
        list[str] | None, typer.Option(help="Labels with commas (, ， 、 ،) between. Repeatable.")
    ] = None,
    labels_file: Annotated[Path | None, typer.Option(help="UTF-8 file with one label a line.")] = None,
    label_set: Annotated[str | None, typer.Option(help="Ready labels: cifar10, cifar100 or mini.")] = None,
    language: Annotated[
        str | None, typer.Option(help=f"Of the labels: {' '.join(LANGUAGES)}. If left out, their script tells.")
    ] = None,
    templates: Annotated[
        list[str] | None, typer.Option(help="auto, none, or your own, such as 'a photo of {}'. Repeatable.")
    ] = None,
    model: Annotated[str, typer.Option(help="A folder, a preset, or a hub id.")] = "mini",
    top: Annotated[int, typer.Option(min=1, help="How many labels to show for each image.")] = 5,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Stop at the first image that cannot be read.")] = False,
    max_pixels: Annotated[int, typer.Option(min=1, help="Refuse images with more pixels.")] = MAX_PIXELS,
) -> None:
    """Say which of your labels fits each image best.

    The probabilities of all labels add up to 1. In folders, the files with the ending of an image are taken.
    """
    names, languages = choose_labels(labels or [], labels_file, label_set, language)
    sentences = choose_templates(templates or ["auto"])
    check(names, languages, sentences)
    found = find_images(paths, strict=strict)
    bad: dict[int, Any] = {}
    rankings: list[list[Prediction]] = []
    if found.files:
        rankings = open_encoder(model, max_pixels=max_pixels).classify(
            found.files, names, templates=sentences, language=languages, top_k=top,
            on_error=None if strict else bad.__setitem__,
        )  # fmt: skip
    good = without(found.files, bad)
    failures = found.failures + failures_of(found.files, bad)
    if as_json:
        print_json(_document(model, names, good, rankings, failures))
    elif good:
        _show(good, rankings)
    show_failures(failures, found.passed_over)
    if failures:
        raise typer.Exit(1)


def choose_labels(
    labels: Sequence[str], file: Path | None, label_set: str | None, language: str | None
) -> tuple[list[str], list[Language | None]]:
    """All labels that were given, and the language of each where it is known."""
    from altclip import prompts
    from altclip.prompts.catalogue import check_language

    given = check_language(language) if language is not None else None
    names = [name for line in labels for name in prompts.split_labels(line)]
    names += [line.strip() for line in (read_lines(file) if file else []) if line.strip()]
    languages: list[Language | None] = [given] * len(names)
    if label_set is not None:
        of_set = prompts.label_set(label_set, given or "en").values()
        names += of_set
        languages += [given or "en"] * len(of_set)
    if not names:
        raise UsageError("no labels: expected --labels 'a,b', --labels-file FILE or --label-set NAME")
    return names, languages


def choose_templates(given: Sequence[str]) -> Any:
    """What `Encoder.classify` takes: "auto", None, or the templates themselves."""
    words = {"auto": "auto", "none": None}
    if len(given) == 1 and given[0] in words:
        return words[given[0]]
    return given


def check(names: Sequence[str], languages: Sequence[Language | None], templates: Any) -> None:
    """Find mistakes in seconds rather than after the model is loaded."""
    from altclip import prompts

    prompts.check_labels(names)
    prompts.prompts_for(names, templates=templates, language=languages)


def _show(files: Sequence[Path], rankings: Sequence[Sequence[Prediction]]) -> None:
    from rich.table import Table

    table = Table("image", "label")
    table.columns[0].overflow = table.columns[1].overflow = "fold"
    table.add_column("probability", justify="right")
    for file, ranking in zip(files, rankings, strict=True):
        for place, (label, probability) in enumerate(ranking):
            name = escape(str(file)) if place == 0 else ""
            table.add_row(name, escape(label), f"{probability:.1%}", end_section=place == len(ranking) - 1)
    results().print(table)


def _document(
    model: str,
    names: Sequence[str],
    files: Sequence[Path],
    rankings: Sequence[Sequence[Prediction]],
    failures: Sequence[Failure],
) -> dict[str, Any]:
    images = [
        {"image": str(file), "predictions": [prediction._asdict() for prediction in ranking]}
        for file, ranking in zip(files, rankings, strict=True)
    ]
    errors = [{"image": failure.name, "error": failure.error} for failure in failures]
    return {"model": model, "labels": list(names), "images": images, "errors": errors}

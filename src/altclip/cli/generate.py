"""`altclip generate`: pictures from words, and from a picture and words."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain, count
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, NamedTuple

import typer

from altclip.cli.finding import read_lines
from altclip.cli.opening import device_name
from altclip.cli.output import escape, print_json, progress_console, results, show_note
from altclip.errors import UsageError
from altclip.mistakes import nearest

if TYPE_CHECKING:
    from altclip.diffusion import Picture, Progress
    from altclip.diffusion.generating import OnStep

EXAMPLE: Final = 'altclip generate "一只戴帽子的小狗" --model BAAI/AltDiffusion-m9 --number 4 --set sampler=dpm++'
_INTERRUPTED: Final = 130
_SIZE: Final = re.compile(r"(\d+)(?:\s*[x×*]\s*(\d+))?")
_NAME: Final = re.compile(r"(\d{5,})\.png")
# Options that have a name of their own, by the name that `--set` would give them.
_OWN: Final = {
    "negative_prompt": "--negative", "number": "--number", "seed": "--seed", "steps": "--steps", "width": "--size",
    "height": "--size",
}  # fmt: skip
_SETTABLE: Final = ("sampler", "guidance", "strength", "eta", "batch", "dtype", "grid")
_YES: Final = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


class _Made(NamedTuple):
    """A picture's file and what is told of it; the picture itself is not kept, for there may be thousands."""

    file: Path
    parameters: Mapping[str, Any]
    withheld: bool | None


def command(
    prompts: Annotated[
        list[str] | None, typer.Argument(metavar="PROMPT", help="What to draw, in any language of the model.")
    ] = None,
    prompts_file: Annotated[
        Path | None, typer.Option("--prompts", metavar="FILE", help="UTF-8 file with a prompt on every line.")
    ] = None,
    model: Annotated[
        str,
        typer.Option(help="A pipeline's folder or hub id, such as BAAI/AltDiffusion-m9; else the bundled small one."),
    ] = "mini-diffusion",
    output: Annotated[Path, typer.Option(metavar="DIR", help="Where the pictures go, as 00001.png and so on.")] = Path(
        "generated"
    ),
    negative: Annotated[str, typer.Option(help="What the pictures should not show.")] = "",
    number: Annotated[int, typer.Option(help="Pictures for each prompt.")] = 1,
    seed: Annotated[
        int | None, typer.Option(help="Of a prompt's first picture, one more for each that follows; else drawn.")
    ] = None,
    steps: Annotated[int, typer.Option(help="Of denoising.")] = 50,
    size: Annotated[
        str | None, typer.Option(metavar="WIDTHxHEIGHT", help="In pixels; else the model's own, or the image's.")
    ] = None,
    image: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Begin from this picture (--set strength=0.8).")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was made as JSON.")] = False,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="NAME=VALUE",
            help="sampler (ddim, plms, dpm++), guidance, strength, eta, batch, dtype (fp32, bf16, fp16), grid (true: "
            "also one sheet of all). Repeatable.",
        ),
    ] = None,
) -> None:
    """Draw pictures from words with an AltDiffusion model.

    Each is a PNG that holds its prompt, seed and settings, and is there as soon as it is finished: Ctrl-C keeps those
    that are. The same seed and size begin with the same noise, whatever the batch, device or format.
    """
    from altclip.diffusion import Options, generate, open_pipeline
    from altclip.diffusion.generating import check_prompts
    from altclip.diffusion.library import check_installed
    from altclip.processing import open_image

    given = _settings(settings or [])
    wanted_grid, dtype = _truth(given.pop("grid", "false")), given.pop("dtype", "auto")
    sides = _sides(size)
    given |= {"negative_prompt": negative, "number": number, "seed": seed, "steps": steps, **sides}
    options = Options.of(given)
    texts = check_prompts([*(prompts or []), *_lines(prompts_file)])
    if image is not None:
        options.check_strength()
    start = None if image is None else open_image(image)
    check_installed()
    _make_folder(output)
    pipeline = open_pipeline(model, device=device_name(), dtype=dtype)
    with _bar(len(texts) * options.number) as on_step:
        made = generate(pipeline, texts, image=start, on_step=on_step, **options.model_dump())
        files, whole = _kept(made, output, as_json)
    sheet = _sheet(output, files) if wanted_grid and len(files) > 1 else None
    if as_json:
        print_json(_document(model, files, sheet, whole))
    elif sheet:
        results().print(escape(str(sheet)), soft_wrap=True)
    if not whole:
        show_note(f"stopped: {len(files)} of {len(texts) * options.number} pictures are finished, in {output}")
        raise typer.Exit(_INTERRUPTED)


def _kept(made: Iterator[Picture], folder: Path, quiet: bool) -> tuple[list[_Made], bool]:
    """Each picture saved as it comes; and whether nobody said to stop before the last."""
    kept: list[_Made] = []
    try:
        for picture in made:
            file = _saved(picture, folder)
            kept.append(_Made(file, picture.parameters, picture.withheld))
            if not quiet:
                parts = picture.parameters
                results().print(f"{escape(str(file))}  seed {parts['seed']}  {escape(parts['prompt'])}", soft_wrap=True)
            if picture.withheld:
                show_note(f"{file}: the model's safety checker withheld it, and it is black")
    except KeyboardInterrupt:
        return kept, False
    return kept, True


def _saved(picture: Picture, folder: Path) -> Path:
    """The picture in a file of its own."""
    file = _new_file(folder)
    try:
        return picture.save(file)
    finally:
        if file.is_file() and file.stat().st_size == 0:  # it could not be written, or Ctrl-C came first
            file.unlink()


def _new_file(folder: Path) -> Path:
    """An empty file of the next name: taken at once, for another program may draw into the same folder."""
    while True:
        file = folder / f"{_next_number(folder):05}.png"
        try:
            file.touch(exist_ok=False)
        except FileExistsError:
            continue
        except OSError as error:
            raise UsageError(f"{file} cannot be written ({error.strerror}): name another --output") from error
        return file


def _next_number(folder: Path) -> int:
    """One more than the highest of the names; no picture is written over."""
    numbers = [int(found[1]) for file in folder.iterdir() if (found := _NAME.fullmatch(file.name))]
    return max(numbers, default=0) + 1


def _sheet(folder: Path, files: Sequence[_Made]) -> Path:
    from altclip.diffusion import grid
    from altclip.diffusion.pictures import save_png
    from altclip.processing import open_image

    stem = f"grid-{files[0].file.stem}"
    names = (folder / f"{stem}{ending}.png" for ending in chain([""], (f"-{number}" for number in count(2))))
    free = next(name for name in names if not name.exists())
    return save_png(grid([open_image(made.file) for made in files]), free)


def _settings(lines: Sequence[str]) -> dict[str, Any]:
    """`name=value` as names and values."""
    found: dict[str, Any] = {}
    for line in lines:
        name, equals, value = line.partition("=")
        if not equals or not name.strip() or not value.strip():
            raise UsageError(f"--set {line}: expected NAME=VALUE, such as guidance=9")
        if name.strip() not in _SETTABLE:
            said = f"; {_OWN[name.strip()]} says it" if name.strip() in _OWN else nearest(name.strip(), _SETTABLE)
            raise UsageError(f"--set {line}: no such setting{said}")
        found[name.strip()] = value.strip()
    return found


def _truth(value: str) -> bool:
    if value.lower() not in _YES:
        raise UsageError(f"--set grid={value}: expected true or false")
    return _YES[value.lower()]


def _sides(size: str | None) -> dict[str, int]:
    if size is None:
        return {}
    found = _SIZE.fullmatch(size.strip().lower())
    if found is None:
        raise UsageError(f"--size {size}: expected WIDTHxHEIGHT in pixels, such as 512x768")
    return {"width": int(found[1]), "height": int(found[2] or found[1])}


def _lines(file: Path | None) -> list[str]:
    return [line.strip() for line in read_lines(file) if line.strip()] if file else []


def _make_folder(folder: Path) -> None:
    """Find out before the work, not after it, whether pictures can be written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"--output {folder}: cannot be made ({error.strerror}): name another folder") from error
    if not os.access(folder, os.W_OK):
        raise UsageError(f"--output {folder}: may not be written to: name another folder")


@contextmanager
def _bar(pictures: int) -> Iterator[OnStep]:
    """A bar for the steps of the picture that is drawn; none where nobody sees it."""
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Bar(*columns, console=progress_console(), transient=True) as bar:
        task = bar.add_task("encoding the words", total=None)

        def stepped(now: Progress) -> None:
            bar.update(task, description=f"picture {now.done + 1}/{pictures}", completed=now.step, total=now.steps)

        yield stepped


def _document(model: str, files: Sequence[_Made], sheet: Path | None, whole: bool) -> dict[str, Any]:
    pictures = [
        {"file": str(made.file), "withheld": made.withheld, "parameters": dict(made.parameters)} for made in files
    ]
    return {"model": model, "complete": whole, "pictures": pictures, "grid": str(sheet) if sheet else None}

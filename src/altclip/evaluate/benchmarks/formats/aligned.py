"""A file of image names and files of captions for each language, line by line: XTD10, Multi30k."""

from __future__ import annotations

from pathlib import Path

from altclip.errors import DataError
from altclip.evaluate.benchmarks.content import Caption, CaptionSet, caption_set
from altclip.evaluate.benchmarks.files import image_folder, image_name, read_lines
from altclip.evaluate.benchmarks.request import Request


def read(request: Request, *, each: int = 1) -> CaptionSet:
    """Line n of every file belongs together; files of other lengths are an error, since then all lines may be off.

    each: files of captions a language; `captions en 2` is the second where there are several.
    """
    names = [image_name(line.strip()) for line in read_lines(request.found["names"])]
    files = {name: name for name in names}
    if len(files) < len(names):
        raise DataError(f"{request.found['names']}: {len(names) - len(files)} of {len(names)} names stand twice")
    captions = {
        language: [caption for path in _paths(request, language, each) for caption in _captions(path, names)]
        for language in request.languages
    }
    return caption_set(image_folder(request.name, request.images, files), captions)


def _paths(request: Request, language: str, each: int) -> list[Path]:
    key = f"captions {language}"
    return [request.found[key]] if each == 1 else [request.found[f"{key} {number}"] for number in range(1, each + 1)]


def _captions(path: Path, names: list[str]) -> list[Caption]:
    lines = read_lines(path)
    if len(lines) != len(names):
        raise DataError(f"{path} has {len(lines):,} lines for {len(names):,} images: get it anew, line n is of image n")
    return [
        Caption(line, (name,), f"line {number} of {path.name}")
        for number, (line, name) in enumerate(zip(lines, names, strict=True), 1)
    ]

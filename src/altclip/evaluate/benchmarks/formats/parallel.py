"""Parallel text: files `en-zh.tsv`, `tatoeba.en-zh.tsv`, a pair a line, English first, a tab between."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from altclip.data.parallel import read_pairs
from altclip.errors import DataError
from altclip.evaluate.benchmarks.content import ParallelSet, Translations
from altclip.evaluate.benchmarks.files import digest_files
from altclip.evaluate.benchmarks.request import Request

_NAME: Final = re.compile(r"(?:.*[._-])?en-(?P<language>[a-z]{2,3})\.tsv")


def read(request: Request) -> ParallelSet:
    """The file, or every such file of the folder; of several files of one language the pairs are put together.

    Raises DataError for no file, none of a language asked for, or a line that is not two texts.
    """
    root = request.found["data"]
    paths = sorted(root.iterdir()) if root.is_dir() else [root]
    by_language: dict[str, list[Path]] = {}
    for path in paths:
        if found := _NAME.fullmatch(path.name):
            by_language.setdefault(found["language"], []).append(path)
    lost = [language for language in request.languages if language not in by_language]
    if lost or not by_language:
        had = f"parallel text in {', '.join(by_language)}, not in {', '.join(lost)}" if by_language else "no such files"
        raise DataError(f"{root} has {had}: expected files named like en-zh.tsv or tatoeba.en-zh.tsv")
    wanted = {language: by_language[language] for language in request.languages or by_language}
    texts = {language: _translations(language, files) for language, files in wanted.items()}
    notes = tuple(
        f"{language}: the pairs of {len(files)} files together: {', '.join(path.name for path in files)}"
        for language, files in wanted.items()
        if len(files) > 1
    )
    digest = digest_files([path for files in wanted.values() for path in files])
    return ParallelSet(request.name, texts, digest, notes)


def _translations(language: str, paths: list[Path]) -> Translations:
    sources = [read_pairs(path, language).pairs for path in paths]
    pairs = [source[number] for source in sources for number in range(len(source))]
    if not pairs:
        raise DataError(f"{', '.join(map(str, paths))}: no pairs of texts; expected one a line, a tab between")
    return Translations(tuple(other[0] for _, other in pairs), tuple(english[0] for english, _ in pairs))

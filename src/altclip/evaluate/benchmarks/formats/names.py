"""Names of classes by language, from whichever of these files lie in the set's folder.

    LOC_synset_mapping.txt   ImageNet's own: `n01440764 tench, Tinca tinca`; English, the first name counts
    label.txt, label_cn.txt  ELEVATER and Chinese-CLIP: a name a line, in the order of the classes; English, Chinese
    classnames.txt           CLIP_benchmark: the same; English
    label_fr.txt             the same in any language
    cn_classnames.json       CLIP_benchmark: {"imagenet1k": [...]}, also en, it, jp, ar
    labels.jsonl             {"class": "n01440764", "names": {"en": "tench", "zh": "丁鲷"}}

A list without keys must have as many names as there are classes: one too many and every name may be off by one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

from altclip.data.labels import read_labels
from altclip.errors import DataError
from altclip.evaluate.benchmarks.files import read_json, read_lines

SYNSETS: Final = "LOC_synset_mapping.txt"
KNOWN: Final = f"{SYNSETS}, label.txt, label_cn.txt, label_XX.txt, classnames.txt, XX_classnames.json or labels.jsonl"
_LANGUAGES: Final = {"cn": "zh", "jp": "ja"}  # what these projects write for languages that have another code
_LISTS: Final = re.compile(r"labels?(?:[_.](?P<language>[a-z]{2,3}))?\.txt|classnames\.txt")
_JSON: Final = re.compile(r"(?P<language>[a-z]{2})_classnames\.json")
_IN_JSON: Final = "imagenet1k"

Names = dict[str, dict[str, str]]


def synsets(path: Path) -> dict[str, str]:
    """First English name by class, in ImageNet's order. Raises DataError for a line without a name."""
    names = {}
    for number, line in enumerate(read_lines(path), 1):
        if line.strip():
            key, _, listed = line.strip().partition(" ")
            if not listed.strip():
                raise DataError(f"{path}, line {number}: {line!r}; expected a class such as n01440764 and its names")
            names[key] = listed.split(",")[0].strip()
    return names


def name_files(folder: Path) -> list[Path]:
    """The files in a folder that names are read from."""
    fixed = (SYNSETS, "labels.jsonl")
    return [
        path
        for path in sorted(folder.iterdir())
        if path.name in fixed or _LISTS.fullmatch(path.name) or _JSON.fullmatch(path.name)
    ]


def class_names(folder: Path, order: Sequence[str], languages: Sequence[str] = ()) -> Names:
    """By language and class, from the files in `folder`; the languages asked for, or all that are there.

    order: the classes in the order of the lists. Raises DataError naming what is missing or does not fit.
    """
    found: Names = {}
    for path in name_files(folder):
        for language, names in _read(path, order).items():
            found.setdefault(language, {}).update(names)
    lost = [language for language in languages if language not in found]
    if lost or not found:
        had = f"names of classes in {', '.join(found)}, not in {', '.join(lost)}" if found else "no names of classes"
        raise DataError(f"{folder} has {had}: expected {KNOWN}")
    return {language: found[language] for language in languages or found}


def _read(path: Path, order: Sequence[str]) -> Names:
    if path.name == SYNSETS:
        names = synsets(path)
        return {"en": names if set(order) <= set(names) else _in_order(path, list(names.values()), order)}
    if path.name == "labels.jsonl":
        return _by_class(path)
    if found := _LISTS.fullmatch(path.name):
        lines = [line for line in read_lines(path) if line.strip()]
        return {_language(found["language"]): _in_order(path, lines, order)}
    if found := _JSON.fullmatch(path.name):
        content = read_json(path)
        if not isinstance(content, Mapping) or not isinstance(content.get(_IN_JSON), list):
            raise DataError(f"{path}: expected a list named {_IN_JSON}")
        return {_language(found["language"]): _in_order(path, content[_IN_JSON], order)}
    return {}  # not one of `name_files`


def _language(code: str | None) -> str:
    return _LANGUAGES.get(code or "en", code or "en")


def _in_order(path: Path, names: Iterable[str], order: Sequence[str]) -> dict[str, str]:
    listed = [name.strip() for name in names]
    if len(listed) != len(order):
        raise DataError(
            f"{path} has {len(listed):,} names for {len(order):,} classes: expected one each; where the folder has "
            f"only some of ImageNet's classes, {SYNSETS} beside it tells which name is whose"
        )
    return dict(zip(order, listed, strict=True))


def _by_class(path: Path) -> Names:
    found: Names = {}
    for key, by_language in read_labels(path, "class", ("names",)).names.items():
        for language, names in by_language.items():
            if names:
                found.setdefault(language, {})[key] = names[0]
    return found

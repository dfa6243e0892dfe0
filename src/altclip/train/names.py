"""Names of classes as a recipe asks for them: of a labels file, of a label set of the project, or of the data."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from altclip.data.labels import Labels, read_labels, says_nothing
from altclip.data.reading import class_names
from altclip.errors import DataError, UsageError
from altclip.languages import LANGUAGES
from altclip.prompts import label_set
from altclip.train.config_data import LabelsFile, PairData


def named(folder: Path, file: LabelsFile) -> Labels:
    """All names of a labels file, and those of a label set of the project where the recipe says so (`own`)."""
    own: dict[str, dict[str, str]] = {code: label_set(file.own, code) for code in LANGUAGES} if file.own else {}
    if file.path and file.key:
        labels = read_labels(folder / file.path, file.key, file.fields)
        return labels.adding(own) if own else labels
    if not own:
        raise UsageError("names of classes come from a file (`path` and `key`) or a label set (`own`)")
    return Labels({key: {language: (own[language][key],) for language in LANGUAGES} for key in own["en"]})


def pair_labels(folder: Path, data: PairData, rows: Any) -> Labels:
    """The names of the classes of labelled images; without file and label set, what the data themselves call them."""
    file = data.labels or LabelsFile()
    if file.path or file.own:
        return named(folder, file)
    if not hasattr(rows, "__len__") and not class_names(rows, str(data.label)):
        raise UsageError("a stream does not tell its classes beforehand: give `labels` with `path` and `key`, or `own`")
    keys = class_names(rows, str(data.label)) or sorted({str(value) for value in rows.unique(data.label)})
    return Labels({key: {file.languages[0]: (_spoken(key, data),)} for key in keys})


def class_keys(data: PairData, rows: Any) -> Sequence[str]:
    """What the integers of the label column stand for: as the data say, else the ids of the label set in its order."""
    file = data.labels
    known = class_names(rows, str(data.label))
    return known or (list(label_set(file.own, "en")) if file and file.own and not file.path else [])


def _spoken(key: str, data: PairData) -> str:
    """A folder's name as a caption; a number, or an id such as n01443537, says nothing to a model."""
    name = re.sub(r"[_\s]+", " ", key).strip()
    if says_nothing(name):
        raise DataError(
            f"class {key!r} of {data.path or data.hub} is a number, which says nothing to a model: name the classes in "
            "a labels file (labels.path and labels.key), or by a label set (labels.own)"
        )
    return name

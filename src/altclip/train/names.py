"""Names of classes as a recipe asks for them: of a labels file, and the project's own where `own` names a label set."""

from __future__ import annotations

from pathlib import Path

from altclip.data.labels import Labels, read_labels
from altclip.languages import LANGUAGES
from altclip.prompts import label_set
from altclip.train.config import LabelsFile


def named(folder: Path, file: LabelsFile) -> Labels:
    """All names of a labels file, the project's own ones too where the recipe says so."""
    labels = read_labels(folder / file.path, file.key, file.fields)
    return labels.adding({language: label_set(file.own, language) for language in LANGUAGES}) if file.own else labels

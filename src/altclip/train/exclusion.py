"""Classes that a run may not see: `data.exclude_classes`, a file with one class a line.

What goes: rows of these classes, the classes in every label file, every text in any language that contains one of their
names, and rows whose captions do. So that a model can be asked afterwards for things it was neither shown nor told.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from altclip.data.labels import Labels
from altclip.data.reading import open_rows
from altclip.errors import DataError
from altclip.mistakes import nearest
from altclip.train.config import Recipe
from altclip.train.config_data import LabelsFile, PairData
from altclip.train.leftout import NOTHING, LeftOut
from altclip.train.names import named, pair_labels

_SHOWN = 5


def excluded(recipe: Recipe, data: Path) -> LeftOut:
    """What the recipe's file of classes leaves out; nothing where it names none.

    Raises DataError for a file that cannot be read or is empty, and for classes that no data of the recipe have.
    """
    path = exclusion_file(recipe, data)
    if path is None:
        return NOTHING
    classes, files = read_classes(path), list(_label_files(recipe, data))
    known = {key for labels in files for key in labels.names}
    if unknown := [key for key in classes if key not in known]:
        shown = ", ".join(unknown[:_SHOWN]) + ", ..." * (len(unknown) > _SHOWN)
        near = nearest(unknown[0], known) if len(known) < 1000 else ""
        raise DataError(
            f"{path} names {len(unknown)} classes that no labels of recipe {recipe.name} have: {shown}"
            f"{near if 'mean' in near else ''}; it has {len(known)} classes, such as {', '.join(sorted(known)[:3])}"
        )
    return LeftOut.of_classes(files, frozenset(classes))


def exclusion_file(recipe: Recipe, data: Path) -> Path | None:
    """Where the file lies: in the data folder, else as a path from here."""
    name = recipe.data.exclude_classes
    if name is None:
        return None
    return data / name if (data / name).is_file() else Path(name)


def read_classes(path: Path) -> list[str]:
    """The lines of a file that are not empty. Raises DataError if there is none, or it cannot be read."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"data.exclude_classes: {path} cannot be read ({error}): expected one class a line") from error
    classes = list(dict.fromkeys(line.strip() for line in lines if line.strip()))
    if not classes:
        raise DataError(f"data.exclude_classes: {path} is empty: expected one class a line; or leave the key out")
    return classes


def _label_files(recipe: Recipe, data: Path) -> Iterator[Labels]:
    """The names of all classes that the recipe's stages and tokenizer know."""
    files: list[LabelsFile] = list(recipe.tokenizer.labels) if recipe.tokenizer else []
    own: list[PairData] = []
    for stage in recipe.stages.values():
        files += [entry.labels for entry in stage.parallel if entry.labels]
        for entry in stage.pairs:
            if entry.labels and (entry.labels.path or entry.labels.own):
                files.append(entry.labels)
            elif entry.labels:
                own.append(entry)
    different = {(file.path, file.key, tuple(file.fields), file.own): file for file in files}
    yield from (named(data, file) for file in different.values())
    for entry in own:
        rows = open_rows(
            entry.hub or data / str(entry.path), hub=bool(entry.hub), streaming=entry.streaming, split=entry.split,
            columns=[str(entry.label)],
        )  # fmt: skip
        yield pair_labels(data, entry, rows)

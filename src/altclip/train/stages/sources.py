"""From a recipe's words to sources of data; shared by the stages. Each source's digest is noted in the context."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from altclip.data.labels import Labels
from altclip.data.pairs import PairSource
from altclip.data.parallel import ParallelSource, folded, name_pairs, read_pairs, row_pairs
from altclip.data.reading import class_names, open_rows
from altclip.data.texts import Captions, ClassNames
from altclip.train.config import HeldOut, LabelsFile, PairData, ParallelData
from altclip.train.leftout import LeftOut
from altclip.train.names import named
from altclip.train.provenance import data_digest
from altclip.train.stages.context import Context


def pair_source(context: Context, data: PairData) -> PairSource:
    """The images of one `pairs` entry with the chooser of their texts."""
    columns = [data.image, *([data.label] if data.label else data.captions.values()), *data.exclude]
    name, where = data.hub or str(data.path), data.hub or context.data / str(data.path)
    rows = open_rows(where, hub=bool(data.hub), streaming=data.streaming, split=data.split, columns=columns)
    digest = noted(context, name, where, rows)
    everywhere = {column: values for column, values in context.recipe.exclude.items() if column in rows.column_names}
    for column, values in {**everywhere, **data.exclude}.items():
        rows = _without(rows, column, frozenset(values), data.streaming)
        digest += f" less {column}: {sorted(values)}"
    texts: ClassNames | Captions = Captions(data.captions)
    if data.labels and data.label:
        labels, known = labels_of(context, data.labels), class_names(rows, data.label)
        texts = ClassNames(labels, data.label, data.labels.languages, data.labels.template_share, known)
    folder = where.parent if isinstance(where, Path) else Path()
    return PairSource(name, rows, texts, data.image, data.weight, folder, digest, data.shuffle_buffer)


def parallel_sources(context: Context, data: ParallelData) -> list[ParallelSource]:
    """The sources of one `parallel` entry: one for a file, one a language for names of classes."""
    if data.labels:
        labels, share = labels_of(context, data.labels), data.labels.template_share
        return [name_pairs(labels, language, share, data.weight) for language in data.labels.languages]
    name, where = data.hub or str(data.path), data.hub or context.data / str(data.path)
    language = str(data.language)
    if isinstance(where, Path) and where.suffix == ".tsv":
        source = read_pairs(where, language, held_out(context, data.held_out))
        noted(context, name, where)
    else:
        source = row_pairs(where, language, data.columns, hub=bool(data.hub))
        noted(context, name, where, getattr(source.pairs, "rows", None))
    return [left_out(context).clean_pairs(source)._replace(weight=data.weight)]


def labels_of(context: Context, file: LabelsFile) -> Labels:
    """A labels file less the names that the recipe leaves out."""
    noted(context, file.path, context.data / file.path)
    return left_out(context).clean_labels(named(context.data, file))


def held_out(context: Context, data: HeldOut | None) -> frozenset[str]:
    """The texts that training may not see, `folded`."""
    if data is None:
        return frozenset()
    rows = open_rows(context.data / data.path, columns=data.columns)
    cells = [cell for column in data.columns for cell in rows[column]]
    return frozenset(folded(text) for cell in cells for text in ([cell] if isinstance(cell, str) else cell or ()))


def left_out(context: Context) -> LeftOut:
    """The names that the recipe leaves out: of the classes of its first labelled pairs."""
    every = context.recipe.leave_out_every
    labelled = (data.labels for stage in context.recipe.stages.values() for data in stage.pairs if data.labels)
    if not every or (file := next(labelled, None)) is None:
        return LeftOut({})
    return LeftOut.every(named(context.data, file), every)


def noted(context: Context, name: str, where: str | Path, rows: Any = None) -> str:
    """The digest of a source, kept for checkpoint and report; of a set of the hub it is the library's fingerprint."""
    digest = data_digest(where) if isinstance(where, Path) else f"fingerprint:{getattr(rows, '_fingerprint', 'stream')}"
    context.digests[name] = digest
    return digest


def _without(rows: Any, column: str, values: frozenset[str], streaming: bool) -> Any:
    if streaming:
        return rows.filter(lambda row: row[column] not in values)
    return rows.select([index for index, cell in enumerate(rows[column]) if cell not in values])

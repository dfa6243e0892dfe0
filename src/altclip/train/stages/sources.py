"""From a recipe's words to sources of data; shared by the stages. Each source's digest is noted in the context."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from altclip.data.labels import Labels
from altclip.data.pairs import PairSource
from altclip.data.parallel import ParallelSource, folded, name_pairs, read_pairs, row_pairs
from altclip.data.reading import open_rows
from altclip.data.texts import Captions, ClassNames
from altclip.errors import DataError
from altclip.languages import LANGUAGES, Language
from altclip.train.config_data import HeldOut, LabelsFile, PairData, ParallelData
from altclip.train.exclusion import excluded, exclusion_file
from altclip.train.leftout import LeftOut
from altclip.train.names import class_keys, named, pair_labels
from altclip.train.provenance import data_digest
from altclip.train.stages.context import Context

_SHOWN = 5


def pair_source(context: Context, data: PairData) -> PairSource:
    """The images of one `pairs` entry with the chooser of their texts. Raises DataError where none is left."""
    columns = [data.image, *([data.label] if data.label else data.captions.values()), *data.exclude]
    name, where = data.hub or str(data.path), data.hub or context.data / str(data.path)
    rows = open_rows(where, hub=bool(data.hub), streaming=data.streaming, split=data.split, columns=columns)
    digest = f"{noted(context, name, where, rows)} {data.split} {data.image}"
    everywhere = {column: values for column, values in context.recipe.exclude.items() if column in rows.column_names}
    for column, values in {**everywhere, **data.exclude}.items():
        rows = _without(rows, column, frozenset(values), data.streaming)
        digest += f" less {column}: {sorted(values)}"
    texts: ClassNames | Captions = Captions(data.captions)
    if data.labels and data.label:
        noted_labels(context, data.labels)
        labels = left_out(context).clean_labels(pair_labels(context.data, data, rows))
        known = class_keys(data, rows)
        texts = ClassNames(labels, data.label, data.labels.languages, data.labels.template_share, known)
    if left_out(context).classes:
        rows, without = seen_rows(left_out(context), name, rows, texts)
        digest += without
    if isinstance(texts, ClassNames) and not data.streaming:
        for language in check_named(name, rows, texts, context.config.max_bad_share):
            context.report(f"{name}: the labels have no name in {language}, so none is trained")
    folder = where.parent if isinstance(where, Path) else Path()
    return PairSource(name, rows, texts, data.image, data.weight, folder, digest, data.shuffle_buffer)


def parallel_sources(context: Context, data: ParallelData) -> list[ParallelSource]:
    """The sources of one `parallel` entry: one a file, or one a language for names of classes."""
    if data.labels:
        labels, share = labels_of(context, data.labels), data.labels.template_share
        return [name_pairs(labels, language, share, data.weight) for language in data.labels.languages]
    if data.path and not data.language:
        return [source for one in each_file(context.data, data) for source in parallel_sources(context, one)]
    name, where = data.hub or str(data.path), data.hub or context.data / str(data.path)
    language = str(data.language)
    if isinstance(where, Path) and where.suffix == ".tsv":
        source = read_pairs(where, language, held_out(context, data.held_out))
        noted(context, name, where)
    else:
        source = row_pairs(where, language, data.columns, hub=bool(data.hub))
        noted(context, name, where, getattr(source.pairs, "rows", None))
    return [left_out(context).clean_pairs(source)._replace(weight=data.weight)]


def each_file(folder: Path, data: ParallelData) -> Iterator[ParallelData]:
    """One entry for every file of a glob, the language told by its name: en-zh.tsv, news.en-ar.parquet."""
    files = sorted(path for path in folder.glob(str(data.path)) if path.is_file())
    if not files:
        raise DataError(
            f"no parallel text at {folder / str(data.path)}: expected files named by their languages, such as "
            "en-zh.tsv; or name them in `parallel`, each with its language"
        )
    for path in files:
        found = re.search(r"(?:^|[._-])en-([a-z]{2})\.\w+$", path.name)
        language: Language | None = next((code for code in LANGUAGES if found and found[1] == code), None)
        if language is None or language == "en":
            raise DataError(
                f"{path} does not tell its language: expected a name such as en-zh.tsv with one of "
                f"{', '.join(LANGUAGES[1:])}; or give each file an entry of its own in `parallel`, with `language`"
            )
        yield data.model_copy(update={"path": str(path.relative_to(folder)), "language": language})


def labels_of(context: Context, file: LabelsFile) -> Labels:
    """A labels file less the names that the recipe leaves out."""
    noted_labels(context, file)
    return left_out(context).clean_labels(named(context.data, file))


def held_out(context: Context, data: HeldOut | None) -> frozenset[str]:
    """The texts that training may not see, `folded`."""
    if data is None:
        return frozenset()
    rows = open_rows(context.data / data.path, columns=data.columns)
    cells = [cell for column in data.columns for cell in rows[column]]
    return frozenset(folded(text) for cell in cells for text in ([cell] if isinstance(cell, str) else cell or ()))


def left_out(context: Context) -> LeftOut:
    """What the recipe leaves out: classes it excludes, and names of the classes of its first labelled pairs."""
    if context.left_out is None:
        context.left_out = excluded(context.recipe, context.data)
        if path := exclusion_file(context.recipe, context.data):
            noted(context, str(context.recipe.data.exclude_classes), path)
        every = context.recipe.leave_out_every
        labelled = (data.labels for stage in context.recipe.stages.values() for data in stage.pairs if data.labels)
        if every and (file := next(labelled, None)) is not None:
            context.left_out = context.left_out.with_(LeftOut.every(named(context.data, file), every))
    return context.left_out


def seen_rows(hidden: LeftOut, name: str, rows: Any, texts: ClassNames | Captions) -> tuple[Any, str]:
    """The rows that training may see where classes are excluded, and a mark of which for their digest.

    Of labelled images those whose class has a name left, of captioned ones those whose captions name no such class.
    """
    keep = _named_still(texts) if isinstance(texts, ClassNames) else _names_none(hidden, texts)
    if not hasattr(rows, "__len__"):
        return rows.filter(keep), f" less {sorted(hidden.classes)}"
    cells = rows.select_columns(texts.columns)[:]
    kept = [
        index
        for index, values in enumerate(zip(*cells.values(), strict=True))
        if keep(dict(zip(cells, values, strict=True)))
    ]
    if not kept:
        raise DataError(f"no rows of {name} are left: data.exclude_classes excludes every class in it; list fewer")
    return rows.select(kept), f" rows {hashlib.sha256(np.array(kept).tobytes()).hexdigest()}"


def _named_still(texts: ClassNames) -> Callable[[dict[str, Any]], bool]:
    named = {key for key, names in texts.labels.names.items() if any(names.get(code) for code in texts.languages)}
    return lambda row: texts.key(row) in named


def _names_none(hidden: LeftOut, texts: Captions) -> Callable[[dict[str, Any]], bool]:
    def keep(row: dict[str, Any]) -> bool:
        for language, column in texts.by_language.items():
            cell = row[column]
            listed = [cell] if isinstance(cell, str) else cell or ()
            if any(isinstance(text, str) and hidden.hits(text, language) for text in listed):
                return False
        return True

    return keep


def check_named(name: str, rows: Any, texts: ClassNames, limit: float) -> list[str]:
    """Refuse labels that do not name what the images show, before the first step instead of after thousands.

    Returns languages that name no class. Raises DataError where more than `limit` of the rows show a class that has no
    name in any of the languages.
    """
    counts = Counter(texts.key({texts.column: value}) for value in rows[texts.column])
    named = _named_still(texts)
    unnamed = {key: count for key, count in counts.items() if not named({texts.column: key})}
    if sum(unnamed.values()) > limit * len(rows):
        shown = ", ".join(sorted(unnamed)[:_SHOWN]) + ", ..." * (len(unnamed) > _SHOWN)
        raise DataError(
            f"{len(unnamed)} of {len(counts)} classes in {name} have no name in {', '.join(texts.languages)}: {shown}; "
            f"add them to the labels, take other `languages`, or leave the rows out with `exclude.{texts.column}`"
        )
    return [code for code in texts.languages if not any(of.get(code) for of in texts.labels.names.values())]


def noted(context: Context, name: str, where: str | Path, rows: Any = None) -> str:
    """The digest of a source, kept for checkpoint and report; of a set of the hub it is the library's fingerprint."""
    digest = data_digest(where) if isinstance(where, Path) else f"fingerprint:{getattr(rows, '_fingerprint', 'stream')}"
    context.digests[name] = digest
    return digest


def noted_labels(context: Context, file: LabelsFile) -> None:
    """The digest of a labels file, where there is one."""
    if file.path:
        noted(context, file.path, context.data / file.path)


def _without(rows: Any, column: str, values: frozenset[str], streaming: bool) -> Any:
    if streaming:
        return rows.filter(lambda row: row[column] not in values)
    return rows.select([index for index, cell in enumerate(rows[column]) if cell not in values])

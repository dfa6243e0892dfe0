"""What a recipe may say of its data: image-text pairs, parallel text, names of classes, what is left out of them."""

# ruff: noqa: RUF012 - pydantic copies defaults; ruff does not see that a Section is a pydantic model

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field

from altclip.languages import Language
from altclip.train.sections import Above0, Positive, Section, Share

GLOB = "*?["  # a path with one of these is a pattern


class LabelsFile(Section):
    """Names of classes by language: of a file of JSON lines (see `data.labels`), of a label set, or of the data.

    path, key: the file, and the entry of a line that names the class.
    own: a label set of `altclip.prompts` with the same keys; its names are added, or without `path` are all there are.
    Neither: the classes are called what the data call them (the sub-folders of an image folder), in the one language.
    """

    path: str | None = None
    key: str | None = None
    fields: list[str] = ["names", "synonyms"]
    own: str | None = None
    languages: Annotated[list[Language], Field(min_length=1)] = ["en"]
    template_share: Share = 0.5

    @classmethod
    def needs(cls, data: Mapping[str, Any]) -> list[str]:
        languages = data.get("languages")
        texts = ["a labels file needs both `path` and `key`"] * (bool(data.get("path")) != bool(data.get("key")))
        if not data.get("path") and not data.get("own") and isinstance(languages, list) and len(languages) > 1:
            texts.append("names that the data give are of one language: give `path` and `key`, or `own`, for several")
        return texts


class PairData(Section):
    """Images with texts: of a labels file through the column `label`, or in caption columns by language.

    path: a file, a glob or a folder that `data.reading` opens; hub: the id of a data set of the hub instead.
    streaming: read from front to end, through a shuffle buffer of that many rows; for sets too large for a disk.
    expected_rows: how many rows the estimate of cost counts with.
    """

    path: str | None = None
    hub: str | None = None
    split: str = "train"
    streaming: bool = False
    shuffle_buffer: Positive = 10000
    expected_rows: Positive | None = None
    image: str = "image"
    label: str | None = None
    labels: LabelsFile | None = None
    captions: dict[Language, str] = {}
    exclude: dict[str, list[str]] = {}
    weight: Above0 = 1.0

    @classmethod
    def needs(cls, data: Mapping[str, Any]) -> list[str]:
        labels, captions = data.get("labels") is not None, bool(data.get("captions"))
        wrong = labels == captions or labels != bool(data.get("label"))
        texts = ["give either `label` with `labels` (names of classes) or `captions` (columns by language)"] * wrong
        return texts + ["give either `path` or `hub`"] * (bool(data.get("path")) == bool(data.get("hub")))


class HeldOut(Section):
    """Texts that no training may see: columns of a data set, each cell one text or several."""

    path: str
    columns: Annotated[list[str], Field(min_length=1)]


class ParallelData(Section):
    """Parallel text: a file of English and `language`, or the names of a labels file in each of its languages.

    path: TSV without a header, English first; or, as `hub` too, a data set with the `columns` English and other. A glob
    without `language` stands for every file of it, whose names tell the language: en-zh.tsv, news.en-ar.parquet.
    held_out: pairs whose English text stands there are dropped (TSV files).
    """

    path: str | None = None
    hub: str | None = None
    columns: tuple[str, str] = ("english", "other")
    language: Language | None = None
    labels: LabelsFile | None = None
    held_out: HeldOut | None = None
    weight: Above0 = 1.0

    @classmethod
    def needs(cls, data: Mapping[str, Any]) -> list[str]:
        given = [name for name in ("path", "hub", "labels") if data.get(name)]
        told = bool(data.get("language")) or (given == ["path"] and any(mark in str(data["path"]) for mark in GLOB))
        if len(given) != 1 or (given == ["labels"]) == told:
            return ["give either `path` or `hub` with `language`, or `labels` (names of classes)"]
        return names_need_a_file(data.get("labels"))


def names_need_a_file(labels: Any) -> list[str]:
    """What is wrong where there are no images whose classes could give the names."""
    missing = isinstance(labels, Mapping) and not labels.get("path") and not labels.get("own")
    return ["names of classes come from a file (`path` and `key`) or a label set (`own`)"] * missing


class DataConfig(Section):
    """exclude_classes: a file with a class a line, whose images and names no training sees; in `--data`, or any."""

    exclude_classes: str | None = None

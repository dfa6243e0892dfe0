"""Sets of your own: a parquet, webdataset, json, jsonl, csv or tsv file, or a folder of images with metadata.

Captions: columns named by language (`en`, `caption_zh`), or one column `captions` (`caption`, `text`, `txt`) with a
text, a list of texts, or texts by language. Labels: a column `label` (`class`, `cls`) of names or numbers.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from altclip.data.labels import says_nothing
from altclip.data.pairs import image_bytes
from altclip.data.reading import class_names as class_names_of
from altclip.data.reading import open_rows
from altclip.errors import DataError
from altclip.evaluate.benchmarks.content import Caption, CaptionSet, LabelledSet, caption_set, labelled_set
from altclip.evaluate.benchmarks.files import IMAGE_SUFFIXES, digest_files
from altclip.evaluate.benchmarks.formats.names import class_names, name_files
from altclip.evaluate.benchmarks.request import Request
from altclip.evaluate.images import ImageSet

_IMAGES: Final = ("image", "jpg", "jpeg", "png", "webp", "image_path", "file_name", "filename", "path")
_IDS: Final = ("id", "image_id", "key", "__key__")
_CAPTIONS: Final = ("captions", "caption", "text", "txt")
_LABELS: Final = ("label", "class", "cls", "wnid")
_PREFIXES: Final = ("", "caption_", "captions_", "text_")
_LANGUAGE: Final = re.compile("[a-z]{2}|fil|quz")


def read_captions(request: Request) -> CaptionSet:
    """All languages that the columns name, or those asked for. Needs the extra `train`, which reads such files."""
    path = request.found["data"]
    rows = open_rows(path)
    columns = _caption_columns(path, rows.column_names, request.languages)
    images = _images(request, rows)
    captions: dict[str, list[Caption]] = {}
    for key, row in zip(images.keys, rows.select_columns(sorted(set(columns.values()))), strict=True):
        for language, text in _texts(path, key, row, columns):
            captions.setdefault(language, []).append(Caption(text, (key,), f"row of {key}"))
    wanted = request.languages or tuple(captions)
    listed = {language: captions.get(language, []) for language in wanted}
    return caption_set(images, listed, distractors=request.partial)


def read_labels(request: Request) -> LabelledSet:
    """Names are those in the column, in the one language asked for (English if none), or from a file beside it."""
    path = request.found["data"]
    rows = open_rows(path)
    column = _first(path, rows.column_names, _LABELS)
    names = class_names_of(rows, column)
    keys = [names[value] if names and isinstance(value, int) else str(value) for value in rows[column]]
    images = ImageSet(request.name, _image_of(path, rows), tuple(keys), _digest(path))
    folder = path if path.is_dir() else path.parent
    if name_files(folder) or len(request.languages) > 1 or any(map(says_nothing, set(keys))):
        found = class_names(folder, names or sorted(set(keys), key=_by_number), request.languages)
    else:
        found = {(request.languages or ("en",))[0]: {key: key for key in dict.fromkeys(keys)}}
    return labelled_set(images, found, partial=request.partial)


def _images(request: Request, rows: Any) -> ImageSet:
    path = request.found["data"]
    ids = [column for column in _IDS if column in rows.column_names]
    keys = [str(key) for key in rows[ids[0]]] if ids else [str(number) for number in range(len(rows))]
    return ImageSet(request.name, _image_of(path, rows), tuple(keys), _digest(path))


def _image_of(path: Path, rows: Any) -> Any:
    """Reads the image of a row: encoded in it, or a file whose path is told from the folder of the data."""
    column = _first(path, rows.column_names, _IMAGES)
    folder = path if path.is_dir() else path.parent

    def image(number: int) -> Any:
        source = image_bytes(rows[number][column])
        return folder / source if isinstance(source, str) else source

    return image


def _digest(path: Path) -> str:
    """Of the file; of a folder's images and what names them; of the images in the folder of a file that names them."""
    if path.suffix.lower() in (".parquet", ".tar"):
        return digest_files([path])
    folder = path if path.is_dir() else path.parent
    told = (file for file in folder.rglob("*") if file.suffix.lower() in IMAGE_SUFFIXES or file.stem == "metadata")
    images = sorted(file for file in told if file.is_file())
    return digest_files([*images, *([path] if path.is_file() else [])])


def _caption_columns(path: Path, columns: list[str], languages: tuple[str, ...]) -> dict[str, str]:
    """Column by language; by the empty string where one column may hold several."""
    by_language = {
        column.removeprefix(prefix): column
        for prefix in _PREFIXES
        for column in columns
        if column.startswith(prefix) and _LANGUAGE.fullmatch(column.removeprefix(prefix)) and column not in _IDS
    }
    if by_language:
        if lost := [language for language in languages if language not in by_language]:
            raise DataError(f"{path} has no captions in {', '.join(lost)}: it has {', '.join(by_language)}")
        return {code: by_language[code] for code in languages or by_language}
    return {languages[0] if len(languages) == 1 else "": _first(path, columns, _CAPTIONS)}


def _texts(path: Path, key: str, row: Mapping[str, Any], columns: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for language, column in columns.items():
        content = row[column]
        if isinstance(content, Mapping):
            for code, listed in content.items():
                yield from ((code, text) for text in _listed(listed))
        elif language:
            yield from ((language, text) for text in _listed(content))
        else:
            raise DataError(
                f"{path}, row of {key}: a caption without a language; ask for the one that it is in, such as en"
            )


def _listed(content: Any) -> list[str]:
    if content is None:
        return []
    return [content] if isinstance(content, str) else [str(text) for text in content]


def _first(path: Path, columns: list[str], wanted: tuple[str, ...]) -> str:
    found = next((column for column in wanted if column in columns), None)
    if found is None:
        raise DataError(f"{path} has the columns {', '.join(columns)}: expected one named {', '.join(wanted)}")
    return found


def _by_number(key: str) -> tuple[bool, int, str]:
    return (False, int(key), "") if key.isdecimal() else (True, 0, key)

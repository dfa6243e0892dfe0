"""The bundled model's own data as sets: photographs by class, the same found by name, drawings of one style by name.

A class or concept without a name in a language is not asked for in it. Where a language gives one name to two of them,
it is one text that describes the images of both.
"""

from __future__ import annotations

from altclip.data.labels import Labels, read_labels
from altclip.evaluate.benchmarks.content import Caption, CaptionSet, LabelledSet, caption_set, labelled_set
from altclip.evaluate.benchmarks.request import Request
from altclip.evaluate.images import ImageSet
from altclip.evaluate.mini.data import check_keys, digest, read_drawings, read_photographs


def photographs(request: Request) -> LabelledSet:
    """`photos/val.parquet`, by class."""
    images, labels = _photographs(request)
    names = {
        language: {key: labels.names[key][language][0] for key in labels.keys_in([language])}
        for language in request.languages
    }
    return labelled_set(images, names, partial=True)


def photographs_by_name(request: Request) -> CaptionSet:
    """The same with the names of the classes as texts, each of which describes every photograph of its class."""
    return _by_name(*_photographs(request), request.languages)


def drawings(request: Request, *, style: str) -> CaptionSet:
    """The drawings of a style in `emoji/images.parquet`, with the names of the concepts as texts."""
    path, labels = request.found["images"], read_labels(request.found["names"], "id", ("names",))
    images = read_drawings(path, digest(path), style)
    check_keys(images, labels)
    return _by_name(images, labels, request.languages)


def _photographs(request: Request) -> tuple[ImageSet, Labels]:
    path, labels = request.found["images"], read_labels(request.found["names"], "wnid", ("names",))
    images = read_photographs(path, digest(path))
    check_keys(images, labels)
    return images, labels


def _by_name(images: ImageSet, labels: Labels, languages: tuple[str, ...]) -> CaptionSet:
    """Ids are numbers: several images show one class."""
    of_class: dict[str, list[str]] = {}
    for number, key in enumerate(images.keys):
        of_class.setdefault(key, []).append(str(number))
    captions = {}
    for language in languages:
        described: dict[str, list[str]] = {}
        for key in labels.keys_in([language]):
            described.setdefault(labels.names[key][language][0], []).extend(of_class.get(key, ()))
        captions[language] = [Caption(name, tuple(ids), f"name {name}") for name, ids in described.items() if ids]
    numbered = ImageSet(images.name, images.at, tuple(map(str, range(len(images)))), images.digest)
    return caption_set(numbered, captions, distractors=True)

"""What a reader hands over: images with captions, or with classes; checked as a whole before anything is computed.

A figure never comes from less data than it says. An image without a caption, a caption without its image and an id that
stands twice are errors that name them; a caption without words is left out by name, in `notes`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from altclip.data.labels import Labels
from altclip.errors import DataError
from altclip.evaluate.images import ImageSet

_SHOWN: Final = 5


@dataclass(frozen=True)
class Caption:
    """A text, the ids of the images that it describes, and where it stands, for errors: `line 3 of captions.txt`."""

    text: str
    images: tuple[str, ...]
    place: str


@dataclass(frozen=True)
class Captions:
    """Texts (T,) of one language, and by number the images (T, P) that each describes, -1 where it has fewer than P."""

    texts: tuple[str, ...]
    owners: NDArray[np.int64]


@dataclass(frozen=True)
class CaptionSet:
    """A set for retrieval.

    images: its keys are the ids of the images.
    captions: by language.
    distractors: images without a caption stand for choice.
    folds: of how many equal parts the figures are the mean, in the order of the images (MSCOCO 1k: five).
    notes: what was left out, by name.
    """

    name: str
    images: ImageSet
    captions: Mapping[str, Captions]
    distractors: bool = False
    folds: int = 1
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class LabelledSet:
    """A set for classification: the keys of `images` are classes, `labels` has their names by language."""

    name: str
    images: ImageSet
    labels: Labels
    notes: tuple[str, ...] = ()

    @property
    def languages(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(language for names in self.labels.names.values() for language in names))


@dataclass(frozen=True)
class Translations:
    """Texts of one language (N,), and the English of each (N,)."""

    own: tuple[str, ...]
    english: tuple[str, ...]


@dataclass(frozen=True)
class ParallelSet:
    """A set for text to text, without images: translations by language; digest: of its files."""

    name: str
    texts: Mapping[str, Translations]
    digest: str
    notes: tuple[str, ...] = ()

    @property
    def images(self) -> ImageSet:
        """None."""
        return ImageSet(self.name, lambda number: number, (), self.digest)


def caption_set(
    images: ImageSet,
    captions: Mapping[str, Iterable[Caption]],
    *,
    distractors: bool = False,
    folds: int = 1,
    notes: Sequence[str] = (),
) -> CaptionSet:
    """Put together and check. Raises DataError naming what is missing, unknown or there twice."""
    if not len(images):
        raise DataError(f"{images.name} has no images: check that its files are whole")
    numbers = {key: number for number, key in enumerate(images.keys)}
    if twice := [key for key, count in Counter(images.keys).items() if count > 1]:
        raise DataError(f"{images.name}: images that stand twice: {shown(twice)}; every id must be of one image")
    made, notes = {}, list(notes)
    for language, listed in captions.items():
        kept, blank = _with_words(listed)
        if blank:
            notes.append(f"{language}: {len(blank)} captions without words left out: {shown(blank)}")
        made[language] = _captions(images.name, language, kept, numbers, distractors)
    if distractors:
        notes += _distractors(made, len(images))
    if folds > 1 and len(images) % folds:
        raise DataError(f"{images.name}: {len(images)} images cannot be divided into {folds} equal parts")
    return CaptionSet(images.name, images, made, distractors, folds, tuple(notes))


def labelled_set(
    images: ImageSet, names: Mapping[str, Mapping[str, str]], notes: Sequence[str] = (), *, partial: bool = False
) -> LabelledSet:
    """Put together and check; `names` are by language and class. Names of classes that no image shows are left out.

    partial: images of classes without a name in a language are not asked for in it, and `notes` says so.
    Raises DataError for no images, no names, or, unless `partial`, a class that has images and no name in a language.
    """
    if not len(images) or not names:
        raise DataError(f"{images.name} has {len(images)} images and names in {len(names)} languages: it needs both")
    counts = Counter(images.keys)
    for language, by_class in names.items():
        lost = {key: count for key, count in counts.items() if not by_class.get(key, "").strip()}
        told = f"{len(lost)} of {len(counts)} classes have no name in {language}"
        if lost and (not partial or len(lost) == len(counts)):
            named = shown([f"{key} ({count} images)" for key, count in lost.items()])
            raise DataError(f"{images.name}: {told}: {named}; add them, or leave the language out")
        if lost:
            notes = [*notes, f"{told}; their {sum(lost.values()):,} images are not asked for in it"]
    listed = list(dict.fromkeys(key for by_class in names.values() for key in by_class))
    if others := [key for key in listed if key not in counts]:
        notes = [*notes, f"{len(others)} names of classes that no image shows left out: {shown(others)}"]
    labels = {
        key: {language: (of[key].strip(),) for language, of in names.items() if of.get(key, "").strip()}
        for key in listed
        if key in counts
    }
    return LabelledSet(images.name, images, Labels(labels), tuple(notes))


def shown(names: Collection[object]) -> str:
    """The first few, and how many more there are."""
    first = ", ".join(str(name) for name in list(names)[:_SHOWN])
    return f"{first} and {len(names) - _SHOWN:,} more" if len(names) > _SHOWN else first


def _with_words(captions: Iterable[Caption]) -> tuple[list[Caption], list[str]]:
    kept, blank = [], []
    for caption in captions:
        if caption.text.strip():
            kept.append(caption)
        else:
            blank.append(caption.place)
    return kept, blank


def _captions(
    name: str, language: str, captions: Sequence[Caption], numbers: Mapping[str, int], distractors: bool
) -> Captions:
    if not captions:
        raise DataError(f"{name} has no captions in {language}: leave the language out")
    strange = [f"{key} ({c.place})" for c in captions for key in c.images or ("no image",) if key not in numbers]
    if strange:
        raise DataError(f"{name}, {language}: captions of images that the set does not have: {shown(strange)}")
    described = {key for caption in captions for key in caption.images}
    if not distractors and (lost := [key for key in numbers if key not in described]):
        raise DataError(
            f"{name}, {language}: {len(lost)} of {len(numbers)} images have no caption: {shown(lost)}; "
            "get the file anew, or leave the language out"
        )
    owners = np.full((len(captions), max(len(caption.images) for caption in captions)), -1, np.int64)
    for row, caption in enumerate(captions):
        owners[row, : len(caption.images)] = [numbers[key] for key in caption.images]
    return Captions(tuple(caption.text.strip() for caption in captions), owners)


def _distractors(made: Mapping[str, Captions], images: int) -> list[str]:
    """How many images stand for choice only; without a note nobody would know that image to text asks for fewer."""
    counts = {language: images - len(np.unique(of.owners[of.owners >= 0])) for language, of in made.items()}
    return [
        f"{language}: {count:,} of {images:,} images have no caption; they stand for choice and are not asked for"
        for language, count in counts.items()
        if count
    ]

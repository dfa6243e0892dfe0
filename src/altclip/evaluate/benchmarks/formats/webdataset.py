"""CLIP_benchmark's webdataset form, as its converter writes it and its collection on the hub has it.

    dataset_type.txt    `retrieval`, or `classification` (or no such file)
    classnames.txt      a name a line, in the order of the classes
    test/nshards.txt    how many archives there are
    test/0.tar, 1.tar   s0000000.webp with s0000000.cls, a number, or s0000000.txt, a caption a line

Images stay in the archives and are read when they are wanted.
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from altclip.errors import DataError
from altclip.evaluate.benchmarks.content import Caption, CaptionSet, LabelledSet, caption_set, labelled_set
from altclip.evaluate.benchmarks.files import IMAGE_SUFFIXES, digest_files, read_text
from altclip.evaluate.benchmarks.formats.names import class_names
from altclip.evaluate.benchmarks.request import Request
from altclip.evaluate.images import ImageSet


@dataclass(frozen=True)
class _Member:
    """A file in an archive: where it begins, and how long it is."""

    archive: Path
    start: int
    length: int

    def read(self) -> bytes:
        with self.archive.open("rb") as file:
            file.seek(self.start)
            return file.read(self.length)


def read(request: Request) -> CaptionSet | LabelledSet:
    """Retrieval in the one language asked for, or classification in those that names are there for."""
    shards = _shards(request.found["shards"].parent)
    kind = request.root / "dataset_type.txt"
    name = read_text(kind).strip().lower() if kind.is_file() else "classification"
    if name not in ("retrieval", "classification"):
        raise DataError(f"{kind} says {name!r}: expected retrieval or classification")
    samples = dict(_samples(shards))
    text = ".txt" if name == "retrieval" else ".cls"
    pictures = [_picture(key, members, text) for key, members in samples.items()]
    texts = {key: _text(key, members[text]) for key, members in samples.items()}
    digest = digest_files(shards)
    if name == "retrieval":
        return _captions(request, pictures, texts, digest)
    images = _images(request.name, pictures, (lines.strip() for lines in texts.values()), digest)
    classes = [str(number) for number in range(1 + max(map(_number, images.keys), default=-1))]
    return labelled_set(images, class_names(request.root, _all_named(request.root, classes), request.languages))


def _captions(request: Request, pictures: list[_Member], texts: Mapping[str, str], digest: str) -> CaptionSet:
    if len(request.languages) != 1:
        raise DataError(f"{request.name} does not say the language of its captions: ask for one, such as en")
    captions = [
        Caption(line, (key,), f"caption {number} of {key}")
        for key, lines in texts.items()
        for number, line in enumerate(lines.rstrip("\n").split("\n"), 1)
    ]
    return caption_set(_images(request.name, pictures, texts, digest), {request.languages[0]: captions})


def _images(name: str, pictures: list[_Member], keys: Iterable[str], digest: str) -> ImageSet:
    return ImageSet(name, lambda number: pictures[number].read(), tuple(keys), digest)


def _shards(folder: Path) -> list[Path]:
    text = read_text(folder / "nshards.txt").strip()
    if not text.isdecimal():
        raise DataError(f"{folder / 'nshards.txt'} says {text[:40]!r}: expected the number of archives")
    shards = [folder / f"{number}.tar" for number in range(int(text))]
    if lost := [path.name for path in shards if not path.is_file()]:
        raise DataError(f"{folder} lacks {', '.join(lost)} of {len(shards)} archives: get them too")
    return shards


def _samples(shards: Iterable[Path]) -> Iterator[tuple[str, dict[str, _Member]]]:
    """Key and members, by suffix, of each sample; the files of one stand together."""
    seen: dict[str, dict[str, _Member]] = {}
    for path in shards:
        try:
            with tarfile.open(path) as archive:
                for member in archive:
                    if member.isfile():
                        key, _, suffix = member.name.partition(".")
                        if f".{suffix.lower()}" in (sample := seen.setdefault(key, {})):
                            raise DataError(f"{path}: {member.name} stands twice")
                        sample[f".{suffix.lower()}"] = _Member(path, member.offset_data, member.size)
        except tarfile.TarError as error:
            raise DataError(f"{path} cannot be read ({error}): it is damaged or cut short; get it anew") from error
    yield from seen.items()


def _picture(key: str, members: Mapping[str, _Member], text: str) -> _Member:
    found = [member for suffix, member in members.items() if suffix in IMAGE_SUFFIXES]
    if len(found) != 1 or text not in members:
        raise DataError(f"sample {key} has {', '.join(members)}: expected one image and a {text}")
    return found[0]


def _text(key: str, member: _Member) -> str:
    try:
        return member.read().decode("utf-8")
    except UnicodeDecodeError as error:
        raise DataError(f"{member.archive}, sample {key}: not UTF-8; get the file anew") from error


def _number(key: str) -> int:
    if not key.isdecimal():
        raise DataError(f"a class is {key!r}: expected a number")
    return int(key)


def _all_named(root: Path, classes: list[str]) -> list[str]:
    """Classes by number; as many as names, where a set shows fewer classes than it has names for."""
    path = root / "classnames.txt"
    count = sum(1 for line in read_text(path).splitlines() if line.strip()) if path.is_file() else 0
    return [str(number) for number in range(max(count, len(classes)))]

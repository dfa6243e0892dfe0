"""Opens a set: finds its files, reads them, and checks that all of it is there.

A set is a row of data (`captioned`, `labelled`): what it wants, where that is to be had, how much must be in it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from altclip.errors import DataError, UsageError
from altclip.evaluate.benchmarks.content import CaptionSet, LabelledSet, ParallelSet
from altclip.evaluate.benchmarks.request import Request

Content = CaptionSet | LabelledSet | ParallelSet


@dataclass(frozen=True)
class Wanted:
    """A file or folder that a set needs.

    paths: below the set's folder; the first that is there is taken.
    source: where it is to be had.
    language: needed for this language only; for all if empty.
    """

    key: str
    paths: tuple[str, ...]
    source: str
    language: str = ""

    def found(self, root: Path) -> Path | None:
        return next((root / path for path in self.paths if (root / path).exists()), None)


@dataclass(frozen=True)
class Form:
    """One form in which a set is handed out, and its reader."""

    wanted: tuple[Wanted, ...]
    read: Callable[[Request], Content]

    def for_languages(self, languages: Sequence[str]) -> list[Wanted]:
        return [wanted for wanted in self.wanted if not wanted.language or wanted.language in languages]


@dataclass(frozen=True)
class Benchmark:
    """A set, and what must be in it; None where its authors give no number that could be checked.

    languages: those that it has, none for those that its files turn out to have.
    captions: of each language, or by language.
    split: what the numbers are of.
    """

    name: str
    title: str
    forms: tuple[Form, ...]
    languages: tuple[str, ...] = ()
    images: int | None = None
    captions: int | Mapping[str, int] | None = None
    classes: int | None = None
    split: str = "test"


def open_benchmark(row: Benchmark, root: str | Path, languages: Sequence[str] = (), partial: bool = False) -> Content:
    """Read the set in the folder `root`, in these languages or all that it has.

    partial: images without a caption in one of them stand for choice, and images of classes without a name in one of
    them are not asked for in it; `notes` says so.

    Raises UsageError for a language that it has not, DataError naming what is missing, damaged or of another number.
    """
    if unknown := [language for language in languages if row.languages and language not in row.languages]:
        raise UsageError(f"{row.name} has no {', '.join(unknown)}: it has {', '.join(row.languages)}")
    asked, root = tuple(languages) or row.languages, Path(root)
    form = _form(row, root, asked)
    found = {wanted.key: path for wanted in form.for_languages(asked) if (path := wanted.found(root))}
    content = form.read(Request(row.name, root, found, asked, partial))
    _check_counts(row, content)
    return content


def _form(row: Benchmark, root: Path, languages: Sequence[str]) -> Form:
    """The first form of which everything is there."""
    for form in row.forms:
        if all(wanted.found(root) for wanted in form.for_languages(languages)):
            return form
    tried = " Or: ".join(_missing(form, root, languages) for form in row.forms)
    others = {wanted.language for form in row.forms for wanted in form.wanted if wanted.language}
    advice = "; ask for the languages that are there, or get the rest" if len(others) > 1 else ""
    raise DataError(f"{row.title} is not complete in {root}. {tried}{advice}")


def _missing(form: Form, root: Path, languages: Sequence[str]) -> str:
    lost = [wanted for wanted in form.for_languages(languages) if wanted.found(root) is None]
    there = [wanted.paths[0] for wanted in form.for_languages(languages) if wanted.found(root) is not None]
    named = "; ".join(f"{' or '.join(wanted.paths)} (from {wanted.source})" for wanted in lost)
    return f"Missing: {named}" + (f"; there: {', '.join(there)}." if there else ".")


def _check_counts(row: Benchmark, content: Content) -> None:
    """Raises DataError for another number of images, captions or classes than the set has."""
    counted: list[tuple[str, int, int | None]] = [("images", len(content.images), row.images)]
    if isinstance(content, CaptionSet):
        for language, captions in content.captions.items():
            expected = row.captions.get(language) if isinstance(row.captions, Mapping) else row.captions
            counted.append((f"captions in {language}", len(captions.texts), expected))
    elif isinstance(content, LabelledSet):
        counted.append(("classes", len(content.labels.names), row.classes))
    wrong = [
        f"{count:,} {of}, expected {expected:,}" for of, count, expected in counted if expected not in (None, count)
    ]
    if wrong:
        left_out = "".join(f"; {note}" for note in content.notes)
        raise DataError(
            f"{row.title}, {row.split}: {'; '.join(wrong)}{left_out}. Get its files anew; a part of it is a "
            "set of your own, `captions` or `labels`"
        )

"""Contact sheets as the template reads them: hits and misses with the pictures to show, and of how many."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from altclip.evaluate.page.pictures import Gallery
from altclip.evaluate.suites.findings import Findings
from altclip.evaluate.suites.outcomes import Kind
from altclip.evaluate.suites.report import SetReport
from altclip.evaluate.suites.sights import Item, Query, Sheet

SEARCHES: Final[dict[Kind, str]] = {
    "T2I": "Texts that look for their image",
    "I2T": "Images that look for their text",
    "templates": "Images that look for their class",
}


@dataclass(frozen=True)
class Shown:
    """A text, or the style class and the key of an image; right: whether it is what was looked for."""

    text: str | None
    picture: str | None
    about: str
    cosine: float | None = None
    right: bool = True


@dataclass(frozen=True)
class ShownQuery:
    """place: of the best right item, counted from 1; right: that item, for a miss."""

    asked: Shown
    found: tuple[Shown, ...]
    place: int
    right: Shown | None


@dataclass(frozen=True)
class Part:
    """Hits, or misses, of a sheet; count: of all there are, if that is known."""

    title: str
    queries: tuple[ShownQuery, ...]
    count: int | None


@dataclass(frozen=True)
class ShownSheet:
    """of_texts: texts look for images, else images for texts."""

    title: str
    of_texts: bool
    parts: tuple[Part, Part]


def shown_sheet(report: SetReport, sheet: Sheet, findings: Findings, gallery: Gallery) -> ShownSheet:
    """A sheet of the findings, its images put into the gallery. Raises ImageError if one cannot be opened any more."""
    kind = sheet.kind
    of_classes = kind == "I2T" and not any(of.kind == "I2T" for of in findings.outcomes)
    hits, misses = _counts(findings, sheet.language, ("templates", "names") if of_classes else (kind,))
    return ShownSheet(
        SEARCHES["templates" if of_classes else kind],
        kind == "T2I",
        (
            Part("Hits: the right one comes first", _queries(report, sheet.hits, gallery), hits),
            Part("Misses: another comes first", _queries(report, sheet.misses, gallery), misses),
        ),
    )


def _counts(findings: Findings, language: str, kinds: Sequence[Kind]) -> tuple[int | None, int | None]:
    """How many queries hit and missed, of the first of these kinds that the language has."""
    for kind in kinds:
        for outcome in findings.outcomes:
            if (outcome.language, outcome.kind) == (language, kind):
                hits = int((outcome.ranks == 0).sum())
                return hits, len(outcome.ranks) - hits
    return None, None


def _queries(report: SetReport, queries: Iterable[Query], gallery: Gallery) -> tuple[ShownQuery, ...]:
    def shown(item: Item, cosine: float | None = None, right: bool = True) -> Shown:
        if item.image is None:
            return Shown(item.text or "", None, "", cosine, right)
        picture = gallery.add(report.title, report.images, item.image)
        return Shown(None, picture, report.images.keys[item.image], cosine, right)

    return tuple(
        ShownQuery(
            shown(query.asked),
            tuple(shown(found.item, found.cosine, found.right) for found in query.found),
            query.rank + 1,
            shown(query.right) if query.rank else None,
        )
        for query in queries
    )

"""`altclip search`: the photographs of an index that a text, a picture, or several of both fit best."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from altclip.cli.opening import open_encoder
from altclip.cli.output import escape, print_json, progress_console, results
from altclip.errors import UsageError

if TYPE_CHECKING:
    from altclip.search import Hit, Index, Page, Part, Where

EXAMPLE: Final = 'altclip search "一只猫" --where from=2023 --top 5'
# How much a text to be avoided counts beside what is looked for: as much as that, and what both share would be gone.
_AGAINST: Final = -0.5
_DATE: Final = re.compile(r"(\d{4})(?:-(\d\d?)(?:-(\d\d?))?)?")


def command(
    text: Annotated[
        list[str] | None, typer.Argument(metavar="TEXT", help="What to look for, in any language of the model.")
    ] = None,
    image: Annotated[
        list[Path] | None, typer.Option(metavar="FILE", help="Look for what is like this picture. Repeatable.")
    ] = None,
    without: Annotated[list[str] | None, typer.Option(metavar="TEXT", help="What not to look for. Repeatable.")] = None,
    words: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Look in captions, keywords and file names, too.")
    ] = None,
    where: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=VALUE", help="folder=, from=, to=, name=, or your own key. Repeatable."),
    ] = None,
    top: Annotated[int, typer.Option(min=1, help="How many to show.")] = 10,
    skip: Annotated[int, typer.Option(min=0, help="How many of the first to leave out.")] = 0,
    group: Annotated[bool, typer.Option("--group", help="Count shots of the same scene as one.")] = False,
    index: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where the index is; else ALTCLIP_INDEX, else your data folder.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Find photographs by what is on them: in an index that `altclip index` made, best first.

    Texts and pictures add up. Dates are the camera's own: --where from=2023-05 --where to=2024 takes both ends in.
    With --where or --words alone, those that fit are listed.
    """
    asked = " ".join(text or ()).strip()
    if not (asked or image or words or where):
        raise UsageError("expected what to look for: a text, --image FILE, --words TEXT or --where KEY=VALUE")
    if without and not (asked or image):
        raise UsageError("--without takes away from a search: expected a text or --image FILE, too")
    condition = parse_where(where or ())
    from altclip.search import Index, Query, default_folder

    opened = Index.open((index or default_folder()).expanduser())
    parts = _parts(opened, asked, image or (), without or ())
    page = opened.search(Query(parts, condition, words, limit=top, offset=skip, group=group))
    if as_json:
        print_json({"index": str(opened.folder), "total": page.total, "hits": [_to_dict(hit) for hit in page.hits]})
    else:
        _show(page, skip)


def parse_where(given: Sequence[str]) -> Where | None:
    """The conditions of `--where`. Raises UsageError for one that is not understood."""
    from altclip.search import Where

    named: dict[str, Any] = {}
    extra: dict[str, Any] = {}
    for condition in given:
        key, separator, value = condition.partition("=")
        if not (key and separator and value):
            raise UsageError(f"--where {condition}: expected KEY=VALUE, such as from=2023 or folder=~/Pictures/Rome")
        if key == "folder":
            named["folder"] = str(Path(value).expanduser().resolve())
        elif key in ("from", "to"):
            named[f"taken_{key}"] = _moment(condition, value, end=key == "to")
        elif key == "name":
            named["name_contains"] = value
        else:
            extra[key] = _value(value)
    return Where(**named, extra=extra) if given else None


def _moment(condition: str, value: str, *, end: bool) -> datetime:
    """The beginning of a year, month, day or moment; with `end`, that of the one that follows."""
    parts = _DATE.fullmatch(value)
    try:
        if parts is None:
            return datetime.fromisoformat(value).replace(tzinfo=None) + (_length(value) if end else timedelta())
        year, month, day = map(int, parts.groups("0"))
        begin = datetime(year, month or 1, day or 1)
        if not end:
            return begin
        if day:
            return begin + timedelta(days=1)
        return datetime(year + (month in (0, 12)), month % 12 + 1 if month else 1, 1)
    except (ValueError, OverflowError) as error:
        raise UsageError(f"--where {condition}: expected a date such as 2023, 2023-05 or 2023-05-21") from error


def _length(moment: str) -> timedelta:
    """How long that lasts which is written so: a day, an hour, a minute, a second."""
    if len(moment) <= len("2023-05-21"):
        return timedelta(days=1)
    return {0: timedelta(hours=1), 1: timedelta(minutes=1)}.get(moment.count(":"), timedelta(seconds=1))


def _value(value: str) -> Any:
    """A number or true or false as such, all else as a string."""
    try:
        parsed = json.loads(value)
    except ValueError:
        return value
    return value if isinstance(parsed, dict | list) or parsed is None else parsed


def _parts(index: Index, text: str, images: Sequence[Path], without: Sequence[str]) -> tuple[Part, ...]:
    """What is looked for as embeddings; the model is opened only if there is something to embed."""
    from altclip.search import Part

    texts = [text] * bool(text) + list(without)
    if not texts and not images:
        return ()
    encoder = open_encoder(index.about.model)
    index.check_model(encoder.digest)
    weights = [1.0] * bool(text) + [_AGAINST] * len(without)
    found = list(zip(encoder.encode_texts(texts), weights, strict=True)) if texts else []
    found += [(row, 1.0) for row in encoder.encode_images(list(images))] if images else []
    return tuple(Part(row, weight) for row, weight in found)


def _to_dict(hit: Hit) -> dict[str, Any]:
    row = hit.row
    return {
        "id": hit.id, "score": round(hit.score, 6), "path": row.path, "name": row.name, "folder": row.folder,
        "width": row.width, "height": row.height, "taken": row.taken.isoformat() if row.taken else None,
        "latitude": row.latitude, "longitude": row.longitude, "text": row.text, "extra": dict(row.extra),
        "same": list(hit.same),
    }  # fmt: skip


def _show(page: Page, skipped: int) -> None:
    from rich.table import Table

    if not page.hits:
        results().print("nothing was found" if not skipped else "there is nothing more")
        return
    table = Table("", "photograph", "taken", "score")
    table.columns[0].justify = table.columns[3].justify = "right"
    table.columns[1].overflow = "fold"
    for place, hit in enumerate(page.hits, skipped + 1):
        row = hit.row
        name = row.path or row.name
        more = f" (and {len(hit.same)} like it)" if hit.same else ""
        lost = " (not there now)" if row.path and not Path(row.path).exists() else ""
        taken = f"{row.taken:%Y-%m-%d}" if row.taken else ""
        table.add_row(str(place), escape(name + more + lost), taken, f"{hit.score:.3f}")
    results().print(table)
    if page.total is not None and page.total > skipped + len(page.hits):
        progress_console().print(f"{len(page.hits)} of {page.total}; the next: --skip {skipped + len(page.hits)}")

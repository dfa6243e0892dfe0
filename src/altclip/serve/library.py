"""The photographs of an index as the server shows them: searched, listed, and drawn for who may see what.

Photographs are named by ids alone. A key that only reads gets no places, no paths, and pictures without metadata.
"""

from __future__ import annotations

import asyncio
import hashlib
import io
import re
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from PIL import Image, ImageOps, UnidentifiedImageError

from altclip.errors import AltclipError, ImageError, SearchError, UsageError
from altclip.processing import open_image
from altclip.serve import forms
from altclip.serve.contents import Content, contents, image
from altclip.serve.keys import Caller
from altclip.serve.model import Model
from altclip.serve.observing import LOGGER
from altclip.serve.refusals import Refusal

if TYPE_CHECKING:
    from altclip.search import Hit, Index, Part, Query, Row, Where

Result = TypeVar("Result")
SHOWN_SIDE: Final = 2048  # pixels of the longer side, where nothing else is asked for
_THREADS: Final = 4
# Keys of a user's own metadata that tell a place, whole or as a part between separators (`_tells_place`).
_PLACE: Final = re.compile(
    r"(^|[^a-z])(gps\w*|lat|lon|lng|long|lat(lon|lng|long)|(lon|lng)lat|latitude|longitude|geo\w*|coord\w*|location|"
    r"position|altitude)([^a-z]|$)",
    re.IGNORECASE,
)
_WITHIN: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")  # between the words of photoLatitude
# What a browser shows as an image and cannot run; everything else is drawn anew. MPO are JPEGs of phones, which have
# more pictures after the first.
_TYPES: Final = {
    "JPEG": "image/jpeg",
    "MPO": "image/jpeg",
    "PNG": "image/png",
    "WEBP": "image/webp",
    "GIF": "image/gif",
}


@dataclass(frozen=True)
class Picture:
    """Bytes of an image, and their type. tag: changes when they do."""

    data: bytes
    kind: str
    tag: str


class Library:
    """An index and its photographs."""

    def __init__(self, index: Index, model: Model) -> None:
        index.check_model(model.encoder.digest)
        self._index, self._model, self._settings = index, model, model.settings
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="altclip-index")

    async def card(self, caller: Caller) -> forms.IndexCard:
        """What is indexed."""
        status = await self._aside(self._index.status)
        folders = [
            forms.Folder(id=_folder_id(path), name=Path(path).name, path=path if caller.sees_places else None)
            for path in status.folders
        ]
        return forms.IndexCard(rows=status.rows, model=Path(status.model).name, folders=folders)

    async def search(self, form: forms.SearchForm, caller: Caller) -> forms.FoundPage:
        """The photographs that fit best."""
        from altclip.search import Query

        where = await self._where(form.where, caller) if form.where else None
        parts = await self._parts(form.parts)
        query = Query(parts, where, form.words or None, limit=form.limit, offset=form.offset, group=form.group)
        page = await self._aside(self._found, query)
        return forms.FoundPage(hits=[_shown(hit, caller) for hit in page.hits], total=page.total, exact=page.exact)

    def _found(self, query: Query) -> Any:
        self._check_model()
        try:
            return self._index.search(query)
        except UsageError as error:
            raise Refusal(400, str(error), code="invalid_query") from None

    async def thumbnail(self, id: str) -> Picture:  # noqa: A002 (the word for it)
        """The small picture that the index keeps."""
        data = await self._aside(self._index.thumbnail, id)
        if not data:
            raise _unknown()
        kind = "image/webp" if data[:4] == b"RIFF" else "image/jpeg"
        return Picture(data, kind, hashlib.sha256(data).hexdigest()[:16])

    async def picture(self, id: str, side: int | None, caller: Caller) -> Picture:  # noqa: A002
        """The photograph: drawn with its longer side at most so long and without metadata, or the file as it is.

        The file is for keys that may write, where no `side` is asked for and a browser shows its format.
        """
        row = await self._aside(self._index.row, id)
        if row is None or not row.path:
            raise _unknown()
        whole = side is None and caller.sees_places
        return await self._aside(self._drawn, row, None if whole else side or SHOWN_SIDE)

    def _drawn(self, row: Row, side: int | None) -> Picture:
        path = Path(row.path)
        roots = [row.folder] if row.folder else self._index.folders  # rows that were imported have no folder
        try:
            # a link that was put in the place of a photograph since it was indexed leads who knows where
            within = any(path.resolve(strict=True).is_relative_to(Path(root).resolve()) for root in roots)
            if not within or not path.is_file():
                raise _gone()
            stat = path.stat()
            tag = hashlib.sha256(f"{row.id} {stat.st_size} {stat.st_mtime_ns} {side}".encode()).hexdigest()[:16]
            if side is None and (kind := _browser_kind(path)):
                return Picture(path.read_bytes(), kind, tag)
            # `max_pixels` is for what clients send; the index has its own limit, and what is in it is shown
            most = max(self._settings.max_pixels, row.width * row.height)
            drawn = open_image(path, max_pixels=most, side=side or SHOWN_SIDE)
        except (ImageError, OSError, RuntimeError):  # `resolve` gives the last for links in a circle
            raise _gone() from None
        return Picture(_jpeg(drawn, side or SHOWN_SIDE), "image/jpeg", tag)

    async def _where(self, form: forms.WhereForm, caller: Caller) -> Where:
        from altclip.search import Where

        if not caller.sees_places and any(map(_tells_place, form.extra)):
            raise Refusal(403, "places are for keys that may write", code="forbidden", param="where.extra")
        roots = {_folder_id(path): path for path in (await self._aside(lambda: self._index.folders))}
        if form.folder is not None and form.folder not in roots:
            raise Refusal(404, "there is no such folder; GET /index lists them", code="not_found", param="where.folder")
        return Where(
            folder=roots[form.folder] if form.folder else None,
            taken_from=_local(form.taken_from), taken_to=_local(form.taken_to),
            name_contains=form.name_contains, extra=form.extra,
        )  # fmt: skip

    async def _parts(self, parts: list[forms.PartForm]) -> tuple[Part, ...]:
        """Each part as an embedding; those of ids are in the index."""
        from altclip.search import Part

        given: list[Content] = []
        names: list[str] = []  # of what is given, for what is to be said of it
        for place, part in enumerate(parts):
            if [part.text, part.image, part.id].count(None) != 2:
                message = f"parts[{place}]: expected exactly one of text, image and id"
                raise Refusal(400, message, code="invalid_query", param=f"parts[{place}]")
            if part.text is not None:
                given += contents([part.text], self._settings, f"parts[{place}].text")
            elif part.image is not None:
                given.append(image(part.image, self._settings, f"parts[{place}].image"))
            names += [f"parts[{place}]"] * (part.id is None)
        rows = iter((await self._model.embed(given, names)).rows)
        ids = [part.id for part in parts if part.id is not None]
        known = iter(await self._aside(self._vectors, ids))
        return tuple(Part(next(known if part.id is not None else rows), part.weight) for part in parts)

    def _check_model(self) -> None:
        """The index may have been made anew while the server runs. Raises Refusal where that was by another model."""
        try:
            self._index.check_model(self._model.encoder.digest)
        except SearchError as error:
            LOGGER.error("%s", error)
            message = "the index is of another model now: the server has to be started again"
            raise Refusal(503, message, code="index_unavailable", retry_after=60) from None

    def _vectors(self, ids: list[str]) -> Any:
        self._check_model()
        if any(self._index.row(name) is None for name in ids):
            raise _unknown()
        return self._index.vectors(ids)

    async def _aside(self, work: Callable[..., Result], *arguments: Any) -> Result:
        """In a thread, a few at once, in time."""
        try:
            async with asyncio.timeout(self._settings.timeout):
                return await asyncio.get_running_loop().run_in_executor(self._threads, work, *arguments)
        except TimeoutError:
            raise Refusal(504, "the index did not answer in time", code="timeout") from None
        except SearchError:
            raise Refusal(503, "the index cannot be read now", code="index_unavailable", retry_after=5) from None
        except AltclipError:
            raise Refusal(500, "the index failed at this", code="index_failed") from None


def _shown(hit: Hit, caller: Caller) -> forms.Found:
    row = hit.row
    places: dict[str, Any] = {}
    if caller.sees_places:
        places = {"path": row.path, "latitude": row.latitude, "longitude": row.longitude}
    return forms.Found(
        id=hit.id, score=hit.score, name=row.name, width=row.width, height=row.height,
        taken=row.taken.isoformat() if row.taken else None, text=row.text,
        extra=dict(row.extra) if caller.sees_places else placeless(row.extra), same=list(hit.same), **places,
    )  # fmt: skip


def placeless(extra: Any) -> Any:
    """Metadata without the keys that tell a place, however deep they lie."""
    if isinstance(extra, Mapping):
        return {key: placeless(value) for key, value in extra.items() if not _tells_place(key)}
    return [placeless(value) for value in extra] if isinstance(extra, list | tuple) else extra


def _tells_place(key: str) -> bool:
    return bool(_PLACE.search(key) or _PLACE.search(_WITHIN.sub("_", key)))


def _folder_id(path: str) -> str:
    return hashlib.sha256(path.encode("utf-8", "surrogatepass")).hexdigest()[:12]


def _local(moment: datetime | None) -> datetime | None:
    """Cameras tell the time without a zone."""
    return moment.replace(tzinfo=None) if moment else None


def _browser_kind(path: Path) -> str | None:
    """The type of a file that a browser may be given as it is, by its content; None for others, HEIC among them."""
    try:
        with Image.open(path) as opened:
            return _TYPES.get(opened.format or "")
    except (UnidentifiedImageError, Image.DecompressionBombError):
        return None


def _jpeg(drawn: Image.Image, side: int) -> bytes:
    if max(drawn.size) > side:
        drawn = ImageOps.contain(drawn, (side, side), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    drawn.save(buffer, "JPEG", quality=88, exif=b"", icc_profile=None, comment=b"")
    return buffer.getvalue()


def _unknown() -> Refusal:
    return Refusal(404, "there is no such photograph", code="not_found", param="id")


def _gone() -> Refusal:
    return Refusal(404, "the photograph's file is gone or cannot be read", code="gone", param="id")

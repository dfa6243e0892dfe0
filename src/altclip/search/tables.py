"""Pictures of a data set, with ids and metadata of its own: parquet, webdataset (.tar), and what else `data` reads.

Columns are told by their names, as data sets on the hub have them: see `_IMAGE`, `_ID` and `_TEXT`. Everything else
that JSON can hold is the user's metadata.
"""

from __future__ import annotations

import functools
import hashlib
import io
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from PIL import Image

from altclip.data.pairs import image_bytes
from altclip.errors import DataError, ImageError, InputError, SearchError, UsageError
from altclip.processing import open_image
from altclip.search.index import Index
from altclip.search.indexing import OpenEncoder, Outcome, Settings, Tell, exists
from altclip.search.lots import Lots
from altclip.search.photographs import THUMBNAIL_SIDE, make_thumbnail, read_header, upright
from altclip.search.ready import EXPORTED
from altclip.search.records import records
from altclip.search.rows import Row, make_id, plain
from altclip.search.scanning import Problem

if TYPE_CHECKING:
    from altclip.encoder import Encoder

_IMAGE: Final = ("image", "img", "jpg", "jpeg", "png", "webp", "image_path", "file_name")
_ID: Final = ("id", "key", "__key__", "image_id")
_TEXT: Final = ("caption", "captions", "text", "txt", "title", "keywords", "description")
VECTOR: Final = ("vector", "embedding", "embeddings")
_OWN: Final = ("__url__",)  # columns that a reader adds


@dataclass(frozen=True)
class Entry:
    """One row of a table. own: its id there; image: what `open_image` takes; text: captions in lines."""

    own: str
    image: Any
    text: str
    extra: Mapping[str, Any]


def entries(path: str | Path) -> Iterator[Entry]:
    """The rows of a table, read as they are wanted.

    Raises:
        DataError: it cannot be read, has no column of images, a row has no id, or an id is there twice.
    """
    rows = records(path)
    first = next(rows, None)
    if first is None:
        return
    names = list(first)
    image = _first(path, names, _IMAGE, "images")
    own = _first(path, names, _ID, "ids")
    seen: set[str] = set()
    for number, cells in enumerate(chain([first], rows)):
        if cells.get(own) is None or str(cells[own]) in seen:
            what = "no id" if cells.get(own) is None else f"the id {cells[own]!r} of a row before it"
            raise DataError(f"{path}, row {number} has {what}: expected one of its own in the column {own}")
        seen.add(str(cells[own]))
        texts = [name for name in cells if name in _TEXT]  # rows of an archive have not all the same
        left = {name: value for name, value in cells.items() if name not in (image, own, *texts, *_OWN)}
        lines = [line for name in texts for line in _lines(cells.get(name))]
        cell = image_bytes(cells.get(image))
        picture = Path(path).parent / cell if isinstance(cell, str) else cell
        yield Entry(str(cells[own]), picture, "\n".join(lines), _plain(left))


def _first(path: str | Path, names: Sequence[str], wanted: Sequence[str], what: str) -> str:
    found = next((name for name in wanted if name in names), None)
    if found is None:
        raise DataError(
            f"{path} has no column of {what}: expected one named {', '.join(wanted)}; it has {', '.join(names)}"
        )
    return found


def _lines(value: Any) -> list[str]:
    """Captions of a cell: a string, a list of strings, bytes as some archives have them."""
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    if isinstance(value, str):
        return [value.strip()]
    each = value if isinstance(value, Iterable) else [value]
    return [str(one) for one in each if one is not None and one == one]  # NaN, which is no caption, is not itself


def _plain(cells: Mapping[str, Any]) -> dict[str, Any]:
    """What JSON can hold; a column `json` of a webdataset is its rows' metadata itself."""
    inner = cells.get("json")
    flat = {**cells, **inner} if isinstance(inner, dict) else cells
    return plain({name: value for name, value in flat.items() if name != "json" or value is not inner})


def update_from_table(
    index: str | Path,
    table: str | Path,
    open_encoder: OpenEncoder,
    *,
    model: str | None = None,
    settings: Settings | None = None,
    tell: Tell = lambda *_: None,
    outcome: Outcome | None = None,
) -> Outcome:
    """Put the rows of a table into an index, which is made if it is not there; rows that are there as they are, stay.

    An id of the table names its row for good: another picture or other metadata under it replace what was there.
    Nothing is deleted. Stopped at any moment, the next run continues. outcome: to look at meanwhile.

    Raises:
        DataError: the table cannot be used.
        SearchError: the index cannot be written, is in use by another writer, or is of another model.
    """
    told = outcome or Outcome()
    if next(entries(table), None) is None:  # mistakes show before a model is loaded
        return told
    opened, encoder = _opened(Path(index).absolute(), open_encoder, model)
    with opened.writing() as writer:
        there = {row.id: row.digest for row in opened.known() if not row.path}
        read = functools.partial(_read, settings=settings or Settings(), side=encoder.decoded_side)
        work = _to_do(entries(table), there, told)
        for rows, vectors in Lots(encoder, work, read, failed=_failing(told), tell=_counting(told, tell)):
            writer.put([replace(row, vector=vector) for row, vector in zip(rows, vectors, strict=True)])
            changed = sum(row.id in there for row in rows)
            told.changed += changed
            told.new += len(rows) - changed
    return told


def _to_do(found: Iterator[Entry], there: Mapping[str, str], told: Outcome) -> Iterator[tuple[Entry, Row]]:
    for entry in found:
        row = _row(entry)
        if there.get(row.id) == row.digest:
            told.unchanged += 1
        else:
            yield entry, row


def _row(entry: Entry) -> Row:
    """The row but for what its picture tells; the digest covers the metadata too."""
    content = hashlib.sha256(json.dumps([entry.text, entry.extra], sort_keys=True).encode())
    if isinstance(entry.image, bytes):
        content.update(entry.image)
    elif isinstance(entry.image, Path):
        content.update(_file(entry.image))
    return Row(
        id=make_id("own", entry.own), name=entry.own, digest=content.hexdigest(), text=entry.text,
        extra={**entry.extra, "id": entry.own},
    )  # fmt: skip


def _file(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""  # it is named when it is opened


def _read(item: tuple[Entry, Row], *, settings: Settings, side: int | None) -> tuple[Row, Image.Image]:
    entry, row = item
    if entry.image is None:
        raise ImageError(f"row {entry.own}", "it has no image")
    try:
        size = None if side is None else max(side, THUMBNAIL_SIDE)
        image = open_image(entry.image, max_pixels=settings.max_pixels, side=size)
        with entry.image.open("rb") if isinstance(entry.image, Path) else io.BytesIO(entry.image) as stream:
            header, notes = read_header(entry.own, stream, gps=settings.gps)
    except ImageError as error:
        raise ImageError(f"row {entry.own}", error.reason) from error
    width, height = upright(header, image)
    row = replace(
        row, width=width, height=height, taken=notes.taken, orientation=notes.orientation, latitude=notes.latitude,
        longitude=notes.longitude, text="\n".join(filter(None, (row.text, notes.text))),
        thumbnail=make_thumbnail(image),
    )  # fmt: skip
    return row, image


def import_ready(
    index: str | Path,
    table: str | Path,
    open_encoder: OpenEncoder,
    *,
    model: str | None = None,
    tell: Tell = lambda *_: None,
) -> Outcome:
    """Put embeddings that the index's model has made elsewhere (.npy, .parquet); see `Writer.import_vectors`.

    Raises:
        SearchError: as in `update_from_table`, or the file says that another model made them.
        UsageError: the file cannot be read, or its embeddings do not fit.
    """
    if not Path(table).is_file():  # else an index would be made for nothing
        raise UsageError(f"{table}: there is no such file")
    opened = _opened(Path(index).absolute(), open_encoder, model, _digest_in(Path(table)))[0]
    with opened.writing() as writer:
        before = opened.status().rows
        put = writer.import_vectors(table, tell=lambda done: tell(done, 0))
        new = opened.status().rows - before
        return Outcome(new=new, changed=put - new)


def is_ready(table: str | Path) -> bool:
    """Whether a file holds embeddings rather than pictures."""
    if Path(table).suffix.lower() == ".npy":
        return True
    return (
        Path(table).suffix.lower() == ".parquet"
        and not set(_IMAGE) & (names := _schema(table)[0])
        and bool(set(VECTOR) & names)
    )


def _digest_in(table: Path) -> str | None:
    """The digest of the model that made the embeddings, where `altclip embed` or an export has left it."""
    told = _schema(table)[1] if table.suffix.lower() == ".parquet" else {}
    return next((told[name].decode() for name in (b"digest", EXPORTED) if name in told), None)


def _schema(table: str | Path) -> tuple[set[str], Mapping[bytes, bytes]]:
    """Names of the columns and the metadata of a parquet file; nothing of one that cannot be read."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        schema = pq.read_schema(table)
    except (pa.ArrowException, OSError):
        return set(), {}
    return set(schema.names), schema.metadata or {}


def _opened(
    place: Path, open_encoder: OpenEncoder, model: str | None, made_by: str | None = None
) -> tuple[Index, Encoder]:
    """The index, made if it is not there, and its model. made_by: the digest of the model of ready embeddings."""
    index = Index.open(place) if exists(place) else None
    name = model or (index.about.model if index else "mini")
    encoder = open_encoder(name)
    if made_by and made_by != encoder.digest:
        raise SearchError(
            f"the embeddings were made by another model ({made_by[:12]}) than {name} ({encoder.digest[:12]}), and "
            "cannot be compared with its: name with --model the one that made them, or make another index"
        )
    index = index or Index.create(place, model=name, digest=encoder.digest, dim=encoder.dim)
    index.check_model(encoder.digest)
    return index, encoder


def _failing(told: Outcome) -> Callable[[tuple[Entry, Row], InputError], None]:
    return lambda item, error: told.failures.append(Problem(item[0].own, str(error)))


def _counting(told: Outcome, tell: Tell) -> Callable[[], None]:
    def one_more() -> None:
        told.waiting += 1
        tell(told.waiting, 0)

    return one_more

"""The one door to lancedb, which keeps the rows: durable, with versions, so that readers never wait for a writer."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, NamedTuple

from altclip.errors import AltclipError, MissingExtraError, SearchError
from altclip.search.columns import schema
from altclip.search.filters import one_of
from altclip.search.rows import Vector

# What lancedb keeps of its files in memory, beside twice the indexes: a graph that does not stay there is read for
# every query. At its own 6 and 1 GiB a long import seems to leak.
_INDEX_CACHE: Final = 256 * 2**20
_METADATA_CACHE: Final = 64 * 2**20
VERIFY_HINT: Final = "`altclip index verify` tells what is damaged; if it is, "
_LOG: Final = "LANCEDB_LOG"
_TABLE: Final = "rows"
_VECTORS: Final = "vector_idx"
_TEXTS: Final = "grams_idx"
_IDS: Final = 5_000  # ids in one filter
# Of the graph (Malkov and Yashunin 2016): edges of a row, and candidates looked at for them. 150 candidates take half
# as long again, for a recall that is the same.
_EDGES: Final = 20
_CANDIDATES: Final = 100
_DEEP: Final = 3  # candidates kept for every row asked for, where many are
_COMPARED: Final = 2  # of these, as many times the rows asked for are compared by their vectors as they are
# A reader that opened a version has this long to finish its query before the files of that version may go.
_GRACE: Final = timedelta(minutes=2)
_ALWAYS: Final = timedelta(0)  # look whether there is a newer version


class Ask(NamedTuple):
    """How the store is asked for neighbours. ef, rows: of the approximate index; see `about.Tuned`."""

    exact: bool
    ef: int = 300
    rows: int = 0


class Store:
    """The table of one index. Every method raises SearchError where the files cannot be read or written."""

    def __init__(self, folder: Path, table: Any) -> None:
        self.folder, self._table = folder, table
        # The same table for what is asked most: one step from thread to thread instead of six.
        self._reading: Any = None
        self._built = 0  # rows of the approximate index that `_reading` has room for
        self._loop = _library().background_loop.LOOP

    @classmethod
    def create(cls, folder: Path, dim: int) -> Store:
        """An empty table, in place of what a killed `create` may have left."""
        lancedb = _library()
        with guarded(folder, "written"):
            database = _connect(folder)
            database.drop_table(_TABLE, ignore_missing=True)
            table = database.create_table(_TABLE, schema=schema(dim))
            table.create_index("id", config=lancedb.index.BTree(), name="id_idx")
            table.create_index("grams", config=_full_text(), name=_TEXTS)
            return cls(folder, table)

    @classmethod
    def open(cls, folder: Path) -> Store:
        """The table that is there; a reader sees what was written before each of its questions."""
        with guarded(folder, "read"):
            return cls(folder, _connect(folder).open_table(_TABLE))

    def put(self, table: Any) -> None:
        """Add rows, each in place of the one that has its id; on the disk when this returns.

        Where all are new they are only appended: the store's own merge holds what no index covers yet in memory.
        """
        known = self.take(table.column("id").to_pylist(), ["id"])
        with guarded(self.folder, "written"):
            if not known:
                self._table.add(table)
                return
            builder = self._table.merge_insert("id").when_matched_update_all().when_not_matched_insert_all()
            builder.execute(table)

    def delete(self, ids: Sequence[str]) -> None:
        with guarded(self.folder, "written"):
            for start in range(0, len(ids), _IDS):
                self._table.delete(one_of("id", ids[start : start + _IDS]))

    def nearest(
        self, vector: Vector, limit: int, ask: Ask, where: str | None = None, columns: Sequence[str] = ("id",)
    ) -> list[dict[str, Any]]:
        """At most `limit` records with `_distance` (1 - cosine), nearest first."""
        with guarded(self.folder, "read"):
            asking = self._nearest(vector, limit, ask, where, columns)
            return self._loop.run(asking).to_pylist()  # type: ignore[no-any-return]

    async def _nearest(self, vector: Vector, limit: int, ask: Ask, where: str | None, columns: Sequence[str]) -> Any:
        if self._reading is None or (not ask.exact and ask.rows != self._built):
            connect, self._built = _library().connect_async, ask.rows
            database = await connect(self.folder, read_consistency_interval=_ALWAYS, session=_caches(self.folder))
            self._reading = await database.open_table(_TABLE)
        near = self._reading.query().nearest_to(vector).column("vector").distance_type("cosine").limit(limit)
        if ask.exact:
            near = near.bypass_vector_index()
        else:
            near = near.nprobes(1).ef(max(ask.ef, _DEEP * limit)).refine_factor(_COMPARED)
        return await (near.where(where) if where else near).select([*columns, "_distance"]).to_arrow()

    def matching(self, grams: str, limit: int, where: str | None = None) -> list[dict[str, Any]]:
        """At most `limit` records (id, grams, _score) that have one of the n-grams, best by BM25 first."""
        with guarded(self.folder, "read"):
            asked = _library().query.MatchQuery(grams, "grams")
            search = self._table.search(asked, query_type="fts").limit(limit)
            search = search.where(where, prefilter=True) if where else search
            return search.select(["id", "grams", "_score"]).to_arrow().to_pylist()  # type: ignore[no-any-return]

    def take(self, ids: Sequence[str], columns: Sequence[str]) -> dict[str, dict[str, Any]]:
        """Id -> record, of those ids that are there."""
        found: dict[str, dict[str, Any]] = {}
        for start in range(0, len(ids), _IDS):
            for batch in self.batches(columns, one_of("id", ids[start : start + _IDS])):
                found.update((record["id"], record) for record in batch.to_pylist())
        return found

    def batches(self, columns: Sequence[str], where: str | None = None) -> Iterator[Any]:
        """All rows as Arrow batches of these columns."""
        with guarded(self.folder, "read"):
            search = self._table.search().select(list(columns))
            yield from (search.where(where) if where else search).to_batches(1024)

    def newest(self, limit: int, offset: int, where: str | None, columns: Sequence[str]) -> list[dict[str, Any]]:
        """Records by the time they were taken, newest first and those without one last; ties by id."""
        with guarded(self.folder, "read"):
            order = _library().query.ColumnOrdering
            search = self._table.search().select(list(columns)).limit(limit).offset(offset)
            search = search.where(where) if where else search
            keys = [order(column_name="taken", ascending=False, nulls_first=False), order(column_name="id")]
            return search.order_by(keys).to_arrow().to_pylist()  # type: ignore[no-any-return]

    def count(self, where: str | None = None) -> int:
        with guarded(self.folder, "read"):
            return int(self._table.count_rows(where))

    def is_approximate(self) -> bool:
        """Whether there is an approximate index."""
        with guarded(self.folder, "read"):
            return any(entry.name == _VECTORS for entry in self._table.list_indices())

    def unsettled(self) -> tuple[int, int]:
        """(rows that no index covers yet, small files): what makes searching slower until `settle`."""
        with guarded(self.folder, "read"):
            counts = [self._table.index_stats(entry.name) for entry in self._table.list_indices()]
            small = self._table.stats()["fragment_stats"]["num_small_fragments"]
            return max((entry.num_unindexed_rows for entry in counts if entry), default=0), int(small)

    def graphs(self) -> int:
        """Of which the approximate index consists: `settle` makes one of the rows that came since the last."""
        with guarded(self.folder, "read"):
            stats = self._table.index_stats(_VECTORS)
            return int(stats.num_indices or 1) if stats else 0

    def settle(self, *, thorough: bool = False) -> None:
        """Join small files, let the indexes cover all rows, and delete old versions; `thorough`: also leftovers.

        Only the holder of the lock may do this: leftovers of a killed writer look like another's work under way.
        """
        with guarded(self.folder, "written"):
            self._table.optimize(cleanup_older_than=_GRACE, delete_unverified=thorough)

    def build(self) -> None:
        """Make the approximate index anew: one graph (HNSW) of all rows, over vectors of 8 bits a dimension."""
        with guarded(self.folder, "written"):
            config = _library().index.HnswSq(
                distance_type="cosine", num_partitions=1, m=_EDGES, ef_construction=_CANDIDATES
            )
            self._table.create_index("vector", config=config, name=_VECTORS, replace=True)

    def size_bytes(self) -> int:
        """Of all files of the index."""
        return sum(map(_size, _files(str(self.folder))))


def _files(folder: str) -> Iterator[str]:
    """All files below a folder; `os.walk` takes no offence at folders that a writer deletes meanwhile."""
    for place, _, names in os.walk(folder):
        yield from (f"{place}/{name}" for name in names)


def _size(path: str) -> int:
    """0 for a file that a writer has deleted since it was listed."""
    try:
        return Path(path).stat().st_size
    except FileNotFoundError:
        return 0


@contextmanager
def guarded(folder: Path, doing: str) -> Iterator[None]:
    """Turn what the store raises into SearchError, with the next step."""
    try:
        yield
    except (OSError, RuntimeError, ValueError) as error:
        if isinstance(error, AltclipError):
            raise
        raise SearchError(f"the index {folder} could not be {doing}: {_reason(error, folder, doing)}") from error


def _reason(error: Exception, folder: Path, doing: str) -> str:
    """What happened in words, and what to do."""
    told = str(error)
    if f"os error {errno.ENOSPC}" in told or "No space left" in told or f"os error {errno.EDQUOT}" in told:
        return "the disk is full. What was put before is whole: make room, and do the same again"
    if any(sign in told for sign in ("Permission denied", "Read-only file system", "Operation not permitted")):
        if doing == "read":
            return "its files may not be read: check their rights"
        return "the folder may not be written to. Nothing was changed: check its rights"
    line = told.strip().splitlines()[0] if told.strip() else type(error).__name__
    if "not found" in told.lower() or "lance error" in told.lower() or isinstance(error, OSError):
        return f"{line[:300]}. {VERIFY_HINT}delete {folder} and index again"
    return line[:300]


def _connect(folder: Path) -> Any:
    """The database, for writing and for all that is no question."""
    return _library().connect(folder, read_consistency_interval=_ALWAYS, session=_caches(folder))


def _caches(folder: Path) -> Any:
    """What lancedb keeps in memory of an index as large as it is now."""
    indexes = sum(map(_size, _files(f"{folder}/{_TABLE}.lance/_indices")))
    return _library().Session(
        index_cache_size_bytes=_INDEX_CACHE + 2 * indexes, metadata_cache_size_bytes=_METADATA_CACHE
    )


def _full_text() -> Any:
    """An index of words as they are: text.py has cut and folded them."""
    return _library().index.FTS(
        base_tokenizer="whitespace", lower_case=False, stem=False, remove_stop_words=False, ascii_folding=False,
        max_token_length=None, with_position=False,
    )  # fmt: skip


def _library() -> Any:
    """Raises MissingExtraError."""
    if "lancedb" not in sys.modules and _LOG not in os.environ:
        os.environ[_LOG] = "error"  # read once, on import: its warnings are for its own developers
        try:
            return _library()
        finally:
            del os.environ[_LOG]
    try:
        import lancedb
        import lancedb.background_loop
        import lancedb.index
        import lancedb.query
    except ImportError as error:
        raise MissingExtraError("lancedb", "search") from error
    return lancedb

"""What changes an index: rows put, removed and moved. One writer at a time holds the lock; see `Index.writing`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from altclip.errors import SearchError
from altclip.search.about import About, read_about
from altclip.search.columns import schema, to_table, to_whole_row
from altclip.search.filters import quoted
from altclip.search.ready import Ready, ready_rows
from altclip.search.rows import Place, Row
from altclip.search.store import Store, guarded
from altclip.search.tuning import EXACT_ROWS, measure_and_choose

_BATCH: Final = 4_096  # rows a write: 12 MB of vectors of 768
_LOOK_EVERY: Final = 32  # writes
_UNINDEXED: Final = 2_000  # rows that a search may have to compare one by one
_SMALL_FILES: Final = 100
_GRAPHS: Final = 8  # of the approximate index: a query walks each
_GROWTH: Final = 0.5  # of all rows: joining files rewrites them, so a long run does it at ever larger sizes


class Writer:
    """Changes to one index; what a method has done when it returns is there after a kill -9.

    Every method raises SearchError where the disk is full or the folder may not be written to; all that was put
    before stays. Made by `Index.writing`.
    """

    def __init__(self, folder: Path, store: Store) -> None:
        self._folder, self._store = folder, store
        self._writes = self._since_settled = 0

    @property
    def about(self) -> About:
        """What the index is of."""
        return read_about(self._folder)

    def put(self, rows: Sequence[Row]) -> None:
        """Add rows; one whose id is there takes that row's place. Of rows with one id the last counts.

        Raises:
            UsageError: a vector is missing, of another length, zero or not finite; nothing is put then.
        """
        tables = [to_table(rows[start : start + _BATCH], self.about.dim) for start in range(0, len(rows), _BATCH)]
        for table in tables:
            self._write(table)

    def remove(self, ids: Sequence[str]) -> None:
        """Delete rows. Raises SearchError, and deletes nothing, if an id is unknown."""
        self._known(ids)
        self._store.delete(ids)

    def remove_folder(self, folder: str | Path) -> int:
        """Delete all rows that were found under an indexed root, and forget the root; tells how many."""
        condition = f"folder = {quoted(str(folder))}"
        ids = [record for batch in self._store.batches(["id"], condition) for record in batch.column(0).to_pylist()]
        self._store.delete(ids)
        self._tell(folders=tuple(name for name in self.about.folders if name != str(folder)))
        return len(ids)

    def add_folder(self, folder: str | Path) -> None:
        """Keep the root among `Index.folders`."""
        if str(folder) not in self.about.folders:
            self._tell(folders=(*self.about.folders, str(folder)))

    def moved(self, places: Mapping[str, Place]) -> None:
        """Give rows the places where their files are now; ids, vectors and thumbnails stay.

        Raises:
            SearchError: an id is unknown; nothing is changed then.
        """
        self._known(list(places))
        names = schema(self.about.dim).names
        ids = list(places)
        for start in range(0, len(ids), _BATCH):
            records = self._store.take(ids[start : start + _BATCH], names)
            self.put([replace(to_whole_row(record), **vars(places[key])) for key, record in records.items()])

    def import_vectors(
        self, source: Ready, *, ids: Any = None, metadata: Any = None, tell: Callable[[int], object] = lambda _: None
    ) -> int:
        """Put ready embeddings, a batch at a time, and tell how many; the file is never loaded whole.

        Args:
            source: a .npy file or an array (rows, dim); or a .parquet file with a column `vector` or `embedding`, whose
                column `id` are the ids and whose columns `path`, `name`, `text` go where rows have them, others into
                `extra`.
            ids: one of your own for each row (a sequence, or a text file with one a line); they are kept as
                `extra["id"]`, and `make_id("own", id)` is the row's. Without, it is made of the file's place (of an
                array its content) and the row's number, and `extra` tells the file and the row.
            metadata: one mapping for each row (a sequence, or a .jsonl or .parquet file).
            tell: called with how many are put so far.

        Raises:
            UsageError: the file cannot be read, ids or metadata are of another number, or vectors cannot be used.
        """
        total, folders = 0, set[str]()
        for rows in ready_rows(source, ids, metadata, self.about.dim, _BATCH):
            self.put(rows)
            folders.update(row.folder for row in rows if row.folder)  # of what an index has exported
            total += len(rows)
            tell(total)
        for folder in sorted(folders):
            self.add_folder(folder)
        return total

    def settle(self, *, force: bool = False) -> None:
        """Make searches quick again after many writes: files joined, indexes extended, the approximate one built.

        `writing` does this at its end; who holds a writer for long calls it now and then.
        """
        unindexed, files = self._store.unsettled()
        if force or unindexed >= _UNINDEXED or files >= _SMALL_FILES:
            self._store.settle(thorough=force)
            self._since_settled = 0
        self._approximate()

    def _approximate(self) -> None:
        """Build the approximate index where the rows have become many, or twice as many; measure its recall.

        What came bit by bit lies in graphs of its own; where these are many, one is made of them.
        """
        rows, tuned = self._store.count(), self.about.tuned
        if rows <= EXACT_ROWS or (tuned and rows < 2 * tuned.rows and 1 <= self._store.graphs() <= _GRAPHS):
            return
        self._store.build()
        self._store.settle()  # the other indexes cover all rows too
        self._tell(tuned=measure_and_choose(self._store, rows))

    def _write(self, table: Any) -> None:
        self._store.put(table)
        self._writes += 1
        self._since_settled += table.num_rows
        if self._writes % _LOOK_EVERY == 0 and self._since_settled >= _GROWTH * self._store.count():
            self._store.settle()
            self._since_settled = 0

    def _known(self, ids: Sequence[str]) -> None:
        unknown = set(ids) - self._store.take(ids, ["id"]).keys()
        if unknown:
            raise SearchError(f"no row of {self._folder} has the id {sorted(unknown)[0]!r}; nothing was changed")

    def _tell(self, **changes: Any) -> None:
        with guarded(self._folder, "written"):
            replace(self.about, **changes).write(self._folder)

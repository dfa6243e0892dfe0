"""The index of a library: opened, asked, checked, exported. What changes it is a `Writer`, of which there is one."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from altclip.errors import SearchError, UsageError
from altclip.search.about import FILE, About, Tuned, read_about
from altclip.search.columns import CARD, to_row
from altclip.search.duplicates import LEAST_COSINE, near_duplicates, scenes
from altclip.search.exporting import export
from altclip.search.filters import one_of, quoted
from altclip.search.lock import only_writer
from altclip.search.queries import Hit, Page, Query, direction
from altclip.search.ranking import Scored, by_both, by_time, by_vector, by_words, taken
from altclip.search.rows import Known, Row, Vector
from altclip.search.store import Ask, Store, guarded
from altclip.search.tuning import EXACT_ROWS, Point, curve, vectors_of
from altclip.search.verify import problems
from altclip.search.writer import Writer

_OURS = {FILE, f".{FILE}.part", "rows.lance", "writer.lock", "writer.pid"}
_FEW = 10_000  # a filter that leaves fewer rows than these makes comparing all of them the quicker way


@dataclass(frozen=True)
class Status:
    """rows: how many. size_bytes: on disk. approximate: there is an approximate index, `tuned` as it says.

    unindexed: rows written since the indexes were extended; they are found all the same. folders: the indexed roots.
    """

    folder: Path
    model: str
    digest: str
    dim: int
    folders: tuple[str, ...]
    rows: int
    size_bytes: int
    approximate: bool
    tuned: Tuned | None
    unindexed: int


class Index:
    """An index on disk. Readers in any number of processes see what was written before each of their questions.

    Methods raise SearchError where the files cannot be read.
    """

    def __init__(self, folder: Path, store: Store) -> None:
        self.folder, self._store = folder, store

    @classmethod
    def create(cls, folder: str | Path, *, model: str, digest: str, dim: int) -> Index:
        """An empty index for the embeddings of one model; digest: `Encoder.digest`.

        Raises:
            SearchError: there is one already, or the folder holds other files or may not be written to.
            MissingExtraError: without the extra `search`.
        """
        path = Path(folder).absolute()
        if dim < 1:
            raise UsageError(f"dim={dim}: an index takes vectors of length 1 or more")
        with guarded(path, "made"):
            path.mkdir(parents=True, exist_ok=True)
            others = {entry.name for entry in path.iterdir()} - _OURS
        if others:
            raise SearchError(f"{path} holds other files ({sorted(others)[0]}): name an empty folder for the index")
        with only_writer(path):
            if (path / FILE).exists():
                raise SearchError(f"{path} is an index already: open it, or name another folder")
            store = Store.create(path, dim)
            with guarded(path, "made"):
                About(model, digest, dim).write(path)  # last: what has no such file is no index
        return cls(path, store)

    @classmethod
    def open(cls, folder: str | Path) -> Index:
        """The index in a folder.

        Raises:
            SearchError: there is none, it is damaged, or a later version of altclip made it.
            MissingExtraError: without the extra `search`.
        """
        path = Path(folder).absolute()
        read_about(path)
        return cls(path, Store.open(path))

    @property
    def about(self) -> About:
        """What the index is of, as it is on disk now."""
        return read_about(self.folder)

    @property
    def dim(self) -> int:
        """Length of the vectors."""
        return self.about.dim

    @property
    def folders(self) -> tuple[str, ...]:
        """The roots that were indexed."""
        return self.about.folders

    def check_model(self, encoder_digest: str) -> None:
        """Refuse a model whose embeddings cannot be compared with those in the index. Raises SearchError."""
        about = self.about
        if encoder_digest != about.digest:
            raise SearchError(
                f"the index {self.folder} holds embeddings of {about.model} ({about.digest[:12]}), which cannot be "
                f"compared with those of the model at hand ({encoder_digest[:12]}: other weights or other "
                f"preprocessing): use {about.model} as it was, or make an index in another folder"
            )

    @contextmanager
    def writing(self) -> Iterator[Writer]:
        """A writer, which holds the lock of the index until the block ends; then searches are made quick again.

        Raises:
            SearchError: another process (named) is writing, or the folder may not be written to.
        """
        with only_writer(self.folder):
            writer = Writer(self.folder, self._store)
            yield writer
            writer.settle()

    def search(self, query: Query) -> Page:
        """The page of hits that a query asks for. Raises UsageError if it cannot be asked."""
        if query.limit < 1 or query.offset < 0:
            raise UsageError(f"limit={query.limit}, offset={query.offset}: a page has at least 1 hit, from 0 on")
        about = self.about
        where = query.where.to_filter() if query.where else None
        vector = direction(query.parts, about.dim)
        total = self._store.count(where)
        ask = self._ask(query.exact, total, about.tuned, bool(where))
        if query.group:
            ranked, _ = self._ranked(query, vector, ask, where, 0)
            found = scenes(ranked, self._vectors_of, query.offset + query.limit)[query.offset :]
            return Page(tuple(Hit(row.id, score, row, same) for score, row, same in found), None, ask.exact)
        ranked, known = self._ranked(query, vector, ask, where, query.offset)
        hits = tuple(Hit(row.id, score, row) for score, row in islice(ranked, query.limit))
        return Page(hits, total if known is None else known, ask.exact)

    def row(self, id: str) -> Row | None:  # noqa: A002 (the word for it)
        """The row without its vector and thumbnail, None if there is none."""
        record = self._store.take([id], ["id", CARD]).get(id)
        return to_row(record[CARD]) if record else None

    def thumbnail(self, id: str) -> bytes | None:  # noqa: A002
        """JPEG or WebP, None if there is no such row or it has none."""
        record = self._store.take([id], ["id", "thumbnail"]).get(id)
        return (record["thumbnail"] or None) if record else None

    def vectors(self, ids: Sequence[str]) -> Vector:
        """(ids, dim) float32, in the order asked for. Raises SearchError for an unknown id."""
        where = self._vectors_of(ids)
        unknown = next((name for name in ids if name not in where), None)
        if unknown is not None:
            raise SearchError(f"no row of {self.folder} has the id {unknown!r}")
        return np.stack([where[name] for name in ids]) if len(ids) else np.empty((0, self.dim), np.float32)

    def known(self, folder: str | Path | None = None) -> Iterator[Known]:
        """What is known of every file: of all, or of those under one indexed root."""
        names = ["id", "path", "folder", "size", "mtime_ns", "digest"]
        for batch in self._store.batches(names, f"folder = {quoted(str(folder))}" if folder is not None else None):
            yield from (Known(**record) for record in batch.to_pylist())

    def near_duplicates(self, *, least_cosine: float = LEAST_COSINE) -> list[list[str]]:
        """Groups of ids, each of rows that chains of such cosines join; the largest group first.

        Every pair is compared: time grows with the square of the rows, memory with the rows.
        """
        return near_duplicates(self._store.batches(["id", "vector"]), least_cosine)

    def status(self) -> Status:
        """Rows, size and state of the index."""
        about = self.about
        return Status(
            self.folder, about.model, about.digest, about.dim, about.folders, self._store.count(),
            self._store.size_bytes(), self._store.is_approximate(), about.tuned, self._store.unsettled()[0],
        )  # fmt: skip

    def verify(self) -> list[str]:
        """Read everything, and tell in words what is wrong; nothing is wrong where the list is empty."""
        return problems(self.folder, self._store)

    def compact(self) -> None:
        """Join files, extend the indexes, and delete what earlier versions and killed writers left."""
        with self.writing() as writer:
            writer.settle(force=True)

    def tune(self, queries: NDArray[np.float32] | None = None) -> list[Point]:
        """Recall against time of the approximate index; empty where there is none, or every row is compared."""
        rows = self._store.count()
        return curve(self._store, rows, queries) if rows > EXACT_ROWS and self._store.is_approximate() else []

    def export(self, path: str | Path) -> int:
        """Write all rows as .parquet (everything), .npz (ids, paths, embeddings) or .jsonl (all but thumbnails).

        Returns the number of rows. Raises UsageError for another ending, SearchError if the file cannot be written.
        """
        return export(self._store, Path(path), self.about)

    def _vectors_of(self, ids: Sequence[str]) -> dict[str, Vector]:
        """Of those ids that are there."""
        where: dict[str, Vector] = {}
        for batch in self._store.batches(["id", "vector"], one_of("id", ids)):
            where.update(zip(batch.column("id").to_pylist(), vectors_of(batch), strict=True))
        return where

    def _ask(self, exact: bool | None, rows: int, tuned: Tuned | None, filtered: bool) -> Ask:
        """How to look for neighbours among that many rows."""
        small = rows <= (_FEW if filtered else EXACT_ROWS)
        if exact or (exact is None and small) or tuned is None:
            return Ask(True)
        return Ask(False, tuned.ef, tuned.rows)

    def _ranked(
        self, query: Query, vector: Vector | None, ask: Ask, where: str | None, start: int
    ) -> tuple[Iterator[Scored], int | None]:
        """Scores with records from place `start` on, and how many rows are ranked where the filter does not tell."""
        if query.words:
            pairs = (
                by_words(self._store, query.words, where)
                if vector is None
                else by_both(self._store, vector, query.words, ask, where)
            )
            return taken(self._store, pairs[start:]), len(pairs)
        if vector is None:
            return by_time(self._store, query.limit, where, start), None
        return islice(by_vector(self._store, vector, query.limit, ask, where), start, None), None


def default_folder() -> Path:
    """`ALTCLIP_INDEX`, else `altclip/index` where the system keeps data of programs."""
    named = os.environ.get("ALTCLIP_INDEX")
    data = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(named) if named else Path(data) / "altclip" / "index"

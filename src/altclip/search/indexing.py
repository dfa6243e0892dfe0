"""Brings an index up to date with folders of photographs: scan, compare, read, embed, write.

It can end at any moment, by Ctrl-C or by kill -9: rows are written some at a time, each lot kept when it is
acknowledged and none needed by another, and the next run finds by the scan what is left to do. The order matters in one
place: what a file has become is written before the row of what it was goes, so that no moment is without the file.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from altclip.errors import InputError, UsageError
from altclip.processing.opening import MAX_PIXELS
from altclip.search.about import FILE, read_about
from altclip.search.index import Index
from altclip.search.lots import Lots
from altclip.search.photographs import THUMBNAIL_SIDE, Photograph, quiet, read_photograph
from altclip.search.rows import Known, Place, Row, make_id
from altclip.search.scanning import Changes, OnDisk, Problem, Scan, below, compare, scan
from altclip.search.writer import Writer

if TYPE_CHECKING:
    from altclip.encoder import Encoder
    from altclip.engines import Features

_FEW: Final = 16  # files that are looked at before a model is opened for them

OpenEncoder: TypeAlias = Callable[[str], "Encoder"]
Tell: TypeAlias = Callable[[int, int], object]


@dataclass(frozen=True)
class Settings:
    """gps: keep where photographs were taken; prune: drop the rows of folders that are not there; max_pixels: limit."""

    gps: bool = False
    prune: bool = False
    max_pixels: int = MAX_PIXELS


@dataclass
class Outcome:
    """What a run has done so far; its numbers count files that are safely in the index.

    kept: rows whose file cannot be seen at present. failures: files and folders that could not be read. away: indexed
    folders that are missing or empty, whose rows were kept. links_out: links that lead out and were not followed.
    """

    new: int = 0
    changed: int = 0
    moved: int = 0
    touched: int = 0
    deleted: int = 0
    unchanged: int = 0
    kept: int = 0
    passed_over: int = 0
    links_out: int = 0
    waiting: int = 0
    failures: list[Problem] = field(default_factory=list)
    away: list[Problem] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """As JSON takes it."""
        named = {name: [one._asdict() for one in getattr(self, name)] for name in ("failures", "away")}
        return {**dataclasses.asdict(self), **named}

    @property
    def done(self) -> int:
        """How many rows were written or removed."""
        return self.new + self.changed + self.moved + self.touched + self.deleted


class Update:
    """One run over some folders; `outcome` tells at any time how far it is."""

    def __init__(
        self,
        index: str | Path,
        folders: Sequence[str | Path],
        open_encoder: OpenEncoder,
        *,
        model: str | None = None,
        settings: Settings | None = None,
        tell: Tell = lambda *_: None,
    ) -> None:
        """Nothing is touched yet.

        Args:
            index: the index's folder; made if it is not there.
            folders: of photographs; a part of an indexed folder may be named too.
            open_encoder: called with the model's name, and only if there is something to embed.
            model: None is that of the index, or `mini`.
            settings: see there.
            tell: called with how many photographs of how many are embedded.
        """
        self.place, self.folders = Path(index).absolute(), _outermost(map(_resolved, folders))
        self.settings, self.model, self.outcome = settings or Settings(), model, Outcome()
        self._open_encoder, self._tell = open_encoder, tell
        self._told = 0

    def run(self) -> Outcome:
        """Do it.

        Raises:
            UsageError: a folder is a file, or is missing and was never indexed.
            SearchError: the index cannot be written, is in use by another writer, or is of another model.
        """
        about = read_about(self.place) if exists(self.place) else None
        roots = about.folders if about else ()
        for folder in self.folders:
            _check_folder(folder, roots)
        if about is None:
            scans = self._scans(roots)
            if not any(one.files for one in scans):
                return self.outcome
            index = self._create()
        else:
            scans, index = [], Index.open(self.place)
            if self.model not in (None, about.model):
                index.check_model(self.encoder.digest)
        with index.writing() as writer:
            for folder in self.folders:
                writer.add_folder(_root_of(folder, roots))
            self._apply(index, writer, self._changes(index, scans or self._scans(roots)))
        return self.outcome

    @functools.cached_property
    def encoder(self) -> Encoder:
        """The model, opened when first needed."""
        return self._open_encoder(self._model_name)

    @property
    def _model_name(self) -> str:
        if self.model is not None or not exists(self.place):
            return self.model or "mini"
        return read_about(self.place).model

    def _create(self) -> Index:
        return Index.create(self.place, model=self._model_name, digest=self.encoder.digest, dim=self.encoder.dim)

    def _scans(self, roots: Sequence[str]) -> list[Scan]:
        """What each folder holds; nothing for one that is missing."""
        scans = []
        for folder in self.folders:
            there, root = Path(folder).is_dir(), _root_of(folder, roots)
            scans.append(scan(folder, root=root, apart=(str(self.place.resolve()),)) if there else Scan())
            self.outcome.passed_over += scans[-1].passed_over
            self.outcome.links_out += scans[-1].links_out
            self.outcome.failures += scans[-1].problems
        return scans

    def _changes(self, index: Index, scans: Sequence[Scan]) -> Changes:
        """What to do in all folders together, so that a photograph moved from one to another is no new one."""
        everything = [row for row in index.known() if row.path and row.folder]  # not those that were imported
        rows: list[Known] = []
        hidden: list[str] = []
        for folder, found in zip(self.folders, scans, strict=True):
            there = [row for row in everything if below(row.path, folder)]
            rows += there
            hidden += [problem.path for problem in found.problems]  # whole folders among them
            if there and not found.files and not found.problems and self._is_away(folder, index.folders, len(there)):
                hidden.append(folder)
        files = [file for found in scans for file in found.files]
        return compare(files, rows, hidden=lambda path: any(below(path, folder) for folder in hidden))

    def _is_away(self, folder: str, roots: Sequence[str], rows: int) -> bool:
        """Whether a folder is without photographs since a disk is not plugged in: then its root is empty or missing."""
        missing = not Path(_root_of(folder, roots)).is_dir()
        if self.settings.prune or not (missing or folder in roots):
            return False
        what = "the folder is not there" if missing else "the folder holds no photograph any more"
        reason = f"{folder}: {what}; its {rows} rows are kept: plug it in, or drop them with --prune"
        self.outcome.away.append(Problem(folder, reason))
        return True

    def _apply(self, index: Index, writer: Writer, changes: Changes) -> None:
        self.outcome.unchanged, self.outcome.kept = changes.unchanged, len(changes.kept)
        if relocated := [*changes.moved, *changes.touched]:
            writer.moved({row.id: _place(file) for row, file in relocated})
        self.outcome.moved, self.outcome.touched = len(changes.moved), len(changes.touched)
        work = dict.fromkeys(changes.new, ()) | {file: tuple(rows) for file, rows in changes.changed}
        if self.outcome.unchanged and len(work) <= _FEW:
            work = self._readable(work)
        self.outcome.waiting = len(work)
        if work:
            index.check_model(self.encoder.digest)
            self._embed_all(writer, work, _Ids(index.known(), relocated))
        if changes.deleted:
            writer.remove([row.id for row in changes.deleted])
            self.outcome.deleted = len(changes.deleted)

    def _readable(self, work: Mapping[OnDisk, tuple[Known, ...]]) -> dict[OnDisk, tuple[Known, ...]]:
        """Those that can be read: a file damaged for good must not cost the opening of the model on every run."""
        readable = {}
        with quiet():
            for file, rows in work.items():
                try:
                    read_photograph(file, max_pixels=self.settings.max_pixels, side=THUMBNAIL_SIDE)
                    readable[file] = rows
                except InputError as error:
                    self._failed(file, error)
        return readable

    def _embed_all(self, writer: Writer, work: dict[OnDisk, tuple[Known, ...]], ids: _Ids) -> None:
        """Rows of these files in place of those they had, a lot at a time."""
        read = functools.partial(
            read_photograph,
            max_pixels=self.settings.max_pixels,
            side=self.encoder.decoded_side,
            gps=self.settings.gps,
        )
        for photographs, vectors in Lots(self.encoder, work, read, failed=self._failed, tell=self._one_more):
            rows = [_row(one, vector, ids) for one, vector in zip(photographs, vectors, strict=True)]
            before = [work[one.file] for one in photographs]
            writer.put(rows)
            if old := {row.id for of_file in before for row in of_file} - {row.id for row in rows}:
                writer.remove(sorted(old))
            changed = sum(map(bool, before))
            self.outcome.changed += changed
            self.outcome.new += len(rows) - changed

    def _failed(self, file: OnDisk, error: InputError) -> None:
        if Path(file.path).exists():  # else it has been deleted since the scan
            self.outcome.failures.append(Problem(file.path, str(error)))

    def _one_more(self) -> None:
        self._told += 1
        self._tell(self._told, self.outcome.waiting)


def exists(place: Path) -> bool:
    """Whether a folder holds an index."""
    return (place / FILE).is_file()


class _Ids:
    """Ids for new rows: of content and path, unless a row that has moved away from that path has it still."""

    def __init__(self, rows: Iterable[Known], relocated: Sequence[tuple[Known, OnDisk]]) -> None:
        self._paths = {row.id: row.path for row in rows} | {row.id: file.path for row, file in relocated}

    def __call__(self, digest: str, path: str) -> str:
        parts = [digest, path]
        while self._paths.setdefault(made := make_id(*parts), path) != path:
            parts.append("again")
        return made


def _row(one: Photograph, vector: Features, ids: _Ids) -> Row:
    file, notes = one.file, one.notes
    return Row(
        id=ids(one.digest, file.path), vector=vector, path=file.path, folder=file.folder, name=Path(file.path).name,
        size=file.size, mtime_ns=file.mtime_ns, digest=one.digest, width=one.width, height=one.height,
        taken=notes.taken, orientation=notes.orientation, latitude=notes.latitude, longitude=notes.longitude,
        text=notes.text, thumbnail=one.thumbnail,
    )  # fmt: skip


def _place(file: OnDisk) -> Place:
    return Place(path=file.path, folder=file.folder, name=Path(file.path).name, mtime_ns=file.mtime_ns)


def _resolved(folder: str | Path) -> str:
    """Absolute and without links, so that one folder has one name."""
    return str(Path(folder).expanduser().resolve())


def _outermost(folders: Iterable[str]) -> list[str]:
    """Each folder once, and none that lies in another."""
    found: list[str] = []
    for folder in sorted(set(folders), key=len):
        if not any(below(folder, outer) for outer in found):
            found.append(folder)
    return sorted(found)


def _check_folder(folder: str, roots: Iterable[str]) -> None:
    if Path(folder).is_file():
        raise UsageError(f"{folder} is a file: expected a folder; name the one that it lies in")
    if not Path(folder).is_dir() and _root_of(folder, roots) not in roots:
        raise UsageError(f"{folder}: there is no such folder")


def _root_of(folder: str, roots: Iterable[str]) -> str:
    """The indexed folder that this one lies in, or itself."""
    return next((root for root in roots if below(folder, root)), folder)

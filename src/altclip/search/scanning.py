"""What lies in folders of photographs, and what has happened there since the index was last told.

A file with the size and time of its row is taken for unchanged and is not read. Only where these differ, or where a row
has lost its file and another of that size has come, the content decides (SHA-256).
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from altclip.processing.opening import ENDINGS
from altclip.search.rows import Known


class OnDisk(NamedTuple):
    """A file that was found. path: absolute; folder: the root that it was found under."""

    path: str
    folder: str
    size: int
    mtime_ns: int


class Problem(NamedTuple):
    """Something that could not be read: where it is, and what is wrong in words that name it."""

    path: str
    reason: str


@dataclass
class Scan:
    """What a folder holds.

    passed_over: other files, counted; links_out: links that lead out of the folder and are not followed; dark: folders
    that cannot be looked into, so that nothing is known of what lies below them.
    """

    files: list[OnDisk] = field(default_factory=list)
    passed_over: int = 0
    links_out: int = 0
    problems: list[Problem] = field(default_factory=list)
    dark: list[str] = field(default_factory=list)


@dataclass
class Changes:
    """What must be done for the index to show what is there.

    changed: the file and the rows of what it was before; moved, touched: the row, and where or when the file is now;
    deleted: rows without a file; kept: rows whose file may be there but cannot be seen.
    """

    new: list[OnDisk] = field(default_factory=list)
    changed: list[tuple[OnDisk, list[Known]]] = field(default_factory=list)
    moved: list[tuple[Known, OnDisk]] = field(default_factory=list)
    touched: list[tuple[Known, OnDisk]] = field(default_factory=list)
    deleted: list[Known] = field(default_factory=list)
    kept: list[Known] = field(default_factory=list)
    unchanged: int = 0


def scan(folder: str, *, root: str | None = None, apart: Sequence[str] = ()) -> Scan:
    """The photographs in a folder and the folders below it, in the order of their names.

    Hidden folders are not entered, nor links to folders. A link to a file is followed if that file lies in `root` and
    is not found by itself; where links lead further, they are counted.

    Args:
        folder: an absolute path without links in it.
        root: the indexed folder that it is a part of; None if it is that folder.
        apart: folders below it that are no part of it, such as the index.
    """
    found, root = Scan(), root or folder
    links: list[str] = []
    for place, folders, names in os.walk(folder, onerror=lambda error: _note_dark(found, error)):
        folders[:] = sorted(n for n in folders if not n.startswith(".") and _join(place, n) not in apart)
        for name in sorted(names):
            path = _join(place, name)
            if Path(name).suffix.lower() not in ENDINGS or name.startswith("."):
                found.passed_over += 1
            elif Path(path).is_symlink():
                links.append(path)
            else:
                _add(found, path, root)
    _add_links(found, links, root)
    return found


def _add(found: Scan, path: str, root: str) -> None:
    try:
        path.encode()
    except UnicodeEncodeError:
        shown = path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
        found.problems.append(Problem(shown, f"{shown}: its name is not UTF-8: rename it"))
        return
    try:
        info = Path(path).stat()
    except OSError as error:
        found.problems.append(Problem(path, f"{path}: cannot be read: {error.strerror}"))
        return
    if stat.S_ISREG(info.st_mode):
        found.files.append(OnDisk(path, root, info.st_size, info.st_mtime_ns))
    else:
        found.passed_over += 1  # a pipe or a device may never end


def _add_links(found: Scan, links: Sequence[str], root: str) -> None:
    here = {file.path for file in found.files}
    for link in links:
        target = os.path.realpath(link)
        if not below(target, root):
            found.links_out += 1
        elif target in here:
            found.passed_over += 1
        else:
            _add(found, link, root)
    found.files.sort()


def _note_dark(found: Scan, error: OSError) -> None:
    where = os.fsdecode(error.filename)
    found.dark.append(where)
    found.problems.append(Problem(where, f"{where}: the folder cannot be read: {error.strerror}"))


def _join(folder: str, name: str) -> str:
    return os.path.join(folder, name)  # noqa: PTH118 - a Path for each of 200,000 files costs more than the walk


def below(path: str, folder: str) -> bool:
    """Whether a path is that folder or lies in it; both absolute."""
    return path == folder or path.startswith(folder.rstrip(os.sep) + os.sep)


def file_digest(path: str) -> str | None:
    """SHA-256 of a file's content; None if it cannot be read (it is named when it is opened)."""
    try:
        with Path(path).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None


def compare(
    files: Iterable[OnDisk],
    rows: Iterable[Known],
    *,
    hidden: Callable[[str], bool] = lambda _: False,
    digest: Callable[[str], str | None] = file_digest,
) -> Changes:
    """What has happened to the files of these rows.

    hidden: whether a path cannot be seen at present; such a row is kept. digest: of a file, None if unreadable.
    """
    changes = Changes()
    at: dict[str, list[Known]] = defaultdict(list)
    for row in rows:
        at[row.path].append(row)
    for file in files:
        if there := at.pop(file.path, None):
            _compare_one(changes, file, there, digest)
        else:
            changes.new.append(file)
    for there in at.values():
        (changes.kept if hidden(there[0].path) else changes.deleted).extend(there)
    _find_moved(changes, digest)
    return changes


def _compare_one(changes: Changes, file: OnDisk, rows: Sequence[Known], digest: Callable[[str], str | None]) -> None:
    """A file whose path has rows: several where a run was killed between writing the new one and removing the old."""
    same = next((row for row in rows if (row.size, row.mtime_ns) == (file.size, file.mtime_ns)), None)
    if same is not None:
        changes.unchanged += 1
    elif any(row.size == file.size for row in rows):
        content = digest(file.path)
        same = next((row for row in rows if row.digest == content), None)
        if same is not None:
            changes.touched.append((same, file))
    if same is None:
        changes.changed.append((file, list(rows)))
    else:
        changes.deleted.extend(row for row in rows if row is not same)


def _find_moved(changes: Changes, digest: Callable[[str], str | None]) -> None:
    """Pair files that have come with rows that have lost theirs, by content; the same name is preferred."""
    lost: dict[str, list[Known]] = defaultdict(list)
    for row in changes.deleted:
        lost[row.digest].append(row)
    sizes = {row.size for row in changes.deleted}
    still_new, found = [], set()
    for file in changes.new:
        content = digest(file.path) if file.size in sizes else None
        if waiting := content and lost.get(content):
            name = Path(file.path).name
            row = next((row for row in waiting if Path(row.path).name == name), waiting[0])
            waiting.remove(row)
            found.add(row.id)
            changes.moved.append((row, file))
        else:
            still_new.append(file)
    changes.new = still_new
    changes.deleted = [row for row in changes.deleted if row.id not in found]

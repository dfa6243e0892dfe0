"""Killed (-9) at any moment, an index has every row that was acknowledged, once, and the next run makes it whole."""

from __future__ import annotations

import multiprocessing
import random
import signal
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from altclip.search import Index, Query
from altclip.search.indexing import exists
from tests.bad import picture
from tests.search import killable
from tests.search.killable import update

PHOTOGRAPHS = 24
# Processes that begin with everything imported but lancedb itself, whose threads would not live on in them.
FORKED = multiprocessing.get_context("forkserver")
FORKED.set_forkserver_preload(["lance_namespace", "pandas", "pyarrow.dataset", "tests.search.killable"])


def paint(path: Path, draw: random.Random) -> None:
    picture((draw.randrange(256), draw.randrange(256), draw.randrange(256))).save(path)


def disturb(folder: Path, draw: random.Random) -> None:
    """Some files come, go, move and change, as between two runs."""
    for _ in range(4):
        files = sorted(folder.iterdir())
        one = draw.choice(files)
        one.rename(folder / f"moved{draw.randrange(10**9)}.png")
        draw.choice(sorted(folder.iterdir())).unlink()
        paint(folder / f"new{draw.randrange(10**9)}.png", draw)
        paint(draw.choice(sorted(folder.iterdir())), draw)


def run_and_kill(index: Path, folder: Path, delay: float) -> list[tuple[str, str]]:
    """Id and path of each row that the process was told to be safe before it died."""
    told, tell = FORKED.Pipe(duplex=False)
    child = FORKED.Process(target=killable.run, args=(index, folder, tell))
    child.start()
    tell.close()
    assert told.recv() == "ready"
    time.sleep(delay)
    child.kill()
    safe: list[tuple[str, str]] = []
    with suppress(EOFError):
        while True:
            safe += told.recv()
    child.join()
    assert child.exitcode in (0, -signal.SIGKILL)
    return safe


def content(index: Index) -> dict[str, tuple[object, ...]]:
    """Path -> everything of the row but its id, which tells of moves."""
    rows = [hit.row for hit in index.search(Query(limit=10_000)).hits]
    vectors = index.vectors([row.id for row in rows])
    return {
        row.path: (
            row.digest, row.size, row.mtime_ns, row.name, row.folder, row.width, row.height,
            index.thumbnail(row.id), np.round(vector, 5).tobytes(),
        )
        for row, vector in zip(rows, vectors, strict=True)
    }  # fmt: skip


@pytest.mark.parametrize("kills", [3, pytest.param(100, marks=pytest.mark.slow)])
def test_killed_again_and_again(tmp_path: Path, kills: int) -> None:
    draw = random.Random(kills)
    folder, place = tmp_path / "photos", tmp_path / "index"
    folder.mkdir()
    for number in range(PHOTOGRAPHS):
        paint(folder / f"{number}.png", draw)
    update(tmp_path / "first", folder)  # imports, too, which the processes that are killed have behind them
    began = time.monotonic()
    update(tmp_path / "measured", folder)
    whole_run = time.monotonic() - began
    for _ in range(kills):
        safe = run_and_kill(place, folder, draw.uniform(0, 2 * whole_run))
        if exists(place):
            there = [(row.id, row.path) for row in Index.open(place).known()]
            assert set(safe) <= set(there)
            assert len({one for one, _ in there}) == len(there)
            assert Index.open(place).verify() == []
        else:
            assert safe == []
        disturb(folder, draw)
    outcome = update(place, folder)
    assert outcome.failures == []
    update(tmp_path / "uninterrupted", folder)
    assert content(Index.open(place)) == content(Index.open(tmp_path / "uninterrupted"))
    assert len(list(Index.open(place).known())) == len(list(folder.iterdir()))
    assert Index.open(place).verify() == []

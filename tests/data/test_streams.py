"""Streams: endless, sharded by process, taken up again in the middle."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest

from altclip.data.reading import open_rows
from altclip.data.streams import Position, RowStream
from altclip.errors import DataError

SHARDS, ROWS = 4, 6
ALL = [shard * 100 + n for shard in range(SHARDS) for n in range(ROWS)]


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("shards")
    for shard in range(SHARDS):
        lines = [json.dumps({"id": shard * 100 + n}) for n in range(ROWS)]
        (folder / f"{shard}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return open_rows(folder / "*.jsonl", streaming=True)


def stream(rows: Any, buffer: int = 1, seed: int = 0, position: Position | None = None, **process: int) -> RowStream:
    return RowStream("made", rows, seed, buffer, position=position, **process)


def take(stream: RowStream, count: int) -> list[int]:
    return [stream.next()["id"] for _ in range(count)]


def shards_of(ids: list[int]) -> list[int]:
    return [shard for shard, _ in itertools.groupby(number // 100 for number in ids)]


@pytest.mark.parametrize("buffer", [1, 8, 1000])
def test_epoch_after_epoch(buffer: int, rows: Any) -> None:
    """Each epoch holds every row once; the second has another order."""
    endless = stream(rows, buffer)
    first, second = take(endless, len(ALL)), take(endless, len(ALL))
    assert sorted(first) == sorted(second) == ALL
    assert first != second
    assert endless.position()["read"] == 2 * len(ALL)


def test_without_a_buffer_shards_come_whole_in_a_seeded_order(rows: Any) -> None:
    one, other = (shards_of(take(stream(rows, seed=seed), len(ALL))) for seed in (1, 2))
    assert sorted(one) == sorted(other) == [0, 1, 2, 3]
    assert one != other


def test_a_buffer_mixes_neighbouring_shards(rows: Any) -> None:
    mixed = take(stream(rows, 8, seed=1), len(ALL))
    assert len(shards_of(mixed)) > 2 * SHARDS
    assert mixed == take(stream(rows, 8, seed=1), len(ALL))


@pytest.mark.parametrize("read", [1, 5, 6, 23, 24, 25, 40])
def test_without_a_buffer_it_goes_on_exactly(read: int, rows: Any) -> None:
    """The position goes through JSON, as it does in a checkpoint."""
    whole = take(stream(rows), 60)
    cut = stream(rows)
    take(cut, read)
    again = stream(rows, position=json.loads(json.dumps(cut.position())))
    assert take(again, 60 - read) == whole[read:]
    assert again.position()["read"] == 60


@pytest.mark.parametrize("read", [1, 3, 10, 17, 23])
def test_with_a_buffer_the_shard_order_is_exact(read: int, rows: Any) -> None:
    """The rows that are read after a resumption are those that would have been; only what the buffer held is lost."""
    buffer = 4
    reading = take(stream(rows, seed=3), len(ALL))  # the order in which rows enter the buffer
    cut = stream(rows, buffer, seed=3)
    before = take(cut, read)
    again = stream(rows, buffer, seed=3, position=json.loads(json.dumps(cut.position())))
    after = take(again, len(ALL) - read)
    rest = reading[min(read + buffer - 1, len(ALL)) :]
    assert sorted(after[: len(rest)]) == sorted(rest)
    assert not set(before) & set(rest)


@pytest.mark.parametrize("world_size", [2, 3, 4, 5])
def test_processes_share_the_rows(world_size: int, rows: Any) -> None:
    """By shards, or where there are more processes than shards by rows: every row to one process."""
    parts = []
    for rank in range(world_size):
        mine, seen = stream(rows, 4, rank=rank, world_size=world_size), list[int]()
        while True:
            row = mine.next()["id"]
            if mine.position()["epoch"]:
                break
            seen.append(row)
        parts += seen
    assert sorted(parts) == ALL


def test_a_process_among_several_goes_on_too(rows: Any) -> None:
    for world_size in (2, 5):
        whole = take(stream(rows, rank=1, world_size=world_size), 20)
        cut = stream(rows, rank=1, world_size=world_size)
        take(cut, 7)
        assert take(stream(rows, position=cut.position(), rank=1, world_size=world_size), 13) == whole[7:]


def test_an_empty_data_set(rows: Any) -> None:
    empty = rows.filter(lambda _: False)
    with pytest.raises(DataError, match="no rows in made for process 0"):
        stream(empty).next()

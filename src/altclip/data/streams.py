"""Rows of a data set that is read from front to end, epoch after epoch, and can be taken up again in the middle.

Each epoch the shards come in a new seeded order, and a buffer mixes the rows of neighbouring ones. Processes share the
shards, or where these are fewer than processes, the rows of all. A stream that is taken up again goes on in the same
shard after the last row that was read; what was waiting in the buffer then is not seen again in this epoch, and the
buffer is filled anew.

The `datasets` library shuffles streams too, but what it promises of a resumed one changes with its version.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from altclip.data import order
from altclip.errors import DataError

Cells = Mapping[str, Any]
Position = dict[str, int]


class RowStream:
    """Endless rows of one `datasets.IterableDataset`, as one process of several sees them."""

    def __init__(
        self, name: str, rows: Any, seed: int, buffer: int, *, rank: int = 0, world_size: int = 1,
        position: Position | None = None,
    ) -> None:  # fmt: skip
        self.name, self.rows, self.seed, self.buffer = name, rows, seed, buffer
        self.rank, self.world_size = rank, world_size
        # shard: place in this epoch's order; row: rows read of that shard; read: rows handed out in all
        self.at: Position = {"epoch": 0, "shard": 0, "row": 0, "read": 0, **(position or {})}
        self._mixed = self._epochs()

    def next(self) -> Cells:
        """The next row. Raises DataError if there is none for this process."""
        self.at["read"] += 1
        return next(self._mixed)

    def position(self) -> Position:
        """Where the stream stands, for a checkpoint."""
        return dict(self.at)

    def _epochs(self) -> Iterator[Cells]:
        while True:
            whole, found = not self.at["shard"] and not self.at["row"], False
            draw = order.generator(self.seed, *self.position().values())
            waiting: list[Cells] = []
            for cells in self._epoch():
                waiting.append(cells)
                found = True
                if len(waiting) >= self.buffer:
                    yield waiting.pop(int(draw.integers(len(waiting))))
            while waiting:
                yield waiting.pop(int(draw.integers(len(waiting))))
            if whole and not found:
                raise DataError(f"no rows in {self.name} for process {self.rank}: expected a shard or a row for each")
            self.at.update(epoch=self.at["epoch"] + 1, shard=0, row=0)

    def _epoch(self) -> Iterator[Cells]:
        """What is left of the epoch, in the order of its shards."""
        shards = order.permutation(self.seed, self.at["epoch"], self.rows.num_shards)
        by_shard = len(shards) >= self.world_size
        if by_shard:
            shards = shards[self.rank :: self.world_size]
        for index in shards[self.at["shard"] :]:
            shard = self.rows.shard(num_shards=self.rows.num_shards, index=int(index))
            for cells in shard.skip(self.at["row"]) if self.at["row"] else shard:
                self.at["row"] += 1
                if by_shard or self.at["row"] % self.world_size == self.rank:
                    yield cells
            self.at.update(shard=self.at["shard"] + 1, row=0)

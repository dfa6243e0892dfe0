"""Rows of a data set that is read from front to end, epoch after epoch, and can be taken up again in the middle.

Each epoch the shards come in a new order, drawn from seed and epoch; a buffer shuffles the rows of neighbouring shards.
A stream that is taken up again goes on in the same shard after the last row that was read; what was waiting in the
buffer then is not seen again in this epoch, and the buffer is filled anew.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from altclip.data.reading import of_this_process
from altclip.errors import DataError

Position = dict[str, Any]


class RowStream:
    """Endless rows of one `datasets.IterableDataset`, as one process of several sees them."""

    def __init__(
        self, name: str, rows: Any, seed: int, buffer: int, *, rank: int = 0, world_size: int = 1,
        position: Position | None = None,
    ) -> None:  # fmt: skip
        self.name = name
        shuffled = rows.shuffle(seed=seed, buffer_size=buffer) if buffer > 1 else rows
        self.rows = of_this_process(shuffled, rank, world_size)
        self.epoch: int = position["epoch"] if position else 0
        self.read: int = position["read"] if position else 0
        self.rows.set_epoch(self.epoch)
        if position:
            self.rows.load_state_dict(position["state"])
        self._iterator = iter(self.rows)

    def next(self) -> Mapping[str, Any]:
        """The next row. Raises DataError if the data set is empty."""
        cells = next(self._iterator, None)
        if cells is None:
            self.epoch += 1
            self.rows.set_epoch(self.epoch)
            self._iterator = iter(self.rows)
            cells = next(self._iterator, None)
        if cells is None:
            raise DataError(f"no rows in {self.name} for this process: expected one shard each, or at least a row")
        self.read += 1
        return dict(cells)

    def position(self) -> Position:
        """Where the stream stands, for a checkpoint."""
        return {"epoch": self.epoch, "read": self.read, "state": self.rows.state_dict()}

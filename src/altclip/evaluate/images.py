"""The images of a set: in a fixed order, read one by one, with what each shows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Self


@dataclass(frozen=True)
class ImageSet:
    """Images in a fixed order, read one by one; what each shows; and a digest of their content."""

    name: str
    at: Callable[[int], Any]
    keys: tuple[str, ...]
    digest: str

    def __len__(self) -> int:
        return len(self.keys)

    def part(self, start: int, stop: int) -> Self:
        """Those from `start` to before `stop`."""
        return replace(self, at=lambda index: self.at(start + index), keys=self.keys[start:stop])

    def __iter__(self) -> Iterator[Any]:
        return map(self.at, range(len(self)))

"""Tensors that lie in a file otherwise than a model has them: several in one, or the other way round.

Memory-mapped tensors stay so: a piece is a view of the whole; only what lies the other way round is copied.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from torch import Tensor

from altclip.checkpoints.layouts.base import Layout
from altclip.checkpoints.weights import Stored, Weights


@dataclass(frozen=True)
class Piece:
    """The `index`-th of `count` equal parts, one below the other, of the tensor stored under `key`."""

    key: str
    index: int = 0
    count: int = 1
    transposed: bool = False

    def cut(self, whole: Tensor) -> Tensor:
        if self.count > 1:
            height = len(whole) // self.count
            whole = whole[self.index * height : (self.index + 1) * height]
        return whole.T.contiguous() if self.transposed else whole

    def described(self, whole: Stored) -> Stored:
        """What an entry says of this piece; one that does not divide keeps its shape, and is then misshapen."""
        height, *rest = whole.shape or (1,)
        shape = (height // self.count, *rest) if self.count > 1 and height % self.count == 0 else whole.shape
        return replace(whole, shape=shape[::-1] if self.transposed else shape)


class PiecesOf:
    """Weights under the names of their pieces."""

    def __init__(self, weights: Weights, layout: Layout) -> None:
        self._weights = weights
        self._pieces = {name: piece for key in weights.entries for name, piece in pieces(layout, key)}
        self.entries: Mapping[str, Stored] = {
            name: piece.described(weights.entries[piece.key]) for name, piece in self._pieces.items()
        }

    def read(self, keys: Iterable[str], *, release: bool) -> Iterator[tuple[str, Tensor]]:
        names = defaultdict(list)
        for name in keys:
            names[self._pieces[name].key].append(name)
        for key, whole in self._weights.read(names, release=release):
            for name in names[key]:
                yield name, self._pieces[name].cut(whole)


def in_pieces(weights: Weights, layout: Layout) -> Weights:
    """The weights as the layout's rows name them."""
    return PiecesOf(weights, layout) if layout.fused or layout.transposed else weights


def pieces(layout: Layout, key: str) -> Iterator[tuple[str, Piece]]:
    """What a stored tensor holds, by the names that the layout's rows have for it (in any spelling)."""
    for pattern, targets in layout.fused:
        if re.search(pattern, key):
            for index, target in enumerate(targets):
                yield re.sub(pattern, target, key), Piece(key, index, len(targets))
            return
    yield key, Piece(key, transposed=any(re.search(pattern, key) for pattern in layout.transposed))

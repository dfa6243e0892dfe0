"""Features of the batches of texts computed last: a service is asked for the same labels again and again.

Whole batches are kept, not texts, so that what comes out is to the last bit what would be computed: in another batch
the same text differs in the last digits.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from threading import Lock
from typing import Final

from altclip.encoder.batching import TextBatch
from altclip.engines import Features

_TEXTS: Final = 8192  # with embeddings of 768 numbers 25 MB


class RecentBatches:
    """Keeps the features of batches of so many texts together, and forgets those not asked for the longest.

    Several threads may share one.
    """

    def __init__(self, most: int = _TEXTS) -> None:
        self._most, self._texts, self._weights = most, 0, 0
        self._batches: OrderedDict[tuple[object, ...], Features] = OrderedDict()
        self._lock = Lock()

    def __len__(self) -> int:
        """How many texts it holds."""
        return self._texts

    def of(self, weights: int) -> RecentBatches:
        """Itself, emptied if the weights are others than last time. weights: a number that tells."""
        with self._lock:
            if weights != self._weights:
                self._batches.clear()
                self._texts, self._weights = 0, weights
        return self

    def through(self, batch: TextBatch, encode: Callable[[TextBatch], Features]) -> Features:
        """Features (B, D) of the batch: those kept, or what `encode` gives. Not to be written to."""
        key = (batch.ids.shape, batch.ids.tobytes(), batch.mask.sum(axis=1).tobytes())
        with self._lock:
            weights = self._weights
            if key in self._batches:
                self._batches.move_to_end(key)
                return self._batches[key]
        features = encode(batch)
        with self._lock:
            if key not in self._batches and weights == self._weights:  # else another thread has seen them change
                self._batches[key] = features
                self._texts += len(features)
            while self._texts > self._most:
                _, oldest = self._batches.popitem(last=False)
                self._texts -= len(oldest)
        return features

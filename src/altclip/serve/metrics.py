"""Counters for Prometheus: the one file that imports its client. Nothing here tells what was asked.

Where several processes serve, each writes its numbers to files in one folder (the client library's multiprocess mode),
and any of them answers with the sums of all; what waits in a queue is as of the last second.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from altclip.errors import MissingExtraError
from altclip.serve.lanes import Lane

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
FOLDER: Final = "PROMETHEUS_MULTIPROC_DIR"  # the client library's own name; it looks once, when it is imported
_SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_SIZES: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class Metrics:
    """Counters of one server, in a registry of their own; those of several processes in a folder that they share."""

    def __init__(self) -> None:
        self._prometheus = _library()
        self._export = self._prometheus.CollectorRegistry()
        self._shared = FOLDER in os.environ
        if self._shared:
            _multiprocess().MultiProcessCollector(self._export)
        registry = None if self._shared else self._export
        self._gauges: list[tuple[Any, Callable[[], float]]] = []
        prometheus = self._prometheus
        self._requests = prometheus.Counter(
            "altclip_requests_total", "Requests answered", ["route", "method", "status"], registry=registry
        )
        self._latency = prometheus.Histogram(
            "altclip_request_seconds", "Time of requests", ["route"], buckets=_SECONDS, registry=registry
        )
        self._items = prometheus.Counter("altclip_items_total", "Texts and images encoded", ["kind"], registry=registry)
        self._batches = prometheus.Histogram(
            "altclip_batch_items", "Items of a batch", ["kind"], buckets=_SIZES, registry=registry
        )
        self._work = prometheus.Histogram(
            "altclip_batch_seconds", "Time of a batch", ["kind"], buckets=_SECONDS, registry=registry
        )

    def request(self, route: str, method: str, status: int, seconds: float) -> None:
        """Count an answer. route: its pattern, never its address."""
        self._requests.labels(route, method, str(status)).inc()
        self._latency.labels(route).observe(seconds)

    def batch(self, kind: str, size: int, seconds: float) -> None:
        """Count a batch."""
        self._items.labels(kind).inc(size)
        self._batches.labels(kind).observe(size)
        self._work.labels(kind).observe(seconds)

    def watch_queue(self, kind: str, lane: Lane) -> None:
        """Show a lane's queue and how long its batch takes."""
        self._watch(f"altclip_{kind}_queued_items", "Items that wait", "livesum", lambda: lane.queued)
        said = "Time the present batch has taken"
        self._watch(f"altclip_{kind}_batch_running_seconds", said, "livemax", lambda: lane.busy_for)

    def _watch(self, name: str, said: str, together: str, value: Callable[[], float]) -> None:
        """together: what becomes of the values of several processes."""
        gauge = self._prometheus.Gauge(
            name, said, registry=None if self._shared else self._export, multiprocess_mode=together
        )
        self._gauges.append((gauge, value))

    def refresh(self) -> None:
        """Note what is only true now, for those who ask another process."""
        for gauge, value in self._gauges:
            gauge.set(value())

    def text(self) -> bytes:
        """All of it in Prometheus' own format."""
        self.refresh()
        found: bytes = self._prometheus.generate_latest(self._export)
        return found


def forget_process(pid: int, folder: Path) -> None:
    """Take the queues of a process that has died out of the sums; what it had counted stays."""
    _multiprocess().mark_process_dead(pid, str(folder))


def _library() -> Any:
    try:
        import prometheus_client
    except ImportError as error:
        raise MissingExtraError("prometheus_client", "serve") from error
    return prometheus_client


def _multiprocess() -> Any:
    _library()
    import prometheus_client.multiprocess

    return prometheus_client.multiprocess

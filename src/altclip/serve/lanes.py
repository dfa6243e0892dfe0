"""Work of many requests gathered into batches for a model that computes one batch at a time."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from altclip.serve.refusals import Refusal

# One result an item, in order; an item that cannot be used has its error as result.
Work: TypeAlias = Callable[[list[Any]], Sequence[Any]]
Note: TypeAlias = Callable[[int, float], object]  # of a batch: items, seconds
_SMOOTHING: Final = 0.2


@dataclass(eq=False)
class Job:
    """Items that belong together, and where their results are waited for."""

    items: list[Any]
    results: asyncio.Future[list[Any]]
    urgent: bool = False


class Lane:
    """A bounded queue before one thread. Used within one event loop.

    A batch takes what waits, up to `most` items; an idle lane first waits `gather` seconds for others to join. A batch
    that fails is tried again job by job, so that one request's fault is its own.
    """

    def __init__(
        self, work: Work, *, most: int, room: int, gather: float, alone: bool = False, note: Note = lambda *_: None
    ) -> None:
        """`alone`: every job is a batch by itself. `note`: told the size and time of each batch."""
        self._work, self._most, self._room, self._gather, self._alone = work, most, room, gather, alone
        self.note = note
        self._waiting: deque[Job] = deque()
        self._arrived, self._full = asyncio.Event(), asyncio.Event()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="altclip-lane")
        self._since: float | None = None
        self._each = 0.01  # seconds an item takes, as it turns out
        self._closing = False
        self._task: asyncio.Task[None] | None = None

    @property
    def queued(self) -> int:
        """Items that wait."""
        return sum(len(job.items) for job in self._waiting if not job.results.done())

    @property
    def busy_for(self) -> float:
        """Seconds that the present batch has taken so far, 0 without one."""
        return 0.0 if self._since is None else time.monotonic() - self._since

    @property
    def alive(self) -> bool:
        """Whether there is somebody to do the work."""
        return self._task is not None and not self._task.done()

    def start(self) -> None:
        """Begin to work."""
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def close(self, seconds: float) -> bool:
        """Finish what was taken and end; False if that took longer than so many seconds."""
        self._closing = True
        self._arrived.set()
        self._full.set()
        if self._task is None:
            return True
        done, _ = await asyncio.wait([self._task], timeout=seconds)
        self._thread.shutdown(wait=False)
        return bool(done)

    async def results(self, items: Sequence[Any], *, urgent: bool = False) -> list[Any]:
        """What the work makes of the items. Given up when the task that asks is cancelled.

        urgent: before all others and without them, and whether or not there is room.

        Raises:
            Refusal: 429 where the queue is full, 503 where the lane is closing.
        """
        self._check_room(len(items), urgent)
        if not items:
            return []
        loop = asyncio.get_running_loop()
        size = len(items) if self._alone else self._most
        jobs = [Job(list(items[at : at + size]), loop.create_future(), urgent) for at in range(0, len(items), size)]
        if urgent:
            self._waiting.extendleft(reversed(jobs))
        else:
            self._waiting.extend(jobs)
        self._arrived.set()
        if self.queued >= self._most:
            self._full.set()
        gathered = asyncio.gather(*(job.results for job in jobs))  # cancelled, it cancels them all
        return [result for results in await gathered for result in results]

    def _check_room(self, number: int, urgent: bool) -> None:
        if self._closing:
            raise Refusal(503, "the server is shutting down", code="shutting_down", retry_after=5)
        queued = self.queued
        if not urgent and queued and queued + number > self._room:
            message = f"the server has as much to do as it takes ({queued} inputs wait); ask again later"
            raise Refusal(429, message, code="queue_full", retry_after=queued * self._each)

    async def _run(self) -> None:
        while True:
            await self._arrived.wait()
            if self._gather and not self._closing and self.queued < self._most and not self._alone:
                await self._joined()
            batch = self._take()
            if batch:
                await self._compute(batch)
            elif self._closing:
                return
            else:
                self._arrived.clear()

    async def _joined(self) -> None:
        """Wait for others, no longer than said, nor once there are enough."""
        self._full.clear()
        try:
            await asyncio.wait_for(self._full.wait(), self._gather)
        except TimeoutError:
            return

    def _take(self) -> list[Job]:
        """The jobs of the next batch, without those that nobody waits for any more."""
        batch: list[Job] = []
        size = 0
        while self._waiting:
            job = self._waiting[0]
            if job.results.done():
                self._waiting.popleft()
                continue
            if batch and (self._alone or size + len(job.items) > self._most):
                break
            batch.append(self._waiting.popleft())
            size += len(job.items)
            if job.urgent:  # a full batch would keep it waiting
                break
        return batch

    async def _compute(self, batch: list[Job]) -> None:
        self._since = begin = time.monotonic()
        try:
            jobs = [job.items for job in batch]
            outcomes = await asyncio.get_running_loop().run_in_executor(self._thread, self._outcomes, jobs)
        finally:
            self._since = None
        size, seconds = sum(len(job.items) for job in batch), time.monotonic() - begin
        self._each += _SMOOTHING * (seconds / size - self._each)
        self.note(size, seconds)
        for job, outcome in zip(batch, outcomes, strict=True):
            if job.results.done():
                continue
            if isinstance(outcome, BaseException):
                job.results.set_exception(outcome)
            else:
                job.results.set_result(outcome)

    def _outcomes(self, jobs: list[list[Any]]) -> list[list[Any] | Exception]:
        """The results of each job, or what went wrong with it. In the thread."""
        try:
            results = list(self._work([item for items in jobs for item in items]))
        except Exception as error:  # noqa: BLE001 - it goes to those who asked
            return [error] if len(jobs) == 1 else [self._outcomes([items])[0] for items in jobs]
        found: list[list[Any] | Exception] = []
        for items in jobs:
            found.append(results[: len(items)])
            results = results[len(items) :]
        return found

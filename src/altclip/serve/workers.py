"""Several processes at one port: started, watched, replaced when they die or hang, and ended together.

All take connections from one socket, which is open as long as any of them lives, so that no client is turned away while
one is replaced. Each has a model of its own; what it reads from a memory-mapped file the system keeps once. A worker
tells once a second that it is well; one whose batch is stuck does not, and is killed.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import socket
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from altclip.errors import AltclipError
from altclip.serve.metrics import FOLDER, forget_process
from altclip.serve.observing import LOGGER
from altclip.serve.running import GRACE, address, listening, make_server, prepare_log
from altclip.serve.settings import Settings

if TYPE_CHECKING:
    from fastapi import FastAPI

Make: TypeAlias = Callable[[], "FastAPI"]  # it is pickled: a function of a module, or a partial of one
_SPAWN: Final = multiprocessing.get_context("spawn")  # a fork would copy the threads' locks without the threads
_SILENT: Final = 30.0  # seconds without a word after which a worker that had started counts as hung
_SETTLED: Final = 60.0  # one that lived so long and died is replaced at once
_LONGEST: Final = 30.0  # others after a while that doubles up to this
_GLANCE: Final = 0.5


@dataclass(eq=False)
class _Worker:
    process: SpawnProcess
    heard: Connection
    began: float = field(default_factory=time.monotonic)
    last: float = 0.0  # when it last said that it is well; 0 before it has started


def serve_workers(make: Make, settings: Settings, started: Callable[[str], object] | None = None) -> None:
    """Serve with `settings.workers` processes until SIGINT or SIGTERM. started: told the address when all are there.

    Raises:
        UsageError: the address cannot be listened at.
        AltclipError: no worker could start; of the worker's own kind where it said why.
    """
    prepare_log()
    with listening(settings) as sock, tempfile.TemporaryDirectory(prefix="altclip-serve-") as folder:
        where = address(sock, settings)
        how = _supervised(_Workers(make, settings, sock, Path(folder), lambda: started(where) if started else None))
    if how == signal.SIGTERM:
        signal.raise_signal(how)  # so that who sent it sees that it was heeded


def _supervised(workers: _Workers) -> int | None:
    """Which signal ended them."""
    told: list[int] = []

    def end(number: int, _frame: FrameType | None) -> None:
        told.append(number)

    before = {number: signal.signal(number, end) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        while not told:
            workers.watch()
    finally:
        workers.end()
        for number, handler in before.items():
            signal.signal(number, handler)
    return told[0] if told else None


class _Workers:
    """The processes, and who is to be started when."""

    def __init__(
        self, make: Make, settings: Settings, sock: socket.socket, folder: Path, all_there: Callable[[], object]
    ) -> None:
        self._make, self._settings, self._sock, self._folder = make, settings, sock, folder
        self._all_there: Callable[[], object] | None = all_there
        self._alive: list[_Worker] = []
        self._due = [0.0] * settings.workers
        self._delay, self._any_started = 0.0, False

    def watch(self) -> None:
        """For half a second: start who is due, hear what they say, see who died or hangs. Raises AltclipError."""
        now = time.monotonic()
        for _ in [due for due in self._due if due <= now]:
            self._alive.append(self._start())
        self._due = [due for due in self._due if due > now]
        ready = wait([worker.heard for worker in self._alive], _GLANCE)
        for worker in [worker for worker in self._alive if worker.heard in ready]:
            self._hear(worker)
        for worker in [worker for worker in self._alive if _hangs(worker)]:
            LOGGER.error("worker %s hangs and is killed", worker.process.pid)
            worker.process.kill()

    def _start(self) -> _Worker:
        heard, said = _SPAWN.Pipe(duplex=False)
        threads = max(1, (os.cpu_count() or 1) // self._settings.workers)
        arguments = (self._make, self._settings, self._sock, said, str(self._folder), threads)
        process = _SPAWN.Process(target=_work, args=arguments, name="altclip-worker", daemon=True)
        process.start()
        said.close()  # the worker has the only one, so that its end is heard
        return _Worker(process, heard)

    def _hear(self, worker: _Worker) -> None:
        try:
            error = worker.heard.recv()
        except (EOFError, OSError):
            self._bury(worker)
            return
        if error is not None:
            if not self._any_started:
                raise error
            LOGGER.error("a worker cannot start: %s", error)
            return
        worker.last, self._any_started = time.monotonic(), True
        if self._all_there and len(self._alive) == self._settings.workers and all(w.last for w in self._alive):
            self._all_there()
            self._all_there = None

    def _bury(self, worker: _Worker) -> None:
        """One that has died is replaced; at once if it had lived well, else after a while."""
        worker.process.join(GRACE)
        worker.heard.close()
        self._alive.remove(worker)
        if not self._any_started:
            raise AltclipError("no worker could start; the lines above say why")
        if worker.process.pid is not None:
            forget_process(worker.process.pid, self._folder)
        settled = worker.last and time.monotonic() - worker.began > _SETTLED
        self._delay = 0.0 if settled else min(_LONGEST, max(0.5, 2 * self._delay))
        self._due.append(time.monotonic() + self._delay)
        LOGGER.error("worker %s has ended (%s) and is replaced", worker.process.pid, worker.process.exitcode)

    def end(self) -> None:
        """Have all of them finish what they took; who does not in time is killed."""
        for worker in self._alive:
            worker.process.terminate()
        self._sock.close()
        end = time.monotonic() + self._settings.shutdown + 2 * GRACE
        for worker in self._alive:
            worker.process.join(max(0.0, end - time.monotonic()))
            if worker.process.is_alive():
                LOGGER.error("worker %s did not end in time and is killed", worker.process.pid)
                worker.process.kill()
                worker.process.join()
            worker.heard.close()


def _hangs(worker: _Worker) -> bool:
    return bool(worker.last) and time.monotonic() - worker.last > _SILENT


def _work(make: Make, settings: Settings, sock: socket.socket, said: Connection, folder: str, threads: int) -> None:
    """A worker's life, in its process. It says None when it is well, and an error where it cannot start."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all; who started it tells it to end
    os.environ[FOLDER] = folder
    os.environ.setdefault("OMP_NUM_THREADS", str(threads))  # before torch is imported
    prepare_log()
    try:
        app = make()
    except AltclipError as error:
        said.send(error)
        return
    server: Any = None

    async def tell() -> None:
        app.state.metrics.refresh()
        if app.state.model.stuck is None:
            say()

    def say() -> None:
        try:
            said.send(None)
        except OSError:  # who started it is gone
            server.should_exit = True

    server = make_server(app, settings, say, tell, fair=True)
    server.run(sockets=[sock])

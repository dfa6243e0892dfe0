"""Several processes at one port: all serve, who dies or hangs is replaced, counters are summed, all end together."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import httpx
import pytest

from tests.tiny import tiny_model_folder

ROOT = Path(__file__).parents[2]
WAIT = 60.0


@contextmanager
def started(*arguments: str, **environment: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A process, and the address that it tells of."""
    command = [sys.executable, *arguments]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=os.environ | environment
    ) as process:
        try:
            assert process.stdout is not None
            found = (re.search(r"http://[\d.:]+", line) for line in process.stdout)
            yield process, next(match[0] for match in found if match)
        finally:
            process.kill()


def get(address: str) -> str:
    with urlopen(address, timeout=WAIT) as answer:
        return str(answer.read(), "ascii")


def until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + WAIT
    while not true():
        assert time.monotonic() < end, "it did not come to be"
        time.sleep(0.1)


def workers_of(process: subprocess.Popen[str]) -> set[int]:
    """Those alive; multiprocessing has a process of its own beside them."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    commands = {int(child): Path(f"/proc/{child}/cmdline").read_text() for child in children}
    return {child for child, command in commands.items() if "spawn_main" in command}


def answering(address: str, most: int = 40) -> set[int]:
    """The processes that answer."""
    return {int(get(address)) for _ in range(most)}


def counted(address: str, route: str = "/") -> float:
    """How many requests of a route were taken."""
    line = rf'^altclip_requests_total{{[^}}]*route="{route}"[^}}]*}} (\S+)$'
    found = re.search(line, get(f"{address}/metrics"), re.MULTILINE)
    return float(found[1]) if found else 0


@pytest.fixture(scope="module")
def light() -> Iterator[tuple[subprocess.Popen[str], str]]:
    with started("-m", "tests.serve.light", "2") as found:
        yield found


Served = tuple["subprocess.Popen[str]", str]


def test_all_of_them_answer(light: Served) -> None:
    process, address = light
    until(lambda: answering(address) == workers_of(process))
    assert len(workers_of(process)) == 2


def test_counters_are_summed_and_queues_too(light: Served) -> None:
    _, address = light
    before = counted(address)
    assert len(answering(address)) > 0
    assert counted(address) == before + 40
    until(lambda: "altclip_text_queued_items 2.0" in get(f"{address}/metrics"))


def test_one_that_dies_is_replaced_and_its_counts_stay(light: Served) -> None:
    process, address = light
    before, alive = counted(address), workers_of(process)
    with pytest.raises(OSError):
        get(f"{address}/die")
    until(lambda: len(workers_of(process)) == 2 and workers_of(process) != alive)
    assert answering(address, 5) <= workers_of(process)
    assert counted(address) == before + 5
    until(lambda: answering(address) == workers_of(process))
    until(lambda: "altclip_text_queued_items 2.0" in get(f"{address}/metrics"))


def test_one_that_hangs_is_replaced(light: Served) -> None:
    process, address = light
    hanging = int(get(f"{address}/hang"))
    until(lambda: len(workers_of(process)) == 2 and hanging not in workers_of(process))
    until(lambda: answering(address) == workers_of(process))


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_all_end_together_and_finish_what_they_took(how: signal.Signals) -> None:
    from concurrent.futures import ThreadPoolExecutor

    with started("-m", "tests.serve.light", "2") as (process, address), ThreadPoolExecutor(6) as pool:
        alive = workers_of(process)
        jobs = [pool.submit(get, f"{address}/slow") for _ in range(6)]
        until(lambda: counted(address, "/slow") == 6)
        process.send_signal(how)
        assert {int(job.result()) for job in jobs} <= alive
        assert process.wait(WAIT) == (0 if how == signal.SIGINT else -signal.SIGTERM)
        assert not any(Path(f"/proc/{child}").exists() for child in alive)
        with pytest.raises(URLError):
            get(address)


def test_workers_do_not_outlive_who_started_them() -> None:
    with started("-m", "tests.serve.light", "2") as (process, _):
        alive = workers_of(process)
        process.kill()
        until(lambda: not any(Path(f"/proc/{child}").exists() for child in alive))


@pytest.mark.parametrize(("make", "words"), [("refuses", "told: there is no such model"), ("dies", "no worker could")])
def test_none_that_can_start_is_told(make: str, words: str) -> None:
    command = [sys.executable, "-m", "tests.serve.light", "2", make]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=WAIT, check=False)
    assert done.returncode == 1
    assert words in done.stderr


@pytest.mark.slow
def test_the_command_with_two_workers(tmp_path: Path) -> None:
    folder = tiny_model_folder(tmp_path / "tiny")
    command = ("-m", "altclip", "serve", "--model", str(folder), "--port", "0")
    with started(*command, ALTCLIP_SERVE_WORKERS="2", XDG_DATA_HOME=str(tmp_path)) as (process, address):
        for number in range(20):
            body = {"model": "tiny", "input": f"cat {number}"}
            assert httpx.post(f"{address}/v1/embeddings", json=body, trust_env=False, timeout=30).status_code == 200
        assert 'altclip_items_total{kind="text"} 22.0' in get(f"{address}/metrics")  # each was warmed by one
        process.send_signal(signal.SIGTERM)
        assert process.wait(WAIT) == -signal.SIGTERM


@pytest.mark.slow
def test_the_command_with_workers_and_no_model(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "altclip", "serve", "--model", str(tmp_path / "none"), "--port", "0"]
    environment = os.environ | {"ALTCLIP_SERVE_WORKERS": "2", "XDG_DATA_HOME": str(tmp_path), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False, env=environment)
    assert done.returncode == 1
    assert "error:" in done.stderr
    assert "Traceback" not in done.stderr

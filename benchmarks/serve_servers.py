"""The servers that serve.py compares, each a process of its own."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Final
from urllib.error import URLError
from urllib.request import Request, urlopen

Form = Callable[[str, str], dict[str, Any]]  # of a kind and an input
_START: Final = 300.0


def openai(kind: str, given: str) -> dict[str, Any]:  # noqa: ARG001 (a data URI tells by itself)
    return {"model": "measured", "input": given}


def infinity(kind: str, given: str) -> dict[str, Any]:
    return {"model": "measured", "input": [given], "modality": kind}


class Server:
    """Started on entering, ended on leaving. log: where its words go."""

    def __init__(self, name: str, command: list[str], route: str, form: Form, log: Path, **environment: str) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        self.name, self.form, self._log = name, form, log
        self.route = f"http://127.0.0.1:{port}{route}"
        self._command = [part.replace("PORT", str(port)) for part in command]
        self._environment = {**os.environ, **environment}

    def __enter__(self) -> Server:
        with self._log.open("w") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log, env=self._environment)
        end = time.monotonic() + _START
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > end:
                self._process.kill()
                raise SystemExit(f"{self.name} did not start:\n{self._log.read_text()[-3000:]}")
            time.sleep(0.3)
        return self

    def _answers(self) -> bool:
        body = json.dumps(self.form("text", "a cat")).encode()
        try:
            with urlopen(Request(self.route, body, {"content-type": "application/json"}), timeout=60) as answer:
                return bool(answer.status == 200)
        except (URLError, OSError):
            return False

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._process.terminate()
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def memory_mib(self) -> float:
        """What it holds itself; mapped files are the kernel's to take back."""
        lines = Path(f"/proc/{self._process.pid}/status").read_text().splitlines()
        return round(next(int(line.split()[1]) for line in lines if line.startswith("RssAnon")) / 1024, 1)


def contenders(folder: Path, python: Path | None, work: Path) -> list[Server]:
    """Ours first; infinity last, where there is an environment of it."""
    ours = [sys.executable, "-m", "altclip", "serve", "--model", str(folder), "--port", "PORT"]
    alone = {"ALTCLIP_SERVE_BATCH": "1", "ALTCLIP_SERVE_GATHER": "0"}
    place = {"XDG_DATA_HOME": str(work), "ALTCLIP_SERVE_NAME": "measured"}
    found = [
        Server("altclip", ours, "/v1/embeddings", openai, work / "ours.log", **place),
        Server("altclip, one at a time", ours, "/v1/embeddings", openai, work / "alone.log", **place, **alone),
    ]
    if python is not None:
        theirs = [
            str(python.parent / "infinity_emb"), "v2", "--model-id", str(folder), "--served-model-name", "measured",
            "--engine", "torch", "--device", "cpu", "--dtype", "float32", "--batch-size", "64", "--port", "PORT",
            "--host", "127.0.0.1", "--no-bettertransformer",
        ]  # fmt: skip
        quiet = {"HF_HUB_OFFLINE": "1", "DO_NOT_TRACK": "1", "INFINITY_ANONYMOUS_USAGE_STATS": "0"}
        found.append(Server("infinity", theirs, "/embeddings", infinity, work / "infinity.log", **quiet))
    return found

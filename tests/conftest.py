"""What all tests share: an offline, quiet and small environment, and the development data where it is at hand."""

from __future__ import annotations

import os
import signal
import socket
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

ROOT = Path(__file__).parent.parent
_CACHE = pytest.StashKey[tempfile.TemporaryDirectory[str]]()


def pytest_configure(config: pytest.Config) -> None:
    """Set the environment before any test module imports torch or a Hugging Face library.

    Caches are new and empty, so that no test passes thanks to what a developer once downloaded.
    """
    cache = config.stash[_CACHE] = tempfile.TemporaryDirectory(prefix="altclip-tests-", ignore_cleanup_errors=True)
    os.environ.update(
        HF_HOME=cache.name,
        HF_HUB_OFFLINE="1",
        HF_DATASETS_OFFLINE="1",
        TRANSFORMERS_OFFLINE="1",
        HF_HUB_DISABLE_TELEMETRY="1",
        MPLCONFIGDIR=cache.name,
        MPLBACKEND="Agg",
        TOKENIZERS_PARALLELISM="false",
    )
    for variable in ("HF_TOKEN", "HF_ENDPOINT", "ALTCLIP_DEVICE", "ALTCLIP_ENGINE", "ALTCLIP_PRECISION"):
        os.environ.pop(variable, None)
    # tiny tensors: more threads cost more than they bring, and each of the test processes has a core
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    # what a shell starts in the background is deaf to Ctrl-C, and so are the programs that tests start and interrupt
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Leave no cache behind."""
    config.stash[_CACHE].cleanup()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whatever uses the development data carries the marker, so that `-m "not shared"` leaves none."""
    for item in items:
        if "shared" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.shared)


@pytest.fixture(autouse=True)
def nothing_said_yet() -> None:
    """What is said once in a process is said in every test."""
    if notice := sys.modules.get("altclip.checkpoints.notice"):
        notice._SAID.clear()


@pytest.fixture(scope="session")
def shared() -> Path:
    """The development data; tests that use it are skipped where it is absent."""
    return shared_folder()


def shared_folder() -> Path:
    """The folder named by ALTCLIP_SHARED, else `shared` beside the repository."""
    folder = Path(os.environ.get("ALTCLIP_SHARED") or ROOT.parent / "shared")
    if not (folder / "data").is_dir():
        pytest.skip(
            "the development data is not here: put the folder 'shared' beside the repository or set ALTCLIP_SHARED"
        )
    return folder


@pytest.fixture(autouse=True)
def _pillows_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands lift Pillow's own limit on pixels for their process; it is set back after each test."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", Image.MAX_IMAGE_PIXELS)


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """A test that reaches out fails at once, and says to where; this machine's own addresses are fine."""
    connect = socket.socket.connect

    def refuse(self: socket.socket, address: Any) -> None:
        if self.family != socket.AF_UNIX and address[0] not in ("127.0.0.1", "::1", "localhost"):
            raise AssertionError(f"a test opened a connection to {address}")
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", refuse)

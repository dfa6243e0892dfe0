"""`altclip demo --open`: an index that goes again, the page on loopback, a browser told of it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.cli.conftest import Run, run  # noqa: F401 - a fixture
from tests.tiny import tiny_model_folder

for _library in ("fastapi", "uvicorn", "prometheus_client", "lancedb"):
    pytest.importorskip(_library, reason="needs the extras serve and search")


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """The addresses that a browser was told of; temporary folders are made in `tmp_path/temporary`."""
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    addresses: list[str] = []
    monkeypatch.setattr("webbrowser.open", addresses.append)
    return addresses


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """In place of serving, ask for all photographs once; their names."""
    from fastapi.testclient import TestClient

    asked: list[list[str]] = []

    def ask(app: Any, settings: Any, started: Callable[[str], object]) -> None:
        assert settings.host == "127.0.0.1"
        started("http://127.0.0.1:1234")
        with TestClient(app, base_url="http://127.0.0.1:1234") as client:
            assert client.get("/").status_code == 200
            hits = client.post("/search", json={}).json()["hits"]
            assert all(client.get(f"/images/{hit['id']}").status_code == 200 for hit in hits)
            asked.append(sorted(hit["name"] for hit in hits))

    monkeypatch.setattr("altclip.serve.running.serve", ask)
    return asked


def test_photographs_of_a_folder(
    run: Run,  # noqa: F811
    folder: Path,
    opened: list[str],
    served: list[list[str]],
    tmp_path: Path,
) -> None:
    model = tiny_model_folder(tmp_path / "tiny")
    (folder / "damaged.jpg").write_bytes(b"no picture")
    before = sorted(folder.rglob("*"))
    ran = run("demo", folder, "--open", "--model", model)
    assert ran.code == 0
    assert served == [["b.JPG", "c.webp", "cat.png"]]
    assert "http://127.0.0.1:1234/" in ran.err
    assert "Ctrl-C" in ran.err
    assert "damaged.jpg" in ran.err
    assert list((tmp_path / "temporary").iterdir()) == []
    assert sorted(folder.rglob("*")) == before
    assert signal.getsignal(signal.SIGTERM) != signal.default_int_handler


def test_the_shipped_photographs(
    run: Run,  # noqa: F811
    opened: list[str],
    served: list[list[str]],
    tmp_path: Path,
) -> None:
    from altclip.demo import shipped

    ran = run("demo", "--open", "--model", tiny_model_folder(tmp_path / "tiny"))
    assert ran.code == 0
    assert served == [sorted(one.name for one in shipped())]
    assert list((tmp_path / "temporary").iterdir()) == []


@pytest.mark.parametrize("more", [("--json",), ("--languages", "zh"), ("--limit", "3"), ("--output", "x.html")])
def test_other_options_do_not_stand_beside_it(run: Run, more: tuple[str, ...]) -> None:  # noqa: F811
    ran = run("demo", "--open", *more)
    assert ran.code == 2
    assert "--open stands with" in ran.err


def test_folders_that_cannot_be_shown(run: Run, opened: list[str], tmp_path: Path) -> None:  # noqa: F811
    assert run("demo", tmp_path / "none", "--open").code == 2
    (tmp_path / "empty").mkdir()
    ran = run("demo", tmp_path / "empty", "--open", "--model", tiny_model_folder(tmp_path / "tiny"))
    assert ran.code == 1
    assert "no photograph that can be read" in ran.err
    assert opened == []
    assert list((tmp_path / "temporary").iterdir()) == []


@pytest.mark.parametrize(("library", "extra"), [("uvicorn", "serve"), ("lancedb", "search")])
def test_a_missing_extra_is_named(
    run: Run,  # noqa: F811
    folder: Path,
    opened: list[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    library: str,
    extra: str,
) -> None:
    model = tiny_model_folder(tmp_path / "tiny")
    monkeypatch.setitem(sys.modules, library, None)
    ran = run("demo", folder, "--open", "--model", model)
    assert ran.code == 1
    assert f"altclip[{extra}]" in ran.err
    assert list((tmp_path / "temporary").iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_a_process_opens_a_browser_and_tidies_up(tmp_path: Path, how: signal.Signals) -> None:
    told = tmp_path / "told"
    browser = tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\necho "$1" > {told}.part && mv {told}.part {told}\n', encoding="ascii")
    browser.chmod(0o755)
    (tmp_path / "temporary").mkdir()
    environment = {**os.environ, "TMPDIR": str(tmp_path / "temporary"), "BROWSER": str(browser)}
    command = [sys.executable, "-m", "altclip", "demo", "--open"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stderr is not None
        try:
            line = next(line for line in process.stderr if "the page is at" in line)
            address = line.split()[4]
            found = httpx.post(f"{address}search", json={"parts": [{"text": "浓缩咖啡"}]}, trust_env=False).json()
            assert found["hits"][0]["name"] == "coffee.png"
            process.send_signal(how)
            assert process.wait(60) == 0
            assert "POST" not in process.stderr.read()
        finally:
            process.kill()
    assert told.read_text().strip() == address
    assert list((tmp_path / "temporary").iterdir()) == []

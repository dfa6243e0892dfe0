"""`altclip serve` as a process: it serves, is told to end, makes keys, and refuses what is unsafe."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest

from altclip.cli import serve as command
from altclip.serve.settings import Settings
from tests.cli.conftest import Run, run  # noqa: F401 - a fixture
from tests.tiny import tiny_model_folder


def test_a_new_key(run: Run, tmp_path: Path) -> None:  # noqa: F811
    file = tmp_path / "keys"
    code, out, err = run("serve", "--keys", file, "--new-key", "phone:read")
    assert code == 0
    secret = out.strip()
    assert secret.startswith("altclip-")
    assert secret not in err + file.read_text()
    assert file.read_text().startswith("phone read ")
    code, out, err = run("serve", "--new-key", "admin:write")
    assert code == 0
    assert "admin write " in err
    assert out.strip() not in err
    for wrong in ("phone:read", "phone", "phone:all"):
        code, out, err = run("serve", "--keys", file, "--new-key", wrong)
        assert (code, out) == (2, "")
        assert "error:" in err


def test_a_key_goes_into_a_file_at_home(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    monkeypatch.setenv("HOME", str(tmp_path))
    assert run("serve", "--keys", "~/keys", "--new-key", "phone:read").code == 0
    assert (tmp_path / "keys").read_text().startswith("phone read ")


@pytest.mark.parametrize(("model", "step"), [(None, "delete that folder"), ("other", "leave out --model other")])
def test_an_index_of_another_model_is_not_served_and_told_why(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], model: str | None, step: str
) -> None:
    about = SimpleNamespace(model="mini", digest="0" * 64)
    monkeypatch.setattr(command, "_index", lambda _: SimpleNamespace(folder="/data/index", about=about))
    monkeypatch.setattr(command, "open_encoder", lambda *_, **__: SimpleNamespace(digest="f" * 64))
    monkeypatch.setattr("altclip.serve.pictures.open_pictures", lambda *_: None)
    monkeypatch.setattr("altclip.serve.app.create_app", lambda *_, index, **__: index)
    assert command._application(Settings(), model, None, None) is None
    said = capsys.readouterr().err
    assert "/data/index is not served: it holds embeddings of mini (000000000000)" in said
    assert "another (ffffffffffff)" in said
    assert step in said
    assert "None" not in said


def test_beyond_loopback_without_keys_is_refused(run: Run) -> None:  # noqa: F811
    code, _, err = run("serve", "--host", "0.0.0.0")
    assert code == 2
    assert "--new-key" in err


def test_wrong_settings(run: Run, tmp_path: Path) -> None:  # noqa: F811
    file = tmp_path / "serve.toml"
    file.write_text("[serve]\nbach = 3\n")
    code, _, err = run("serve", "--config", file)
    assert code == 1
    assert "did you mean `batch`" in err


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_a_process_serves_and_ends_when_told(tmp_path: Path, how: signal.Signals) -> None:
    folder = tiny_model_folder(tmp_path / "tiny")
    environment = {**os.environ, "XDG_DATA_HOME": str(tmp_path)}
    called = [sys.executable, "-m", "altclip", "serve", "--model", str(folder), "--port", "0"]
    with subprocess.Popen(called, stderr=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stderr is not None
        try:
            address = next(line for line in process.stderr if "serving at" in line).split()[2].rstrip(";")
            answer = httpx.post(f"{address}/v1/embeddings", json={"model": "tiny", "input": "x"}, trust_env=False)
            assert answer.status_code == 200
            process.send_signal(how)
            assert process.wait(30) == (0 if how == signal.SIGINT else -signal.SIGTERM)
            assert "Traceback" not in process.stderr.read()
        finally:
            process.kill()

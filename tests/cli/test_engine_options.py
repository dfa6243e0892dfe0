"""What runs the model, and how exactly: by an option, else by the environment, for every command that embeds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from altclip.cli import opening
from altclip.encoder import Encoder
from tests.cli.conftest import Run

Given = list[tuple[str, str]]


class OpenedError(RuntimeError):
    """The model would be opened now."""


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch) -> Given:
    """Engine and precision of every model that a command asks for; none is opened."""
    found: Given = []

    def opened(_self: Any, *_model: Any, engine: str, precision: str, **_rest: Any) -> None:
        found.append((engine, precision))
        raise OpenedError

    monkeypatch.setattr(Encoder, "__init__", opened)
    return found


def asked(run: Run, *arguments: object) -> None:
    with pytest.raises(OpenedError):
        run(*arguments)


def commands(folder: Path) -> dict[str, tuple[object, ...]]:
    return {
        "embed": ("embed", folder, "--out", folder / "x.npz"), "index": ("index", folder, "--index", folder / "index"),
        "classify": ("classify", folder, "--labels", "a,b"), "serve": ("serve", "--port", 0),
    }  # fmt: skip


@pytest.mark.parametrize("command", ["embed", "index", "classify", "serve"])
def test_the_environment_says_it(
    run: Run, album: Path, given: Given, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked(run, *commands(album)[command])
    monkeypatch.setenv("ALTCLIP_ENGINE", "compiled")
    monkeypatch.setenv("ALTCLIP_PRECISION", "exact")
    asked(run, *commands(album)[command])
    assert given == [("auto", "fast"), ("compiled", "exact")]


@pytest.mark.parametrize("command", ["embed", "index", "serve"])
def test_an_option_says_it_louder(
    run: Run, album: Path, given: Given, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALTCLIP_ENGINE", "compiled")
    asked(run, *commands(album)[command], "--engine", "onnx")
    assert given == [("onnx", "fast")]


@pytest.mark.parametrize("command", ["embed", "serve"])
def test_precision_is_an_option(run: Run, album: Path, given: Given, command: str) -> None:
    asked(run, *commands(album)[command], "--precision", "exact")
    assert given == [("auto", "exact")]


def test_the_device_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    assert opening.device_name() == "auto"
    monkeypatch.setenv("ALTCLIP_DEVICE", "cuda:1")
    assert opening.device_name() == "cuda:1"

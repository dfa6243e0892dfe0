"""Saving is whole or not at all: a full disk, a kill or an error leaves the last model as it was."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from altclip.checkpoints import load_model, save_model
from altclip.checkpoints import save as saving
from altclip.errors import CheckpointError
from altclip.models import DualEncoder, ModelConfig, TextConfig, VisionConfig, initialise
from tests.models import oracles

CONFIG = ModelConfig(
    vision=VisionConfig.from_dict(oracles.VISION), text=TextConfig.from_dict(oracles.TEXT), projection_dim=16
)


def model(seed: int) -> DualEncoder:
    torch.manual_seed(seed)
    return initialise(DualEncoder(CONFIG))


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def same(a: DualEncoder, b: DualEncoder) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True))


def test_a_second_save_replaces_the_first(tmp_path: Path) -> None:
    save_model(model(0), tmp_path)
    save_model(model(1), tmp_path)
    assert same(load_model(tmp_path), model(1))
    assert sorted(contents(tmp_path)) == ["config.json", "model.safetensors"]


def test_saving_the_same_model_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    save_model(model(0), tmp_path / "a")
    save_model(model(0), tmp_path / "b")
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


def test_files_of_an_earlier_save_are_not_read_instead(tmp_path: Path) -> None:
    """A whole file stands before shards, and safetensors before pickles, for us and for transformers."""
    save_model(model(0), tmp_path)
    (tmp_path / "tokenizer.json").write_text("{}")
    save_model(model(1), tmp_path, max_shard_size=40_000)
    assert not (tmp_path / "model.safetensors").exists()
    assert same(load_model(tmp_path), model(1))
    many = len(contents(tmp_path))
    save_model(model(2), tmp_path, max_shard_size=80_000)
    assert same(load_model(tmp_path), model(2))
    assert len(contents(tmp_path)) < many
    (tmp_path / "pytorch_model.bin").write_bytes(b"old")
    save_model(model(3), tmp_path)
    assert sorted(contents(tmp_path)) == ["config.json", "model.safetensors", "tokenizer.json"]


@pytest.mark.parametrize("broken", ["save_file", "_write_json", "_flush"])
def test_an_error_on_the_way_leaves_what_was_there(
    broken: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_model(model(0), tmp_path)
    before = contents(tmp_path)

    def fail(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(saving, broken, fail)
    with pytest.raises(CheckpointError, match=rf"{tmp_path}.*No space left on device.*what was there before is whole"):
        save_model(model(1), tmp_path)
    assert contents(tmp_path) == before


def test_a_kill_on_the_way_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kill runs no clean-up: the temporary files stay, are never read, and a later save works."""
    save_model(model(0), tmp_path)
    before = contents(tmp_path)
    monkeypatch.setattr(Path, "unlink", lambda *_, **__: None)
    monkeypatch.setattr(saving, "_flush", lambda _: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        save_model(model(1), tmp_path)
    monkeypatch.undo()
    left = contents(tmp_path)
    assert len(left) > len(before)
    assert {name: left[name] for name in before} == before
    assert same(load_model(tmp_path), model(0))
    save_model(model(1), tmp_path)
    assert same(load_model(tmp_path), model(1))


FULL_DISK = """
import resource, signal, sys, torch
from altclip.checkpoints import load_model, save_model
from altclip.errors import CheckpointError
model = load_model(sys.argv[1])
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
with torch.no_grad():
    model.logit_scale.mul_(2)
try:
    save_model(model, sys.argv[1])
except CheckpointError as error:
    print(error)
    sys.exit(3)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGXFSZ"), reason="this system cannot limit the size of files")
def test_a_file_that_cannot_be_written_to_its_end(tmp_path: Path) -> None:
    """The nearest to a full disk that a process can bring about by itself."""
    save_model(model(0), tmp_path)
    before = contents(tmp_path)
    done = subprocess.run([sys.executable, "-c", FULL_DISK, str(tmp_path)], capture_output=True, text=True)
    assert done.returncode == 3, done.stderr
    assert "cannot be written" in done.stdout
    assert contents(tmp_path) == before


@pytest.mark.skipif(os.geteuid() == 0 if hasattr(os, "geteuid") else True, reason="this user may write everywhere")
def test_a_folder_that_may_not_be_written(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(CheckpointError, match="another folder"):
        save_model(model(0), tmp_path / "model")


def test_a_file_where_the_folder_should_be(tmp_path: Path) -> None:
    (tmp_path / "model").write_text("")
    with pytest.raises(CheckpointError, match=r"model cannot be written to .*model"):
        save_model(model(0), tmp_path / "model")


def test_new_files_have_the_usual_permissions(tmp_path: Path) -> None:
    save_model(model(0), tmp_path)
    (tmp_path / "plain").write_text("")
    usual = (tmp_path / "plain").stat().st_mode
    assert {path.stat().st_mode for path in tmp_path.iterdir()} == {usual}

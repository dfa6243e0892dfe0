"""WiSE-FT: the ends exactly, the middle in the middle, formats, and models that do not fit together."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from altclip.checkpoints import load_model, read_settings, save_model
from altclip.encoder import Encoder
from altclip.errors import CheckpointError, UsageError
from altclip.train.merging import averaged, merge
from tests.tiny import tiny_config, tiny_model, tiny_model_folder, tiny_processor
from tests.train.conftest import Cli
from tests.train.test_lora import files_of_at_most


@pytest.fixture
def tuned(tmp_path: Path) -> Path:
    return tiny_model_folder(tmp_path / "tuned", seed=1)


@pytest.mark.parametrize("alpha", [0.0, 1.0])
def test_the_ends_are_the_two_exactly(alpha: float, base: Path, tuned: Path, tmp_path: Path) -> None:
    found = load_model(merge(base, tuned, tmp_path / "out", alpha=alpha)).state_dict()
    for name, weight in load_model(tuned if alpha else base).state_dict().items():
        assert torch.equal(found[name], weight), name


def test_between_them(base: Path, tuned: Path, tmp_path: Path) -> None:
    found = load_model(merge(base, tuned, tmp_path / "out", alpha=0.25)).state_dict()
    one, other = load_model(base).state_dict(), load_model(tuned).state_dict()
    for name, weight in found.items():
        torch.testing.assert_close(weight, 0.75 * one[name] + 0.25 * other[name])


def test_half_if_nothing_is_said(base: Path, tuned: Path, tmp_path: Path) -> None:
    folder = merge(base, tuned, tmp_path / "out")
    assert read_settings(folder)["altclip_merge"] == {"model": str(base), "tuned": str(tuned), "alpha": 0.5}
    assert Encoder(folder).encode_texts(["a cat"]).shape == (1, 16)


def test_the_command(cli: Cli, base: Path, tuned: Path, tmp_path: Path) -> None:
    code, said = cli("merge", base, tuned, "--alpha", 0.3, "--output", tmp_path / "out")
    assert (code, said) == (0, f"done: {tmp_path / 'out'}")
    mixed = averaged(load_model(base), load_model(tuned), 0.3).state_dict()
    for name, weight in load_model(tmp_path / "out").state_dict().items():
        assert torch.equal(weight, mixed[name])
    assert "altclip merge mini" in cli("merge", "--help")[1]


def test_the_models_stay_as_they_were(base: Path) -> None:
    first, second = tiny_model(0), tiny_model(1)
    averaged(first, second, 0.5)
    assert torch.equal(first.text.tower.words.weight, tiny_model(0).text.tower.words.weight)
    assert torch.equal(second.text.tower.words.weight, tiny_model(1).text.tower.words.weight)


def test_the_wider_format_is_kept(base: Path, tmp_path: Path) -> None:
    half = tmp_path / "half"
    save_model(tiny_model(1), half, dtype=torch.float16)
    tiny_processor().save(half)
    assert read_settings(merge(base, half, tmp_path / "a", alpha=1))["torch_dtype"] == "float32"
    assert read_settings(merge(half, half, tmp_path / "b"))["torch_dtype"] == "float16"
    for name, weight in load_model(merge(half, base, tmp_path / "c", alpha=0)).state_dict().items():
        assert torch.equal(weight, load_model(half).state_dict()[name].float())


# --- what cannot be averaged ---


def larger(folder: Path) -> Path:
    config = tiny_config()
    assert config.vision is not None
    wide = replace(config, vision=replace(config.vision, hidden_size=48, intermediate_size=96))
    save_model(tiny_model(0, wide), folder)
    tiny_processor().save(folder)
    return folder


def test_unequal_models(cli: Cli, base: Path, tmp_path: Path) -> None:
    other = larger(tmp_path / "larger")
    with pytest.raises(UsageError, match="unequal architecture") as caught:
        merge(base, other, tmp_path / "out")
    assert "vision.hidden_size is 32 in the first, 48 in the second" in str(caught.value)
    assert "vision.intermediate_size is 64 in the first, 96 in the second" in str(caught.value)
    code, said = cli("merge", base, other, "--output", tmp_path / "out")
    assert (code, "vision.hidden_size is 32" in said) == (2, True)
    assert not (tmp_path / "out").exists()


def test_other_tokens_or_pixels(cli: Cli, base: Path, tuned: Path, tmp_path: Path) -> None:
    path = tuned / "tokenizer.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    content["normalizer"] = {"type": "Lowercase"}
    path.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(UsageError, match="have different tokenizers"):
        merge(base, tuned, tmp_path / "out")
    tiny_processor().save(tuned)
    settings = tiny_processor().image_processor.to_dict() | {"image_mean": [0.5] * 3}
    (tuned / "preprocessor_config.json").write_text(json.dumps(settings), encoding="utf-8")
    code, said = cli("merge", base, tuned, "--output", tmp_path / "out")
    assert (code, "have different image settings" in said) == (2, True)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("alpha", [-0.1, 1.5])
def test_beyond_the_ends(alpha: float, cli: Cli, base: Path, tuned: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=f"alpha is {alpha}: expected 0"):
        merge(base, tuned, tmp_path / "out", alpha=alpha)
    assert cli("merge", base, tuned, "--alpha", alpha, "--output", tmp_path / "out")[0] == 2


def test_nothing_is_written_over(cli: Cli, base: Path, tuned: Path) -> None:
    with pytest.raises(UsageError, match="holds files already"):
        merge(base, tuned, tuned)
    assert cli("merge", base, tuned, "--output", base)[0] == 2


def test_a_model_that_is_not_there(cli: Cli, base: Path, tmp_path: Path) -> None:
    code, said = cli("merge", base, tmp_path / "none" / "at" / "all", "--output", tmp_path / "out")
    assert code == 1
    assert "is no folder here" in said


def test_a_full_disk_leaves_nothing(base: Path, tuned: Path, tmp_path: Path) -> None:
    with files_of_at_most(100_000), pytest.raises(CheckpointError, match="cannot be written"):
        merge(base, tuned, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["tuned"]

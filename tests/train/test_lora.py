"""LoRA: what it trains, that its adapter is peft's own, that merging changes nothing, and adapters that do not fit."""

from __future__ import annotations

import errno
import json
import os
import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from altclip.checkpoints import load_model
from altclip.encoder import Encoder
from altclip.errors import CheckpointError, ConfigError, MissingExtraError, UsageError, WeightsError
from altclip.models import DualEncoder
from altclip.train import adapters
from altclip.train.adapters import is_adapter, merged, put_adapter, save_adapter, with_adapter
from altclip.train.config import LoraConfig, Recipe
from altclip.train.estimate import estimate
from altclip.train.loading import load_recipe
from altclip.train.merging import merge
from tests.tiny import tiny_model
from tests.train import made
from tests.train.conftest import Cli, Train, Tune
from tests.train.test_resume import CutError, curve, cut_at

pytest.importorskip("peft")
LORA = (
    "stages.finetune.lora.rank=4",
    "stages.finetune.lora.dropout=0.1",
    "stages.finetune.optimizer.learning_rate=0.01",
)


def features(model: Any) -> tuple[torch.Tensor, torch.Tensor]:
    draw = torch.Generator().manual_seed(3)
    ids, pixels = torch.randint(4, 300, (3, 9), generator=draw), torch.randn(2, 3, 32, 32, generator=draw)
    with torch.no_grad():
        return model.encode_text(ids), model.encode_image(pixels)


def adapted(**settings: Any) -> DualEncoder:
    """A tiny model with an adapter that does something."""
    model = tiny_model(0)
    put_adapter(model, LoraConfig.model_validate(settings), "tiny")
    draw = torch.Generator().manual_seed(1)
    for weight in model.parameters():
        if weight.requires_grad:
            weight.data.normal_(0, 0.1, generator=draw)
    return model.eval()


def apart(one: tuple[torch.Tensor, ...], other: tuple[torch.Tensor, ...]) -> float:
    """The largest difference."""
    return max(float((a - b).abs().max()) for a, b in zip(one, other, strict=True))


# --- what is trained ---


def test_only_the_adapter_is_trained() -> None:
    model = adapted()
    names = {name for name, weight in model.named_parameters() if weight.requires_grad}
    layers = [
        f"{side}.layers.{n}.attention.{part}"
        for side in ("vision", "text.tower")
        for n in (0, 1)
        for part in ("query", "value")
    ]
    assert names == {f"{layer}.lora_{side}.default.weight" for layer in layers for side in "AB"}


def test_a_new_adapter_changes_nothing() -> None:
    model = tiny_model(0)
    before = features(model)
    put_adapter(model, LoraConfig(), "tiny")
    assert apart(features(model.eval()), before) <= 0.0


@pytest.mark.parametrize("tower", ["vision", r"text\.tower"])
def test_one_tower_by_pattern(tower: str) -> None:
    names = {n for n, w in adapted(target=rf"^{tower}\.layers\.").named_parameters() if w.requires_grad}
    assert len(names) == 2 * 6 * 2
    assert all(name.startswith(tower.replace("\\", "")) for name in names)


def test_a_pattern_in_vain() -> None:
    with pytest.raises(UsageError, match=r"no trained linear map matches 'q_proj'; they are named like vision\.layers"):
        put_adapter(tiny_model(0), LoraConfig(target="q_proj"), "tiny")


def test_what_the_stage_holds_still_gets_no_adapter(base: Path) -> None:
    """align freezes the image tower, and its embeddings are cached: no adapter may move it."""
    table = {
        "name": "lora", "model": str(base),
        "stages": {"a": {"kind": "align", "steps": 1, "lora": {}, "pairs": [{"path": "x", "captions": {"en": "en"}}]}},
    }  # fmt: skip
    recipe = Recipe.model_validate(table)
    cost = estimate(recipe, recipe.stages["a"])
    width, rank, maps = 32, 8, 4
    assert cost.trained == maps * rank * 2 * width
    assert cost.parameters > cost.trained


# --- a run ---


def test_an_adapter_alone(tune: Tune, base: Path, cli: Cli) -> None:
    folder = tune(*LORA)
    assert {path.name for path in (folder / "adapter").iterdir()} == {
        "adapter_config.json",
        "adapter_model.safetensors",
    }
    assert not (folder / "model").exists()
    assert is_adapter(folder / "adapter")
    settings = json.loads((folder / "adapter" / "adapter_config.json").read_text(encoding="utf-8"))
    assert (settings["r"], settings["lora_alpha"], settings["lora_dropout"]) == (4, 16.0, 0.1)
    assert settings["base_model_name_or_path"] == str(base)
    assert any(
        weight.abs().max() > 0
        for name, weight in load_file(folder / "adapter" / "adapter_model.safetensors").items()
        if "lora_B" in name
    )


def test_merged_on_request_opens_as_any_model(tune: Tune, base: Path, album: Path) -> None:
    import peft

    folder = tune(*LORA, "stages.finetune.lora.merge=true", "stages.finetune.ema=0.5")
    whole = load_model(folder / "model")
    assert (
        apart(features(whole), features(peft.PeftModel.from_pretrained(load_model(base), str(folder / "adapter"))))
        <= 1e-5
    )
    assert whole.state_dict().keys() == load_model(base).state_dict().keys()
    assert not torch.equal(features(whole)[1], features(load_model(base))[1])
    assert len(Encoder(folder / "model").classify(album / "red" / "0.png", ["red", "green"])) == 2


def test_everything_else_stays_bitwise_equal(tune: Tune, base: Path) -> None:
    whole = load_model(tune(*LORA, "stages.finetune.lora.merge=true") / "model").state_dict()
    for name, weight in load_model(base).state_dict().items():
        if not name.endswith(("query.weight", "value.weight")):
            assert torch.equal(weight, whole[name]), name


def test_a_resumed_run_is_the_same(tune: Tune, tmp_path: Path) -> None:
    """Also with a moving average, and dropout in the adapter."""
    changes = (*LORA, "stages.finetune.ema=0.8")
    whole = tune(*changes)
    with cut_at(5), pytest.raises(CutError):
        tune(*changes, output=tmp_path / "again")
    folder = tune(*changes, output=tmp_path / "again", resume=True)
    assert curve(folder) == pytest.approx(curve(whole), abs=1e-6)
    mine, theirs = (load_file(f / "adapter" / "adapter_model.safetensors") for f in (folder, whole))
    assert mine.keys() == theirs.keys()
    for name, weight in mine.items():
        torch.testing.assert_close(weight, theirs[name], atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("only", ["student", "align"])
def test_the_other_kinds_of_stages_train_adapters(only: str, train: Train, trained: Path, tmp_path: Path) -> None:
    for stage in ("teacher", "student"):
        (tmp_path / stage).symlink_to(trained / stage) if stage != only else None
    start = {"all": "teacher"} if only == "align" else {"image": "teacher"}
    folder = train(
        made.recipe({only: {"lora": {"merge": True}, "start": start if only == "student" else {"all": "student"}}}),
        output=tmp_path,
        only=only,
    )
    keys = load_file(folder / "adapter" / "adapter_model.safetensors")
    assert all(key.startswith("base_model.model.text.tower.layers.") for key in keys)
    assert Encoder(folder / "model").encode_texts(["红色"]).shape == (1, 16)


def test_a_later_stage_needs_a_whole_model() -> None:
    table = made.RECIPE["stages"]
    stages = {**table, "student": {**table["student"], "lora": {"rank": 2}}}
    with pytest.raises(
        ValueError, match="takes weights from student, which leaves an adapter alone: set lora.merge = true"
    ):
        Recipe.model_validate({**made.RECIPE, "stages": stages})
    stages["student"] = {**table["student"], "lora": {"rank": 2, "merge": True}}
    assert Recipe.model_validate({**made.RECIPE, "stages": stages})


def test_the_command_line(cli: Cli, base: Path, album: Path, tmp_path: Path) -> None:
    changes = [
        f"model={base}",
        "stages.finetune.steps=2",
        "stages.finetune.batch_size=8",
        "stages.finetune.lora.rank=2",
    ]
    sets = [part for change in changes for part in ("--set", change)]
    code, said = cli("train", "finetune", "--data", album, "--output", tmp_path / "out", "--device", "cpu", *sets)
    adapter = tmp_path / "out" / "finetune" / "adapter"
    assert code == 0, said
    assert f"done: {adapter}" in said
    code, said = cli("merge", base, adapter, "--output", tmp_path / "whole")
    assert (code, said) == (0, f"done: {tmp_path / 'whole'}")
    assert Encoder(tmp_path / "whole").dim == 16


# --- peft's own form ---


def test_peft_loads_what_is_saved(tmp_path: Path) -> None:
    import peft

    model = adapted(target=r"\.layers\.|transformation|visual_projection")
    expected = features(model)
    save_adapter(model, tmp_path / "adapter")
    loaded = peft.PeftModel.from_pretrained(tiny_model(0), str(tmp_path / "adapter"))
    assert apart(features(loaded), expected) <= 0.0


def test_what_peft_saves_is_loaded(tmp_path: Path) -> None:
    """An adapter made with peft alone, by a suffix and with a scale of its own kind."""
    import peft

    made_by_peft = peft.get_peft_model(tiny_model(0), peft.LoraConfig(target_modules=["expand"], r=3, use_rslora=True))
    for name, weight in made_by_peft.named_parameters():
        if "lora_B" in name:
            weight.data.normal_(0, 0.1)
    made_by_peft.eval().save_pretrained(str(tmp_path / "adapter"))
    assert apart(features(with_adapter(tiny_model(0), tmp_path / "adapter")), features(made_by_peft)) <= 1e-5


def test_merged_equals_unmerged() -> None:
    model = adapted(target=r"\.layers\.")
    expected = features(model)
    assert apart(features(merged(model)), expected) <= 1e-5
    assert model.state_dict().keys() == tiny_model(0).state_dict().keys()


def test_half_of_an_adapter(base: Path, tmp_path: Path) -> None:
    """WiSE-FT goes for adapters too: half of the way is the adapter at half its scale."""
    save_adapter(adapted(), tmp_path / "adapter")
    half = load_model(merge(base, tmp_path / "adapter", tmp_path / "half", alpha=0.5)).state_dict()
    start, end = tiny_model(0).state_dict(), merged(adapted()).state_dict()
    for name, weight in half.items():
        torch.testing.assert_close(weight, (start[name] + end[name]) / 2)


# --- what does not fit ---


def other(folder: Path, change: Any) -> Path:
    """An adapter whose tensors are changed."""
    save_adapter(adapted(), folder)
    tensors = load_file(folder / "adapter_model.safetensors")
    save_file(change(tensors), folder / "adapter_model.safetensors")
    return folder


KEY = "base_model.model.text.tower.layers.0.attention.query.lora_A.weight"
MISFITS: dict[str, tuple[Any, str]] = {
    "width": (lambda t: {**t, KEY: torch.zeros(8, 48)}, rf"{KEY} is \(8, 48\): expected \(rank, 32\)"),
    "output": (
        lambda t: {**t, KEY.replace("_A", "_B"): torch.zeros(16, 8)},
        rf"{KEY.replace('_A', '_B')} is \(16, 8\): expected \(32, rank\)",
    ),
    "name": (
        lambda t: {k.replace("layers.1", "layers.7"): v for k, v in t.items()},
        r"layers\.7\.attention\.query\.lora_A\.weight: the model has no linear map of that name",
    ),
    "another library's names": (
        lambda t: {k.replace("text.tower", "text_model.roberta"): v for k, v in t.items()},
        "text_model.roberta.* no linear map of that name",
    ),
}


@pytest.mark.parametrize(("change", "message"), MISFITS.values(), ids=MISFITS.keys())
def test_adapters_of_other_shapes(change: Any, message: str, base: Path, tmp_path: Path, cli: Cli) -> None:
    folder = other(tmp_path / "adapter", change)
    with pytest.raises(WeightsError, match=message):
        with_adapter(load_model(base), folder)
    code, said = cli("merge", base, folder, "--output", tmp_path / "out")
    assert code == 1
    assert "is an adapter of another model" in said
    assert not (tmp_path / "out").exists()


def _cut(folder: Path) -> None:
    file = folder / "adapter_model.safetensors"
    file.write_bytes(file.read_bytes()[:-40])


BROKEN: dict[str, tuple[Any, type[Exception], str]] = {
    "weights gone": (
        lambda f: (f / "adapter_model.safetensors").unlink(),
        CheckpointError,
        "has no adapter_model.safetensors",
    ),
    "weights cut": (_cut, WeightsError, "is damaged"),
    "no json": (lambda f: (f / "adapter_config.json").write_text("{"), CheckpointError, "cannot be read"),
    "another kind": (
        lambda f: (f / "adapter_config.json").write_text('{"peft_type": "LOHA"}'),
        UsageError,
        "of kind LOHA",
    ),
}


@pytest.mark.parametrize(("spoil", "error", "message"), BROKEN.values(), ids=BROKEN.keys())
def test_broken_adapters(
    spoil: Any, error: type[Exception], message: str, base: Path, tmp_path: Path, cli: Cli
) -> None:
    save_adapter(adapted(), tmp_path / "adapter")
    spoil(tmp_path / "adapter")
    with pytest.raises(error, match=message):
        merge(base, tmp_path / "adapter", tmp_path / "out")
    code, said = cli("merge", base, tmp_path / "adapter", "--output", tmp_path / "out")
    assert (code, message in said) == (2 if error is UsageError else 1, True)
    assert not (tmp_path / "out").exists()


def test_without_peft(monkeypatch: pytest.MonkeyPatch, tune: Tune) -> None:
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'altclip\[lora\]'"):
        put_adapter(tiny_model(0), LoraConfig(), "tiny")
    assert (tune() / "model").is_dir()  # and nothing else needs it


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """The system refuses to write past a size, as a full disk does."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_leaves_no_half_adapter(tmp_path: Path) -> None:
    model = adapted()
    with files_of_at_most(3000), pytest.raises(CheckpointError, match="adapter cannot be written .*: make room"):
        save_adapter(model, tmp_path / "adapter")
    assert list(tmp_path.iterdir()) == []
    save_adapter(model, tmp_path / "adapter")
    before = (tmp_path / "adapter" / "adapter_model.safetensors").read_bytes()
    with files_of_at_most(3000), pytest.raises(CheckpointError):
        save_adapter(model, tmp_path / "adapter")
    assert (tmp_path / "adapter" / "adapter_model.safetensors").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["adapter"]


def test_a_full_disk_at_the_end_of_a_run(tune: Tune, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The run can be taken up where it was: the checkpoint of the last step is there."""

    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(adapters, "save_file", full)
    with pytest.raises(CheckpointError, match="No space left"):
        tune(*LORA)
    folder = tmp_path / "tuned" / "finetune"
    assert not (folder / "adapter").exists()
    assert not list(folder.glob(".*"))
    monkeypatch.undo()
    assert is_adapter(tune(*LORA, resume=True) / "adapter")


def test_mistakes_of_the_section(cli: Cli) -> None:
    with pytest.raises(ConfigError) as caught:
        load_recipe(
            "finetune", [f"stages.finetune.lora.{c}" for c in ("rank=0", "alpha=-1", "dropout=1", "target=(", "rnk=4")]
        )
    assert len(caught.value.problems) == 5
    assert "stages.finetune.lora.rnk: no such key; did you mean `rank`?" in caught.value.problems

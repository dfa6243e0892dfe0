"""Every shipped recipe: built at full size without memory, its head's figures true, and ten steps with small towers."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from altclip.checkpoints import load_model, save_model
from altclip.models import DualEncoder, ModelConfig, TextConfig, VisionConfig, heads_of, initialise
from altclip.train import run
from altclip.train.config import Recipe
from altclip.train.config_data import LabelsFile
from altclip.train.estimate import A100, estimate
from altclip.train.loading import load_recipe, shipped_recipes
from altclip.train.logs import read_log
from altclip.train.stages.build import empty_model
from altclip.train.tokenizer import save_tokenizer, train_tokenizer
from tests.train import made

FULL_SIZE = ["altclip", "altclip-m9", "taiyi"]


def test_the_recipes_of_the_issue_are_shipped() -> None:
    assert shipped_recipes() == [
        "altclip",
        "altclip-m9",
        "cifar10",
        "distill",
        "finetune",
        "mini",
        "mini-diffusion",
        "taiyi",
    ]


@pytest.mark.parametrize("name", [name for name in shipped_recipes() if name != "mini-diffusion"])
def test_builds_at_full_size(name: str) -> None:
    recipe = load_recipe(name)
    assert recipe.name == name
    for stage in recipe.stages.values():
        model = empty_model(stage, recipe)
        assert all(weight.is_meta for weight in model.parameters())
        trained = {name for name, weight in model.named_parameters() if weight.requires_grad}
        assert trained
        if stage.kind != "contrastive":
            assert not any(name.startswith(("vision.", "visual_projection.")) for name in trained)


def test_what_draws_is_small_enough_to_be_bundled() -> None:
    """At most 20 MB in half precision, and only what reads the text is trained after the exchange of its tower."""
    pytest.importorskip("diffusers", reason="needs the extra diffusion")
    recipe = load_recipe("mini-diffusion")
    cost = {name: estimate(recipe, stage) for name, stage in recipe.stages.items()}
    assert 2 * cost["all"].parameters < 20e6
    assert cost["all"].parameters == cost["all"].trained == cost["exchange"].parameters
    assert 0 < cost["exchange"].trained < 0.1 * cost["exchange"].parameters
    pictures = {name: stage.steps * stage.batch_size for name, stage in recipe.stages.items()}
    each = {name: one.operations / pictures[name] for name, one in cost.items()}
    assert each["english"] > each["all"] == each["exchange"] > 1e9  # the English tower is the larger one


@pytest.mark.parametrize("name", [*FULL_SIZE, "distill"])
def test_the_head_tells_the_cost(name: str) -> None:
    """Parameters, hours and memory in the comment are those that `--dry-run` prints."""
    head = (files("altclip.train") / "recipes" / f"{name}.toml").read_text(encoding="utf-8")
    recipe = load_recipe(name)
    for stage, config in recipe.stages.items():
        cost = estimate(recipe, config)
        line = (
            f"#   {stage}: {cost.parameters / 1e6:.1f} M parameters, {cost.trained / 1e6:.1f} M trained; "
            f"{cost.hours(A100):.0f} A100 hours; {cost.memory / 1e9:.0f} GB in each of {recipe.processes} processes\n"
        )
        assert line in head


def test_sizes_of_the_full_models() -> None:
    """AltCLIP has 864 M parameters; Taiyi 102M has 102 M in its text encoder."""
    sizes = {name: estimate(load_recipe(name), load_recipe(name).stages["align"]) for name in FULL_SIZE}
    assert sizes["altclip"].parameters == pytest.approx(864e6, rel=1e-3)
    assert sizes["taiyi"].trained == pytest.approx(102e6, rel=1e-2)


@pytest.mark.parametrize("name", FULL_SIZE)
def test_what_is_known_of_the_training_is_in_it(name: str) -> None:
    optimizer = load_recipe(name).stages["align"].optimizer
    assert (optimizer.betas, optimizer.eps, optimizer.weight_decay) == ((0.9, 0.98), 1e-6, 0.1)
    assert (optimizer.warmup_steps, optimizer.clip_norm) == (2000, 1.0)
    text = (files("altclip.train") / "recipes" / f"{name}.toml").read_text(encoding="utf-8")
    assert "our choice" in text


# --- ten steps ---


def test_ten_steps_of_mini(tmp_path: Path) -> None:
    folder = ten_steps("mini", tmp_path, ["tokenizer.vocab_size=420"])
    assert (tmp_path / "out" / "tokenizer" / "tokenizer.json").is_file()
    assert load_model(folder / "model").config.text is not None


@pytest.mark.parametrize("name", ["altclip", "altclip-m9"])
def test_ten_steps_of_altclip(name: str, tmp_path: Path) -> None:
    """Teacher with a tokenizer of its own, as CLIP has beside XLM-R."""
    made.write_tokenizer(tmp_path / "words")
    write_teacher(tmp_path / "teacher")
    own = [
        f"tokenizer.path={tmp_path / 'words'}",
        f"stages.distill.teacher={tmp_path / 'teacher'}",
        "stages.distill.start={}",
    ]
    folder = ten_steps(name, tmp_path, own)
    assert set(load_model(folder / "model").config.heads) == {"retrieval"}


def test_ten_steps_of_taiyi(tmp_path: Path) -> None:
    write_bert_tokenizer(tmp_path / "words")
    own = [f"tokenizer.path={tmp_path / 'words'}", "stages.align.start={}", "stages.align.projection_dim=16"]
    folder = ten_steps("taiyi", tmp_path, own)
    assert load_model(folder / "model").text.pooler is not None


def test_ten_steps_of_mini_diffusion(tmp_path: Path) -> None:
    """Of the bundled text tower, and of an English one that a run of `mini` would have left."""
    pytest.importorskip("diffusers", reason="needs the extra diffusion")
    from altclip.diffusion import open_pipeline

    write_teacher(tmp_path / "teacher")
    recipe = load_recipe("mini-diffusion")
    sizes: dict[str, Any] = {"steps": 10, "batch_size": 6, "optimizer.warmup_steps": 2, "log_every": 1}
    own = [f"stages.{stage}.{key}={json.dumps(value)}" for stage in recipe.stages for key, value in sizes.items()]
    small_unet = {"side": 16, "widths": [16, 16, 32]}
    own += [f"stages.english.denoise.{key}={json.dumps(value)}" for key, value in small_unet.items()]
    own += [f"stages.english.start.text={tmp_path / 'teacher'}"]
    folder = ran(load_recipe("mini-diffusion", own), tmp_path)
    pipeline = open_pipeline(folder / "model", device="cpu")
    assert (pipeline.unet.config.cross_attention_dim, pipeline.unet.config.sample_size) == (256, 4)


def ten_steps(name: str, folder: Path, own: list[str]) -> Path:
    """Run a recipe on made data, its towers shrunk; every stage must have taken ten steps."""
    return ran(load_recipe(name, [*small(name), *own]), folder)


def ran(recipe: Recipe, folder: Path) -> Path:
    write_data(recipe, folder / "data")
    last = run.run_recipe(recipe, folder / "data", folder / "out", device="cpu", show_progress=False)
    for stage in recipe.stages:
        log = [entry for entry in read_log(folder / "out" / stage / "log.jsonl") if "loss" in entry]
        assert log[-1]["step"] == 10
        assert all(entry["loss"] > 0 for entry in log)
    return last


def small(name: str) -> list[str]:
    """The changes, as they are given to `--set`, that make a recipe's towers and batches small."""
    changes = ["workers=1"]
    for stage in load_recipe(name).stages:
        sizes: dict[str, float] = {f"vision.{key}": value for key, value in made.VISION.items()}
        sizes["vision.image_size"] = 32
        sizes |= {f"text.{key}": value for key, value in made.TEXT.items()} | {"text.vocab_size": 450}
        sizes |= {"steps": 10, "batch_size": 24, "optimizer.warmup_steps": 2, "log_every": 1}
        changes += [f"stages.{stage}.{key}={json.dumps(value)}" for key, value in sizes.items()]
    return changes


def write_data(recipe: Recipe, folder: Path) -> None:
    """A small file at every path that a recipe names."""
    table = [{**row, "id": row["wnid"], "caption": row["zh"]} for row in made.rows(40)]
    texts = [{"english": en, "other": zh} for en, zh in made.sentences()]
    for stage in recipe.stages.values():
        for data in stage.pairs:
            made.write_parquet(folder / str(data.path).replace("*", "0"), table)
        for parallel in stage.parallel:
            if parallel.held_out:
                made.write_parquet(folder / parallel.held_out.path, table)
            if parallel.path and parallel.path.endswith(".parquet"):
                made.write_parquet(folder / parallel.path, texts)
            elif parallel.path:
                made.write_pairs(folder / parallel.path)
        write_all_labels([*(data.labels for data in stage.pairs), *(data.labels for data in stage.parallel)], folder)
    if recipe.tokenizer is not None:
        write_all_labels(recipe.tokenizer.labels, folder)
        for name in recipe.tokenizer.files:
            made.write_pairs(folder / name)


def write_all_labels(files: Sequence[LabelsFile | None], folder: Path) -> None:
    for file in files:
        if file and file.path and file.key:
            made.write_labels(folder / file.path, file.key)


def write_teacher(folder: Path) -> None:
    """A CLIP of 768 wide features, with a tokenizer whose ids are not the student's."""
    text = {**made.TEXT, "architecture": "clip", "vocab_size": 500, "type_vocab_size": 0, "eos_token_id": 3}
    config = ModelConfig(
        VisionConfig.from_dict(made.VISION),
        TextConfig.from_dict({**text, "pad_token_id": 1}),
        768,
        heads=heads_of("clip"),
    )
    save_model(initialise(DualEncoder(config)), folder)
    tokenizer = train_tokenizer([text for pair in made.sentences() * 4 for text in pair[:1]], 300)
    save_tokenizer(tokenizer, folder, 30)


def write_bert_tokenizer(folder: Path) -> None:
    characters = sorted({character for _, zh in made.sentences() for character in zh})
    folder.mkdir()
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *characters]
    (folder / "vocab.txt").write_text("\n".join(tokens) + "\n", encoding="utf-8")
    settings: dict[str, Any] = {"tokenizer_class": "BertTokenizer", "model_max_length": 40}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")


@pytest.mark.parametrize("name", shipped_recipes())
def test_a_recipe_is_plain_toml_with_a_head(name: str) -> None:
    text = (files("altclip.train") / "recipes" / f"{name}.toml").read_text(encoding="utf-8")
    assert text.startswith("# ")
    assert re.search(r"^#\s+(torchrun .*)?altclip train " + name, text, re.MULTILINE)
    assert tomllib.loads(text)["name"] == name
    assert all(len(line) <= 180 for line in text.splitlines())

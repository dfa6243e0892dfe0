"""The recipe `finetune`: any model, its own sizes and settings, folders of classes or captions, frozen parts, rates."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
import torch

from altclip.checkpoints import load_model, read_settings
from altclip.encoder import Encoder
from altclip.errors import ConfigError, DataError, UsageError
from altclip.processing import ImageProcessor, Tokenizer
from altclip.prompts import templates
from altclip.train.accelerating import open_accelerator
from altclip.train.config import OptimizerConfig, Recipe
from altclip.train.estimate import estimate
from altclip.train.loading import load_recipe
from altclip.train.optimizers import build_optimizers, depth_factors
from altclip.train.run import open_context
from altclip.train.stages import Context
from altclip.train.stages.contrastive import Contrastive
from tests.tiny import tiny_model, tiny_model_folder, tiny_processor
from tests.train import made
from tests.train.conftest import SHORT, Cli, Tune


def opened(base: Path, data: Path, *changes: str) -> Contrastive:
    recipe = load_recipe("finetune", [f"model={base}", "stages.finetune.batch_size=12", *changes])
    return Contrastive(context_of(recipe, data))


def context_of(recipe: Recipe, data: Path) -> Context:
    (stage,) = recipe.stages.values()
    return open_context(recipe, stage, data, Path("unused"), open_accelerator(recipe, "cpu"), print)


def texts_of(stage: Contrastive, steps: int = 6) -> list[str]:
    return [text for plan in stage.pairs.plans(0, steps) for text in stage.pairs(plan).texts]


# --- what it starts from ---


def test_sizes_tokenizer_and_image_settings_are_the_models(base: Path, tune: Tune, tmp_path: Path) -> None:
    """A model with a mean and a mode of its own: its result prepares images as it does."""
    own = tiny_model_folder(tmp_path / "own")
    settings = tiny_processor().image_processor.to_dict() | {"image_mean": [0.5, 0.4, 0.3], "resample": 2}
    (own / "preprocessor_config.json").write_text(json.dumps(settings), encoding="utf-8")
    folder = tune(model=own) / "model"
    assert load_model(folder).config == load_model(own).config
    assert ImageProcessor.from_folder(folder) == ImageProcessor.from_folder(own)
    assert (folder / "tokenizer.json").read_bytes() == (own / "tokenizer.json").read_bytes()
    assert Encoder(folder).classify(made.write_album(tmp_path / "more") / "red" / "0.png", ["red", "blue"])


def test_training_sees_images_as_the_model_does(base: Path, album: Path, tmp_path: Path) -> None:
    """Augmented images are normalised by the model's mean and deviation, not by CLIP's."""
    own = tiny_model_folder(tmp_path / "own")
    settings = tiny_processor().image_processor.to_dict() | {"image_mean": [0.0] * 3, "image_std": [1.0] * 3}
    (own / "preprocessor_config.json").write_text(json.dumps(settings), encoding="utf-8")
    images = next(opened(own, album).batches(0, 1, {})).images
    assert images.shape == (12, 3, 32, 32)
    assert 0 <= images.min() < images.max() <= 1
    assert next(opened(base, album).batches(0, 1, {})).images.min() < 0


def test_it_learns_from_where_it_starts(base: Path, tune: Tune) -> None:
    before, after = load_model(base).state_dict(), load_model(tune() / "model").state_dict()
    moved = {name for name, weight in after.items() if not torch.equal(weight, before[name])}
    assert {name.split(".")[0] for name in moved} == {"vision", "visual_projection", "text", "logit_scale"}
    near = torch.cosine_similarity(
        after["vision.positions.weight"].flatten(), before["vision.positions.weight"].flatten(), 0
    )
    assert near > 0.99


def test_the_licence_goes_along(tune: Tune, tmp_path: Path) -> None:
    own = tiny_model_folder(tmp_path / "own")
    (own / "LICENSE").write_text("terms", encoding="utf-8")
    (own / "README.md").write_text("---\nlicense: research\nlanguage: [en, zh]\n---\n", encoding="utf-8")
    folder = tune(model=own) / "model"
    assert (folder / "LICENSE").read_text(encoding="utf-8") == "terms"
    assert read_settings(folder)["license"] == "research"
    assert Encoder(folder).languages == ("en", "zh")


def test_a_second_stage_takes_its_sizes_from_the_first(base: Path, album: Path, tmp_path: Path) -> None:
    """Also before the first has run, as the estimate of cost must."""
    table = {
        "name": "two", "model": str(base),
        "stages": {
            "one": {"kind": "contrastive", "steps": 1, "batch_size": 8, "pairs": [pairs()]},
            "two": {"kind": "align", "steps": 1, "batch_size": 8, "pairs": [pairs()], "start": {"all": "one"}},
        },
    }  # fmt: skip
    recipe = Recipe.model_validate(table)
    assert recipe.stages["one"].start == {"all": str(base)}
    assert estimate(recipe, recipe.stages["two"]).parameters == sum(w.numel() for w in load_model(base).parameters())
    assert Recipe.model_validate(recipe.model_dump(mode="json")) == recipe


def pairs(**changes: Any) -> dict[str, Any]:
    return {"path": ".", "label": "label", "labels": {"languages": ["en"]}, **changes}


def test_the_command(cli: Cli, base: Path, album: Path, tmp_path: Path) -> None:
    short = [part for change in SHORT for part in ("--set", f"stages.finetune.{change}")]
    code, said = cli(
        "train",
        "finetune",
        "--data",
        album,
        "--output",
        tmp_path / "out",
        "--device",
        "cpu",
        "--set",
        f"model={base}",
        *short,
    )
    assert code == 0, said
    assert f"done: {tmp_path / 'out' / 'finetune' / 'model'}" in said
    assert cli("info", tmp_path / "out" / "finetune" / "model")[0] == 0


def test_the_cost_of_a_model_of_the_users(cli: Cli, base: Path) -> None:
    code, said = cli("train", "finetune", "--dry-run", "--set", f"model={base}")
    assert code == 0, said
    assert "parameters" in said


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (["model="], "the recipe: give `tokenizer`, or a `model` to start from"),
        (["model="], "stage finetune needs `model` (a preset), or `start` with `all` or with `image` and `text`"),
        (["stages.finetune.freeze=['(']"], "stages.finetune.freeze.0 = '(': no regular expression"),
        (["stages.finetune.optimizer.layer_decay=1.5"], "layer_decay = 1.5: input should be less than or equal to 1"),
        (["stages.finetune.optimizer.layer_deca=1"], "no such key; did you mean `layer_decay`?"),
        (["stages.finetune.lora.rnk=3"], "stages.finetune.lora.rnk: no such key; did you mean `rank`?"),
        (["data.exclude_clases=x"], "data.exclude_clases: no such key; did you mean `exclude_classes`?"),
        (["stages.finetune.pairs.0.labels.languages=['en','zh']"], "names that the data give are of one language"),
        (["stages.finetune.pairs.0.labels.path=x.jsonl"], "a labels file needs both `path` and `key`"),
    ],
)
def test_mistakes(changes: list[str], message: str, cli: Cli) -> None:
    with pytest.raises(ConfigError) as caught:
        load_recipe("finetune", changes)
    assert message in str(caught.value)
    code, said = cli("train", "finetune", "--dry-run", *(part for change in changes for part in ("--set", change)))
    assert (code, message in said) == (1, True)


def test_all_mistakes_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        load_recipe(
            "finetune", ["model=", "stages.finetune.lora.rank=0", "data.x=1", "stages.finetune.optimizer.layer_decay=0"]
        )
    assert len(caught.value.problems) == 5


@pytest.mark.parametrize("model", ["nowhere/at/all", "clip-vit"])
def test_a_model_that_is_not_there(model: str, cli: Cli, album: Path, tmp_path: Path) -> None:
    code, said = cli(
        "train", "finetune", "--data", album, "--output", tmp_path, "--device", "cpu", "--set", f"model={model}"
    )
    assert code == 1
    assert model in said
    assert not (tmp_path / "finetune" / "model").exists()


# --- labelled folders ---


def test_names_of_folders_are_captions(base: Path, album: Path) -> None:
    """Alone and in templates of the language; never numbers."""
    texts = set(texts_of(opened(base, album)))
    names = {"red", "green", "blue", "dark grey"}
    assert names <= texts
    filled = {template.replace("{}", name) for template in templates("en") for name in names}
    assert texts <= names | filled
    assert texts & (filled - names)


def test_names_in_another_language(base: Path, tmp_path: Path) -> None:
    folder = made.write_album(tmp_path / "album", ("红色", "绿色"))
    texts = set(texts_of(opened(base, folder, "stages.finetune.pairs.0.labels.languages=['zh']")))
    assert texts <= {"红色", "绿色"} | {t.replace("{}", name) for t in templates("zh") for name in ("红色", "绿色")}


@pytest.mark.parametrize("names", [("0", "1"), ("n01443537", "n01629819"), ("007", "cat")])
def test_numbers_are_no_names(names: tuple[str, ...], base: Path, tmp_path: Path, cli: Cli) -> None:
    folder = made.write_album(tmp_path / "album", names)
    with pytest.raises(DataError, match=f"class '{names[0]}' .* is a number, .*labels.path and labels.key"):
        opened(base, folder)
    arguments = ["--data", folder, "--output", tmp_path / "out", "--device", "cpu", "--set", f"model={base}"]
    code, said = cli("train", "finetune", *arguments)
    assert (code, "is a number" in said) == (1, True)


def test_a_labels_file_names_numbered_folders(base: Path, tmp_path: Path) -> None:
    folder = made.write_album(tmp_path / "album", ("n1", "n2"))
    lines = [{"id": "n1", "names": {"en": "robin"}}, {"id": "n2", "names": {"en": "finch"}}]
    (folder / "names.jsonl").write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    change = "stages.finetune.pairs.0.labels={path='names.jsonl', key='id', template_share=0.0}"
    assert set(texts_of(opened(base, folder, change))) == {"robin", "finch"}


def test_labels_without_a_name_in_the_language(base: Path, tmp_path: Path, cli: Cli) -> None:
    folder = made.write_album(tmp_path / "album", ("n1", "n2"))
    lines = [{"id": "n1", "names": {"en": "robin", "ko": "울새"}}, {"id": "n2", "names": {"en": "finch"}}]
    (folder / "names.jsonl").write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    change = "stages.finetune.pairs.0.labels={path='names.jsonl', key='id', languages=['ko']}"
    with pytest.raises(DataError, match=r"1 of 2 classes in \. have no name in ko: n2; add them to the labels"):
        opened(base, folder, change)
    arguments = ["--data", folder, "--output", tmp_path / "out", "--device", "cpu", "--set", f"model={base}"]
    code, said = cli("train", "finetune", *arguments, "--set", change)
    assert (code, "have no name in ko: n2" in said) == (1, True)


# --- captions ---


def test_captions_in_a_table_beside_the_images(base: Path, album: Path, tmp_path: Path) -> None:
    with (tmp_path / "pairs.csv").open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(["image", "caption", "legenda"])
        table.writerows([[str(path), f"the {path.parent.name} one", "uno"] for path in sorted(album.rglob("*.png"))])
    change = "stages.finetune.pairs=[{path='pairs.csv', captions={en='caption', it='legenda'}}]"
    assert {"the red one", "uno"} <= set(texts_of(opened(base, tmp_path, change)))


def test_captions_of_a_parquet_file(base: Path, world: Path, tune: Tune) -> None:
    folder = tune("stages.finetune.pairs=[{path='pairs.parquet', captions={en='en', zh='zh'}}]", data=world)
    assert (folder / "report.json").is_file()


# --- frozen parts, rates by depth ---


def test_frozen_stays_bitwise_equal(base: Path, tune: Tune) -> None:
    frozen = r"stages.finetune.freeze=['^vision\.', '^text\.tower\.layers\.0\.', '^logit_scale$']"
    before, after = load_model(base).state_dict(), load_model(tune(frozen) / "model").state_dict()
    for name, weight in after.items():
        if name.startswith(("vision.", "text.tower.layers.0.", "logit_scale")):
            assert torch.equal(weight, before[name]), name
    assert not torch.equal(after["text.tower.layers.1.expand.weight"], before["text.tower.layers.1.expand.weight"])


def test_a_frozen_scale_over_the_limit_stays(tune: Tune, tmp_path: Path) -> None:
    """OpenAI's 4.6052 is a little more than log 100; what is frozen is not clamped."""
    from altclip.checkpoints import save_model

    model = tiny_model(0)
    model.logit_scale.data.fill_(4.6052)
    save_model(model, tmp_path / "own")
    tiny_processor().save(tmp_path / "own")
    after = load_model(tune("stages.finetune.freeze=['^logit_scale$']", model=tmp_path / "own") / "model")
    assert torch.equal(after.logit_scale, model.logit_scale)


def test_a_pattern_in_vain(tune: Tune) -> None:
    with pytest.raises(UsageError, match=r"freeze: no parameter matches '\^visoin'"):
        tune("stages.finetune.freeze=['^visoin']")


def test_rates_by_depth() -> None:
    """Both towers have two layers: embeddings at the third power, the last layer at the first, the rest untouched."""
    model = tiny_model(0)
    config = OptimizerConfig(learning_rate=1.0, layer_decay=0.5, groups={"^text": 0.1})
    names = {id(weight): name for name, weight in model.named_parameters()}
    rates = {
        names[id(weight)]: group["lr"]
        for optimizer in build_optimizers(model, config)
        for group in optimizer.param_groups
        for weight in group["params"]
    }  # fmt: skip
    expected = {
        "vision.class_embedding": 0.125, "vision.patches.weight": 0.125, "vision.positions.weight": 0.125,
        "vision.pre_norm.weight": 0.125, "vision.layers.0.expand.weight": 0.25, "vision.layers.1.norm1.bias": 0.5,
        "vision.post_norm.weight": 1.0, "visual_projection.weight": 1.0, "logit_scale": 1.0,
        "text.tower.words.weight": 0.0125, "text.tower.norm.weight": 0.0125, "text.tower.types.weight": 0.0125,
        "text.tower.layers.0.attention.query.weight": 0.025, "text.tower.layers.1.contract.bias": 0.05,
        "text.norms.pre_LN.weight": 0.1, "text.linears.transformation.weight": 0.1,
        "text.projections.text_projection.weight": 0.1,
    }  # fmt: skip
    assert {name: rates[name] for name in expected} == pytest.approx(expected)
    assert rates.keys() == set(names.values())


def test_depth_counts_frozen_layers_too() -> None:
    factors = depth_factors(
        ["vision.layers.0.a", "vision.layers.3.a", "text.tower.layers.0.a", "vision.patches.w"], 0.5
    )
    assert factors == {
        "vision.layers.0.a": 0.5**4, "vision.layers.3.a": 0.5, "text.tower.layers.0.a": 0.5, "vision.patches.w": 0.5**5,
    }  # fmt: skip


def test_without_decay_all_rates_are_one() -> None:
    assert set(depth_factors([name for name, _ in tiny_model(0).named_parameters()], 1.0).values()) == {1.0}


def test_a_resumed_run_is_the_same(tune: Tune, tmp_path: Path) -> None:
    from tests.train.test_resume import CutError, curve, cut_at

    whole = tune()
    expected, weights = curve(whole), load_model(whole / "model").state_dict()
    with cut_at(5), pytest.raises(CutError):
        tune(output=tmp_path / "again")
    folder = tune(output=tmp_path / "again", resume=True)
    assert curve(folder) == pytest.approx(expected, abs=1e-6)
    for name, weight in load_model(folder / "model").state_dict().items():
        torch.testing.assert_close(weight, weights[name], atol=1e-6, rtol=1e-5)


# --- CIFAR-10 ---


def binary(path: Path, count: int, seed: int = 0) -> Path:
    """A file of CIFAR-10's binary form: a byte for the class, then red, green and blue."""
    import numpy as np

    path.parent.mkdir(parents=True, exist_ok=True)
    draw = np.random.default_rng(seed)
    rows = [bytes([n % 10]) + draw.integers(0, 255, 3072, dtype=np.uint8).tobytes() for n in range(count)]
    path.write_bytes(b"".join(rows))
    return path


CIFAR = [f"stages.finetune.{change}" for change in ("steps=2", "batch_size=20", "checkpoint_every=2")]


def test_cifar10_of_binary_files(base: Path, tmp_path: Path, cli: Cli) -> None:
    for number in (1, 2):
        binary(tmp_path / "data" / "cifar-10-batches-bin" / f"data_batch_{number}.bin", 20, number)
    recipe = load_recipe("cifar10", [f"model={base}", *CIFAR])
    stage = Contrastive(context_of(recipe, tmp_path / "data"))
    assert len(stage.pairs.sources[0].rows) == 40
    texts = " ".join(texts_of(stage, 20))
    for word in ("airplane", "飞机", "oiseau", "лягушка", "船", "말", "قطة"):
        assert word in texts
    changes = [part for change in (f"model={base}", *CIFAR) for part in ("--set", change)]
    code, said = cli(
        "train", "cifar10", "--data", tmp_path / "data", "--output", tmp_path / "o", "--device", "cpu", *changes
    )
    assert code == 0, said


@pytest.mark.parametrize("named", [True, False])
def test_cifar10_as_the_hub_has_it(named: bool, base: Path, tmp_path: Path) -> None:
    """Parquet with `img` and `label`; a file written without the names of its classes is read by their order."""
    import datasets

    from altclip.data.cifar import class_ids

    rows = datasets.Dataset.from_dict({"img": [{"bytes": made.picture((9, 9, 9), n), "path": None} for n in range(20)],
                                       "label": [n % 10 for n in range(20)]})  # fmt: skip
    rows = rows.cast_column("img", datasets.Image())
    rows = rows.cast_column("label", datasets.ClassLabel(names=class_ids())) if named else rows
    (tmp_path / "plain_text").mkdir()
    rows.to_parquet(str(tmp_path / "plain_text" / "train-00000-of-00001.parquet"))
    change = "stages.finetune.pairs.0.path=plain_text/train-*.parquet"
    share = "stages.finetune.pairs.0.labels={own='cifar10', languages=['en'], template_share=0.0}"
    recipe = load_recipe("cifar10", [f"model={base}", *CIFAR, change, share])
    assert set(texts_of(Contrastive(context_of(recipe, tmp_path)), 10)) <= set(english())


def english() -> list[str]:
    from altclip.prompts import label_set

    return list(label_set("cifar10", "en").values())


def test_cifar10_tells_what_it_wants(tmp_path: Path, cli: Cli, base: Path) -> None:
    code, said = cli("train", "cifar10", "--data", tmp_path, "--output", tmp_path / "o", "--device", "cpu")
    assert code == 1
    assert "data_batch_*.bin does not exist" in said


def test_tokens_of_the_model(base: Path, album: Path) -> None:
    stage = opened(base, album)
    assert stage.context.tokenizer("red")["input_ids"] == Tokenizer.from_folder(base)("red")["input_ids"]

"""The stage that learns to draw: its targets, texts, swapped text towers, what it leaves, and how it goes on."""

from __future__ import annotations

import json
import re
import shutil
import warnings
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from altclip.checkpoints import load_model
from altclip.diffusion import generate, open_pipeline
from altclip.errors import ConfigError, LayoutError, UsageError
from altclip.processing import open_image
from altclip.train.accelerating import open_accelerator
from altclip.train.accumulate import backward
from altclip.train.config import Recipe
from altclip.train.estimate import estimate
from altclip.train.run import open_context, run_recipe
from altclip.train.stages.denoise import Denoise
from altclip.train.stages.drawing import build_drawing
from altclip.train.state import seed_everything
from tests.engines.test_compiled import needs_compiler
from tests.train import made
from tests.train.test_resume import CutError, curve, cut_at

for _library in ("diffusers", "transformers"):
    pytest.importorskip(_library, reason="needs the extra diffusion")

SIZES: dict[str, Any] = {
    "side": 16, "patch": 4, "channels": 12, "widths": [8, 16], "attention": [False, True], "head_dim": 8, "groups": 4,
    "pooled": True,
}  # fmt: skip
PAIRS = {"path": "pairs.parquet", "label": "wnid", "labels": {**made.LABELS, "template_share": 0.0}}
STAGE: dict[str, Any] = {
    "kind": "denoise", "batch_size": 6, "steps": 6, "checkpoint_every": 2, "log_every": 1, "max_text_tokens": 10,
    "denoise": SIZES, "pairs": [PAIRS], "optimizer": {"warmup_steps": 2}, "augment": {"scale": [1.0, 1.0], "flip": 0.0},
}  # fmt: skip
KEYS_AND_VALUES = r"^(?!unet\.(add_embedding|.*\.attn2\.to_[kv])\.)"


@pytest.fixture(scope="module")
def student(trained: Path) -> Path:
    return trained / "align" / "model"


@pytest.fixture(scope="module")
def teacher(trained: Path) -> Path:
    return trained / "teacher" / "model"


def recipe(model: Path, changes: dict[str, dict[str, Any]] | None = None, **stages: dict[str, Any]) -> Recipe:
    table = stages or {"draw": {}}
    merged = {name: {**STAGE, **stage, **(changes or {}).get(name, {})} for name, stage in table.items()}
    return Recipe.model_validate({"name": "draws", "seed": 5, "model": str(model), "stages": merged})


def opened(model: Path, world: Path, output: Path, **changes: Any) -> Denoise:
    made_up = recipe(model, draw=changes)
    context = open_context(made_up, made_up.stages["draw"], world, output, open_accelerator(made_up, "cpu"), print)
    seed_everything(1)
    return Denoise(context)


def run(wanted: Recipe, world: Path, output: Path, **options: Any) -> Path:
    return run_recipe(wanted, world, output, device="cpu", show_progress=False, **options)


def pipeline(folder: Path) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return open_pipeline(folder, device="cpu")


@pytest.fixture(scope="module")
def drawn(student: Path, teacher: Path, world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All three stages, as the shipped recipe has them."""
    output = tmp_path_factory.mktemp("drawn")
    exchange = {"start": {"unet": "english", "text": str(student)}, "freeze": [KEYS_AND_VALUES], "denoise": {}}
    run(
        recipe(
            student, english={"start": {"text": str(teacher)}, "ema": 0.5}, exchange=exchange,
            all={
                **exchange, "start": {"unet": "exchange"}, "freeze": [], "save_dtype": "float16",
                "denoise": {"guidance": 2.5},
            },
        ),
        world, output,
    )  # fmt: skip
    return output


# --- what is learned ---


@pytest.mark.parametrize("prediction", ["v_prediction", "epsilon"])
def test_what_is_predicted_gives_the_picture_back(prediction: str, student: Path, world: Path, tmp_path: Path) -> None:
    """Written out: with a the share of the signal at a level, x = sqrt(a) noisy - sqrt(1 - a) v, and by the noise."""
    stage = opened(student, world, tmp_path, denoise={**SIZES, "prediction": prediction})
    batch = next(stage.batches(0, 1, {}))
    shares = torch.cos((torch.arange(1001) / 1000 + 0.008) / 1.008 * torch.pi / 2) ** 2
    signal = (shares[1:] / shares[0])[batch.levels].view(-1, 1, 1, 1)
    if prediction == "epsilon":
        latents = (batch.latents - (1 - signal).sqrt() * batch.targets) / signal.sqrt()
    else:
        latents = signal.sqrt() * batch.latents - (1 - signal).sqrt() * batch.targets
    plan = next(stage.pairs.plans(0, 1))
    expected = stage.trained.latents(torch.from_numpy(stage.pairs(plan).images))
    keep = signal.flatten() > 0.05  # the last levels hold next to nothing of the picture
    assert keep.sum() >= 3
    torch.testing.assert_close(latents[keep], expected[keep], atol=2e-3, rtol=0)


def test_the_states_are_those_that_pictures_are_made_with(drawn: Path, student: Path, world: Path) -> None:
    """What the UNet was trained on is what a pipeline gives it, the padding too."""
    from altclip.diffusion.generating import _states

    stage = opened(student, world, drawn / "again", start={"unet": str(drawn / "all" / "model")}, denoise={})
    made_of = pipeline(drawn / "all" / "model")
    for text in ("red", "红色", "", "</s>"):
        torch.testing.assert_close(stage.words([text]), _states(made_of, text), atol=1e-6, rtol=0)
    assert stage.words(["red"]).shape == (1, 10, 16)
    assert made_of.tokenizer.model_max_length == 10


def test_an_english_tower_gives_its_normalised_last_states(teacher: Path, world: Path, tmp_path: Path) -> None:
    stage = opened(teacher, world, tmp_path)
    model = load_model(teacher, dtype=torch.float32)
    ids = stage.words.tokenizer(["red"], padding="max_length", max_length=10, return_tensors="pt").input_ids
    states, _ = model.text.tower.states(ids, None)
    torch.testing.assert_close(stage.words(["red"]), model.text.norms["final_norm"](states[-1]), atol=1e-6, rtol=0)
    assert stage.words.parts() == {}


@pytest.mark.parametrize(("share", "equal"), [(1.0, True), (0.0, False)])
def test_texts_are_dropped(share: float, equal: bool, student: Path, world: Path, tmp_path: Path) -> None:
    stage = opened(student, world, tmp_path, denoise={**SIZES, "drop_text": share})
    states = next(stage.batches(0, 1, {})).states
    empty = stage.words([""]).expand_as(states)
    assert torch.allclose(states, empty, atol=1e-6) is equal


@pytest.mark.parametrize(("power", "mean"), [(1.0, 1 / 2), (0.5, 2 / 3)])
def test_how_often_a_level_of_noise_is_drawn(
    power: float, mean: float, student: Path, world: Path, tmp_path: Path
) -> None:
    """Of u ** p the mean is 1 / (1 + p)."""
    stage = opened(student, world, tmp_path, batch_size=32, denoise={**SIZES, "level_power": power})
    levels = torch.cat([batch.levels for batch in stage.batches(0, 20, {})])
    assert levels.min() >= 0
    assert levels.max() < 1000
    assert levels.double().mean().item() / 1000 == pytest.approx(mean, abs=0.04)  # four standard errors of 640 draws


def test_a_batch_is_the_same_whenever_it_is_made(student: Path, world: Path, tmp_path: Path) -> None:
    stage = opened(student, world, tmp_path)
    first = list(stage.batches(0, 3, {}))[2]
    again = next(stage.batches(2, 3, {}))
    assert torch.equal(first.latents, again.latents)
    assert torch.equal(first.levels, again.levels)
    assert torch.equal(first.targets, again.targets)
    assert not torch.equal(first.targets, next(stage.batches(3, 4, {})).targets)


def test_pieces_have_the_gradients_of_one_batch(student: Path, world: Path, tmp_path: Path) -> None:
    stage = opened(student, world, tmp_path)
    batch, accelerator = next(stage.batches(0, 1, {})), open_accelerator(stage.context.recipe, "cpu")
    found = []
    for pieces in (1, 2, 4):
        loss, _ = backward(stage, stage.module, batch, pieces, accelerator)
        gradients = {name: w.grad.clone() for name, w in stage.trained.named_parameters() if w.grad is not None}
        stage.trained.zero_grad()
        found.append((loss.item(), gradients))
    for one, gradients in found[1:]:
        assert one == pytest.approx(found[0][0], abs=1e-6)
        for name, gradient in found[0][1].items():
            torch.testing.assert_close(gradients[name], gradient, atol=1e-6, rtol=1e-4, msg=name)


@pytest.mark.slow
def test_it_learns_what_the_words_mean(world: Path, tmp_path: Path) -> None:
    """Of six colours a model that has seen them draws the one that is asked for; the words are the bundled tower's."""
    words = Path("mini")
    sizes = {**SIZES, "widths": [16, 32], "groups": 8}
    learned = run(
        recipe(
            words,
            draw={
                "steps": 300, "batch_size": 24, "ema": 0.98, "denoise": sizes, "log_every": 20,
                "checkpoint_every": 300, "optimizer": {"learning_rate": 3e-3, "warmup_steps": 20},
            },
        ),
        world, tmp_path,
    )  # fmt: skip
    stage = opened(
        words, world, tmp_path / "again", batch_size=24, start={"unet": str(learned / "model")},
        denoise={"drop_text": 0.0},
    )  # fmt: skip
    own: list[float] = []
    others: list[float] = []
    for batch in islice(stage.batches(0, 10, {}), 10):
        with torch.no_grad():
            for errors, states in ((own, batch.states), (others, batch.states.roll(1, 0))):
                predicted = stage.trained.unet(batch.latents, batch.levels, states).sample
                errors.append((predicted - batch.targets).square().mean().item())
    assert sum(own) < 0.5 * sum(others)
    drawing = pipeline(learned / "model")
    right = 0
    for name, (colour, _) in made.COLOURS.items():
        picture = next(generate(drawing, name, seed=3, steps=20, guidance=2.0)).image
        mean = torch.from_numpy(np.asarray(picture.convert("RGB"), np.float32)).mean((0, 1))
        distances = {other: (mean - torch.tensor(c[0]).float()).norm().item() for other, c in made.COLOURS.items()}
        right += min(distances, key=distances.__getitem__) == name
        assert colour
    assert right >= 5


def test_pooled_texts_reach_what_no_token_is_seen_by(student: Path, world: Path, tmp_path: Path) -> None:
    """With the cross-attention cut, by the pooled states alone."""
    for pooled in (False, True):
        stage = opened(student, world, tmp_path, denoise={**SIZES, "pooled": pooled})
        for name, weight in stage.trained.named_parameters():
            if ".attn2.to_out." in name:
                weight.data.zero_()
        batch = next(stage.batches(0, 1, {}))
        before = stage.module(batch)["predicted"]
        batch.states = stage.words(["something else"] * 6)
        assert torch.equal(stage.module(batch)["predicted"], before) is not pooled


# --- towers exchanged, weights held still ---


def test_a_tower_of_another_width_gets_new_keys_and_values(
    drawn: Path, teacher: Path, world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wide = tmp_path / "wide"
    shutil.copytree(drawn / "english" / "model", wide)
    narrow = opened(teacher, world, tmp_path, start={"unet": str(wide), "text": str(teacher)}, denoise={})
    assert narrow.trained.unet.config.cross_attention_dim == 16
    narrow.words.width = 24
    swapped = build_drawing(narrow.context, 24, None)
    assert swapped.unet.config.cross_attention_dim == 24
    assert "made anew, its states are 24 wide" in capsys.readouterr().out
    before = narrow.trained.state_dict()
    changed = {name for name, w in swapped.state_dict().items() if w.shape != before[name].shape}
    assert changed
    assert all(re.search(r"\.attn2\.to_[kv]\.|(^|\.)add_embedding\.", name) for name in changed)
    assert all(torch.equal(w, before[name]) for name, w in swapped.state_dict().items() if name not in changed)


def test_only_what_reads_the_text_is_trained_after_the_exchange(drawn: Path) -> None:
    before = load_file(drawn / "english" / "model" / "unet" / "diffusion_pytorch_model.safetensors")
    after = load_file(drawn / "exchange" / "model" / "unet" / "diffusion_pytorch_model.safetensors")
    moved = {name for name, weight in after.items() if not torch.equal(weight, before[name])}
    assert moved == {name for name in after if re.search(r"\.attn2\.to_[kv]\.|(^|\.)add_embedding\.", name)}


def test_all_is_trained_at_last_and_kept_in_half_precision(drawn: Path) -> None:
    before = load_file(drawn / "exchange" / "model" / "unet" / "diffusion_pytorch_model.safetensors")
    after = load_file(drawn / "all" / "model" / "unet" / "diffusion_pytorch_model.safetensors")
    assert {weight.dtype for weight in after.values()} == {torch.float16}
    assert any(not torch.allclose(w.float(), before[name], atol=2e-3) for name, w in after.items())
    kept = load_file(drawn / "all" / "model" / "vae" / "diffusion_pytorch_model.safetensors")
    first = load_file(drawn / "english" / "model" / "vae" / "diffusion_pytorch_model.safetensors")
    assert all(torch.equal(kept[name], first[name]) for name in first)


def test_no_path_of_this_machine_is_kept(drawn: Path) -> None:
    for file in (drawn / "all" / "model").rglob("*.json"):
        assert str(drawn) not in file.read_text(encoding="utf-8"), file


def test_what_is_predicted_stays_what_it_was(student: Path, world: Path, tmp_path: Path) -> None:
    """A later stage goes on with the schedule of the one before."""
    epsilon = {**SIZES, "prediction": "epsilon"}
    folder = run(recipe(student, draw={"steps": 1, "denoise": epsilon}), world, tmp_path / "first") / "model"
    stage = opened(student, world, tmp_path, start={"unet": str(folder)}, denoise={})
    assert stage.scheduler.config.prediction_type == "epsilon"
    batch = next(stage.batches(0, 1, {}))
    assert batch.targets.std().item() == pytest.approx(1, abs=0.1)  # the noise itself


@pytest.mark.parametrize(("own", "after"), [("DDPMScheduler", "DDPMScheduler"), ("PNDMScheduler", "DDIMScheduler")])
def test_the_sampler_of_what_it_leaves(
    own: str, after: str, drawn: Path, student: Path, world: Path, tmp_path: Path
) -> None:
    """Fresh noise in each step where the model was made here; released models come with PLMS, which cannot train."""
    folder = shutil.copytree(drawn / "all" / "model", tmp_path / "from")
    file = folder / "scheduler" / "scheduler_config.json"
    settings = json.loads(file.read_text())
    assert settings["_class_name"] == "DDPMScheduler"
    file.write_text(json.dumps({**settings, "_class_name": own, "beta_schedule": "scaled_linear"}))
    stage = opened(student, world, tmp_path, start={"unet": str(folder)}, denoise={})
    assert type(stage.scheduler).__name__ == after
    assert stage.scheduler.config.beta_schedule == "scaled_linear"


# --- what it leaves ---


def test_the_result_draws(drawn: Path, tmp_path: Path) -> None:
    folder = drawn / "all" / "model"
    index = json.loads((folder / "model_index.json").read_text())
    assert index["vae"] == ["altclip", "PatchAutoencoder"]
    assert index["altclip_training"]["recipe"] == "draws"
    assert set(index["altclip_training"]["stage"]["denoise"]) == {"drop_text", "guidance", "level_power"}
    made_of = pipeline(folder)
    first, second = generate(made_of, ["red", "红色"], seed=3, steps=3)
    assert first.parameters["guidance"] == 2.5
    assert first.image.size == (16, 16)
    assert first.image.tobytes() != second.image.tobytes()
    for sampler in ("ddim", "plms", "dpm++"):
        assert next(generate(made_of, "red", seed=3, steps=3, sampler=sampler)).image.size == (16, 16)
    file = first.save(tmp_path / "start.png")
    started = next(generate(made_of, "blue", image=open_image(file), seed=3, steps=4, strength=0.5)).image
    assert started.size == (16, 16)


def test_an_english_stage_has_no_text_encoder_to_draw_with(drawn: Path) -> None:
    with pytest.raises(LayoutError, match="text_encoder|text encoder"):
        open_pipeline(drawn / "english" / "model")


def test_of_the_bundled_text_tower_the_name_is_kept(world: Path, tmp_path: Path) -> None:
    """Every altclip has it: the folder names it, and is told apart from one of other weights."""
    table = {"name": "draws", "model": "mini", "stages": {"draw": {**STAGE, "steps": 1}}}
    folder = run(Recipe.model_validate(table), world, tmp_path) / "model"
    assert sorted(path.name for path in folder.iterdir()) == ["model_index.json", "scheduler", "unet", "vae"]
    made_of = pipeline(folder)
    assert (made_of.tokenizer.model_max_length, made_of.unet.config.cross_attention_dim) == (10, 256)
    assert next(generate(made_of, "قطة", seed=1, steps=2)).image.size == (16, 16)
    index = json.loads((folder / "model_index.json").read_text())
    (folder / "model_index.json").write_text(json.dumps({**index, "text_sha256": "0" * 64}))
    with pytest.raises(LayoutError, match="other weights than the mini of this altclip"):
        open_pipeline(folder)


def test_a_run_cut_at_a_step_ends_as_one_that_was_not(student: Path, world: Path, tmp_path: Path) -> None:
    wanted = recipe(student, draw={"ema": 0.5})
    whole = run(wanted, world, tmp_path / "whole")
    with cut_at(5), pytest.raises(CutError):
        run(wanted, world, tmp_path / "cut")
    cut = run(wanted, world, tmp_path / "cut", resume=True)
    assert curve(cut) == curve(whole)
    for part in ("unet", "vae"):
        name = Path("model") / part / "diffusion_pytorch_model.safetensors"
        mine, other = load_file(cut / name), load_file(whole / name)
        assert all(torch.equal(mine[key], other[key]) for key in other)


@needs_compiler
@pytest.mark.slow
def test_compiled_it_learns_the_same(student: Path, world: Path, tmp_path: Path) -> None:
    small = {**SIZES, "widths": [8], "attention": [False]}  # what it costs is the compiler's time
    wanted = recipe(student, draw={"denoise": small, "steps": 2})
    plain = curve(run(wanted, world, tmp_path / "plain"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "code"))
        compiled = curve(run(wanted.model_copy(update={"compile": True}), world, tmp_path / "compiled"))
    torch.compiler.reset()
    assert any((tmp_path / "code").rglob("*.cpp"))
    assert compiled == pytest.approx(plain, rel=1e-4)


def test_without_a_compiler_it_is_said_before_anything_is_read(
    student: Path, world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(UsageError, match=r"compile needs a compiler, and 'no-such-compiler'.*or take compile=false"):
        run(recipe(student).model_copy(update={"compile": True}), world, tmp_path)
    assert not any(tmp_path.iterdir())


# --- mistakes, and the cost ---


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"denoise": None}, "a stage of kind denoise, and no other, needs the table `denoise`"),
        ({"kind": "contrastive", "model": "mini"}, "a stage of kind denoise, and no other, needs the table"),
        ({"text": {"hidden_size": 8}}, "a denoise stage has no `text`: its sizes are those of `denoise`"),
        ({"pairs": []}, "a stage of kind denoise needs `pairs`"),
        ({"start": {"unet": "x"}, "denoise": {"side": 32, "drop_text": 0.2}}, "`denoise.side` is that of `start.unet`"),
        ({"start": {"all": "mini"}}, "starts from `text` and `unet`, not from all"),
        ({"denoise": {**SIZES, "attention": [True]}}, "`attention` has 1 levels, `widths` 2"),
        ({"denoise": {**SIZES, "side": 20}}, "`side` 20 is no multiple of 8"),
        ({"denoise": {**SIZES, "groups": 5}}, "`widths` 8, 16: no multiple of the 5 groups"),
        ({"denoise": {**SIZES, "width": [3]}}, "width"),
    ],
)
def test_mistakes_in_a_recipe(change: dict[str, Any], message: str, tmp_path: Path) -> None:
    from altclip.train.loading import load_recipe

    table = {"name": "draws", "model": "mini", "stages": {"draw": {**STAGE, **change}}}
    table["stages"]["draw"] = {key: value for key, value in table["stages"]["draw"].items() if value is not None}  # type: ignore[index]
    (tmp_path / "draws.toml").write_text(made.toml(table), encoding="utf-8")
    with pytest.raises(ConfigError) as raised:
        load_recipe(tmp_path / "draws.toml")
    assert message in str(raised.value)


def test_wrong_starts(student: Path, world: Path, tmp_path: Path) -> None:
    with pytest.raises(LayoutError, match="is a model without what draws"):
        opened(student, world, tmp_path, start={"unet": str(student)}, denoise={})
    with pytest.raises(UsageError, match="freeze: no parameter matches 'nothing'"):
        opened(student, world, tmp_path, freeze=["nothing"])


def test_the_cost_is_that_of_the_model_that_is_built(student: Path, world: Path, tmp_path: Path) -> None:
    stage = opened(student, world, tmp_path)
    found = estimate(stage.context.recipe, stage.context.config)
    assert found.parameters == found.trained == sum(weight.numel() for weight in stage.trained.parameters())
    assert (found.samples, found.text_tokens, found.image_tokens) == (36, 360, 36 * 16)
    wide = recipe(student, draw={"denoise": {**SIZES, "widths": [16, 32]}})
    assert 3 < estimate(wide, wide.stages["draw"]).operations / found.operations < 4.5
    held = recipe(student, draw={"freeze": [KEYS_AND_VALUES]})
    assert 0 < estimate(held, held.stages["draw"]).trained < 0.1 * found.trained

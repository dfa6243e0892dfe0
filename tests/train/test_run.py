"""A recipe from end to end: what is left behind, streams, one stage alone, and what cannot be."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from altclip.checkpoints import load_model
from altclip.data.pairs import PairBatches, Plan
from altclip.errors import AltclipError, ConfigError, DataError, UsageError
from altclip.models import initialise
from altclip.processing import Processor
from altclip.train import provenance, run
from altclip.train.accelerating import open_accelerator
from altclip.train.leftout import LeftOut
from altclip.train.logs import read_log
from altclip.train.stages.contrastive import Contrastive
from tests.tiny import tiny_model
from tests.train import made
from tests.train.conftest import Train
from tests.train.test_resume import CutError, cut_at


def test_what_a_run_leaves_behind(trained: Path) -> None:
    for stage in made.RECIPE["stages"]:
        found = {path.name for path in (trained / stage).iterdir()}
        assert found == {"checkpoint.pt", "log.jsonl", "model", "report.json", "tensorboard"}
    assert list((trained / "cache").glob("*.npy"))


def test_the_result_opens_like_any_model(trained: Path) -> None:
    """By our loader, by the processor, and by transformers."""
    import transformers

    folder = trained / "align" / "model"
    model, processor = load_model(folder), Processor.from_folder(folder)
    inputs = processor(text=["the red boat", "红色"], return_tensors="pt", padding=True)
    ours = model.encode_text(inputs["input_ids"], inputs["attention_mask"])
    theirs = transformers.AltCLIPModel.from_pretrained(folder).eval()
    with torch.no_grad():
        outputs = theirs.text_projection(theirs.text_model(**inputs).pooler_output)
    torch.testing.assert_close(ours, outputs, atol=1e-5, rtol=1e-4)


def test_a_model_learns(world: Path, tmp_path: Path, train: Train) -> None:
    """The colours are told apart after some steps."""
    pairs = [{**made.TEACHER["pairs"][0], "labels": {**made.LABELS, "template_share": 0.0}}]
    optimizer = {"learning_rate": 5e-3, "warmup_steps": 5, "weight_decay": 0.0}
    changes = {"steps": 60, "pairs": pairs, "optimizer": optimizer, "batch_size": 24, "augment": {"scale": [0.9, 1.0]}}
    log = [e for e in read_log(train(made.recipe({"teacher": changes})) / "log.jsonl") if "loss" in e]
    first, last = (sum(e["loss"] for e in part) / 5 for part in (log[:5], log[-5:]))
    assert last < 0.5 * first


@pytest.mark.parametrize("name", ["muon", "adamw"])
@pytest.mark.parametrize("precision", ["no", "bf16"])
def test_optimizers_and_precisions(name: str, precision: str, train: Train) -> None:
    optimizer = {"name": name, "warmup_steps": 1, "groups": {"^text": 0.5}, "clip_norm": None}
    changes = {"optimizer": optimizer, "steps": 3, "ema": 0.9, "gradient_checkpointing": True}
    folder = train(made.recipe({"teacher": changes}, precision=precision))
    log = [entry for entry in read_log(folder / "log.jsonl") if "loss" in entry]
    assert len(log) == 3
    assert "gradient_norm" not in log[0]
    assert all(weight.dtype == torch.float32 for weight in load_model(folder / "model").parameters())


def test_the_averaged_weights_are_the_result(train: Train, tmp_path: Path) -> None:
    folder = train(made.recipe({"teacher": {"ema": 0.9}}))
    state = torch.load(folder / "checkpoint.pt", weights_only=True)
    result = load_model(folder / "model").state_dict()
    name = "text.tower.words.weight"
    assert torch.equal(result[name], state["averages"][name])
    assert not torch.equal(result[name], state["model"][name])


def test_gradients_are_clipped_and_the_scale_is_bounded(train: Train) -> None:
    changes = {"max_logit_scale": 10.0, "optimizer": {"clip_norm": 1e-9, "warmup_steps": 0, "eps": 1.0}, "steps": 2}
    folder = train(made.recipe({"teacher": changes}))
    log = [entry for entry in read_log(folder / "log.jsonl") if "loss" in entry]
    assert log[0]["gradient_norm"] > 1  # as it was before
    assert log[-1]["scale"] == pytest.approx(10.0, rel=1e-5)


@pytest.mark.parametrize("clip_norm", [1e-9, None])
def test_clipped_gradients_move_nothing(clip_norm: float | None, train: Train) -> None:
    """With so large an eps a step of AdamW is in proportion to the gradient."""
    optimizer = {"clip_norm": clip_norm, "warmup_steps": 0, "eps": 1.0, "weight_decay": 0.0, "name": "adamw"}
    recipe = made.recipe({"teacher": {"optimizer": optimizer, "steps": 1}})
    starts: list[dict[str, torch.Tensor]] = []
    real = Contrastive.__init__

    def begun(self: Any, context: Any) -> None:
        real(self, context)
        starts.append({name: weight.detach().clone() for name, weight in self.trained.state_dict().items()})

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Contrastive, "__init__", begun)
        ended = load_model(train(recipe) / "model").state_dict()
    moved = max(
        (ended[name] - weight).abs().max().item() for name, weight in starts[0].items() if weight.is_floating_point()
    )
    assert (moved < 1e-8) == (clip_norm is not None)


def test_gradients_are_the_same_where_activations_are_computed_anew() -> None:
    model = tiny_model(3).train()
    ids = torch.tensor([[0, 5, 6, 2], [0, 7, 2, 1]])
    calls: list[int] = []
    assert model.text is not None
    model.text.tower.layers[0].register_forward_pre_hook(lambda *_: calls.append(1))

    def gradients(anew: bool) -> list[torch.Tensor]:
        model.set_gradient_checkpointing(anew)
        model.zero_grad()
        calls.clear()
        torch.manual_seed(1)
        model.encode_text(ids, (ids != 1).long()).square().sum().backward()
        return [weight.grad.clone() for weight in model.parameters() if weight.grad is not None]

    kept = gradients(anew=False)
    assert len(calls) == 1
    anew = gradients(anew=True)
    assert len(calls) == 2
    assert all(torch.allclose(one, other, atol=1e-6) for one, other in zip(kept, anew, strict=True))


def test_save_in_half_precision(train: Train) -> None:
    folder = train(made.recipe({"teacher": {"save_dtype": "float16", "steps": 1}}))
    assert {weight.dtype for weight in load_model(folder / "model").parameters()} == {torch.float16}


# --- streams ---


def stream_world(folder: Path) -> tuple[Path, dict[str, Any]]:
    data = made.write_world(folder)
    for shard in range(4):
        made.write_parquet(data / "shards" / f"{shard}.parquet", made.rows(60)[shard * 15 : shard * 15 + 15])
    pairs = {"path": "shards/*.parquet", "captions": {"en": "en", "zh": "zh"}, "streaming": True}
    return data, {"pairs": [{**pairs, "shuffle_buffer": 5}], "steps": 7}


def shards_seen(monkeypatch: pytest.MonkeyPatch) -> list[list[int]]:
    """The shards of every batch that is made, told by the number in the Chinese caption."""
    seen: list[list[int]] = []
    real = PairBatches.__call__

    def call(self: PairBatches, plan: Plan) -> Any:
        numbers = [int(row.cells["zh"].removeprefix("第").partition("张")[0]) for row in plan.rows]
        seen.append([number // 15 for number in numbers])
        return real(self, plan)

    monkeypatch.setattr(PairBatches, "__call__", call)
    return seen


def test_a_stream_is_taken_up_again_in_the_same_shard(
    tmp_path: Path, train: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    """60 rows in 4 shards, batches of 12, a buffer of 5; cut off after the checkpoint of step 3 in the third shard."""
    data, changes = stream_world(tmp_path / "data")
    recipe, seen = made.recipe({"teacher": changes}), shards_seen(monkeypatch)
    with cut_at(3), pytest.raises(CutError):
        train(recipe, data=data)
    before, said = seen[:3], list[str]()
    seen.clear()
    train(recipe, data=data, resume=True, report=said.append)
    assert any("streams go on in the same shards, their shuffle buffers are filled anew" in line for line in said)
    first_epoch = [shard for batch in (*before, seen[0]) for shard in batch]
    order = list(dict.fromkeys(first_epoch))
    assert sorted(order) == [0, 1, 2, 3]
    assert set(seen[0]) <= set(order[2:])  # nothing of the first two shards again
    assert len(seen) == 4


def test_streams_need_live_images(tmp_path: Path, train: Train, trained: Path) -> None:
    data, changes = stream_world(tmp_path / "data")
    for stage in ("teacher", "student"):
        (tmp_path / "out").mkdir(exist_ok=True)
        (tmp_path / "out" / stage).symlink_to(trained / stage)
    folder = train(made.recipe({"align": {**changes, "live": True}}), data=data, only="align")
    assert len(read_log(folder / "log.jsonl")) == 7


# --- what cannot be ---


def test_a_stage_that_is_not_there(train: Train) -> None:
    with pytest.raises(UsageError, match="no stage 'techer' in recipe tiny: it has teacher, student, align"):
        train(made.recipe(), only="techer")


def test_a_stage_before_the_one_it_needs(train: Train) -> None:
    with pytest.raises(UsageError, match="stage 'teacher' has no result .* yet: run it first"):
        train(made.recipe(), only="student")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"pairs": [{"path": "none.parquet", "captions": {"en": "en"}}]}, r"none\.parquet does not exist"),
        ({"pairs": [{"path": "pairs.parquet", "captions": {"en": "caption"}}]}, "no column caption"),
        ({"text": {**made.TEXT, "vocab_size": 50}}, "the text tower 50"),
        ({"vision": {**made.VISION, "num_attention_heads": 3}}, "does not divide"),
        ({"start": {"image": "./nowhere"}}, "nowhere"),
        ({"freeze": ["^txt"]}, "no parameter matches"),
        ({"batch_size": 1, "pairs": made.TEACHER["pairs"] * 2}, "1 places for 2 sources"),
    ],
)
def test_mistakes_are_told_before_the_first_step(changes: dict[str, Any], message: str, train: Train) -> None:
    with pytest.raises(AltclipError, match=message):
        train(made.recipe({"teacher": changes}))


@pytest.mark.parametrize(("device", "precision"), [("cuda:7", "no"), ("nonsense", "no"), ("cpu", "fp16")])
def test_a_device_that_cannot_be(device: str, precision: str) -> None:
    with pytest.raises(UsageError, match="device|fp16"):
        open_accelerator(made.recipe(precision=precision), device)


def test_data_that_are_not_there(tmp_path: Path, train: Train) -> None:
    with pytest.raises((DataError, ConfigError, AltclipError)):
        train(made.recipe(), data=tmp_path / "nowhere")


# --- where it all comes from ---


def test_digests_tell_content(tmp_path: Path) -> None:
    for name, text in (("a", "x"), ("b", "x"), ("c", "y")):
        (tmp_path / name).write_text(text)
    a, b, c = (provenance.data_digest(tmp_path / name) for name in "abc")
    assert a == b != c
    assert a == "sha256:2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"
    assert provenance.data_digest(tmp_path) != provenance.data_digest(tmp_path / "*")
    before = provenance.data_digest(tmp_path / "*")
    (tmp_path / "b").rename(tmp_path / "d")
    assert provenance.data_digest(tmp_path / "*") != before


def test_very_large_data_are_told_by_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(provenance, "_WHOLE", 3)
    (tmp_path / "a").write_text("four")
    digest = provenance.data_digest(tmp_path / "a")
    assert digest.startswith("sizes:")
    (tmp_path / "a").write_text("five!")
    assert provenance.data_digest(tmp_path / "a") != digest


def test_versions_name_the_commit_of_this_repository_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert provenance.versions()["torch"] == torch.__version__
    commit = provenance.commit()
    assert commit is None or len(commit.removesuffix("+")) == 40
    elsewhere = tmp_path / "venv" / "lib" / "altclip" / "train" / "provenance.py"
    (tmp_path / ".git").mkdir()
    monkeypatch.setattr(provenance, "__file__", str(elsewhere))
    assert provenance.commit() is None


def test_names_left_out_are_in_no_training_text(world: Path, trained: Path, train: Train) -> None:
    """Every third (class, language) name: neither as a name, nor inside any other text of that language."""
    from altclip.data.labels import read_labels
    from altclip.train.stages.distill import Distill

    recipe = made.recipe(leave_out_every=3)
    accelerator = open_accelerator(recipe, "cpu")
    context = run.open_context(recipe, recipe.stages["student"], world, trained, accelerator, print)
    hidden = LeftOut.every(read_labels(world / "classes.jsonl", "wnid"), 3).words["zh"]
    assert 0 < len(hidden) < 6
    texts = [pair.other for step in range(30) for pair in Distill(context).pairs(step)[0] if pair.language == "zh"]
    assert texts
    assert not any(word in text for word in hidden for text in texts)
    kept = {zh for _, zh in made.COLOURS.values()} - set(hidden)
    assert all(any(word in text for text in texts) for word in kept)


def test_the_start_is_told_by_the_seed(world: Path) -> None:
    from altclip.train.stages.build import empty_model
    from altclip.train.state import seed_everything

    weights = []
    for seed in (1, 1, 2):
        seed_everything(seed)
        model = initialise(empty_model(made.recipe().stages["teacher"]).to_empty(device="cpu"))
        weights.append(model.text.tower.words.weight)
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_the_report_is_json_that_a_program_reads(trained: Path) -> None:
    report = json.loads((trained / "student" / "report.json").read_text(encoding="utf-8"))
    assert report["recipe"] == "tiny"
    assert report["stage"]["kind"] == "distill"
    assert (report["processes"], report["precision"], report["skipped_samples"]) == (1, "no", 0)
    assert report["last"]["step"] == 8
    assert report["data"].keys() == {"en-zh.tsv", "classes.jsonl"}

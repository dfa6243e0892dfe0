"""Text-tower surgery: the image side of a CLIP, a multilingual text encoder with a fresh read-out, stage 1."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from altclip.checkpoints import load_model
from altclip.encoder import Encoder
from altclip.errors import AltclipError, ConfigError, DataError, UsageError
from altclip.processing import ImageProcessor
from altclip.train.accelerating import open_accelerator
from altclip.train.config_data import ParallelData
from altclip.train.loading import load_recipe
from altclip.train.run import open_context, run_recipe
from altclip.train.stages.build import build_model
from altclip.train.stages.distill import Distill
from altclip.train.stages.sources import each_file
from tests.tiny import tiny_model_folder, tiny_processor, tiny_tokenizer
from tests.train import made
from tests.train.conftest import Cli

SIZES: dict[str, Any] = {"intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
SHORT = ["precision=no", "workers=1"] + [
    f"stages.distill.{change}" for change in ("steps=3", "batch_size=8", "accumulate=1", "log_every=1")
]


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CLIP as transformers writes it: towers of unequal widths, 24 wide embeddings, image settings of its own."""
    folder = tmp_path_factory.mktemp("models") / "clip"
    words = tiny_tokenizer()
    text = {**SIZES, "hidden_size": 16, "vocab_size": 400, "max_position_embeddings": 24}
    ends = {"eos_token_id": words.eos_token_id, "bos_token_id": words.bos_token_id, "pad_token_id": words.pad_token_id}
    vision = {**SIZES, "hidden_size": 32, "image_size": 32, "patch_size": 8}
    torch.manual_seed(0)
    config = transformers.CLIPConfig(text_config={**text, **ends}, vision_config=vision, projection_dim=24)
    transformers.CLIPModel(config).save_pretrained(folder)
    processor = tiny_processor()
    processor.save(folder)
    settings = processor.image_processor.to_dict() | {"image_mean": [0.5, 0.5, 0.5]}
    (folder / "preprocessor_config.json").write_text(json.dumps(settings), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def roberta(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An XLM-R as transformers writes it, with another tokenizer than the CLIP's."""
    folder = tmp_path_factory.mktemp("models") / "xlm-r"
    made.write_tokenizer(folder)
    torch.manual_seed(1)
    config = transformers.XLMRobertaConfig(
        **SIZES,
        hidden_size=48,
        vocab_size=made.VOCABULARY,
        max_position_embeddings=40,
        type_vocab_size=1,
        pad_token_id=1,
    )
    transformers.XLMRobertaForMaskedLM(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tests.train.test_recipes import write_bert_tokenizer

    folder = tmp_path_factory.mktemp("models") / "bert"
    write_bert_tokenizer(folder)
    torch.manual_seed(1)
    config = transformers.BertConfig(
        **SIZES, hidden_size=48, vocab_size=400, max_position_embeddings=40, pad_token_id=0
    )
    transformers.BertModel(config).save_pretrained(folder)
    return folder


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    made.write_pairs(tmp_path / "data" / "parallel" / "en-zh.tsv")
    made.write_pairs(tmp_path / "data" / "parallel" / "more.en-ar.tsv")
    return tmp_path / "data"


def test_what_comes_of_two_models(clip: Path, roberta: Path, texts: Path, tmp_path: Path, cli: Cli) -> None:
    """By the command line, without a recipe; the image side is bitwise the CLIP's, and Encoder opens the result."""
    sets = [part for change in SHORT for part in ("--set", change)]
    code, said = cli(
        "train", "--init-image", clip, "--init-text", roberta, "--data", texts, "--output", tmp_path / "out",
        "--device", "cpu", *sets,
    )  # fmt: skip
    assert code == 0, said
    folder = tmp_path / "out" / "distill" / "model"
    encoder, given = Encoder(folder), transformers.CLIPModel.from_pretrained(clip)
    text = encoder.model.config.text
    assert text is not None
    assert (encoder.dim, text.hidden_size, text.project_dim) == (24, 48, 16)
    own = load_model(clip).state_dict()
    for name, weight in encoder.model.state_dict().items():
        if name.startswith(("vision.", "visual_projection.", "logit_scale")):
            assert torch.equal(weight, own[name]), name
    assert torch.equal(encoder.model.logit_scale, given.logit_scale)
    assert ImageProcessor.from_folder(folder) == ImageProcessor.from_folder(clip)
    assert (folder / "tokenizer.json").read_bytes() != (clip / "tokenizer.json").read_bytes()
    assert encoder.encode_texts(["红色的房子"]).shape == (1, 24)
    reopened = transformers.AltCLIPModel.from_pretrained(folder)
    assert reopened.config.projection_dim == 24


def test_where_its_weights_come_from(clip: Path, roberta: Path, texts: Path, tmp_path: Path) -> None:
    """Before the first step: the text tower is the XLM-R's, the read-out fresh and of the teacher's widths."""
    recipe = load_recipe("distill", SHORT, image=str(clip), text=str(roberta))
    context = open_context(recipe, recipe.stages["distill"], texts, tmp_path, open_accelerator(recipe, "cpu"), print)
    model = build_model(context)
    theirs = transformers.XLMRobertaModel.from_pretrained(roberta)
    assert torch.equal(model.text.tower.words.weight, theirs.embeddings.word_embeddings.weight)
    expected = theirs.get_parameter("encoder.layer.1.intermediate.dense.weight")
    assert torch.equal(model.text.tower.get_parameter("layers.1.expand.weight"), expected)
    assert model.text.linears["transformation"].weight.shape == (16, 48)
    assert model.text.projections["text_projection"].weight.shape == (24, 16)
    trained = {name for name, weight in model.named_parameters() if weight.requires_grad}
    assert all(name.startswith("text.") for name in trained)


@pytest.mark.parametrize("vector", ["projected", "pooled"])
def test_the_teacher_is_the_models_own_text_tower(
    vector: str, clip: Path, roberta: Path, texts: Path, tmp_path: Path
) -> None:
    changes = [*SHORT, f"stages.distill.teacher_vector={vector}"]
    recipe = load_recipe("distill", changes, image=str(clip), text=str(roberta))
    context = open_context(recipe, recipe.stages["distill"], texts, tmp_path, open_accelerator(recipe, "cpu"), print)
    stage = Distill(context)
    words = tiny_tokenizer()(["the red house"], return_tensors="pt")
    teacher = transformers.CLIPModel.from_pretrained(clip).eval()
    with torch.no_grad():
        pooled = teacher.text_model(words["input_ids"]).pooler_output
        expected = teacher.text_projection(pooled) if vector == "projected" else pooled
    torch.testing.assert_close(stage.teacher(["the red house"]), expected, atol=1e-5, rtol=1e-4)


def test_a_bert(clip: Path, bert: Path, texts: Path, tmp_path: Path) -> None:
    """Read out as Chinese-CLIP does."""
    recipe = load_recipe("distill", SHORT, image=str(clip), text=str(bert))
    folder = run_recipe(recipe, texts, tmp_path / "out", device="cpu", show_progress=False)
    config = load_model(folder / "model").config
    assert config.text is not None
    assert (config.text.architecture, config.projection_dim) == ("bert", 24)
    assert Encoder(folder / "model").encode_texts(["红色"]).shape == (1, 24)


def test_a_recipe_of_two_stages_follows(clip: Path, roberta: Path, texts: Path, tmp_path: Path) -> None:
    """`altclip` with other towers: stage 2 takes its sizes from stage 1."""
    recipe = load_recipe("altclip", image=str(clip), text=str(roberta))
    first, second = recipe.stages["distill"], recipe.stages["align"]
    assert first.start == {"image": str(clip), "text": str(roberta)}
    assert (first.teacher, first.model, second.model, second.start) == (str(clip), None, None, {"all": "distill"})
    changes = [
        "stages.distill.parallel=[{path='parallel/en-zh.tsv', language='zh'}]", "precision=no",
        "stages.align.pairs=[{path='pairs.parquet', captions={zh='zh'}}]", *SHORT,
        *(change.replace("distill", "align") for change in SHORT),
    ]  # fmt: skip
    made.write_parquet(texts / "pairs.parquet", made.rows(12))
    recipe = load_recipe("altclip", changes, image=str(clip), text=str(roberta))
    folder = run_recipe(recipe, texts, tmp_path / "out", device="cpu", show_progress=False)
    assert Encoder(folder / "model").dim == 24
    assert ImageProcessor.from_folder(folder / "model") == ImageProcessor.from_folder(clip)


def test_the_cost_of_two_models(clip: Path, roberta: Path, cli: Cli) -> None:
    code, said = cli("train", "--init-image", clip, "--init-text", roberta, "--dry-run")
    assert code == 0, said
    assert "distill (distill)" in said


# --- mistakes ---


def test_wrong_models(clip: Path, roberta: Path, base: Path, texts: Path, tmp_path: Path, cli: Cli) -> None:
    tower = tmp_path / "vision"
    vision = transformers.CLIPVisionConfig(**SIZES, hidden_size=32, image_size=32, patch_size=8, projection_dim=24)
    transformers.CLIPVisionModelWithProjection(vision).save_pretrained(tower)
    cases = [
        (roberta, roberta, f"start.image (--init-image): {roberta} has no image tower; expected a CLIP-like model"),
        (tower, roberta, f"start.image (--init-image): {tower} has no text tower to learn from"),
        (clip, clip, f"start.text (--init-text): {clip} is a CLIP-like model; expected a multilingual text encoder"),
        (clip, base, f"start.text (--init-text): {base} is a CLIP-like model"),
        (clip, tower, f"start.text (--init-text): {tower} is no text tower"),
    ]
    for image, text, message in cases:
        recipe = load_recipe("distill", SHORT, image=str(image), text=str(text))
        with pytest.raises(AltclipError) as caught:
            recipe_run(recipe, texts, tmp_path / "out")
        code, said = cli("train", "--init-image", image, "--init-text", text, "--dry-run")
        assert message in str(caught.value)
        assert (code, message in said) == (2, True), said
        assert not (tmp_path / "out" / "distill").exists()


def recipe_run(recipe: Any, data: Path, output: Path) -> Path:
    return run_recipe(recipe, data, output, device="cpu", show_progress=False)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--init-image", "a/b"], "--init-image needs --init-text beside it"),
        (["--init-text", "a/b"], "--init-text needs --init-image beside it"),
        (["taiyi", "--init-image", "a/b", "--init-text", "c"], "recipe taiyi has no stage of kind distill"),
        ([], "expected a RECIPE, or --init-image and --init-text"),
    ],
)
def test_wrong_usage(arguments: list[str], message: str, cli: Cli) -> None:
    code, said = cli("train", *arguments, "--dry-run")
    assert (code, message in said) == (2, True), said


def test_one_without_the_other() -> None:
    with pytest.raises(UsageError, match="--init-text beside it"):
        load_recipe("distill", image="a")


def test_a_stage_that_starts_from_too_little() -> None:
    with pytest.raises(ConfigError, match="stage distill needs `model`"):
        load_recipe("distill", ["stages.distill.model=", "stages.distill.start={text='a'}"])


# --- parallel text, one file a language ---


def test_files_tell_their_language(texts: Path) -> None:
    found = [(entry.path, entry.language) for entry in each_file(texts, ParallelData(path="parallel/*en-??.*"))]
    assert found == [("parallel/en-zh.tsv", "zh"), ("parallel/more.en-ar.tsv", "ar")]


def test_files_that_do_not(texts: Path) -> None:
    with pytest.raises(DataError, match=r"no parallel text at .*none-\*: expected files named by their languages"):
        list(each_file(texts, ParallelData(path="none-*")))
    made.write_pairs(texts / "parallel" / "en-xx.tsv")
    with pytest.raises(DataError, match=r"en-xx\.tsv does not tell its language: expected a name such as en-zh.tsv"):
        list(each_file(texts, ParallelData(path="parallel/*en-??.*")))


def test_a_single_file_needs_its_language(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="`path` or `hub` with `language`"):
        ParallelData(path="parallel/en-zh.tsv")


def test_a_small_model_of_ours_can_teach(base: Path, roberta: Path, texts: Path, tmp_path: Path) -> None:
    """An AltCLIP gives its image side too, and its own text encoder is the teacher."""
    other = tiny_model_folder(tmp_path / "other")
    recipe = load_recipe("distill", SHORT, image=str(other), text=str(roberta))
    assert Encoder(recipe_run(recipe, texts, tmp_path / "out") / "model").dim == 16

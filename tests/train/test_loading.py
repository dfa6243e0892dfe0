"""A recipe's name or file and `--set`: what is read, and every mistake named at once with the nearest key."""

from __future__ import annotations

from pathlib import Path

import pytest

from altclip.errors import ConfigError, UsageError
from altclip.train.config import Recipe
from altclip.train.estimate import estimate
from altclip.train.loading import load_recipe
from tests.train import made


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return made.write_recipe(tmp_path / "tiny.toml", made.recipe())


def problems(recipe: str | Path, *changes: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load_recipe(recipe, changes)
    return caught.value.problems


def test_by_name_and_by_file(file: Path) -> None:
    assert load_recipe("mini").name == "mini"
    assert load_recipe(file) == load_recipe(str(file)) == made.recipe()


@pytest.mark.parametrize(
    ("change", "value"),
    [
        ("steps=7", 7),
        ("batch_size = 24", 24),
        ("ema=0.5", 0.5),
        ("live=true", True),
        ("freeze=['a', 'b']", ["a", "b"]),
        ("start={}", {}),
        ("teacher=owner/name", "owner/name"),
        ('teacher="7"', "7"),
        ("optimizer.betas=[0.5, 0.6]", (0.5, 0.6)),
        ("optimizer.clip_norm=2", 2.0),
        ("teacher=[not toml", "[not toml"),
        ("teacher=a=b", "a=b"),
    ],
)
def test_a_value_is_toml_or_else_text(file: Path, change: str, value: object) -> None:
    place: object = load_recipe(file, [f"stages.student.{change}"]).stages["student"]
    for key in change.partition("=")[0].strip().split("."):
        place = getattr(place, key)
    assert place == value


def test_a_place_in_a_list(file: Path) -> None:
    recipe = load_recipe(file, ["stages.student.parallel.1.weight=5", "stages.student.parallel.0.path=other.tsv"])
    assert [data.weight for data in recipe.stages["student"].parallel] == [1.0, 5.0]
    assert recipe.stages["student"].parallel[0].path == "other.tsv"


def test_a_later_change_wins(file: Path) -> None:
    assert load_recipe(file, ["seed=1", "seed=2"]).seed == 2


def test_all_mistakes_at_once(file: Path) -> None:
    found = problems(
        file, "stages.teacher.stepz=3", "stages.teacher.batch_size=-1", "stages.teacher.kind=distill", "precison=bf16",
        "stages.align.model=minni", "stages.align.vision={hiden_size = 3}", "stages.techer.steps=3", "nonsense",
        "stages.align.pairs.7.weight=2", "stages.align.optimizer.schedule=cosin",
        "stages.student.parallel.1.labels.pth=x",
    )  # fmt: skip
    expected = [
        "--set stages.techer.steps=3: no stage `techer`; did you mean `teacher`?",
        "--set nonsense: expected a.b=value",
        "--set stages.align.pairs.7.weight=2: there is nothing at stages.align.pairs.7.weight",
        "stages.teacher.stepz: no such key; did you mean `steps`?",
        "stages.teacher: a distill stage needs `teacher`",
        "stages.teacher: a distill stage needs `parallel`",
        "precison: no such key; did you mean `precision`?",
        "stages.align.model = 'minni': no such preset; did you mean `mini`?",
        "stages.student.parallel.1.labels.pth: no such key; did you mean `path`?",
    ]
    assert [line for line in expected if line not in found] == []
    assert any(line.endswith("no size `hiden_size`; did you mean `hidden_size`?") for line in found)
    assert any(line.startswith("stages.teacher.batch_size = -1: input should be greater") for line in found)
    assert any(line.startswith("stages.align.optimizer.schedule = 'cosin': input should be") for line in found)
    assert len(found) == 12


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ("stages.align.pairs=[]", "stages.align: a stage of kind align needs `pairs`"),
        ("stages.align.pairs.0.hub=a/b", "stages.align.pairs.0: give either `path` or `hub`"),
        ("stages.align.pairs.0.captions={}", "stages.align.pairs.0: give either `label` with `labels`"),
        ("stages.align.pairs.0.label=x", "stages.align.pairs.0: give either `label` with `labels`"),
        ("stages.align.pairs.0.streaming=true", "stages.align: streams cannot be cached"),
        (
            "stages.student.parallel.0.language={}",
            "stages.student.parallel.0: give either `path` or `hub` with `language`",
        ),
        ("stages.student.parallel.1.path=x", "stages.student.parallel.1: give either `path` or `hub` with `language`"),
        ("stages.student.start.image=align", "the recipe: stage student takes weights from align, which does not come"),
        ("stages.student.teacher=student", "the recipe: stage student takes weights from student, which does not come"),
        ("stages={}", "stages = {}: dictionary should have at least 1 item"),
        ("seed=-1", "seed = -1: input should be greater than or equal to 0"),
    ],
)
def test_what_keys_need_of_each_other(file: Path, change: str, problem: str) -> None:
    assert any(line.startswith(problem) for line in problems(file, change)), problems(file, change)


@pytest.mark.parametrize("name", ["cache", "tokenizer", "a/b", "..", ""])
def test_a_stage_is_a_folder(name: str) -> None:
    with pytest.raises(ValueError, match="give it a plain name"):
        Recipe.model_validate({**made.RECIPE, "stages": {name: made.TEACHER}})


def test_muon_with_a_loss_scale(file: Path) -> None:
    found = problems(file, "precision=fp16", "stages.teacher.optimizer.name=muon")
    assert found == [
        "the recipe: stage teacher: muon does not go with fp16 (two optimizers, one loss scale): take bf16"
    ]


def test_a_recipe_that_is_not_there() -> None:
    with pytest.raises(UsageError, match="no recipe 'minni'; did you mean `mini`"):
        load_recipe("minni")
    with pytest.raises(UsageError, match="or give a TOML file"):
        load_recipe("nowhere/mine.toml")


@pytest.mark.parametrize("content", [b"name = ", b"\xff\xfe", b"a = 1\na = 2\n"])
def test_a_file_that_is_no_toml(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "bad.toml").write_bytes(content)
    with pytest.raises(UsageError, match="cannot be read"):
        load_recipe(tmp_path / "bad.toml")


def test_an_empty_file_says_what_is_missing(tmp_path: Path) -> None:
    (tmp_path / "empty.toml").touch()
    assert problems(tmp_path / "empty.toml") == [
        "the recipe: give `tokenizer`, or a `model` to start from",
        "name: field required",
        "stages: field required",
    ]


def test_the_recipe_of_the_page_is_one(tmp_path: Path) -> None:
    """It loads, and its patterns match parameters of the model it names."""
    page = (Path(__file__).parents[2] / "docs" / "training.md").read_text(encoding="utf-8")
    (text,) = (block for block in page.split("```toml\n")[1:] if block.startswith("name ="))
    (tmp_path / "birds.toml").write_text(text.partition("```")[0], encoding="utf-8")
    recipe = load_recipe(tmp_path / "birds.toml")
    assert estimate(recipe, recipe.stages["align"]).trained > 5e8


def test_a_recipe_cannot_be_changed_by_its_users() -> None:
    with pytest.raises(ValueError, match="frozen"):
        made.recipe().seed = 3


def test_what_a_recipe_says_can_be_said_again() -> None:
    recipe = made.recipe()
    assert Recipe.model_validate(recipe.model_dump(mode="json")) == recipe

"""`data.exclude_classes`: no image, name or sentence of an excluded class reaches any stage of training."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from altclip.data.labels import Labels
from altclip.errors import DataError
from altclip.train.accelerating import open_accelerator
from altclip.train.config import Recipe
from altclip.train.exclusion import excluded, read_classes
from altclip.train.leftout import LeftOut
from altclip.train.loading import load_recipe
from altclip.train.run import open_context, run_recipe, words_folder
from altclip.train.stages.context import Context
from altclip.train.stages.contrastive import Contrastive
from altclip.train.stages.distill import Distill
from altclip.train.stages.sources import pair_source, parallel_sources
from tests.train import made
from tests.train.conftest import Cli, Train, Tune
from tests.train.test_resume import CutError, cut_at

NAMES = {"en": ("red", "blue", "redish", "blueish"), "zh": ("红色", "蓝色")}


def without(**changes: Any) -> Recipe:
    return made.recipe(**{"data": {"exclude_classes": "gone.txt"}, **changes})


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """The made-up world, and a list of two of its six classes."""
    folder = made.write_world(tmp_path / "data")
    (folder / "gone.txt").write_text("red\n\nblue\n", encoding="utf-8")
    return folder


def context(recipe: Recipe, stage: str, data: Path, output: Path) -> Context:
    return open_context(recipe, recipe.stages[stage], data, output, open_accelerator(recipe, "cpu"), print)


def names_none(texts: list[str]) -> bool:
    """No English text has such a word, no Chinese one such characters."""
    english = re.compile(rf"\b({'|'.join(NAMES['en'])})\b")
    return not any(english.search(text) or any(name in text for name in NAMES["zh"]) for text in texts)


def test_no_batch_has_a_name_or_an_image(data: Path, tmp_path: Path) -> None:
    """Of labelled images, in the shares of sixty steps, which the full recipe would fill with both classes."""
    stage = Contrastive(context(without(), "teacher", data, tmp_path))
    rows = stage.pairs.sources[0].rows
    assert set(rows["wnid"]) == {"green", "grey", "white", "black"}
    assert len(rows) == 40
    texts = [text for plan in stage.pairs.plans(0, 60) for text in stage.pairs(plan).texts]
    assert names_none(texts)
    assert any("green" in text for text in texts)
    whole = Contrastive(context(made.recipe(), "teacher", data, tmp_path))
    assert not names_none([text for plan in whole.pairs.plans(0, 20) for text in whole.pairs(plan).texts])


def test_no_parallel_text_has_one_on_either_side(data: Path, trained: Path, tmp_path: Path) -> None:
    """Sentences, names of classes and what stands in only one of the two languages."""
    lines = (
        "the red boat\t船", "a Red-hot day\t热天", "hundred words\t一百个字", "the boat\t蓝色的船",
        "the green boat\t绿色的船",
    )  # fmt: skip
    (data / "en-zh.tsv").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    (tmp_path / "teacher").symlink_to(trained / "teacher")
    stage = Distill(context(without(), "student", data, tmp_path))
    pairs = [pair for step in range(30) for pair in stage.pairs(step)[0]]
    assert names_none([text for pair in pairs for text in (pair.english, pair.other)])
    assert {pair.english for pair in pairs} >= {"hundred words", "the green boat", "green", "white"}
    assert not {pair.english for pair in pairs} & {"the boat", "the red boat", "a Red-hot day"}


def test_rows_go_whose_captions_name_one(data: Path, trained: Path, tmp_path: Path) -> None:
    (tmp_path / "student").symlink_to(trained / "student")
    opened = context(without(), "align", data, tmp_path)
    source = pair_source(opened, opened.config.pairs[0])
    assert len(source.rows) == 40
    assert names_none([text for cell in source.rows["en"] for text in cell] + list(source.rows["zh"]))


def test_streams_too(data: Path, trained: Path, tmp_path: Path) -> None:
    entry = {**made.ALIGN["pairs"][0], "streaming": True}
    labelled = {**made.TEACHER["pairs"][0], "streaming": True}
    (tmp_path / "student").symlink_to(trained / "student")
    for name, pairs in (("align", entry), ("teacher", labelled)):
        recipe = without(stages={name: {"pairs": [pairs], "live": True}})
        opened = context(recipe, name, data, tmp_path)
        rows = list(pair_source(opened, opened.config.pairs[0]).rows)
        assert {row["wnid"] for row in rows} == {"green", "grey", "white", "black"}


def test_the_tokenizer_does_not_learn_from_them(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from altclip.train import tokenizer

    seen: list[str] = []
    real = tokenizer.train_tokenizer

    def watched(texts: Iterable[str], size: int) -> Any:
        seen.extend(texts)
        return real(seen, size)

    monkeypatch.setattr(tokenizer, "train_tokenizer", watched)
    labels = {"path": "classes.jsonl", "key": "wnid"}
    recipe = without(tokenizer={"vocab_size": 420, "files": ["en-zh.tsv"], "labels": [labels]})
    words_folder(recipe, data, tmp_path)
    assert names_none(seen)
    assert "the green house" in seen


def test_what_is_excluded_is_told_and_kept_on_resume(data: Path, train: Train, tmp_path: Path) -> None:
    with cut_at(5), pytest.raises(CutError):
        train(without(), data=data)
    (data / "gone.txt").write_text("red\n", encoding="utf-8")
    with pytest.raises(Exception, match=r"data gone\.txt was 'sha256:"):
        train(without(), data=data, resume=True)
    (data / "gone.txt").write_text("red\n\nblue\n", encoding="utf-8")
    report = json.loads((train(without(), data=data, resume=True) / "report.json").read_text(encoding="utf-8"))
    assert report["data"]["gone.txt"].startswith("sha256:")


def test_the_shipped_recipe_takes_it(tmp_path: Path) -> None:
    assert load_recipe("mini", ["data.exclude_classes=gone.txt"]).data.exclude_classes == "gone.txt"


def test_it_goes_with_names_left_out() -> None:
    labels = Labels({"a": {"en": ("apple",), "zh": ("苹果",)}, "b": {"en": ("pear",), "zh": ("梨",)}})
    both = LeftOut.every(labels, 2).with_(LeftOut.of_classes([labels], frozenset("b")))
    assert both.classes == {"b"}
    assert both.words["en"] == {"pear"}
    assert both.words["zh"] == {"梨", "苹果"}


def test_a_class_of_another_set_goes_by_its_english_name() -> None:
    """The drawing of a lemon is a lemon, whatever its key; one whose Chinese name alone is hit loses that name."""
    photos = Labels({"n1": {"en": ("lemon",), "zh": ("柠檬",), "it": ("limone",)}})
    drawings = Labels(
        {
            "1F34B": {"en": ("lemon",), "it": ("cedro",)},
            "1F9C3": {"en": ("juice box",), "zh": ("柠檬汁",), "it": ("succo",)},
            "1F34E": {"en": ("apple", "lemon apple"), "it": ("mela",)},
        }
    )
    hidden = LeftOut.of_classes([photos, drawings], frozenset({"n1"}))
    kept = hidden.clean_labels(drawings).names
    assert kept == {
        "1F9C3": {"en": ("juice box",), "it": ("succo",)},
        "1F34E": {"en": ("apple",), "it": ("mela",)},
    }


def test_names_of_folders(tune: Tune, album: Path, tmp_path: Path) -> None:
    """Classes that only the data name; the file is a path from here where the data folder has none."""
    listed = tmp_path / "gone.txt"
    listed.write_text("dark_grey\nred\n", encoding="utf-8")
    folder = tune(f"data.exclude_classes={listed}")
    assert (folder / "model").is_dir()
    recipe = load_recipe("finetune", [f"data.exclude_classes={listed}"])
    hidden = excluded(recipe, album)
    assert hidden.words == {"en": {"dark grey", "red"}}
    assert hidden.classes == {"dark_grey", "red"}


# --- mistakes ---

WRONG = {
    "unknown": (
        "red\nredd\nviolet\n",
        r"names 2 classes that no labels of recipe tiny have: redd, violet; did you mean `red`",
    ),
    "empty": ("\n \n", "is empty: expected one class a line"),
    "all": (
        "red\ngreen\nblue\ngrey\nwhite\nblack\n",
        r"no rows of pairs\.parquet are left: data\.exclude_classes excludes",
    ),
    "no text": (b"\xff\xfe", "cannot be read"),
}


@pytest.mark.parametrize(("content", "message"), WRONG.values(), ids=WRONG.keys())
def test_lists_that_cannot_be(content: Any, message: str, data: Path, tmp_path: Path, train: Train, cli: Cli) -> None:
    (data / "gone.txt").write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(DataError, match=message):
        train(without(), data=data)
    file = made.write_recipe(tmp_path / "tiny.toml", made.recipe())
    arguments = ["--data", data, "--output", tmp_path / "cli", "--stage", "teacher", "--device", "cpu"]
    code, said = cli("train", file, *arguments, "--set", "data.exclude_classes=gone.txt")
    assert code == 1
    assert re.search(message, said)
    assert not (tmp_path / "cli" / "teacher" / "model").exists()


def test_a_list_that_is_not_there(data: Path, train: Train) -> None:
    with pytest.raises(DataError, match=r"nowhere\.txt cannot be read"):
        train(without(data={"exclude_classes": "nowhere.txt"}), data=data)


def test_a_recipe_without_classes(data: Path, tmp_path: Path) -> None:
    recipe = made.recipe(data={"exclude_classes": "gone.txt"})
    stages = {"align": {**made.ALIGN, "start": {}}}
    only = Recipe.model_validate({**recipe.model_dump(mode="json"), "stages": stages})
    with pytest.raises(DataError, match="no labels of recipe tiny have: red, blue"):
        run_recipe(only, data, tmp_path / "out", device="cpu", show_progress=False)


def test_lines(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("\ufeffred\r\n dark grey \r\nred\r\n", encoding="utf-8")
    assert read_classes(tmp_path / "a.txt") == ["red", "dark grey"]


def test_held_out_texts_are_in_no_parallel_source(world: Path, trained: Path, tmp_path: Path) -> None:
    """By any of the captions of a cell, whatever their case and punctuation."""
    shutil.copytree(world, tmp_path / "data")
    made.write_parquet(tmp_path / "data" / "val.parquet", [{"en": ["The RED boat!", "nothing like it"], "id": 1}])
    held: dict[str, Any] = {"held_out": {"path": "val.parquet", "columns": ["en"]}}
    found = []
    for change in ({}, held):
        recipe = made.recipe({"student": {"parallel": [{**made.STUDENT["parallel"][0], **change}]}})
        opened = context(recipe, "student", tmp_path / "data", trained)
        (source,) = parallel_sources(opened, opened.config.parallel[0])
        found.append([source.pairs[place][0] for place in range(len(source.pairs))])
    assert [("the red boat",) in pairs for pairs in found] == [True, False]
    assert len(found[0]) - len(found[1]) == found[0].count(("the red boat",))


def test_parallel_sources_without_exclusion_are_untouched(world: Path, trained: Path) -> None:
    opened = context(made.recipe(), "student", world, trained)
    (source,) = parallel_sources(opened, opened.config.parallel[0])
    assert len(source.pairs) == 30

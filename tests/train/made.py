"""A small made-up world to train in: coloured squares, their names in two languages, sentences about them.

Sizes are such that a step takes milliseconds; nothing of it comes from the development data.
"""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from altclip.train.config import Recipe
from altclip.train.loading import load_recipe
from altclip.train.tokenizer import save_tokenizer, train_tokenizer

COLOURS = {
    "red": ((220, 30, 30), "红色"), "green": ((30, 200, 30), "绿色"), "blue": ((30, 30, 220), "蓝色"),
    "grey": ((128, 128, 128), "灰色"), "white": ((250, 250, 250), "白色"), "black": ((5, 5, 5), "黑色"),
}  # fmt: skip
PLACES = {"house": "房子", "boat": "船", "street": "街道", "garden": "花园", "table": "桌子"}
VISION: dict[str, Any] = {
    "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "image_size": 16,
    "patch_size": 8,
}  # fmt: skip
TEXT: dict[str, Any] = {
    "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "vocab_size": 400,
    "max_position_embeddings": 40, "project_dim": 16, "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0,
}  # fmt: skip
VOCABULARY = 400


def picture(colour: tuple[int, int, int], noise: int) -> bytes:
    """A PNG of 16 x 16 pixels about that colour."""
    pixels = np.random.default_rng(noise).normal(0, 20, (16, 16, 3)) + np.array(colour)
    file = io.BytesIO()
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(file, "PNG")
    return file.getvalue()


def sentences() -> list[tuple[str, str]]:
    return [
        (f"the {colour} {place}", f"{COLOURS[colour][1]}的{PLACES[place]}") for colour in COLOURS for place in PLACES
    ]


def rows(count: int) -> list[dict[str, Any]]:
    """Rows with image, class, style and captions in two languages."""
    names = list(COLOURS)
    return [
        {
            "image": {"bytes": picture(COLOURS[names[n % 6]][0], n), "path": None},
            "wnid": names[n % 6],
            "style": "plain" if n % 4 else "odd",
            "en": [f"picture {n} is {names[n % 6]}", f"all {names[n % 6]}, number {n}"],
            "zh": f"第{n}张是{COLOURS[names[n % 6]][1]}",
        }
        for n in range(count)
    ]


def write_parquet(path: Path, table: list[dict[str, Any]]) -> None:
    import datasets

    path.parent.mkdir(parents=True, exist_ok=True)
    made = datasets.Dataset.from_list(table)
    if "image" in made.column_names:
        made = made.cast_column("image", datasets.Image())
    made.to_parquet(str(path))


def write_labels(path: Path, key: str = "wnid") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [
        {key: name, "names": {"en": name, "zh": zh}, "synonyms": {"en": [f"{name}ish"]}}
        for name, (_, zh) in COLOURS.items()
    ]
    path.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines), encoding="utf-8")


def write_pairs(path: Path, copies: int = 1) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{en}\t{zh}\n" for en, zh in sentences() * copies), encoding="utf-8")


def write_tokenizer(folder: Path) -> None:
    texts = [text for pair in sentences() * 4 for text in pair]
    save_tokenizer(train_tokenizer(texts, VOCABULARY), folder, 38)


def write_world(folder: Path) -> Path:
    """All files that `recipe` names."""
    write_parquet(folder / "pairs.parquet", rows(60))
    write_labels(folder / "classes.jsonl")
    write_pairs(folder / "en-zh.tsv")
    write_tokenizer(folder / "words")
    return folder


def write_album(folder: Path, names: tuple[str, ...] = ("red", "green", "blue", "dark_grey"), count: int = 6) -> Path:
    """An image folder: a sub-folder of pictures for each class."""
    for place, name in enumerate(names):
        (folder / name).mkdir(parents=True)
        colour = list(COLOURS.values())[place % len(COLOURS)][0]
        for number in range(count):
            (folder / name / f"{number}.png").write_bytes(picture(colour, 100 * place + number))
    return folder


LABELS = {"path": "classes.jsonl", "key": "wnid", "languages": ["en"], "template_share": 0.3}
TEACHER: dict[str, Any] = {
    "kind": "contrastive", "model": "mini-teacher", "vision": VISION, "text": {**TEXT, "project_dim": 16},
    "projection_dim": 16, "batch_size": 12, "steps": 8, "checkpoint_every": 3, "log_every": 1,
    "pairs": [{"path": "pairs.parquet", "label": "wnid", "labels": LABELS}],
    "optimizer": {"warmup_steps": 2},
}  # fmt: skip
STUDENT: dict[str, Any] = {
    "kind": "distill", "model": "mini", "vision": VISION, "text": TEXT, "projection_dim": 16, "batch_size": 12,
    "steps": 8, "checkpoint_every": 3, "log_every": 1, "start": {"image": "teacher"}, "teacher": "teacher",
    "parallel": [
        {"path": "en-zh.tsv", "language": "zh"},
        {"labels": {**LABELS, "languages": ["en", "zh"]}, "weight": 2.0},
    ],
    "optimizer": {"warmup_steps": 2},
}  # fmt: skip
ALIGN: dict[str, Any] = {
    **{key: STUDENT[key] for key in ("model", "vision", "text", "projection_dim", "batch_size", "steps", "optimizer")},
    "kind": "align", "start": {"all": "student"}, "checkpoint_every": 3, "log_every": 1,
    "pairs": [{"path": "pairs.parquet", "captions": {"en": "en", "zh": "zh"}}],
}  # fmt: skip
RECIPE: dict[str, Any] = {
    "name": "tiny", "seed": 5, "tokenizer": {"path": "words"},
    "stages": {"teacher": TEACHER, "student": STUDENT, "align": ALIGN},
}  # fmt: skip


def recipe(stages: dict[str, dict[str, Any]] | None = None, **changes: Any) -> Recipe:
    """The tiny recipe with its stages updated (`stages={"teacher": {"steps": 3}}`), or other keys of it."""
    made = {name: {**stage, **(stages or {}).get(name, {})} for name, stage in RECIPE["stages"].items()}
    return Recipe.model_validate({**RECIPE, "stages": made, **changes})


def write_recipe(path: Path, made: Recipe) -> Path:
    """The recipe as a TOML file, for the command line."""
    path.write_text(toml(made.model_dump(mode="json", exclude_defaults=True)), encoding="utf-8")
    load_recipe(path)
    return path


def toml(value: Any) -> str:
    """A plain dictionary as TOML: every value on a line of its own, tables inline."""
    return "".join(f"{key} = {_inline(entry)}\n" for key, entry in value.items())


def _inline(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)} = {_inline(entry)}" for key, entry in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_inline, value)) + "]"
    return json.dumps(value, ensure_ascii=False)

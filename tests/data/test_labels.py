"""Names of classes by language, from a file with one class a line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from altclip.data.labels import Labels, read_labels
from altclip.errors import DataError

LINES = [
    {"id": "a", "names": {"en": "cat ", "zh": "猫"}, "synonyms": {"en": ["moggy", "cat", ""], "fr": ["chat"]}},
    {"id": 2, "names": {"en": "dog"}},
]


def write(folder: Path, *lines: object) -> Path:
    path = folder / "labels.jsonl"
    path.write_text("\n\n".join(json.dumps(line, ensure_ascii=False) for line in lines) + "\n", encoding="utf-8")
    return path


def test_the_name_first_then_others_without_repeats(tmp_path: Path) -> None:
    labels = read_labels(write(tmp_path, *LINES), "id")
    assert labels.names == {"a": {"en": ("cat", "moggy"), "zh": ("猫",), "fr": ("chat",)}, "2": {"en": ("dog",)}}
    assert read_labels(write(tmp_path, *LINES), "id", ["names"]).names["a"] == {"en": ("cat",), "zh": ("猫",)}


def test_keys_that_have_all_languages(tmp_path: Path) -> None:
    labels = read_labels(write(tmp_path, *LINES), "id")
    assert labels.keys_in(["en"]) == ["a", "2"]
    assert labels.keys_in(["en", "fr"]) == ["a"]


def test_adding_names() -> None:
    """New ones come last, known ones once; a language may be new, a key may not."""
    labels = Labels({"a": {"en": ("x",), "zh": ("y",)}, "b": {"en": ("z",)}})
    added = labels.adding({"en": {"a": "x", "b": "w"}, "fr": {"a": "v", "c": "u"}})
    assert added.names == {"a": {"en": ("x",), "zh": ("y",), "fr": ("v",)}, "b": {"en": ("z", "w")}}


@pytest.mark.parametrize("line", ['{"id": 1, "names": ', '{"names": {}}', '["id"]', '{"id": 1, "names": "cat"}'])
def test_a_line_that_cannot_be_used_is_named(line: str, tmp_path: Path) -> None:
    (tmp_path / "l.jsonl").write_text('{"id": 0, "names": {"en": "x"}}\n' + line + "\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"l\.jsonl, line 2: .*expected 'id'"):
        read_labels(tmp_path / "l.jsonl", "id")


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.jsonl cannot be read"):
        read_labels(tmp_path / "none.jsonl", "id")

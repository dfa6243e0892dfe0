"""The four kinds of tokenizer files: read, heard, written as transformers reads them, and named when damaged."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tokenizers

from altclip.errors import LayoutError
from altclip.processing import Tokenizer
from tests.processing.tiny import (
    SENTENCES,
    SPECIALS,
    TEXTS,
    sentencepiece_folder,
    theirs,
    vocabulary_folder,
    with_config,
)


def test_saved_and_opened_again(tokenizer: Tokenizer, tmp_path: Path) -> None:
    expected = tokenizer(TEXTS + SPECIALS, truncation=True)
    text_mode = tokenizer(SPECIALS, split_special_tokens=True)
    tokenizer.save(tmp_path / "new" / "folder")  # just after a call that guarded the special strings
    again = Tokenizer.from_folder(tmp_path / "new" / "folder")
    assert again(TEXTS + SPECIALS, truncation=True) == expected
    assert again(SPECIALS, split_special_tokens=True) == text_mode
    assert again.model_max_length == tokenizer.model_max_length
    assert again.added_tokens_encoder == tokenizer.added_tokens_encoder
    again.save(tmp_path / "twice")
    for path in sorted((tmp_path / "twice").iterdir()):
        assert path.read_bytes() == (tmp_path / "new" / "folder" / path.name).read_bytes()
    assert len(list((tmp_path / "twice").iterdir())) == 3


@pytest.mark.parametrize("opener", ["AutoTokenizer", "PreTrainedTokenizerFast"])
def test_transformers_opens_what_is_saved(tokenizer: Tokenizer, opener: str, tmp_path: Path) -> None:
    import transformers

    tokenizer("a", split_special_tokens=True)
    tokenizer.save(tmp_path)
    reference = getattr(transformers, opener).from_pretrained(tmp_path)
    assert reference(TEXTS + SPECIALS)["input_ids"] == tokenizer(TEXTS + SPECIALS).input_ids
    assert reference.model_max_length == tokenizer.model_max_length
    assert reference.pad_token_id == tokenizer.pad_token_id
    padded = reference(SENTENCES, padding=True, truncation=True, max_length=8, return_tensors="np")
    ours = tokenizer(SENTENCES, padding=True, truncation=True, max_length=8, return_tensors="np")
    np.testing.assert_array_equal(padded["input_ids"], ours.input_ids)


@pytest.mark.parametrize("kind", ["sentencepiece", "vocabulary", "merges"])
def test_what_transformers_saves_is_opened(kind: str, folders: dict[str, Path], tmp_path: Path) -> None:
    reference = theirs(kind, folders[kind])
    reference.save_pretrained(tmp_path)
    ours = Tokenizer.from_folder(tmp_path)
    assert ours(TEXTS + SPECIALS).input_ids == reference(TEXTS + SPECIALS)["input_ids"]
    assert ours.model_max_length == {"merges": 77}.get(kind, 512)  # transformers wrote 1e30, which means unknown


def test_no_path_of_the_machine_is_saved(folders: dict[str, Path], tmp_path: Path) -> None:
    folder = shutil.copytree(folders["vocabulary"], tmp_path / "a")
    with_config(folder, name_or_path="/home/someone/x", vocab_file="/tmp/v.txt", do_lower_case=False, note="kept")
    Tokenizer.from_folder(folder).save(tmp_path / "b")
    saved = json.loads((tmp_path / "b" / "tokenizer_config.json").read_text(encoding="utf-8"))
    assert "name_or_path" not in saved
    assert "vocab_file" not in saved
    assert saved["note"] == "kept"
    assert saved["do_lower_case"] is False
    assert saved["tokenizer_class"] == "BertTokenizer"


@pytest.mark.parametrize(
    "config",
    [
        {"do_lower_case": False},
        {"do_lower_case": True, "strip_accents": False},
        {"tokenize_chinese_chars": False},
        {"pad_token": "[unused1]"},
        {"mask_token": {"content": "[MASK]", "lstrip": True, "normalized": False, "__type": "AddedToken"}},
        {"mask_token": "[extra]"},
    ],
)
def test_the_configuration_is_heard(config: dict[str, Any], tmp_path: Path) -> None:
    folder = with_config(vocabulary_folder(tmp_path), tokenizer_class="BertTokenizer", **config)
    ours, reference = Tokenizer.from_folder(folder), theirs("vocabulary", folder)
    texts = [*TEXTS, "DOG Dog dög 猫dog", "a   [MASK] b", "[extra]"]
    expected = reference(texts, padding=True, return_tensors="np")
    np.testing.assert_array_equal(ours(texts, padding=True, return_tensors="np").input_ids, expected["input_ids"])
    assert (ours.pad_token, ours.mask_token) == (reference.pad_token, reference.mask_token)


@pytest.mark.parametrize(
    ("limit", "expected"), [(None, 512), (10**30, 512), (1e30, 512), (0, 512), (77, 77), (128.0, 128)]
)
def test_the_limit_of_the_configuration(limit: Any, expected: int, tmp_path: Path) -> None:
    folder = vocabulary_folder(tmp_path)
    assert Tokenizer.from_folder(with_config(folder, model_max_length=limit)).model_max_length == expected
    assert Tokenizer.from_folder(with_config(folder)).model_max_length == 512


def test_the_limits_of_the_families(folders: dict[str, Path]) -> None:
    limits = {kind: Tokenizer.from_folder(folder).model_max_length for kind, folder in folders.items()}
    assert limits == {"sentencepiece": 512, "vocabulary": 512, "merges": 77, "json": 512}


def test_older_folders_name_their_tokens_in_a_file_of_their_own(tmp_path: Path) -> None:
    folder = vocabulary_folder(tmp_path)
    (folder / "special_tokens_map.json").write_text('{"pad_token": "[unused1]"}', encoding="utf-8")
    assert Tokenizer.from_folder(folder).pad_token_id == 1
    assert Tokenizer.from_folder(with_config(folder, pad_token="[PAD]")).pad_token_id == 0


def test_the_order_of_the_kinds(folders: dict[str, Path], tmp_path: Path) -> None:
    folder = vocabulary_folder(tmp_path)
    sentencepiece_folder(folder)
    assert Tokenizer.from_folder(folder).pad_token == "<pad>"
    shutil.copy(folders["json"] / "tokenizer.json", folder)
    assert Tokenizer.from_folder(folder).encode("cat") == Tokenizer.from_folder(folders["json"]).encode("cat")


def test_settings_in_a_tokenizer_json_do_not_stick(folders: dict[str, Path]) -> None:
    """The file says: pad to 9, cut to 7."""
    tokenizer = Tokenizer.from_folder(folders["json"])
    assert len(tokenizer("cat").input_ids) < 9
    assert len(tokenizer(SENTENCES[0]).input_ids) > 9


@pytest.mark.parametrize(
    ("kind", "name", "content"),
    [
        ("sentencepiece", "sentencepiece.bpe.model", b"\xff\xff not protobuf"),
        ("sentencepiece", "sentencepiece.bpe.model", b""),
        ("vocabulary", "vocab.txt", b""),
        ("vocabulary", "vocab.txt", b"[PAD]\n[UNK]\nthe\n"),
        ("vocabulary", "vocab.txt", b"\xff\xfe\x00"),
        ("merges", "vocab.json", b'{"a": 0'),
        ("merges", "vocab.json", b'{"a": 0}'),
        ("merges", "merges.txt", b"#version: 0.2\nzz yy\n"),
        ("merges", "merges.txt", b"one\n"),
        ("json", "tokenizer.json", b"{}"),
        ("json", "tokenizer.json", b""),
        ("vocabulary", "tokenizer_config.json", b"{"),
        ("vocabulary", "tokenizer_config.json", b"[1]"),
        ("vocabulary", "tokenizer_config.json", b'{"model_max_length": "many"}'),
        ("json", "special_tokens_map.json", b"\xff"),
    ],
)
def test_damaged_files_are_named(
    kind: str, name: str, content: bytes, folders: dict[str, Path], tmp_path: Path
) -> None:
    folder = shutil.copytree(folders[kind], tmp_path / "damaged")
    (folder / name).write_bytes(content)
    with pytest.raises(LayoutError) as caught:
        Tokenizer.from_folder(folder)
    assert name in str(caught.value) or "many" in str(caught.value)
    assert str(folder) in str(caught.value)


def test_another_kind_of_sentencepiece_model(tmp_path: Path) -> None:
    import sentencepiece

    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(SENTENCES * 3), model_writer=(file := (tmp_path / "sentencepiece.bpe.model").open("wb")),
        model_type="bpe", vocab_size=300, hard_vocab_limit=False, minloglevel=2,
    )  # fmt: skip
    file.close()
    with pytest.raises(LayoutError, match="is no Unigram model"):
        Tokenizer.from_folder(tmp_path)


def test_folders_without_a_tokenizer(tmp_path: Path) -> None:
    (tmp_path / "vocab.json").write_text("{}", encoding="utf-8")  # and no merges.txt
    with pytest.raises(LayoutError, match=r"has no tokenizer: expected one of tokenizer\.json, sentencepiece.*merges"):
        Tokenizer.from_folder(tmp_path)
    with pytest.raises(LayoutError, match="is no folder"):
        Tokenizer.from_folder(tmp_path / "missing")


def test_sentencepiece_is_imported_for_its_files_only(folders: dict[str, Path]) -> None:
    code = "import sys; from altclip.processing import Tokenizer; Tokenizer.from_folder(sys.argv[1]); "
    code += "sys.exit('sentencepiece' in sys.modules)"
    for kind, folder in folders.items():
        done = subprocess.run([sys.executable, "-c", code, str(folder)], check=False)
        assert done.returncode == (kind == "sentencepiece")


def test_a_tokenizer_json_of_no_family(tmp_path: Path) -> None:
    """No special tokens are made up for it."""
    tokenizers.Tokenizer(tokenizers.models.WordLevel({"a": 0, "?": 1}, unk_token="?")).save(
        str(tmp_path / "tokenizer.json")
    )
    tokenizer = Tokenizer.from_folder(tmp_path)
    assert (tokenizer.encode("a"), tokenizer.pad_token, tokenizer.model_max_length) == ([0], None, 512)
    assert len(Tokenizer.from_folder(with_config(tmp_path, pad_token="?"))) == 2

"""Texts to ids: those of transformers, and no text that breaks it or passes for a special token."""

from __future__ import annotations

import copy
import pickle
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tokenizers

from altclip.errors import UsageError
from altclip.processing import Tokenizer
from tests.processing.tiny import SENTENCES, SPECIALS, TEXTS

# --- ids -------------------------------------------------------------------------------------------------------------


def test_ids_are_those_of_transformers(pair: tuple[Tokenizer, Any]) -> None:
    ours, reference = pair
    expected = reference(TEXTS + SPECIALS, return_token_type_ids=False)
    assert dict(ours(TEXTS + SPECIALS)) == dict(expected)
    assert max(map(len, ours(TEXTS).input_ids)) > 200
    assert len({number for row in expected["input_ids"] for number in row}) > 50  # not unknown words throughout


def test_names_and_sizes_are_those_of_transformers(pair: tuple[Tokenizer, Any]) -> None:
    ours, reference = pair
    for role in ("bos", "eos", "unk", "sep", "pad", "cls", "mask"):
        assert getattr(ours, f"{role}_token") == getattr(reference, f"{role}_token")
        assert getattr(ours, f"{role}_token_id") == getattr(reference, f"{role}_token_id")
    assert ours.vocab_size == reference.vocab_size
    assert len(ours) == len(reference)
    assert ours.added_tokens_encoder == reference.added_tokens_encoder


@pytest.mark.parametrize("skip", [False, True])
def test_decoding_is_that_of_transformers(pair: tuple[Tokenizer, Any], skip: bool) -> None:
    ours, reference = pair
    rows = reference(TEXTS + SPECIALS)["input_ids"]
    assert ours.batch_decode(rows, skip_special_tokens=skip) == reference.batch_decode(rows, skip_special_tokens=skip)
    assert ours.decode(np.array(rows[0]), skip) == reference.decode(rows[0], skip_special_tokens=skip)


def test_tokens_are_those_of_transformers(pair: tuple[Tokenizer, Any]) -> None:
    ours, reference = pair
    for text in SENTENCES:
        assert ours.tokenize(text) == reference.tokenize(text)
        assert ours.encode(text) == reference.encode(text)
        assert ours.encode(text, add_special_tokens=False) == reference.encode(text, add_special_tokens=False)


@pytest.mark.parametrize("tensors", ["np", "pt"])
@pytest.mark.parametrize(
    "arguments",
    [
        {"padding": True},
        {"padding": "longest", "truncation": True, "max_length": 6},
        {"padding": "max_length", "truncation": True, "max_length": 9},
        {"padding": "max_length", "truncation": "longest_first", "max_length": 2},
        {"padding": "max_length", "max_length": 2600},
        {"padding": True, "truncation": True, "max_length": 8, "add_special_tokens": False},
    ],
)
def test_the_call_contract(pair: tuple[Tokenizer, Any], arguments: dict[str, Any], tensors: Any) -> None:
    ours, reference = pair
    texts = [*SENTENCES, "", "x" * 99]
    expected = reference(texts, return_tensors=tensors, return_token_type_ids=False, **arguments)
    got = ours(texts, return_tensors=tensors, **arguments)
    assert list(got) == ["input_ids", "attention_mask"]
    for name in got:
        assert got[name].dtype == expected[name].dtype
        np.testing.assert_array_equal(np.asarray(got[name]), np.asarray(expected[name]))


def test_one_text_or_several(tokenizer: Tokenizer) -> None:
    import torch

    flat = tokenizer("the cat")
    assert flat["input_ids"] == flat.input_ids == tokenizer(["the cat"]).input_ids[0] == tokenizer.encode("the cat")
    assert flat.attention_mask == [1] * len(flat.input_ids)
    batch = tokenizer("the cat", return_tensors="pt")
    assert batch.input_ids.shape == (1, len(flat.input_ids))
    assert batch.input_ids.dtype == torch.int64
    assert batch.to("meta") is batch
    assert batch.input_ids.is_meta
    assert tokenizer(text for text in ("the cat", "dog")).input_ids == tokenizer(("the cat", "dog")).input_ids
    assert list(tokenizer("a", return_attention_mask=False)) == ["input_ids"]
    assert tokenizer([]).input_ids == []
    assert tokenizer([], padding=True, return_tensors="np").input_ids.shape == (0, 0)


def test_a_long_text_is_cut_to_the_models_limit_and_keeps_its_end(tokenizer: Tokenizer) -> None:
    tokenizer.model_max_length = 20
    long, short = tokenizer(["the cat " * 700, "cat"], truncation=True).input_ids
    assert len(long) == 20
    assert (long[0], long[-1]) == (short[0], short[-1])
    assert len(short) < 20
    assert tokenizer(["cat"], padding="max_length", return_tensors="np").input_ids.shape == (1, 20)
    assert len(tokenizer("the cat " * 700).input_ids) > 20  # not cut unless asked for, and the limit leaves no trace


def test_wrong_calls(tokenizer: Tokenizer) -> None:
    for arguments, message in [
        ({"return_tensors": "tf"}, "return_tensors='tf'"),
        ({"padding": "left"}, "padding='left' is not known: expected one of"),
        ({"padding": []}, r"padding=\[\] is not known"),
        ({"truncation": "only_second"}, "truncation='only_second'"),
        ({"text_pair": ["b"]}, "pairs of texts are not supported"),
        ({"truncation": True, "max_length": 1}, "max_length=1 leaves no room: 2 ids are special"),
        ({"return_tensors": "np"}, r"texts of \d+ to \d+ tokens do not fit into one array: pass padding=True"),
    ]:
        with pytest.raises(UsageError, match=message):
            tokenizer(["a", "a much longer text"], **arguments)  # type: ignore[arg-type]
    wrong: list[tuple[Any, str]] = [
        (None, "a NoneType"),
        (b"a", "a bytes"),
        (3, "a int"),
        (["a", None], "text 1 is a NoneType"),
        (["a", 3.5], r"text 1 is a float \(3.5\): expected a string"),
        ([["a"]], "text 0 is a list"),
    ]
    for texts, message in wrong:
        with pytest.raises(UsageError, match=message):
            tokenizer(texts)


# --- what users type -------------------------------------------------------------------------------------------------


def test_a_special_string_in_a_users_text_is_text(tokenizer: Tokenizer) -> None:
    special = {number for token, number in tokenizer.added_tokens_encoder.items() if token != tokenizer.unk_token}
    for text in [*SPECIALS, *(f"say {token} now" for token in SPECIALS), "".join(SPECIALS)]:
        row = tokenizer(text, split_special_tokens=True).input_ids
        assert not special & set(row[1:-1]), (text, tokenizer.decode(row))
        assert len(row) > 2
        assert row == tokenizer.encode(text, split_special_tokens=True)
    assert tokenizer(SENTENCES, split_special_tokens=True) == tokenizer(SENTENCES)


def test_the_same_string_is_a_token_where_transformers_says_so(folders: dict[str, Path]) -> None:
    ours = Tokenizer.from_folder(folders["sentencepiece"])
    assert ours.mask_token_id == len(ours) - 1
    assert ours.mask_token_id in ours("the <mask> cat").input_ids
    assert ours.mask_token_id not in ours("the <mask> cat", split_special_tokens=True).input_ids
    assert ours.mask_token_id in ours("the <mask> cat").input_ids  # one call leaves nothing behind for the next


def test_threads_do_not_disturb_each_other(folders: dict[str, Path]) -> None:
    """Each call sets a state of the library's object and relies on it."""
    tokenizer = Tokenizer.from_folder(folders["sentencepiece"])
    calls: list[dict[str, Any]] = [
        {"split_special_tokens": split, "truncation": cut, "max_length": 5}
        for split in (True, False)
        for cut in (True, False)
    ]
    texts = ["the </s> cat <mask> " * 20] * 20
    expected = [tokenizer(texts, **call) for call in calls]
    assert len({str(batch) for batch in expected}) == 4

    def work(number: int) -> bool:
        tokenizer.batch_decode(expected[0].input_ids)
        return tokenizer(texts, **calls[number % 4]) == expected[number % 4]

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(60)))


def test_surrogates(tokenizer: Tokenizer) -> None:
    """Halves of a character, as cut JSON or Windows file names have them; two that belong together are one again."""
    assert tokenizer("a \ud800 b").input_ids == tokenizer("a \ufffd b").input_ids
    assert tokenizer("\udfff\udfff").input_ids == tokenizer("\ufffd\ufffd").input_ids
    assert tokenizer("\ud83d\ude00 ok").input_ids == tokenizer("😀 ok").input_ids


def test_empty_texts_are_the_two_ends(tokenizer: Tokenizer) -> None:
    rows = tokenizer(["", " ", "\t\n  "]).input_ids
    assert rows[0] == [tokenizer.encode("a")[0], tokenizer.encode("a")[-1]]
    assert len(tokenizer("x" * 10_000, truncation=True).input_ids) <= tokenizer.model_max_length


# --- the object ------------------------------------------------------------------------------------------------------


def test_a_tokenizer_at_hand(folders: dict[str, Path]) -> None:
    backend = tokenizers.Tokenizer.from_file(str(folders["json"] / "tokenizer.json"))
    ours = Tokenizer(backend, tokens={"pad": "<pad>", "unk": "<unk>"}, model_max_length=12)
    assert (ours.pad_token_id, ours.unk_token_id, ours.bos_token, ours.bos_token_id) == (1, 3, None, None)
    assert len(ours(SENTENCES[0], truncation=True).input_ids) == 12
    with pytest.raises(UsageError, match="pad='<p>'"):
        Tokenizer(backend, tokens={"pad": "<p>"}, model_max_length=12)
    with pytest.raises(UsageError, match="stop='<pad>'"):
        Tokenizer(backend, tokens={"stop": "<pad>"}, model_max_length=12)
    with pytest.raises(UsageError, match="no pad token"):
        Tokenizer(backend, tokens={}, model_max_length=12)(["a"], padding=True)


def test_without_special_tokens_or_splitting() -> None:
    backend = tokenizers.Tokenizer(tokenizers.models.WordLevel({"a": 0, "?": 1}, unk_token="?"))
    ours = Tokenizer(backend, tokens={}, model_max_length=4)
    assert ours.encode("a") == ours.encode("a", split_special_tokens=True) == [0]
    assert ours(["a", "b c"], truncation=True, max_length=1, split_special_tokens=True).input_ids == [[0], [1]]


def test_copies_and_pickles_work(tokenizer: Tokenizer) -> None:
    """Data loaders send a tokenizer to their workers."""
    for other in (copy.deepcopy(tokenizer), pickle.loads(pickle.dumps(tokenizer))):
        assert other(TEXTS) == tokenizer(TEXTS)
        assert other(SPECIALS, split_special_tokens=True) == tokenizer(SPECIALS, split_special_tokens=True)
        assert other.pad_token_id == tokenizer.pad_token_id

"""The tokenizer that a recipe trains: what it takes for the same, and that nothing is unknown to it."""

from __future__ import annotations

from pathlib import Path

import pytest
import tokenizers

from altclip.errors import CheckpointError, DataError, UsageError
from altclip.processing import Tokenizer
from altclip.train.config import TokenizerConfig
from altclip.train.tokenizer import save_tokenizer, tokenizer_folder, train_tokenizer
from tests.train import made

SIZE = 420
TEXTS = [text for pair in made.sentences() * 4 for text in pair] + ["кошка на окне", "حصان على الشاطئ", "猫は窓に"] * 3


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("words")
    save_tokenizer(train_tokenizer(TEXTS, SIZE), folder, 24)
    return folder


@pytest.fixture(scope="module")
def tokenizer(folder: Path) -> Tokenizer:
    return Tokenizer.from_folder(folder)


def test_the_layout_of_ids(folder: Path, tokenizer: Tokenizer) -> None:
    """Special tokens, the 256 bytes, then the pieces; no more than asked for."""
    backend = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
    assert [backend.id_to_token(number) for number in range(6)] == ["<s>", "<pad>", "<unk>", "</s>", "<0x00>", "<0x01>"]
    assert backend.id_to_token(259) == "<0xFF>"
    assert not str(backend.id_to_token(260)).startswith("<0x")
    assert 300 < len(tokenizer) <= SIZE
    assert (tokenizer.bos_token_id, tokenizer.pad_token_id, tokenizer.unk_token_id, tokenizer.eos_token_id) == (
        0,
        1,
        2,
        3,
    )
    assert tokenizer.model_max_length == 24


def test_a_text_stands_between_its_marks(tokenizer: Tokenizer) -> None:
    ids = tokenizer.encode("the red boat")
    assert (ids[0], ids[-1]) == (0, 3)
    assert not {0, 1, 2, 3} & set(ids[1:-1])
    assert tokenizer.encode("") == [0, 3]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("the red boat", "The RED Boat"),  # case
        ("the red boat", "  the\tred \n boat "),  # spaces
        ("the red boat", "ｔｈｅ ｒｅｄ ｂｏａｔ"),  # full width: NFKC
        ("ﬁne", "fine"),
        ("caf\u00e9", "cafe\u0301"),  # composition
        ("حصان", "حِصَانٌ"),  # tashkeel
        ("حصان", "حصـــان"),  # tatweel
        ("ネコ", "ﾈｺ"),  # half-width kana
    ],
)
def test_spellings_of_one_word(one: str, other: str, tokenizer: Tokenizer) -> None:
    assert tokenizer.encode(one) == tokenizer.encode(other)


@pytest.mark.parametrize("text", ["สวัสดี", "ᚠᚢᚦ", "🦙🏽", "ꙮ", "नमस्ते"])
def test_a_script_that_it_never_saw_comes_back_byte_by_byte(text: str, tokenizer: Tokenizer) -> None:
    ids = tokenizer.encode(text)
    assert tokenizer.unk_token_id not in ids
    assert tokenizer.decode(ids, skip_special_tokens=True) == text


@pytest.mark.parametrize("text", ["the red boat", "红色的房子", "кошка на окне", "猫は窓に"])
def test_what_it_has_seen_comes_back_and_is_short(text: str, tokenizer: Tokenizer) -> None:
    ids = tokenizer.encode(text)
    assert tokenizer.decode(ids, skip_special_tokens=True) == text
    assert len(ids) - 2 < len(text.encode())


@pytest.mark.parametrize("text", [*TEXTS[:8], "สวัสดี 🦙", "", "The  ＲＥＤ boat", "</s> in a text"])
def test_transformers_opens_it_with_equal_ids(text: str, folder: Path, tokenizer: Tokenizer) -> None:
    import transformers

    theirs = transformers.AutoTokenizer.from_pretrained(folder)
    assert theirs(text)["input_ids"] == tokenizer.encode(text)
    assert theirs.pad_token_id == tokenizer.pad_token_id
    assert theirs.model_max_length == 24


@pytest.mark.parametrize("size", [10, 256, 260])
def test_too_small_a_vocabulary(size: int) -> None:
    with pytest.raises(UsageError, match=f"vocab_size {size} is too small"):
        train_tokenizer(["a b"], size)


def test_a_recipe_trains_one_once(world: Path, tmp_path: Path) -> None:
    labels = [{"path": "classes.jsonl", "key": "wnid"}]
    config = TokenizerConfig.model_validate({"vocab_size": 400, "files": ["en-zh.tsv"], "labels": labels})
    folder = tokenizer_folder(config, world, tmp_path)
    assert folder == tmp_path / "tokenizer"
    assert "redish" in Tokenizer.from_folder(folder).decode(Tokenizer.from_folder(folder).encode("redish"))
    before = (folder / "tokenizer.json").stat().st_mtime_ns
    assert tokenizer_folder(config, world, tmp_path) == folder
    assert (folder / "tokenizer.json").stat().st_mtime_ns == before


def test_one_that_is_there_already(world: Path, tmp_path: Path) -> None:
    assert tokenizer_folder(TokenizerConfig(path="words"), world, tmp_path) == world / "words"
    assert tokenizer_folder(TokenizerConfig(path=str(world / "words")), tmp_path, tmp_path) == world / "words"
    with pytest.raises(CheckpointError):
        tokenizer_folder(TokenizerConfig(path="./nowhere"), world, tmp_path)
    with pytest.raises(DataError, match=r"none\.tsv"):
        tokenizer_folder(TokenizerConfig(files=["none.tsv"]), world, tmp_path)


def test_too_few_ids_for_all_characters() -> None:
    texts = ["".join(chr(0x4E00 + place) for place in range(400))]
    with pytest.raises(UsageError, match="no tokenizer of 300 ids can be trained on these texts"):
        train_tokenizer(texts, 300)

"""The released vocabularies: ids equal to those of transformers on all texts of the development data."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from altclip.processing import Tokenizer
from tests.processing.tiny import ODD, theirs

RELEASED = {"sentencepiece": "xlm_roberta", "vocabulary": "bert_base_chinese", "merges": "openai_clip"}


def sentences(shared: Path) -> Iterator[str]:
    """Both sides of all parallel texts, and all names, synonyms and keywords of classes and concepts."""
    for path in sorted((shared / "data/parallel").glob("*.tsv")):
        for line in path.read_text(encoding="utf-8").split("\n"):
            yield from line.split("\t")
    for name in ("photos/classes.jsonl", "emoji/concepts.jsonl"):
        for line in (shared / "data" / name).read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            for values in (row["names"], row.get("synonyms", {}), row.get("keywords", {})):
                for value in values.values():
                    yield from [value] if isinstance(value, str) else value


@pytest.mark.shared
@pytest.mark.parametrize("step", [50, pytest.param(1, marks=pytest.mark.slow)])
@pytest.mark.parametrize("kind", RELEASED)
def test_released_ids_are_those_of_transformers(kind: str, step: int, shared: Path) -> None:
    texts = sorted(set(sentences(shared)))
    assert len(texts) > 180_000
    folder = shared / "tokenizers" / RELEASED[kind]
    ours, reference = Tokenizer.from_folder(folder), theirs(kind, folder)
    texts = [*texts[::step], *ODD, "ﾊﾞｽ ｶﾞｽ"]
    expected = reference(texts)["input_ids"]
    assert ours(texts).input_ids == expected
    assert ours(texts, split_special_tokens=True).input_ids == expected
    assert ours.batch_decode(expected[:500]) == reference.batch_decode(expected[:500])


@pytest.fixture(scope="module")
def xlm(shared: Path) -> Tokenizer:
    return Tokenizer.from_folder(shared / "tokenizers/xlm_roberta")


@pytest.mark.shared
def test_known_ids(xlm: Tokenizer, shared: Path) -> None:
    assert xlm("Hello World!").input_ids == [0, 35378, 6661, 38, 2]
    assert (xlm.bos_token_id, xlm.pad_token_id, xlm.eos_token_id, xlm.unk_token_id) == (0, 1, 2, 3)
    assert (xlm.mask_token_id, len(xlm), xlm.model_max_length) == (250001, 250002, 512)
    clip = Tokenizer.from_folder(shared / "tokenizers/openai_clip")
    padded = clip("Hello World!", padding="max_length", return_tensors="np").input_ids
    assert padded[0].tolist() == [49406, 3306, 1002, 256, *[49407] * 73]


@pytest.mark.shared
def test_half_width_kana(xlm: Tokenizer, shared: Path) -> None:
    """sentencepiece joins a letter and its voicing mark, transformers does not; the released models saw the latter."""
    import sentencepiece

    file = shared / "tokenizers/xlm_roberta/sentencepiece.bpe.model"
    model = sentencepiece.SentencePieceProcessor(model_file=str(file))
    assert "バス" in "".join(model.encode("ﾊﾞｽ", out_type=str))
    ours = "".join(xlm.tokenize("ﾊﾞｽ"))
    assert "バス" not in ours
    assert "ス" in ours

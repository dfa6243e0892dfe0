"""Makes the smallest tokenizer folders of all four kinds, from sentences written for this purpose."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import sentencepiece
import tokenizers
from tokenizers import decoders, models, normalizers, pre_tokenizers, processors, trainers

SENTENCES = [
    "a small dog runs over the wet grass, and the cat watches",
    "la niña come una manzana roja en la cocina",
    "le garçon regarde l'océan depuis la fenêtre",
    "Большая собака спит на старом диване",
    "子どもが公園でサッカーをしています。",
    "고양이가 창문 옆에서 자고 있다",
    "الولد يقرأ كتابا تحت الشجرة",
    "il gatto nero è sul tavolo della nonna",
    "两个孩子在海边放风筝，天空很蓝。",
    "HELLO World! 12 red cars & 3 buses (1999) don't stop...",
]
ODD = [
    "",
    " ",
    "\t\n  ",
    "  two   spaces ",
    "a\x00b",
    "😀👍🏽 and ♥️",
    "שלום עולם مرحبا",
    "I'LL don't WE'VE",
    "x" * 10_000,
    "the cat " * 700,
    "\u200b\u00a0\u2028z",
    "e\u0301 ﬁ ① Ａｂｃ",
]

TEXTS = [*SENTENCES, *ODD]
SPECIALS = ["<s>", "</s>", "<pad>", "<unk>", "<mask>", "[CLS]", "[SEP]", "[MASK]", "[PAD]", "<|startoftext|>"]
SPECIALS += ["<|endoftext|>", "＜/s＞", "<</s>/s>", "a</s>b", "<s><s>", "x [SEP] y", "</S>", "<|ENDOFTEXT|>"]


def sentencepiece_folder(folder: Path) -> Path:
    """The kind of XLM-RoBERTa: `sentencepiece.bpe.model`."""
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(SENTENCES * 3),
        model_writer=model,
        model_type="unigram",
        vocab_size=300,
        hard_vocab_limit=False,
        character_coverage=1.0,
        normalization_rule_name="nmt_nfkc",
        minloglevel=2,
    )
    return written(folder, {"sentencepiece.bpe.model": model.getvalue()})


def vocabulary_folder(folder: Path) -> Path:
    """The kind of BERT: `vocab.txt`."""
    characters = sorted(set("".join(SENTENCES).lower()) - {" "})
    words = ["dog", "run", "##s", "##ning", "cat", "the", "собака", *(f"##{c}" for c in characters)]
    tokens = ["[PAD]", "[unused1]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *characters, *words]
    return written(folder, {"vocab.txt": ("\n".join(tokens) + "\n").encode()})


def merges_folder(folder: Path) -> Path:
    """The kind of OpenAI CLIP: `vocab.json` and `merges.txt`."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    merges = ["c a", "ca t</w>", "t h", "th e</w>", "d o", "do g</w>", "Ð ¾"]
    tokens = [*letters, *(f"{letter}</w>" for letter in letters), *(merge.replace(" ", "") for merge in merges)]
    tokens += ["<|startoftext|>", "<|endoftext|>"]
    vocabulary = {token: number for number, token in enumerate(tokens)}
    lines = "\n".join(["#version: 0.2", *merges, ""])
    return written(folder, {"vocab.json": json.dumps(vocabulary).encode(), "merges.txt": lines.encode()})


def json_folder(folder: Path) -> Path:
    """A whole `tokenizer.json` of its own making, as the bundled model has: Unigram that normalises, byte fallback."""
    tokens = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    backend = tokenizers.Tokenizer(models.Unigram())
    backend.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
    backend.pre_tokenizer = pre_tokenizers.Metaspace()
    backend.decoder = decoders.Metaspace()
    trainer = trainers.UnigramTrainer(vocab_size=250, special_tokens=tokens, unk_token="<unk>", show_progress=False)
    backend.train_from_iterator(SENTENCES * 3, trainer)
    backend.post_processor = processors.TemplateProcessing(
        single=["<s>", "$A", "</s>"], special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    backend.enable_padding(pad_id=1, pad_token="<pad>", length=9)  # a file may carry what its writer last used
    backend.enable_truncation(7)
    return written(folder, {"tokenizer.json": backend.to_str().encode()})


def written(folder: Path, files: dict[str, bytes]) -> Path:
    """`folder` with these files in it."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


def with_config(folder: Path, **config: object) -> Path:
    """`folder` with a `tokenizer_config.json`."""
    return written(folder, {"tokenizer_config.json": json.dumps(config).encode()})


FOLDERS = {
    "sentencepiece": sentencepiece_folder,
    "vocabulary": vocabulary_folder,
    "merges": merges_folder,
    "json": json_folder,
}
KINDS = list(FOLDERS)


def theirs(kind: str, folder: Path) -> Any:
    """transformers' tokenizer of the same files."""
    import transformers

    if kind == "json":
        tokens = {
            "bos": "<s>",
            "eos": "</s>",
            "unk": "<unk>",
            "sep": "</s>",
            "pad": "<pad>",
            "cls": "<s>",
            "mask": "<mask>",
        }
        named = {f"{role}_token": token for role, token in tokens.items()}  # transformers cannot guess them
        return transformers.PreTrainedTokenizerFast(tokenizer_file=str(folder / "tokenizer.json"), **named)
    names = {"sentencepiece": "XLMRobertaTokenizer", "vocabulary": "BertTokenizer", "merges": "CLIPTokenizer"}
    return getattr(transformers, names[kind]).from_pretrained(folder)

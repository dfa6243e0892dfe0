"""Trains a small multilingual tokenizer: Unigram (Kudo 2018) with byte fallback, by the `tokenizers` library.

Text is normalised first: NFKC, lower case, tatweel and tashkeel removed, so that spellings that people hold to be one
word are one. Ids: <s> 0, <pad> 1, <unk> 2, </s> 3, then the 256 bytes, then the pieces. The library's training is not
the same to the last piece in every run: the file is what counts, and its digest goes into the model's configuration.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from altclip.checkpoints import resolve
from altclip.data.parallel import read_pairs
from altclip.errors import AltclipError, UsageError
from altclip.train.config import TokenizerConfig
from altclip.train.leftout import NOTHING, LeftOut
from altclip.train.names import named

SPECIAL_TOKENS: Final = ("<s>", "<pad>", "<unk>", "</s>")
_ARABIC_MARKS: Final = "[\u0640\u064b-\u065f\u0670]"  # tatweel; tashkeel


def train_tokenizer(texts: Iterable[str], vocab_size: int) -> Tokenizer:
    """A tokenizer of at most `vocab_size` ids that puts <s> and </s> around a text. Raises UsageError if too small."""
    bytes_ = [f"<0x{byte:02X}>" for byte in range(256)]
    pieces = vocab_size - len(bytes_)
    if pieces < 2 * len(SPECIAL_TOKENS):
        raise UsageError(f"vocab_size {vocab_size} is too small: the first {256 + len(SPECIAL_TOKENS)} are taken")
    tokenizer = _with_rules(Tokenizer(models.Unigram()))
    trainer = trainers.UnigramTrainer(
        vocab_size=pieces, special_tokens=list(SPECIAL_TOKENS), unk_token="<unk>", show_progress=False
    )
    try:
        tokenizer.train_from_iterator(texts, trainer)
    except AltclipError:  # of the texts, as they are read
        raise
    except Exception as error:  # the library raises nothing narrower
        raise UsageError(f"no tokenizer of {vocab_size} ids can be trained on these texts: {error}") from error
    vocab = [tuple(entry) for entry in json.loads(tokenizer.to_str())["model"]["vocab"]]
    special, learned = vocab[: len(SPECIAL_TOKENS)], vocab[len(SPECIAL_TOKENS) :]
    lowest = min(score for _, score in learned)
    merged = [*special, *((byte, lowest - 10.0) for byte in bytes_), *learned]
    whole = _with_rules(Tokenizer(models.Unigram(merged, SPECIAL_TOKENS.index("<unk>"), byte_fallback=True)))
    whole.add_special_tokens(list(SPECIAL_TOKENS))
    whole.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair=None, special_tokens=[("<s>", 0), ("</s>", 3)]
    )
    return whole


def save_tokenizer(tokenizer: Tokenizer, folder: Path, max_length: int) -> None:
    """Write tokenizer.json and tokenizer_config.json, which `Tokenizer.from_folder` and transformers read."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
    names = dict(zip(("bos_token", "pad_token", "unk_token", "eos_token"), SPECIAL_TOKENS, strict=True))
    kind = {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": max_length}
    settings = {**kind, **names, "cls_token": "<s>"}
    text = json.dumps(settings, ensure_ascii=False, indent=2)
    (folder / "tokenizer_config.json").write_text(text + "\n", encoding="utf-8")


def tokenizer_folder(config: TokenizerConfig, data: Path, output: Path, hidden: LeftOut = NOTHING) -> Path:
    """The folder of the recipe's tokenizer: of a path, in `data` or not, of a hub id, or trained now unless it was.

    hidden: texts with these names are not among those that it learns from.
    """
    if config.path:
        beside = data / config.path
        return beside if beside.is_dir() else resolve(config.path, weights=False)
    folder = output / "tokenizer"
    if not (folder / "tokenizer_config.json").is_file():
        texts = (text for text in _texts(config, data) if not hidden.hits_any(text))
        save_tokenizer(train_tokenizer(texts, config.vocab_size), folder, 64)
    return folder


def _texts(config: TokenizerConfig, data: Path) -> Iterator[str]:
    for name in config.files:
        pairs = read_pairs(data / name, "en").pairs
        for english, other in (pairs[index] for index in range(len(pairs))):
            yield from (english[0], other[0])
    for file in config.labels:
        for by_language in named(data, file).names.values():
            for names in by_language.values():
                yield from names


def _with_rules(tokenizer: Tokenizer) -> Tokenizer:
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFKC(), normalizers.Lowercase(), normalizers.Replace(Regex(_ARABIC_MARKS), ""),
         normalizers.Replace(Regex(r"\s+"), " "), normalizers.Strip()]
    )  # fmt: skip
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Metaspace(), decoders.Fuse()])
    return tokenizer

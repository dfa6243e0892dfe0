"""Builds a tokenizer of the `tokenizers` library from any of the four kinds of files that released models carry.

    tokenizer.json               as it stands
    sentencepiece.bpe.model      XLM-RoBERTa: AltCLIP, M-CLIP
    vocab.json + merges.txt      OpenAI CLIP
    vocab.txt                    BERT: Chinese-CLIP, Taiyi

The first kind found counts, in this order. `tokenizer_config.json` and `special_tokens_map.json` beside them name the
special tokens and the limit; where they are absent, what the family has in common stands in `FAMILIES`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import tokenizers
from tokenizers import AddedToken, Regex, decoders, models, normalizers, pre_tokenizers, processors

from altclip.errors import LayoutError

CONFIG_NAME: Final = "tokenizer_config.json"
MAP_NAME: Final = "special_tokens_map.json"
ROLES: Final = ("bos", "eos", "unk", "sep", "pad", "cls", "mask")
_NO_LIMIT: Final = 10**9  # transformers writes 1e30 for "unknown"


@dataclass(frozen=True)
class Family:
    """What the tokenizers of one family have in common: the class that transformers opens them with, limit, tokens."""

    tokenizer_class: str
    model_max_length: int
    tokens: Mapping[str, str]  # role -> token


_XLM_ROBERTA: Final = Family(
    "XLMRobertaTokenizer",
    512,
    {"bos": "<s>", "eos": "</s>", "unk": "<unk>", "sep": "</s>", "pad": "<pad>", "cls": "<s>", "mask": "<mask>"},
)
_BERT: Final = Family(
    "BertTokenizer", 512, {"unk": "[UNK]", "sep": "[SEP]", "pad": "[PAD]", "cls": "[CLS]", "mask": "[MASK]"}
)
_CLIP: Final = Family(
    "CLIPTokenizer",
    77,
    {"bos": "<|startoftext|>", "eos": "<|endoftext|>", "unk": "<|endoftext|>", "pad": "<|endoftext|>"},
)
FAMILIES: Final = (_XLM_ROBERTA, _BERT, _CLIP)


@dataclass(frozen=True)
class Built:
    """A tokenizer as its files describe it."""

    backend: tokenizers.Tokenizer
    tokens: dict[str, str]  # role -> token
    model_max_length: int
    config: dict[str, Any]  # of tokenizer_config.json, with `tokenizer_class`


def build(folder: str | Path) -> Built:
    """The tokenizer of a model folder.

    Raises:
        LayoutError: there are no tokenizer files in the folder, or they are damaged.
    """
    path = Path(folder)
    config = {**_read_json(path / MAP_NAME), **_read_json(path / CONFIG_NAME)}
    for names, builder in _BUILDERS.items():
        if all((path / name).is_file() for name in names):
            try:
                return builder(path, config)
            except (LayoutError, ImportError):
                raise
            except Exception as error:  # the Rust library raises bare Exception, protobuf its own
                raise LayoutError(f"{path}: {' and '.join(names)} cannot be read, damaged? ({error})") from error
    kinds = ", ".join(" with ".join(names) for names in _BUILDERS)
    raise LayoutError(f"{path} {'has no tokenizer' if path.is_dir() else 'is no folder'}: expected one of {kinds}")


def _from_json(folder: Path, config: dict[str, Any]) -> Built:
    """`tokenizer.json`: the whole pipeline is in the file."""
    backend = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
    backend.no_padding()  # some files carry the settings of the run that wrote them
    backend.no_truncation()
    return _finish(backend, _guess(backend), config)


def _from_sentencepiece(folder: Path, config: dict[str, Any]) -> Built:
    """`sentencepiece.bpe.model`, with the ids of fairseq: four tokens of its own in front, `<mask>` at the end.

    Pipeline and ids are those of transformers' XLMRobertaTokenizer. It and sentencepiece itself part ways on half-width
    kana: sentencepiece joins a letter and its voicing mark into one, transformers keeps two, and so does this.
    """
    from sentencepiece import sentencepiece_model_pb2  # with protobuf; only this kind of file needs them

    proto = sentencepiece_model_pb2.ModelProto()  # type: ignore[attr-defined]  # made when it is imported
    proto.ParseFromString((folder / "sentencepiece.bpe.model").read_bytes())
    if len(proto.pieces) < 4:
        raise LayoutError(f"{folder / 'sentencepiece.bpe.model'} holds {len(proto.pieces)} pieces: is it cut short?")
    if proto.trainer_spec.model_type != proto.trainer_spec.UNIGRAM:
        raise LayoutError(f"{folder / 'sentencepiece.bpe.model'} is no Unigram model: expected one, as XLM-RoBERTa has")
    tokens = _tokens(_XLM_ROBERTA, config)
    front = [(tokens[role], 0.0) for role in ("bos", "pad", "eos", "unk")]
    pieces = [(piece.piece, piece.score) for piece in proto.pieces[3:]]  # without its own <unk>, <s>, </s>
    vocabulary = [*front, *pieces, (tokens["mask"], 0.0)]
    backend = tokenizers.Tokenizer(models.Unigram(vocabulary, unk_id=3, byte_fallback=False))
    if proto.normalizer_spec.precompiled_charsmap:
        backend.normalizer = normalizers.Precompiled(proto.normalizer_spec.precompiled_charsmap)
    backend.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")]
    )
    backend.decoder = decoders.Metaspace(replacement="▁", prepend_scheme="always")
    return _finish(backend, _XLM_ROBERTA, config, ends=("bos", "eos"))


def _from_merges(folder: Path, config: dict[str, Any]) -> Built:
    """`vocab.json` and `merges.txt`: OpenAI CLIP's byte-level BPE over lower-cased words that end in `</w>`."""
    vocabulary, merges = models.BPE.read_file(str(folder / "vocab.json"), str(folder / "merges.txt"))
    tokens = _tokens(_CLIP, config)
    _require(tokens, vocabulary, folder / "vocab.json")
    backend = tokenizers.Tokenizer(
        models.BPE(vocabulary, merges, end_of_word_suffix="</w>", continuing_subword_prefix="", unk_token=tokens["unk"])
    )
    backend.normalizer = normalizers.Sequence(
        [normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()]
    )
    words = r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
    backend.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(words), behavior="removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    backend.decoder = decoders.ByteLevel()
    return _finish(backend, _CLIP, config, ends=("bos", "eos"))


def _from_vocabulary(folder: Path, config: dict[str, Any]) -> Built:
    """`vocab.txt`: BERT's WordPiece, one token a line, with the normalisation that `tokenizer_config.json` asks for."""
    lines = (folder / "vocab.txt").read_text(encoding="utf-8").removesuffix("\n").split("\n")
    vocabulary = {line.rstrip(): number for number, line in enumerate(lines)}
    tokens = _tokens(_BERT, config)
    _require(tokens, vocabulary, folder / "vocab.txt")
    backend = tokenizers.Tokenizer(models.WordPiece(vocabulary, unk_token=tokens["unk"]))
    backend.normalizer = normalizers.BertNormalizer(
        lowercase=config.get("do_lower_case", True),
        handle_chinese_chars=config.get("tokenize_chinese_chars", True),
        strip_accents=config.get("strip_accents"),
    )
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    backend.decoder = decoders.WordPiece(prefix="##")
    return _finish(backend, _BERT, config, ends=("cls", "sep"))


_BUILDERS: Final[dict[tuple[str, ...], Callable[[Path, dict[str, Any]], Built]]] = {
    ("tokenizer.json",): _from_json,
    ("sentencepiece.bpe.model",): _from_sentencepiece,
    ("vocab.json", "merges.txt"): _from_merges,
    ("vocab.txt",): _from_vocabulary,
}


def _finish(
    backend: tokenizers.Tokenizer, family: Family, config: dict[str, Any], ends: tuple[str, str] | None = None
) -> Built:
    """Marks the special tokens as such, and puts the two of `ends` around every text."""
    tokens = _tokens(family, config)
    present = {token.content for token in backend.get_added_tokens_decoder().values()}
    added = [_added_token(config.get(f"{role}_token"), token) for role, token in tokens.items() if token not in present]
    backend.add_special_tokens(added)
    if ends:
        start, end = tokens[ends[0]], tokens[ends[1]]
        numbers = [(token, backend.token_to_id(token)) for token in (start, end)]
        backend.post_processor = processors.TemplateProcessing(single=[start, "$A", end], special_tokens=numbers)
    limit = float(config.get("model_max_length") or _NO_LIMIT)
    return Built(
        backend,
        tokens,
        int(limit) if 0 < limit < _NO_LIMIT else family.model_max_length,
        {"tokenizer_class": family.tokenizer_class, **config},
    )


def _guess(backend: tokenizers.Tokenizer) -> Family:
    """The family whose special tokens a `tokenizer.json` has; the pipeline in the file stays, whatever the family's."""
    for family in FAMILIES:
        tokens = {role: token for role, token in family.tokens.items() if backend.token_to_id(token) is not None}
        if {"pad", "unk"} <= set(tokens):
            return Family("PreTrainedTokenizerFast", family.model_max_length, tokens)
    return Family("PreTrainedTokenizerFast", 512, {})


def _tokens(family: Family, config: Mapping[str, Any]) -> dict[str, str]:
    """The special tokens by role: the configuration's, else the family's; null in the configuration means none."""
    named = {role: config[f"{role}_token"] for role in ROLES if f"{role}_token" in config}
    merged = {**family.tokens, **{role: _content(token) for role, token in named.items()}}
    return {role: token for role, token in merged.items() if token}


def _content(token: str | Mapping[str, Any] | None) -> str:
    """The text of a token, which older files wrap into a dictionary."""
    return str(token["content"]) if isinstance(token, Mapping) else token or ""


def _added_token(described: object, token: str) -> AddedToken:
    """A special token with the flags of its description, where it has one."""
    flags = described if isinstance(described, Mapping) else {}
    kept = {name: flags[name] for name in ("lstrip", "rstrip", "single_word", "normalized") if name in flags}
    return AddedToken(token, special=True, **{"normalized": False, **kept})


def _require(tokens: Mapping[str, str], vocabulary: Mapping[str, int], path: Path) -> None:
    """Special tokens that are missing from a vocabulary mean another family's file, or half a file."""
    missing = sorted({token for role, token in tokens.items() if role != "mask" and token not in vocabulary})
    if missing:
        raise LayoutError(f"{path} has {len(vocabulary):,} tokens but not {', '.join(missing)}: is it cut short?")


def _read_json(path: Path) -> dict[str, Any]:
    """A JSON object, empty where there is no such file."""
    if not path.is_file():
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise LayoutError(f"{path} cannot be read: {error}") from error
    if not isinstance(content, dict):
        raise LayoutError(f"{path} holds a {type(content).__name__}: expected a JSON object")
    return content

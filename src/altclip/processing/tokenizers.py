"""Turns texts into the ids that a text tower reads; the call contract is the one that stock pipelines use."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from threading import Lock
from typing import Any, Final, Literal, Self

import tokenizers
from tokenizers import Regex, pre_tokenizers

from altclip.errors import UsageError
from altclip.processing.batches import BatchEncoding, TensorKind, check_kind, stack_ids
from altclip.processing.building import CONFIG_NAME, MAP_NAME, ROLES, build

Padding = bool | Literal["longest", "max_length", "do_not_pad"]
Truncation = bool | Literal["longest_first", "do_not_truncate"]

_PADDINGS: Final = {False: None, None: None, "do_not_pad": None, True: "longest", "longest": "longest"}
_TRUNCATIONS: Final = {False: False, None: False, "do_not_truncate": False, True: True, "longest_first": True}
# Where the files lay on the machine that wrote the configuration is no part of a tokenizer.
_MACHINE_KEYS: Final = {
    *("name_or_path", "tokenizer_file", "vocab_file", "merges_file", "special_tokens_map_file"),
    *("is_local", "local_files_only"),
}


class Tokenizer:
    """A tokenizer of the `tokenizers` library with its special tokens and its limit.

    Ids equal those of transformers' XLMRobertaTokenizer, BertTokenizer and CLIPTokenizer built from the same files.
    A text that holds a special token's string, such as `</s>`, is read as transformers reads it: as that token. With
    `split_special_tokens=True` it is text like any other; use that for what users type. (transformers knows that
    argument too, but still finds `</s>` in the vocabulary of XLM-RoBERTa. Here no text can become a special token.)

    Any text is taken: empty, of any length, with NUL or unpaired surrogates (read as U+FFFD, "unknown character").
    One object may serve several threads.
    """

    bos_token: str | None
    eos_token: str | None
    unk_token: str | None
    sep_token: str | None
    pad_token: str | None
    cls_token: str | None
    mask_token: str | None
    bos_token_id: int | None
    eos_token_id: int | None
    unk_token_id: int | None
    sep_token_id: int | None
    pad_token_id: int | None
    cls_token_id: int | None
    mask_token_id: int | None

    def __init__(
        self,
        backend: tokenizers.Tokenizer,
        *,
        tokens: Mapping[str, str],
        model_max_length: int,
        config: Mapping[str, Any] | None = None,
    ) -> None:
        """Around a tokenizer at hand; `from_folder` reads one from files.

        Args:
            backend: adds the special tokens around a text itself (its post-processor).
            tokens: special tokens by role: bos, eos, unk, sep, pad, cls, mask; roles may be left out.
            model_max_length: how many ids the text tower takes, special tokens included.
            config: further keys for `tokenizer_config.json`.

        Raises:
            UsageError: a role is unknown, or its token is not in the vocabulary.
        """
        for role, token in tokens.items():
            if role not in ROLES or backend.token_to_id(token) is None:
                raise UsageError(f"{role}={token!r}: expected one of {', '.join(ROLES)}, and a token in the vocabulary")
        for role in ROLES:
            token_or_none = tokens.get(role)
            setattr(self, f"{role}_token", token_or_none)
            setattr(self, f"{role}_token_id", backend.token_to_id(token_or_none) if token_or_none else None)
        self.model_max_length = model_max_length
        self._config = {"tokenizer_class": "PreTrainedTokenizerFast", **(config or {})}
        self._backend = backend
        self._plain = backend.pre_tokenizer
        self._guarded = _guarded(backend)
        self._lock = Lock()  # a call sets the backend's state before it encodes

    @classmethod
    def from_folder(cls, folder: str | Path) -> Self:
        """From the tokenizer files of a model folder, of any of the four kinds that `building.py` names.

        Raises:
            LayoutError: the files are missing or damaged.
        """
        built = build(folder)
        return cls(built.backend, tokens=built.tokens, model_max_length=built.model_max_length, config=built.config)

    def save(self, folder: str | Path) -> None:
        """Writes `tokenizer.json`, `tokenizer_config.json`, `special_tokens_map.json`, in the form of transformers."""
        path = Path(folder)
        path.mkdir(parents=True, exist_ok=True)
        with self._lock:
            self._backend.pre_tokenizer = self._plain
            self._backend.no_truncation()
            self._backend.save(str(path / "tokenizer.json"), pretty=False)
        tokens = {f"{role}_token": token for role in ROLES if (token := getattr(self, f"{role}_token"))}
        kept = {key: value for key, value in self._config.items() if key not in _MACHINE_KEYS}
        config = {**kept, **tokens, "model_max_length": self.model_max_length}
        for name, content in ((CONFIG_NAME, config), (MAP_NAME, tokens)):
            (path / name).write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")

    def __call__(
        self,
        texts: str | Iterable[str],
        text_pair: None = None,
        *,
        padding: Padding = False,
        truncation: Truncation = False,
        max_length: int | None = None,
        return_tensors: TensorKind | None = None,
        return_attention_mask: bool = True,
        add_special_tokens: bool = True,
        split_special_tokens: bool = False,
    ) -> BatchEncoding:
        """The texts as `input_ids` and `attention_mask`: lists, or int64 arrays (texts, tokens).

        Args:
            texts: one text (gives flat lists where no tensors are asked for) or several.
            text_pair: not supported, as no text tower here reads pairs.
            padding: True or "longest" fills up to the longest text of the call, "max_length" to `max_length`.
            truncation: True cuts a text to `max_length`; the special tokens at its ends stay.
            max_length: special tokens included; None is the model's limit.
            return_tensors: "pt" for torch, "np" for numpy, None for lists.
            return_attention_mask: False leaves the mask out (1 for a token, 0 for padding).
            add_special_tokens: False leaves out the special tokens around a text.
            split_special_tokens: True reads strings such as `</s>` in a text as text.

        Raises:
            UsageError: an argument is unknown, a text is no string, or rows of different lengths cannot be stacked.
        """
        check_kind(return_tensors)
        if text_pair is not None:
            raise UsageError("pairs of texts are not supported: pass one list of texts")
        length = self.model_max_length if max_length is None else max_length
        cut = self._checked("truncation", truncation, _TRUNCATIONS)
        fill = self._checked("padding", padding, {**_PADDINGS, "max_length": "max_length"})
        rows = self._encode(
            _checked_texts(texts), length if cut else None, special=add_special_tokens, as_text=split_special_tokens
        )
        width = length if fill == "max_length" else max(map(len, rows), default=0) if fill else 0
        mask = [[1] * len(row) + [0] * (width - len(row)) for row in rows]
        if fill:
            rows = self._pad(rows, width)
        columns = {"input_ids": rows, "attention_mask": mask} if return_attention_mask else {"input_ids": rows}
        if return_tensors is not None:
            return BatchEncoding({name: stack_ids(column, return_tensors) for name, column in columns.items()})
        if isinstance(texts, str):
            return BatchEncoding({name: column[0] for name, column in columns.items()})
        return BatchEncoding(columns)

    def encode(self, text: str, *, add_special_tokens: bool = True, split_special_tokens: bool = False) -> list[int]:
        """The ids of one text, uncut."""
        return self._encode(_checked_texts(text), None, special=add_special_tokens, as_text=split_special_tokens)[0]

    def tokenize(self, text: str) -> list[str]:
        """The tokens of one text, without special tokens around it."""
        return [self._backend.id_to_token(number) or "" for number in self.encode(text, add_special_tokens=False)]

    def decode(self, ids: Any, skip_special_tokens: bool = False) -> str:
        """The text of one row of ids: a list, an array or a tensor (tokens,)."""
        numbers = ids.tolist() if hasattr(ids, "tolist") else ids
        numbers = [numbers] if isinstance(numbers, int) else list(numbers)
        with self._lock:
            text: str = self._backend.decode(numbers, skip_special_tokens=skip_special_tokens)
        suffix = getattr(self._backend.model, "end_of_word_suffix", None)  # CLIP's "</w>" stands for the space after
        return text.replace(suffix, " ").strip() if suffix else text

    def batch_decode(self, rows: Iterable[Any], skip_special_tokens: bool = False) -> list[str]:
        """The texts of several rows of ids."""
        return [self.decode(row, skip_special_tokens) for row in rows]

    @property
    def vocab_size(self) -> int:
        """Tokens in the vocabulary, without those that were added to it."""
        return self._backend.get_vocab_size(with_added_tokens=False)

    @property
    def largest_id(self) -> int:
        """The largest id that a text can become; special tokens without a role are in no text."""
        added = (number for number, token in self._backend.get_added_tokens_decoder().items() if not token.special)
        ids: list[int | None] = [getattr(self, f"{role}_token_id") for role in ROLES if role != "mask"]
        return max(self.vocab_size - 1, *added, *(number for number in ids if number is not None))

    @property
    def added_tokens_encoder(self) -> dict[str, int]:
        """The tokens that stand apart from the vocabulary's, with their ids; `diffusers` asks for it."""
        return {token.content: number for number, token in sorted(self._backend.get_added_tokens_decoder().items())}

    def __len__(self) -> int:
        """Tokens in all: one more than the greatest id."""
        return self._backend.get_vocab_size(with_added_tokens=True)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_lock"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._lock = Lock()

    def _encode(self, texts: Sequence[str], max_length: int | None, *, special: bool, as_text: bool) -> list[list[int]]:
        """Ids of each text, cut to `max_length` where one is given; all cores work on a long list."""
        least = self._backend.num_special_tokens_to_add(False) if special else 0
        if max_length is not None and max_length < least:
            raise UsageError(f"max_length={max_length} leaves no room: {least} ids are special tokens")
        with self._lock:
            self._backend.encode_special_tokens = as_text
            self._backend.pre_tokenizer = self._guarded if as_text else self._plain
            if max_length is None:
                self._backend.no_truncation()
            else:
                self._backend.enable_truncation(max_length)
            encodings = self._backend.encode_batch_fast(texts, add_special_tokens=special)
        return [encoding.ids for encoding in encodings]

    def _pad(self, rows: list[list[int]], width: int) -> list[list[int]]:
        if self.pad_token_id is None:
            raise UsageError("this tokenizer has no pad token: pass padding=False")
        return [row + [self.pad_token_id] * (width - len(row)) for row in rows]

    @staticmethod
    def _checked(name: str, value: object, known: Mapping[Any, Any]) -> Any:
        """What an argument of several spellings means."""
        try:
            return known[value]
        except (KeyError, TypeError):
            raise UsageError(f"{name}={value!r} is not known: expected one of {', '.join(map(repr, known))}") from None


def _guarded(backend: tokenizers.Tokenizer) -> pre_tokenizers.PreTokenizer | None:
    """The backend's splitting of texts, and in every special token's string a split behind its first character.

    A Unigram model holds its special tokens as pieces with the best of scores; it finds them wherever their string
    stands whole, also where normalisation made it (full-width ＜/s＞). Split in two, it is text.
    """
    specials = [token.content for token in backend.get_added_tokens_decoder().values() if token.special]
    parts = [f"{re.escape(token[0])}(?={re.escape(token[1:])})" for token in specials if len(token) > 1]
    if not parts:
        plain: pre_tokenizers.PreTokenizer | None = backend.pre_tokenizer
        return plain
    split = pre_tokenizers.Split(Regex("|".join(parts)), behavior="merged_with_previous")
    return pre_tokenizers.Sequence([backend.pre_tokenizer, split]) if backend.pre_tokenizer else split


def _checked_texts(texts: object) -> list[str]:
    """The texts as a list of strings that UTF-8 can carry."""
    if isinstance(texts, str):
        return [_paired(texts)]
    if not isinstance(texts, Iterable) or isinstance(texts, bytes):
        raise UsageError(f"a text cannot be a {type(texts).__name__}: pass a string or several")
    checked = []
    for number, text in enumerate(texts):
        if not isinstance(text, str):
            raise UsageError(f"text {number} is a {type(text).__name__} ({text!r:.60}): expected a string")
        checked.append(_paired(text))
    return checked


def _paired(text: str) -> str:
    """`text` with its surrogate pairs joined and each unpaired one replaced by U+FFFD: Rust strings hold neither."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text

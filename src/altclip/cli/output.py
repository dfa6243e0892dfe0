"""What commands print: results on stdout, everything else on stderr, and strings of users made harmless.

rich is imported when first used, so that `--help` need not wait for it.
"""

from __future__ import annotations

import functools
import json
import sys
import unicodedata
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from rich.console import Console

# Marks that change the direction of text around them: a file name must not rearrange the line that shows it.
_BIDI: Final = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_UNSAFE: Final = frozenset({"Cc", "Cs", "Zl", "Zp"})  # controls, lone surrogates, line and paragraph separators


@functools.cache
def results() -> Console:
    """The console for what a command was asked for (stdout)."""
    return _console(stderr=False)


@functools.cache
def progress_console() -> Console:
    """The console for progress bars, notes and errors (stderr)."""
    return _console(stderr=True)


def _console(stderr: bool) -> Console:
    from rich.console import Console

    # no emoji codes and no automatic colours: a label ":cat:" or "12" is shown as it is
    return Console(stderr=stderr, emoji=False, highlight=False)


def plain(text: str, keep: str = "") -> str:
    r"""`text` with control characters, direction marks and lone surrogates written as codes (`\x1b`, `\u202e`).

    `keep` names characters to leave alone, such as the newlines of a message. Letters of every script, and the joiners
    that some scripts and emoji need, stay.
    """
    return "".join(c if c in keep or not _unsafe(c) else c.encode("unicode_escape").decode("ascii") for c in text)


def escape(text: str) -> str:
    """A user's string made safe to print through a rich console: `plain`, and no part of it is markup."""
    from rich.markup import escape as escape_markup

    return escape_markup(plain(text))


def _unsafe(character: str) -> bool:
    return character in _BIDI or unicodedata.category(character) in _UNSAFE


def print_json(value: Any) -> None:
    """Print `value` as one JSON document on stdout, in letters where stdout can show them, else in codes.

    Raises:
        ValueError: `value` holds NaN or infinity, which JSON has no words for.
    """
    text = json.dumps(value, ensure_ascii=False, indent=2, allow_nan=False)
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:  # a terminal without the letters, or an unpaired surrogate in a file name
        text = json.dumps(value, indent=2, allow_nan=False)
    print(text)


def show_note(message: str) -> None:
    """Print `note: message` on stderr."""
    from rich.text import Text

    progress_console().print(Text(f"note: {plain(message, keep=chr(10))}"), soft_wrap=True)


def show_error(message: str) -> None:
    """Print `error: message` in red on stderr."""
    from rich.text import Text

    progress_console().print(Text(f"error: {plain(message, keep=chr(10))}", style="red"), soft_wrap=True)

"""What commands print: user strings cannot steer the terminal, JSON is JSON, results and the rest go apart."""

from __future__ import annotations

import io
import json
import sys
import unicodedata

import pytest
from rich.table import Table

from altclip.cli.output import escape, plain, print_json, progress_console, results, show_error


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a cat", "a cat"),
        ("\x1b[2J", "\\x1b[2J"),
        ("a\tb\nc\r", "a\\tb\\nc\\r"),
        ("\x00\x7f\x9b", "\\x00\\x7f\\x9b"),
        ("gpj.\u202etac", "gpj.\\u202etac"),
        ("\u2066x\u2069\u200e\u200f\u061c", "\\u2066x\\u2069\\u200e\\u200f\\u061c"),
        ("a\u2028b\u2029c", "a\\u2028b\\u2029c"),
        ("\ud83d \udc80", "\\ud83d \\udc80"),
        ("", ""),
    ],
)
def test_what_could_steer_the_terminal_is_shown_as_code(text: str, shown: str) -> None:
    assert plain(text) == shown


@pytest.mark.parametrize(
    "text", ["一只猫", "حصان على الشاطئ", "ネコ・カフェ", "고양이", "l'été", "👩‍👩‍👧 🇮🇹", "a\\b", "می‌خواهم"]
)
def test_letters_of_every_script_stay(text: str) -> None:
    assert plain(text) == text


def test_no_control_character_at_all_gets_through() -> None:
    everything = "".join(map(chr, [*range(0x3000), *range(0xD800, 0xE000)]))  # where all of these kinds are
    kept = {unicodedata.category(c) for c in plain(everything)}
    assert kept & {"Cc", "Cs", "Zl", "Zp"} == set()
    assert not any(
        unicodedata.bidirectional(c) in {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}
        for c in plain(everything)
    )


def test_named_characters_may_be_kept() -> None:
    assert plain("a\nb\tc", keep="\n") == "a\nb\\tc"


@pytest.mark.parametrize(
    "text", ["[red]a[/red]", "[/]", "[link=x]y", "a\\", "\\[b]", ":cat:", "[a,b]", "12.5 'x' None", "[@click=f]"]
)
def test_markup_in_a_users_string_is_text(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    table = Table("label")
    table.add_row(escape(text))
    results().print(table)
    results().print(f"[bold]{escape(text)}[/bold]!")
    out = capsys.readouterr().out
    assert f"│ {text}" in out
    assert out.endswith(f"{text}!\n")


def test_results_and_the_rest_go_apart(capsys: pytest.CaptureFixture[str]) -> None:
    results().print("result")
    progress_console().print("note")
    show_error("[bold]no[/bold]\nnext\x07")
    captured = capsys.readouterr()
    assert captured.out == "result\n"
    assert captured.err == "note\nerror: [bold]no[/bold]\nnext\\x07\n"


def test_a_long_error_is_not_broken_where_it_cannot_be_copied(capsys: pytest.CaptureFixture[str]) -> None:
    show_error("/a" * 200)
    assert capsys.readouterr().err == f"error: {'/a' * 200}\n"


def test_json_keeps_letters_and_order(capsys: pytest.CaptureFixture[str]) -> None:
    value = {"b": "一只猫", "a": [1, 0.5, None, True], "c": "\u202e\x1b[0m[red]"}
    print_json(value)
    out = capsys.readouterr().out
    assert json.loads(out) == value
    assert list(json.loads(out)) == ["b", "a", "c"]
    assert "一只猫" in out
    assert "\x1b" not in out


@pytest.mark.parametrize(("encoding", "value"), [("ascii", "é猫"), ("utf-8", "name\udc80.jpg"), ("cp1252", "猫")])
def test_json_is_json_where_the_letters_cannot_be_shown(
    monkeypatch: pytest.MonkeyPatch, encoding: str, value: str
) -> None:
    buffer = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(buffer, encoding=encoding, write_through=True))
    print_json([value])
    assert json.loads(buffer.getvalue().decode(encoding)) == [value]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {"a": [-float("inf")]}])
def test_json_refuses_what_it_has_no_words_for(value: object) -> None:
    with pytest.raises(ValueError, match="JSON"):
        print_json(value)

"""The command line's frame: the table of commands, errors as messages and exit codes, quiet on a broken pipe."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Annotated

import pytest
import typer

from altclip import __version__, errors
from altclip.cli import app as cli
from altclip.cli.output import results

Run = Callable[..., tuple[int, str, str]]
Install = Callable[[Callable[..., None]], None]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run `altclip ARGUMENTS` in this process: (exit code, stdout, stderr)."""

    def runner(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["altclip", *arguments])
        with pytest.raises(SystemExit) as leaving:
            cli.main()
        captured = capsys.readouterr()
        return int(leaving.value.code or 0), captured.out, captured.err

    return runner


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Install:
    """Put a function in the place of the command `info`."""

    def installer(function: Callable[..., None]) -> None:
        module = ModuleType("altclip.cli.info")
        vars(module).update(command=function, EXAMPLE="altclip info mini")
        monkeypatch.setitem(sys.modules, module.__name__, module)

    return installer


def raising(error: BaseException) -> Callable[[], None]:
    def command() -> None:
        """Fail."""
        raise error

    return command


def test_help_lists_every_command_with_its_line(run: Run) -> None:
    code, out, err = run("--help")
    assert (code, err) == (0, "")
    for name, summary in cli.COMMANDS.items():
        assert f"  {name} " in out
        assert summary in out, "the line is cut: make it shorter"


def test_no_arguments_show_the_help_as_wrong_usage(run: Run) -> None:
    code, out, err = run()
    assert code == 2
    assert "Commands:" in out + err


def test_version(run: Run) -> None:
    assert run("--version") == (0, f"altclip {__version__}\n", "")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["clasify"], "Did you mean 'classify'"),
        (["--verson"], "--version"),
        (["no\x1b[31mpe"], "No such command"),
        (["info", "--nope"], "--nope"),
        (["info", "--size", "many"], "'--size'"),
    ],
)
def test_wrong_usage_is_exit_2_and_says_how(run: Run, install: Install, arguments: list[str], words: str) -> None:
    def command(size: int = 1) -> None:
        """Tell."""

    install(command)
    code, out, err = run(*arguments)
    assert (code, out) == (2, "")
    assert words in err
    assert "\x1b" not in err


def test_a_command_is_imported_when_it_is_called(run: Run, install: Install) -> None:
    def command(words: list[str], count: int = 1, json: Annotated[bool, typer.Option("--json")] = False) -> None:
        """Tell."""
        results().print(str(words), count, json)

    install(command)
    assert run("info", "a", "--count", "3", "b", "--json") == (0, "['a', 'b'] 3 True\n", "")


def test_the_help_of_a_command_ends_with_its_example(run: Run, install: Install) -> None:
    def command(labels: Annotated[str, typer.Option(help="labels, such as [cat,dog]")] = "") -> None:
        """Tell what a model is."""

    install(command)
    for flag in ("--help", "-h"):
        code, out, _ = run("info", flag)
        assert code == 0
        assert "Usage: altclip info" in out
        assert "Tell what a model is." in out
        assert "[cat,dog]" in out
        assert out.rstrip().endswith("Example:\n    altclip info mini")


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (errors.AltclipError("no luck"), 1, "error: no luck\n"),
        (errors.UsageError("not so"), 2, "error: not so\n"),
        (errors.ImageError("a\u202eb\x1b[2J[red].png", "empty"), 1, "error: a\\u202eb\\x1b[2J[red].png: empty\n"),
        (errors.ConfigError(["a", "b"]), 1, "error: the configuration has mistakes:\n  - a\n  - b\n"),
        (
            errors.MissingExtraError("peft", "lora"),
            1,
            "error: this needs the library 'peft': pip install 'altclip[lora]'\n",
        ),
        (PermissionError(13, "Permission denied", "out.npz"), 1, "error: [Errno 13] Permission denied: 'out.npz'\n"),
        (OSError(28, "No space left on device"), 1, "error: [Errno 28] No space left on device\n"),
        (KeyboardInterrupt(), 130, ""),
        (BrokenPipeError(32, "Broken pipe"), 1, ""),
        (typer.Exit(1), 1, ""),
        (SystemExit(), 0, ""),
    ],
    ids=repr,
)
def test_errors_become_messages_and_exit_codes(
    run: Run, install: Install, monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int, message: str
) -> None:
    monkeypatch.setattr(cli, "_silence", lambda: None)  # pytest's stdout stays as it is
    install(raising(error))
    assert run("info") == (code, "", message)


def test_a_bug_keeps_its_traceback(run: Run, install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    install(raising(ZeroDivisionError("a bug")))
    monkeypatch.setattr(sys, "argv", ["altclip", "info"])
    with pytest.raises(ZeroDivisionError):
        cli.main()


def test_a_reader_that_has_seen_enough_is_no_error() -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "altclip", "--help"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    process.stdout.close()  # long before the command has anything to print
    _, err = process.communicate()
    assert (process.returncode, err) == (1, b"")


def test_a_closed_stdout_is_no_error() -> None:
    done = subprocess.run(["sh", "-c", f"{sys.executable} -m altclip --version >&-"], capture_output=True, text=True)
    assert "Traceback" not in done.stderr


def test_a_terminal_without_the_letters_gets_codes() -> None:
    code = (
        "import sys, types; from altclip.cli import app\n"
        "def command(text: str):\n    'Tell.'\n    print(text)\n"
        "sys.modules['altclip.cli.info'] = types.SimpleNamespace(command=command, EXAMPLE='')\n"
        "sys.argv = ['altclip', 'info', 'é猫']\napp.main()"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, env={**os.environ, "PYTHONIOENCODING": "ascii"}, check=True
    )
    assert result.stdout.strip() == rb"\xe9\u732b"


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_every_command_has_help_with_an_example_and_few_options(run: Run, name: str) -> None:
    code, out, _ = run(name, "--help")
    assert code == 0
    assert f"altclip {name}" in out.rpartition("Example:")[2]
    options = [p for p in cli.load(name).params if p.opts[0].startswith("-")]
    assert len([o for o in options if "--set" not in o.opts]) <= 10
    for option in options:
        assert option.help, f"{option.opts[0]} says nothing of itself"

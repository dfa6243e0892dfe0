"""Keys, rates, settings and addresses: no server runs here."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Any

import pytest

from altclip.errors import ConfigError, UsageError
from altclip.serve.keys import KeyRing, add_key, new_key, read_keys
from altclip.serve.rates import Rates
from altclip.serve.running import address, check_address, is_loopback, listening
from altclip.serve.settings import Settings, load_settings


def test_a_key_is_long_new_each_time_and_not_in_the_file(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    made = [new_key(name, "read") for name in ("a", "b")]
    for secret, key in made:
        assert len(secret) >= 50
        add_key(file, key)
        assert secret not in file.read_text()
    assert made[0][0] != made[1][0]
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    ring = read_keys(file)
    for secret, key in made:
        caller = ring.caller(secret)
        assert caller is not None
        assert (caller.name, caller.scope) == (key.name, key.scope)
    assert ring.caller("altclip-x") is None
    assert ring.caller("") is None
    with pytest.raises(UsageError, match="already"):
        add_key(file, made[0][1])


def test_a_last_line_that_is_open_stays_a_line(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    (first, a), (second, b) = new_key("a", "read"), new_key("b", "write")
    file.write_text(a.line)
    add_key(file, b)
    ring = read_keys(file)
    assert ring.caller(first)
    assert ring.caller(second)


def test_scopes() -> None:
    made = [new_key("r", "read"), new_key("w", "write")]
    ring = KeyRing({key.name: key for _, key in made})
    found = [ring.caller(secret) for secret, _ in made]
    assert [caller.sees_places for caller in found if caller] == [False, True]


def test_keys_of_the_environment(tmp_path: Path) -> None:
    (first, a), (second, b) = new_key("a", "read"), new_key("b", "write")
    ring = read_keys(None, {"ALTCLIP_KEYS": f"{a.line}, {b.line}"})
    assert ring.caller(first)
    assert ring.caller(second)
    assert not read_keys(None, {})
    file = tmp_path / "keys"
    file.write_text(f"# mine\n\n{a.line}\n")
    with pytest.raises(UsageError, match="of the name a already"):
        read_keys(file, {"ALTCLIP_KEYS": a.line})


@pytest.mark.parametrize("line", ["altclip-secretsecret", "a read", "a admin " + "0" * 64, "a read " + "0" * 63])
def test_a_line_that_is_no_key_is_named_and_not_shown(tmp_path: Path, line: str) -> None:
    (tmp_path / "keys").write_text(f"#\n{line}\n")
    with pytest.raises(UsageError, match="line 2: expected") as refused:
        read_keys(tmp_path / "keys")
    assert "secret" not in str(refused.value)


def test_files_of_keys_that_do_not_serve(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        read_keys(tmp_path / "none")
    (tmp_path / "empty").write_text("# nothing\n")
    with pytest.raises(UsageError, match="holds no keys"):
        read_keys(tmp_path / "empty")


@pytest.mark.parametrize(("name", "scope"), [("a", "admin"), ("", "read"), ("a b", "read"), ("x" * 41, "read")])
def test_wrong_names_and_scopes(name: str, scope: str) -> None:
    with pytest.raises(UsageError, match="expected NAME:SCOPE"):
        new_key(name, scope)


def test_a_bucket_fills_again() -> None:
    now = [0.0]
    rates = Rates(60, 2, clock=lambda: now[0])
    assert [rates.wait("a") for _ in range(3)] == [0, 0, 1]
    assert rates.wait("b") == 0
    now[0] = 0.5
    assert rates.wait("a") == 0.5
    now[0] = 1.0
    assert rates.wait("a") == 0
    now[0] = 1000.0
    assert [rates.wait("a") > 0 for _ in range(3)] == [False, False, True]


def test_no_rate_lets_all_through_and_callers_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not any(Rates(0, 1).wait("a") for _ in range(100))
    monkeypatch.setattr("altclip.serve.rates._MOST_CALLERS", 3)
    rates = Rates(1, 1)
    for number in range(10):
        rates.wait(str(number))
    assert len(rates._buckets) == 3


LOOPBACK = {"127.0.0.1": True, "127.3.2.1": True, "::1": True, "localhost": True, "0.0.0.0": False, "::": False}
LOOPBACK |= {"192.168.1.2": False, "example.org": False, "localhost.example.org": False, "": False}


@pytest.mark.parametrize(("host", "expected"), LOOPBACK.items())
def test_beyond_loopback_only_with_keys(host: str, expected: bool) -> None:
    assert is_loopback(host) == expected
    settings = Settings(host=host)
    _, key = new_key("a", "read")
    check_address(settings, KeyRing({"a": key}))
    check_address(Settings(host=host, without_keys=True), KeyRing())
    if expected:
        check_address(settings, KeyRing())
    else:
        with pytest.raises(UsageError, match="no keys"):
            check_address(settings, KeyRing())


def test_a_socket_and_its_address() -> None:
    with listening(Settings(port=0)) as held:
        assert address(held, Settings()) == f"http://127.0.0.1:{held.getsockname()[1]}"
        taken = Settings(port=held.getsockname()[1])
        with pytest.raises(UsageError, match=f"127.0.0.1:{taken.port} cannot be listened at .*--port"):
            listening(taken)
    with pytest.raises(UsageError, match="cannot be listened at"):
        listening(Settings(host="203.0.113.7", port=0))


def test_settings_of_file_environment_and_command(tmp_path: Path) -> None:
    file = tmp_path / "serve.toml"
    file.write_text('[serve]\nport = 1\nbatch = 3\nqueue = 7\nhosts = ["a.example"]\n')
    environment = {"ALTCLIP_SERVE_BATCH": "4", "ALTCLIP_SERVE_HOSTS": "b.example, c.example", "ALTCLIP_INDEX": "x"}
    assert not load_settings(file, environment).fetch
    environment |= {"ALTCLIP_SERVE_FETCH": "true", "ALTCLIP_SERVE_WORKERS": "3"}
    found = load_settings(file, environment, port=2, host=None)
    assert (found.fetch, found.workers) == (True, 3)
    assert (found.port, found.batch, found.queue, found.host) == (2, 4, 7, "127.0.0.1")
    assert found.hosts == ("b.example", "c.example")


WRONG: dict[str, tuple[str, dict[str, str], str]] = {
    "misspelt": ("[serve]\nbach = 3", {}, "did you mean `batch`"),
    "too small": ("[serve]\nbatch = 0", {}, "batch = 0"),
    "another table": ("[train]\nx = 1", {}, r"one table \[serve\]"),
    "no TOML": ("[serve", {}, "cannot be read"),
    "of the environment": ("[serve]", {"ALTCLIP_SERVE_TIMOUT": "3"}, "ALTCLIP_SERVE_ and one of: HOST"),
    "no number": ("[serve]", {"ALTCLIP_SERVE_TIMEOUT": "soon"}, "timeout = 'soon'"),
}


@pytest.mark.parametrize(("content", "environment", "words"), WRONG.values(), ids=WRONG.keys())
def test_mistakes_in_settings(tmp_path: Path, content: str, environment: dict[str, Any], words: str) -> None:
    (tmp_path / "serve.toml").write_text(content)
    with pytest.raises(ConfigError, match=words):
        load_settings(tmp_path / "serve.toml", environment)

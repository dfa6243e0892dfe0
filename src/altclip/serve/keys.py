"""API keys: made, kept as hashes, told apart in constant time, each with a scope.

A key is 256 random bits, so that one SHA-256 is a hash that cannot be searched; a slow one would only slow down the
server. A file of keys has a line for each: its name, its scope and the hash.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, TypeAlias, get_args

from altclip.errors import UsageError

Scope: TypeAlias = Literal["read", "write"]
SCOPES: Final[tuple[Scope, ...]] = get_args(Scope)
ENVIRONMENT: Final = "ALTCLIP_KEYS"
_NAME: Final = re.compile(r"[A-Za-z0-9._-]{1,40}")
_HASH: Final = re.compile(r"[0-9a-f]{64}")
_PREFIX: Final = "altclip-"


@dataclass(frozen=True)
class Caller:
    """Who asks. name: of the key, or the address. scope: "write" may all that "read" may, and sees places and paths."""

    name: str
    scope: Scope

    @property
    def sees_places(self) -> bool:
        """Whether replies may tell where photographs were taken and lie."""
        return self.scope == "write"


@dataclass(frozen=True)
class Key:
    """A key as it is kept. digest: SHA-256 of the key, in hexadecimal digits."""

    name: str
    scope: Scope
    digest: str

    @property
    def line(self) -> str:
        """As it stands in a file."""
        return f"{self.name} {self.scope} {self.digest}"


def new_key(name: str, scope: str) -> tuple[str, Key]:
    """A key for a client, which is shown once, and what is kept of it. Raises UsageError for a wrong name or scope."""
    if scope not in SCOPES or not _NAME.fullmatch(name):
        raise UsageError(
            f"--new-key {name}:{scope}: expected NAME:SCOPE with a scope of {' or '.join(SCOPES)} and a name of up to "
            "40 letters, digits, '.', '_' and '-', such as phone:read"
        )
    secret = _PREFIX + secrets.token_urlsafe(32)
    return secret, Key(name, scope, _digest(secret))


class KeyRing:
    """The keys that a server takes."""

    def __init__(self, keys: Mapping[str, Key] | None = None) -> None:
        self._keys = tuple((keys or {}).values())

    def __bool__(self) -> bool:
        return bool(self._keys)

    def caller(self, secret: str) -> Caller | None:
        """Whose key it is. Every key is looked at, so that time tells nothing."""
        digest, found = _digest(secret), None
        for key in self._keys:
            if hmac.compare_digest(key.digest, digest):
                found = Caller(key.name, key.scope)
        return found


def read_keys(file: Path | None, environment: Mapping[str, str] | None = None) -> KeyRing:
    """Keys of a file and of ALTCLIP_KEYS, where commas part the lines. Raises UsageError for a line that is none."""
    lines: list[tuple[str, str]] = []
    if file is not None:
        try:
            content = file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"--keys {file}: cannot be read ({error}); altclip serve --new-key makes one") from error
        lines += [(f"{file}, line {place}", line) for place, line in enumerate(content.splitlines(), 1)]
    given = (environment or {}).get(ENVIRONMENT, "")
    lines += [(f"{ENVIRONMENT}, entry {place}", line) for place, line in enumerate(re.split(r"[,\n]", given), 1)]
    keys: dict[str, Key] = {}
    for place, line in lines:
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        key = _parsed(place, line)
        if key.name in keys:
            raise UsageError(f"{place}: there is a key of the name {key.name} already; give each its own")
        keys[key.name] = key
    if file is not None and not keys:
        raise UsageError(f"--keys {file}: holds no keys; altclip serve --keys {file} --new-key NAME:read adds one")
    return KeyRing(keys)


def add_key(file: Path, key: Key) -> None:
    """Append a key to a file that only its owner may read. Raises UsageError if the name is taken, OSError."""
    held = file.read_text(encoding="utf-8", errors="replace") if file.exists() else ""
    if any(line.split()[:1] == [key.name] for line in held.splitlines()):
        raise UsageError(f"{file} has a key of the name {key.name} already: take another name, or delete its line")
    begin = "\n" if held and not held.endswith("\n") else ""  # editors may leave the last line open
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), "a", encoding="utf-8") as opened:
        opened.write(f"{begin}{key.line}\n")


def _parsed(place: str, line: str) -> Key:
    parts = line.split()
    if len(parts) != 3 or not _NAME.fullmatch(parts[0]) or parts[1] not in SCOPES or not _HASH.fullmatch(parts[2]):
        # the line itself may be a key in clear, and is not shown
        raise UsageError(f"{place}: expected `NAME read|write SHA-256`, as altclip serve --new-key writes it")
    scope: Scope = "write" if parts[1] == "write" else "read"
    return Key(parts[0], scope, parts[2])


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()

"""Texts and images as they come in JSON: an image is a data URI or, where the server fetches, an http(s) address."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from altclip.serve.refusals import Refusal
from altclip.serve.settings import Settings

_DATA_URI: Final = r"data:image/[A-Za-z0-9.+-]+;base64,"
PICTURE: Final = rf"^({_DATA_URI}|[Hh][Tt][Tt][Pp][Ss]?://)"
_IMAGE: Final = re.compile(_DATA_URI)
_BEGIN: Final = "data:image/"
_ADDRESS: Final = re.compile(r"https?://\S+", re.IGNORECASE)
# How files begin of kinds whose header tells their size. Pillow knows others, of which it decodes a file inside before
# its size can be looked at (icons), or which it has another program draw (PostScript). HEIF begins with the length of
# its first box, which is short: with any four bytes there a file could be one of those all the same.
_KINDS: Final = re.compile(
    rb"\xff\xd8\xff|\x89PNG|GIF8|RIFF....WEBP|BM|II\*\0|MM\0\*|II\+\0|MM\0\+|\0\0(?![\1\2]\0)..ftyp|"
    rb"\0\0\0\x0cjP  |\xff\x4f\xff\x51|P[1-7fFy]",
    re.DOTALL,
)


@dataclass(frozen=True)
class Address:
    """Where an image lies that is still to be fetched."""

    url: str


Content: TypeAlias = str | bytes | Address  # a text, an image's file, an image elsewhere


def contents(values: Sequence[str], settings: Settings, param: str = "input") -> list[Content]:
    """Texts as they are, and images. Raises Refusal for too many, too long, or a data URI that is none."""
    if len(values) > settings.max_items:
        message = f"{param} has {len(values)} entries; this server takes {settings.max_items} in a request"
        raise Refusal(400, message, code="too_many_inputs", param=param)
    return [_content(value, settings, f"{param}[{place}]") for place, value in enumerate(values)]


def _content(value: str, settings: Settings, param: str) -> Content:
    if value[: len(_BEGIN)].lower() == _BEGIN or (settings.fetch and _ADDRESS.fullmatch(value)):
        return image(value, settings, param)
    if len(value) > settings.max_characters:
        message = f"{param} has {len(value)} characters; this server takes {settings.max_characters} in a text"
        raise Refusal(400, message, code="text_too_long", param=param)
    return value


def is_known_kind(data: bytes) -> bool:
    """Whether a file begins as images do of a kind that is taken from strangers."""
    return _KINDS.match(data) is not None


def image(uri: str, settings: Settings, param: str) -> bytes | Address:
    """The bytes in a data URI, or an address. Raises Refusal if it is none, or addresses are not fetched."""
    if settings.fetch and _ADDRESS.fullmatch(uri):
        return Address(uri)
    head = _IMAGE.match(uri)
    if head is None:
        also = "or http(s)://..." if settings.fetch else "(addresses are not fetched)"
        message = f"{param}: expected an image as data:image/...;base64,... {also}"
        raise Refusal(400, message, code="invalid_image", param=param)
    try:
        return base64.b64decode(uri[head.end() :].encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError):
        raise Refusal(400, f"{param}: its base64 is damaged", code="invalid_image", param=param) from None

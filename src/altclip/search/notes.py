"""What a photograph's file says of itself: when and where it was taken, how it was held, and the words people wrote.

Every field is untrusted: what is damaged or out of range counts as absent, for a photograph is no worse for it.
Tags: EXIF 2.32 (CIPA DC-008), IPTC IIM 4.2 (records 2:05, 2:25, 2:120), XMP with Dublin Core; Windows' XP tags.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from xml.etree import ElementTree as ET

from PIL import ExifTags, Image, ImageFile, IptcImagePlugin

_ORIENTATION: Final = 0x0112
_DESCRIPTION: Final = 0x010E
_DATE: Final = 0x0132
_DATES_IN_EXIF: Final = (0x9003, 0x9004)  # DateTimeOriginal, DateTimeDigitized
_USER_COMMENT: Final = 0x9286
_XP: Final = (0x9C9B, 0x9C9C, 0x9C9E, 0x9C9F)  # title, comment, keywords, subject; UTF-16
_IPTC: Final = ((2, 5), (2, 25), (2, 120))  # title, keywords, caption
_DUBLIN_CORE: Final = "{http://purl.org/dc/elements/1.1/}"
_LIST_ITEM: Final = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}li"
_LONGEST_XMP: Final = 2**20
_LONGEST_TEXT: Final = 4000  # characters: a caption, not a book
_DATE_FORM: Final = re.compile(r"(\d{4})[:\-/](\d\d)[:\-/](\d\d)[ T](\d\d):(\d\d)(?::(\d\d))?")
# What cameras write of themselves where a caption belongs.
_NO_CAPTION: Final = re.compile(r"(?i)\s*(olympus digital camera|sony dsc|digital camera|default|binary comment)?\s*")


@dataclass(frozen=True)
class Notes:
    """taken: by the camera's own clock, without a zone; orientation: EXIF 1 to 8; degrees, or None; text: in lines."""

    taken: datetime | None = None
    orientation: int = 1
    latitude: float | None = None
    longitude: float | None = None
    text: str = ""


def read_notes(image: Image.Image, *, gps: bool = False) -> Notes:
    """What the header of an opened image says; where it was taken only with `gps`."""
    exif = _tags(image.getexif)
    inner = _tags(lambda: image.getexif().get_ifd(ExifTags.IFD.Exif))
    place = _place(_tags(lambda: image.getexif().get_ifd(ExifTags.IFD.GPSInfo))) if gps else None
    words = _words(image, exif, inner)
    orientation = exif.get(_ORIENTATION)
    return Notes(
        _taken(exif, inner),
        orientation if isinstance(orientation, int) and 1 <= orientation <= 8 else 1,
        latitude=place[0] if place else None,
        longitude=place[1] if place else None,
        text=unicodedata.normalize("NFC", "\n".join(words))[:_LONGEST_TEXT],
    )


def _tags(read: Any) -> dict[Any, Any]:
    try:
        return dict(read())
    except Exception:  # noqa: BLE001 - Pillow raises any of a dozen types on damaged EXIF
        return {}


def _taken(exif: Mapping[int, Any], inner: Mapping[int, Any]) -> datetime | None:
    values = [*(inner.get(tag) for tag in _DATES_IN_EXIF), exif.get(_DATE)]
    return next((taken for value in values if (taken := _time(value))), None)


def _time(value: Any) -> datetime | None:
    """A date as cameras write it, `2024:05:01 12:30:00`; zeros and blanks, which stand for no date, are None."""
    parts = _DATE_FORM.match(value.strip()) if isinstance(value, str) else None
    try:
        return datetime(*(int(part or 0) for part in parts.groups())) if parts else None  # type: ignore[arg-type]
    except ValueError:
        return None


def _place(tags: Mapping[int, Any]) -> tuple[float, float] | None:
    """Degrees north and east."""
    latitude = _degrees(tags.get(2), negative=_letter(tags.get(1)) == "S", most=90)
    longitude = _degrees(tags.get(4), negative=_letter(tags.get(3)) == "W", most=180)
    return None if latitude is None or longitude is None else (latitude, longitude)


def _letter(value: Any) -> str:
    return value.strip("\0 ").upper() if isinstance(value, str) else ""


def _degrees(value: Any, *, negative: bool, most: int) -> float | None:
    try:
        degrees = sum(float(part) / float(60**power) for power, part in enumerate(value))
    except (TypeError, ValueError, ArithmeticError):
        return None
    if not math.isfinite(degrees) or not 0 <= degrees <= most:
        return None
    return -degrees if negative else degrees


def _words(image: Image.Image, exif: Mapping[int, Any], inner: Mapping[int, Any]) -> list[str]:
    """Captions, titles and keywords, each once."""
    found = [_text(exif.get(_DESCRIPTION)), _comment(inner.get(_USER_COMMENT))]
    found += [_utf16(exif.get(tag)) for tag in _XP]
    found += [*_iptc(image), *_xmp(image.info.get("xmp") or image.info.get("XML:com.adobe.xmp"))]
    return list(dict.fromkeys(word for word in found if not _NO_CAPTION.fullmatch(word)))


def _text(value: Any) -> str:
    """A value as one line. EXIF says ASCII and people write UTF-8, which Pillow then reads as Latin-1."""
    if isinstance(value, str):
        try:
            value = value.encode("latin-1")
        except UnicodeEncodeError:
            return _one_line(value)
    return _one_line(value.decode("utf-8", "replace")) if isinstance(value, bytes) else ""


def _one_line(text: str) -> str:
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def _comment(value: Any) -> str:
    """UserComment: eight bytes name the code."""
    if not isinstance(value, bytes):
        return _text(value)
    code, rest = value[:8].rstrip(b"\0 "), value[8:]
    return _utf16(rest) if code == b"UNICODE" else _text(rest) if code in (b"ASCII", b"") else ""


def _utf16(value: Any) -> str:
    whole = isinstance(value, bytes | tuple) and all(isinstance(b, int) and 0 <= b < 256 for b in value)
    data = bytes(value) if whole else b""
    big = data[:2] == b"\xfe\xff" or data[:1] == b"\0"
    return _one_line(data.decode("utf-16-be" if big else "utf-16-le", "ignore").strip("\0\ufeff"))


def _iptc(image: Image.Image) -> Iterator[str]:
    records = _tags(lambda: IptcImagePlugin.getiptcinfo(image) or {} if isinstance(image, ImageFile.ImageFile) else {})
    for key in _IPTC:
        value = records.get(key, [])
        yield from (_text(one) for one in (value if isinstance(value, list) else [value]))


def _xmp(data: Any) -> Iterator[str]:
    """Title, description and subjects. A document that defines entities is left alone: such can grow without end."""
    data = data.encode() if isinstance(data, str) else data
    if not isinstance(data, bytes) or len(data) > _LONGEST_XMP or b"<!" in data:
        return
    try:
        tree = ET.fromstring(data.strip(b"\0 \r\n\t"))
    except (ET.ParseError, ValueError, LookupError):
        return
    for name in ("title", "description", "subject"):
        for element in tree.iter(_DUBLIN_CORE + name):
            yield from (_one_line(item.text or "") for item in element.iter(_LIST_ITEM))

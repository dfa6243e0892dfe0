"""An album and its index."""

from __future__ import annotations

import io
from datetime import datetime
from pathlib import Path

from PIL import Image

from altclip.encoder import Encoder
from altclip.search import Index, Row, make_id
from tests.bad import picture
from tests.serve.made import encoded

COLOURS = {"red": (220, 20, 20), "green": (20, 200, 20), "blue": (20, 20, 220)}
PLACE = (48.8584, 2.2945)


def with_place(image: Image.Image) -> bytes:
    """A JPEG whose EXIF tells where it was taken."""
    exif = Image.Exif()
    exif[0x010F] = "MakerOfCameras"
    exif.get_ifd(0x8825)[1] = "N"
    exif.get_ifd(0x8825)[2] = (48.0, 51.0, 30.0)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", exif=exif)
    return buffer.getvalue()


def make_album(folder: Path, outside: Path) -> Path:
    """Photographs that tell their place, one that browsers do not show, and a link out of the folder."""
    for name, colour in COLOURS.items():
        (folder / f"{name}.jpg").write_bytes(with_place(picture(colour, (600, 400))))
    (folder / "phone.tif").write_bytes(encoded(picture(), "TIFF"))
    outside.write_bytes(encoded(picture(), "JPEG"))
    (folder / "link.jpg").symlink_to(outside)
    return folder


def make_index(folder: Path, album: Path, encoder: Encoder) -> Index:
    """The index of an album, in which one photograph is gone and one is a link by now."""
    made = Index.create(folder, model="/models/tiny", digest=encoder.digest, dim=encoder.dim)
    files = [*(album / f"{name}.jpg" for name in COLOURS), album / "phone.tif", album / "link.jpg", album / "gone.jpg"]
    blank = encoder.encode_images(encoded())[0]
    rows = [
        Row(
            id=make_id(file.name), path=str(file), folder=str(album), name=file.name, width=600, height=400,
            vector=encoder.encode_images(file)[0] if file.exists() else blank, taken=datetime(2020, 1, place + 1),
            latitude=PLACE[0], longitude=PLACE[1], text=f"caption {file.stem}", thumbnail=encoded(kind="JPEG"),
            extra={"shop": place, "gps": list(PLACE), "deep": {"GPSLatitude": PLACE[0], "price": 3}},
        )
        for place, file in enumerate(files)
    ]  # fmt: skip
    with made.writing() as writer:
        writer.put(rows)
    return made

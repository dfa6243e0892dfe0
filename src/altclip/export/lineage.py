"""Where a converted model comes from and under which licence: README.md, the licence files, report.json.

A licence goes with the weights into whatever form they take, so every form carries these.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from altclip import __version__
from altclip.checkpoints.card import Card, card_of
from altclip.checkpoints.hub import REPOSITORIES
from altclip.checkpoints.opening import settings_of
from altclip.encoder import Encoder

CARD: Final = "README.md"
REPORT: Final = "report.json"
_LICENCE_FILES: Final = ("LICENSE*", "LICENCE*", "NOTICE*", "USE_POLICY*")
# Names that the hub knows; any other licence is "other" there, with a name of its own.
_HUB_LICENCES: Final = {
    *("apache-2.0", "mit", "bsd-3-clause", "cc-by-4.0", "cc-by-sa-4.0", "cc-by-nc-4.0", "cc0-1.0", "gpl-3.0"),
    *("openrail", "creativeml-openrail-m", "bigscience-openrail-m", "openrail++"),
}
_OPENRAIL: Final = """\
This licence has use restrictions, and they go with the weights, in this form as in any other: whoever passes the model
on, or offers it as a service, must pass on the same restrictions (paragraph 5 and attachment A of the licence), give
each recipient a copy of the licence, and say that files were changed. They were: the weights have another form.
"""
_NO_LICENCE: Final = """\
The files of the model do not say under which licence it is. Look at the page it is from before you pass this on.
"""


@dataclass(frozen=True)
class Lineage:
    """What is known of the model that is converted. image_folder: where its image tower comes from, if not from it."""

    made_from: str
    hub_id: str | None
    digest: str
    card: Card
    folder: Path | None = None
    image_folder: Path | None = None


def lineage_of(encoder: Encoder) -> Lineage:
    """The lineage of an open model. Paths of this machine are no part of it; a folder counts by its own name."""
    folder = encoder.folder
    hub_id = REPOSITORIES.get(encoder.name, encoder.name)
    local = folder is None or Path(encoder.name).expanduser().is_dir()
    bundled = encoder.name not in REPOSITORIES and "/" not in encoder.name  # `mini` has no page
    name = hub_id if not local else encoder.name if folder is None else folder.resolve().name
    return Lineage(
        made_from=name,
        hub_id=None if local or bundled else hub_id,
        digest=encoder.digest,
        card=card_of(encoder.name, folder, {} if folder is None else settings_of(folder)),
        folder=folder,
        image_folder=encoder._parts.image_folder,
    )


def folders_of(encoder: Encoder) -> tuple[Path, ...]:
    """The folders that a model was opened from: one, or a text encoder's and its image tower's."""
    return tuple(folder for folder in (encoder.folder, encoder._parts.image_folder) if folder is not None)


def write_lineage(
    lineage: Lineage, folder: Path, *, title: str, library: str, about: str, facts: Mapping[str, Any]
) -> None:
    """Write README.md and report.json, and copy the licence files.

    title: what the folder is; library: which opens it, as the hub calls it; about: how to use it; facts: of the report.
    """
    copied = _copy_licences(lineage, folder)
    text = "\n".join([*_head(lineage, library, copied), "", *_body(lineage, title, about, copied)])
    (folder / CARD).write_text(text + "\n", encoding="utf-8")
    report = {
        "altclip": __version__,
        "made_from": lineage.made_from,
        "made_from_digest": lineage.digest,
        "image_tower_from": lineage.image_folder.resolve().name if lineage.image_folder else None,
        "licence": lineage.card.licence,
        **facts,
    }
    (folder / REPORT).write_text(json.dumps(report, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _head(lineage: Lineage, library: str, copied: list[str]) -> Iterator[str]:
    """The YAML that the hub reads; JSON strings are YAML."""
    licence = lineage.card.licence
    yield "---"
    if licence in _HUB_LICENCES:
        yield f"license: {licence}"
    elif licence:
        yield "license: other"
        yield f"license_name: {json.dumps(licence, ensure_ascii=False)}"
        yield from [f"license_link: {json.dumps(copied[0])}"] if copied else []
    if lineage.card.languages:
        yield f"language: {json.dumps(list(lineage.card.languages), ensure_ascii=False)}"
    if lineage.hub_id:
        yield f"base_model: {json.dumps(lineage.hub_id, ensure_ascii=False)}"
    yield f"library_name: {library}"
    yield "pipeline_tag: zero-shot-image-classification"
    yield "tags: [clip, multilingual, image-text]"
    yield "---"


def _body(lineage: Lineage, title: str, about: str, copied: list[str]) -> Iterator[str]:
    name = _plain(lineage.made_from)
    yield f"# {name}: {title}\n\n{about}\n\n## Where it comes from\n"
    yield f"Converted by altclip {__version__} from `{name}`, whose files have the digest `{lineage.digest}`"
    yield "(SHA-256, as `Encoder.digest` gives it). No weight was trained or changed but for its number format."
    if lineage.image_folder:
        yield f"Its image tower is that of `{_plain(lineage.image_folder.resolve().name)}`, under the licence of that."
    yield "\n## Licence\n"
    licence = lineage.card.licence
    yield f"`{_plain(licence)}`, as of the model it was made from.\n" if licence else _NO_LICENCE
    if licence and "openrail" in licence.lower():
        yield _OPENRAIL
    if copied:
        yield f"Licence files that came with it: {', '.join(f'[{_plain(file)}]({_plain(file)})' for file in copied)}.\n"
    elif lineage.hub_id:
        yield f"The licence itself is on the page of the model: <https://huggingface.co/{lineage.hub_id}>\n"
    if original := _original(lineage):
        yield f"## The card of {name}\n\n{original}"


def _original(lineage: Lineage) -> str:
    """The text of the model's own card, without its YAML head."""
    try:
        text = (lineage.folder / CARD).read_text(encoding="utf-8", errors="replace") if lineage.folder else ""
    except OSError:
        return ""
    return re.sub(r"\A---\r?\n.*?\r?\n---\s", "", text, count=1, flags=re.DOTALL).strip()


def _copy_licences(lineage: Lineage, target: Path) -> list[str]:
    """Copy the licence files of the model, and those of its image tower where that is another's; their new names."""
    copied: list[str] = []
    for folder, prefix in ((lineage.folder, ""), (lineage.image_folder, "image-tower-")):
        found = {path for name in _LICENCE_FILES for path in folder.glob(name) if path.is_file()} if folder else set()
        for path in sorted(found):
            shutil.copyfile(path, target / f"{prefix}{path.name}")
            copied.append(f"{prefix}{path.name}")
    return copied


def _plain(name: str) -> str:
    """A name that cannot end the code span or the line that it stands in."""
    return "".join(c for c in name if c.isprintable() and c not in "`[]()<>")

"""Folders into an index and kept true: what is written, what is not read again, what is never lost."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from altclip.encoder import Encoder
from altclip.errors import SearchError, UsageError
from altclip.search import lots
from altclip.search.index import Index
from altclip.search.indexing import Outcome
from tests.bad import picture
from tests.search.library import COLOURS, Library, lay_photographs
from tests.tiny import tiny_model_folder


def counts(outcome: Outcome) -> dict[str, int]:
    """Those that are not zero."""
    names = ("new", "changed", "moved", "touched", "deleted", "unchanged", "kept")
    return {name: getattr(outcome, name) for name in names if getattr(outcome, name)}


def test_the_first_time(library: Library) -> None:
    told: list[tuple[int, int]] = []
    outcome = library.update(tell=lambda *done: told.append(done))
    assert counts(outcome) == {"new": 4}
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]
    rows = library.rows()
    assert rows.keys() == COLOURS.keys()
    row = rows["below/c.webp"]
    assert (row.name, row.folder) == ("c.webp", str(library.photos))
    assert (row.width, row.height) == (60, 40)
    assert row.size == (library.photos / "below" / "c.webp").stat().st_size
    assert (library.index.thumbnail(row.id) or b"").startswith(b"\xff\xd8")
    assert library.index.folders == (str(library.photos),)
    assert library.index.verify() == []


def test_the_vectors_are_those_of_the_encoder(library: Library) -> None:
    library.update()
    rows = library.rows()
    paths = [library.photos / name for name in rows]
    expected = Encoder(library.model).encode_images(paths)
    np.testing.assert_allclose(library.index.vectors([row.id for row in rows.values()]), expected, atol=1e-5)


def test_the_second_time_nothing_is_done_and_no_model_opened(library: Library) -> None:
    library.update()
    before, library.opened = library.rows(), 0
    assert counts(library.update(model=None)) == {"unchanged": 4}
    assert library.opened == 0
    assert {name: row.id for name, row in library.rows().items()} == {name: row.id for name, row in before.items()}


def test_everything_that_can_happen_at_once(library: Library) -> None:
    library.update()
    before = library.rows()
    photos = library.photos
    (photos / "a.jpg").rename(photos / "below" / "renamed.jpg")
    picture((90, 90, 90)).save(photos / "b.png")
    (photos / "below" / "c.webp").unlink()
    os.utime(photos / "below" / "d.jpg", ns=(1, 1))
    picture((1, 2, 3), size=(70, 30)).save(photos / "new.jpg")
    assert counts(library.update()) == {"new": 1, "changed": 1, "moved": 1, "touched": 1, "deleted": 1}
    after = library.rows()
    assert after.keys() == {"below/renamed.jpg", "b.png", "below/d.jpg", "new.jpg"}
    assert after["below/renamed.jpg"].id == before["a.jpg"].id
    assert after["below/renamed.jpg"].name == "renamed.jpg"
    assert after["b.png"].digest != before["b.png"].digest
    assert counts(library.update()) == {"unchanged": 4}
    assert library.index.verify() == []


def test_a_moved_photograph_is_not_embedded_again(library: Library) -> None:
    library.update()
    library.opened = 0
    (library.photos / "a.jpg").rename(library.photos / "z.jpg")
    assert counts(library.update(model=None)) == {"moved": 1, "unchanged": 3}
    assert library.opened == 0


def test_moved_from_one_folder_to_another(library: Library, tmp_path: Path) -> None:
    other = lay_photographs(tmp_path / "other", {"x.jpg": (5, 5, 5)}).resolve()
    library.update(library.photos, other)
    (library.photos / "a.jpg").rename(other / "a.jpg")
    assert counts(library.update(library.photos, other)) == {"moved": 1, "unchanged": 4}
    assert library.rows()[str(other / "a.jpg")].folder == str(other)


def test_moved_away_and_copied_back_are_two(library: Library) -> None:
    """The id of a moved photograph is that of its old path, where the copy now lies."""
    library.update()
    (library.photos / "a.jpg").rename(library.photos / "z.jpg")
    library.update()
    shutil.copy(library.photos / "z.jpg", library.photos / "a.jpg")
    assert counts(library.update()) == {"new": 1, "unchanged": 4}
    rows = library.rows()
    assert {"a.jpg", "z.jpg"} <= rows.keys()
    assert rows["a.jpg"].id != rows["z.jpg"].id


def test_what_cannot_be_read_is_named_and_the_rest_done(library: Library) -> None:
    (library.photos / "bad.jpg").write_bytes(b"dear diary")
    (library.photos / "empty.png").write_bytes(b"")
    outcome = library.update()
    assert outcome.new == 4
    assert [Path(problem.path).name for problem in outcome.failures] == ["bad.jpg", "empty.png"]
    assert all(problem.path in problem.reason for problem in outcome.failures)
    library.opened = 0
    again = library.update(model=None)
    assert len(again.failures) == 2, "named every time"
    assert library.opened == 0, "and no model is opened for them"


def test_a_photograph_that_got_damaged_keeps_its_row(library: Library) -> None:
    library.update()
    (library.photos / "a.jpg").write_bytes(b"half a fi")
    outcome = library.update()
    assert counts(outcome) == {"unchanged": 3}
    assert len(outcome.failures) == 1
    assert "a.jpg" in library.rows()


def test_one_that_is_deleted_meanwhile_is_no_failure(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    from altclip.search.photographs import read_photograph

    def late(file: Any, **settings: Any) -> Any:
        if file.path.endswith("a.jpg"):
            Path(file.path).unlink()
        return read_photograph(file, **settings)

    monkeypatch.setattr("altclip.search.indexing.read_photograph", late)
    outcome = library.update()
    assert (outcome.new, outcome.failures) == (3, [])


@pytest.mark.parametrize("how", ["missing", "empty"])
def test_a_folder_that_is_not_plugged_in_loses_nothing(library: Library, tmp_path: Path, how: str) -> None:
    library.update()
    library.photos.rename(tmp_path / "unplugged")
    if how == "empty":
        library.photos.mkdir()
    outcome = library.update()
    assert counts(outcome) == {"kept": 4}
    assert "4 rows are kept" in outcome.away[0].reason
    assert "--prune" in outcome.away[0].reason
    assert len(library.rows()) == 4
    if how == "empty":
        library.photos.rmdir()
    (tmp_path / "unplugged").rename(library.photos)
    assert counts(library.update()) == {"unchanged": 4}


def test_prune_drops_the_rows_of_a_folder_that_is_gone(library: Library) -> None:
    library.update()
    shutil.rmtree(library.photos)
    assert counts(library.update(prune=True)) == {"deleted": 4}
    assert library.rows() == {}


def test_one_folder_of_two_is_away_and_the_other_done(library: Library, tmp_path: Path) -> None:
    other = lay_photographs(tmp_path / "other", {"x.jpg": (5, 5, 5)}).resolve()
    library.update(library.photos, other)
    shutil.rmtree(other)
    (library.photos / "a.jpg").unlink()
    outcome = library.update(library.photos, other)
    assert counts(outcome) == {"deleted": 1, "unchanged": 3, "kept": 1}


def test_a_folder_within_that_is_deleted_is_deleted(library: Library) -> None:
    library.update()
    shutil.rmtree(library.photos / "below")
    assert counts(library.update()) == {"deleted": 2, "unchanged": 2}


def test_a_part_of_an_indexed_folder(library: Library) -> None:
    library.update()
    (library.photos / "a.jpg").unlink()
    (library.photos / "below" / "c.webp").unlink()
    lay_photographs(library.photos, {"below/e.jpg": (3, 3, 3)})
    assert counts(library.update(library.photos / "below")) == {"new": 1, "deleted": 1, "unchanged": 1}
    assert "a.jpg" in library.rows(), "not looked at"
    assert library.rows()["below/e.jpg"].folder == str(library.photos)
    assert library.index.folders == (str(library.photos),)


def test_a_part_that_was_emptied_is_deleted(library: Library) -> None:
    library.update()
    for name in ("c.webp", "d.jpg"):
        (library.photos / "below" / name).unlink()
    assert counts(library.update(library.photos / "below")) == {"deleted": 2}


def test_a_folder_that_cannot_be_looked_into_loses_nothing(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    library.update()
    scandir = os.scandir

    def refuse(path: str) -> object:
        if os.fspath(path).endswith("below"):
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    outcome = library.update()
    assert counts(outcome) == {"unchanged": 2, "kept": 2}
    assert "Permission denied" in outcome.failures[0].reason


def test_one_folder_by_two_names_is_one(library: Library, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(library.photos)
    library.update(library.photos, library.photos / "below", tmp_path / "link")
    assert len(library.rows()) == 4
    assert counts(library.update(tmp_path / "link")) == {"unchanged": 4}


def test_the_index_may_lie_among_the_photographs(library: Library) -> None:
    library.place = library.photos / "index"
    library.update()
    assert counts(library.update()) == {"unchanged": 4}


def test_the_index_is_no_part_by_whatever_name(library: Library, tmp_path: Path) -> None:
    library.place = tmp_path.resolve() / "link"
    library.place.symlink_to(library.photos / "index", target_is_directory=True)
    (library.photos / "index").mkdir()
    library.update()
    picture((1, 2, 3)).save(library.photos / "index" / "x.jpg")
    assert counts(library.update()) == {"unchanged": 4}


def test_gps_only_if_asked(library: Library) -> None:
    exif = Image.Exif()
    exif.get_ifd(0x8825).update({1: "N", 2: (48.0, 30.0, 0.0), 3: "E", 4: (2.0, 0.0, 0.0)})
    for name in ("with.jpg", "without.jpg"):
        picture((7, 7, len(name))).save(library.photos / name, exif=exif)
    (library.photos / "with.jpg").rename(library.photos.parent / "with.jpg")
    library.update()
    (library.photos.parent / "with.jpg").rename(library.photos / "with.jpg")
    library.update(gps=True)
    rows = library.rows()
    assert rows["without.jpg"].latitude is None
    assert (rows["with.jpg"].latitude, rows["with.jpg"].longitude) == (48.5, 2.0)


def test_no_index_is_made_of_nothing(library: Library, tmp_path: Path) -> None:
    (tmp_path / "void").mkdir()
    assert counts(library.update(tmp_path / "void")) == {}
    assert not library.place.exists()


@pytest.mark.parametrize(("name", "words"), [("nowhere", "no such folder"), ("photos/a.jpg", "is a file")])
def test_a_wrong_folder(library: Library, tmp_path: Path, name: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        library.update(tmp_path / name)


def test_another_model_is_refused(library: Library, tmp_path: Path) -> None:
    library.update()
    other = tiny_model_folder(tmp_path / "other-model", seed=1)
    library._encoder = None
    with pytest.raises(SearchError, match="cannot be compared"):
        library.update(model=str(other))
    assert len(library.rows()) == 4


def test_a_second_writer_is_refused(library: Library) -> None:
    library.update()
    with library.index.writing(), pytest.raises(SearchError, match="being written to"):
        library.update()


def test_stopped_in_the_middle_it_goes_on(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lots, "_MOST", 1)

    def stop(done: int, total: int) -> None:
        if done == 3:
            raise KeyboardInterrupt

    update = library.update_of(tell=stop)
    with pytest.raises(KeyboardInterrupt):
        update.run()
    assert update.outcome.new == len(library.rows()) == 2
    assert counts(library.update()) == {"new": 2, "unchanged": 2}


def test_killed_between_the_new_row_and_the_old(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    from altclip.search import Writer

    library.update()
    picture((90, 90, 90)).save(library.photos / "b.png")

    def killed(self: Writer, ids: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Writer, "remove", killed)
        with pytest.raises(KeyboardInterrupt):
            library.update()
    assert len(list(library.index.known())) == 5
    assert counts(library.update()) == {"unchanged": 4, "deleted": 1}
    assert len(list(library.index.known())) == 4


def test_rows_of_tables_are_left_alone(library: Library) -> None:
    library.update()
    with Index.open(library.place).writing() as writer:
        ones = np.ones((3, library.index.dim), np.float32)
        path = str(library.photos / "gone.jpg")  # a place that somebody says, and not one that was looked into
        writer.import_vectors(ones, ids=["x", "y", "z"], metadata=[{}, {}, {"path": path}])
    assert counts(library.update()) == {"unchanged": 4}
    assert len(list(library.index.known())) == 7

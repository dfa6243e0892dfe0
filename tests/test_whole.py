"""Files that are there whole or not at all, and the looking before the work whether a report can be written."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from altclip.errors import UsageError
from altclip.pages.files import check_target
from altclip.whole import in_place_of, write_whole


def test_the_old_file_stays_until_the_new_one_is_whole(tmp_path: Path) -> None:
    file = tmp_path / "report.json"
    write_whole(file, b"old")
    with pytest.raises(TypeError):
        write_whole(file, "no bytes")  # type: ignore[arg-type]
    assert file.read_bytes() == b"old"
    with in_place_of(file) as partial:
        partial.write_bytes(b"new")
        assert file.read_bytes() == b"old"
        assert str(os.getpid()) in partial.name  # two programs may write the same report
    assert file.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [file]


def test_where_a_report_cannot_go_is_said_before_the_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    check_target(tmp_path / "report.html")
    for wrong in (tmp_path, tmp_path / "absent" / "report.html"):
        with pytest.raises(UsageError, match="it is a folder, or the folder it should be in does not exist"):
            check_target(wrong)
    monkeypatch.setattr(os, "access", lambda place, mode: (place, mode) != (tmp_path, os.W_OK))
    with pytest.raises(UsageError, match="may not be written to"):
        check_target(tmp_path / "report.html")

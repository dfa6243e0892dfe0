"""Words find the names of folders below the indexed one, in nine languages, and stay right when files move."""

from __future__ import annotations

from pathlib import Path

import pytest

from altclip.search import Index, Place, Query
from tests.search.made import made_id, made_index, made_row, vectors

ROOT = "/home/me/Pictures"
# What a person types, and the folder that the photograph lies in.
FOLDERS = {
    "en": ("wedding", "Weddings 2019"),
    "zh": ("上海", "2023上海之旅"),
    "es": ("montaña", "Excursion a las montañas"),
    "fr": ("été", "Vacances d'ete/plage"),
    "ru": ("москва", "Москва 2018"),
    "ja": ("京都", "京都の桜/二日目"),
    "ko": ("제주도", "여름에 제주도에서"),
    "ar": ("القاهرة", "رحلة القاهرة"),
    "it": ("roma", "Roma e Napoli/giorno 1"),
}


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Index:
    rows = [
        made_row(place, vector, path=f"{ROOT}/{folder}/IMG_{place}.jpg", folder=ROOT, name=f"IMG_{place}.jpg")
        for place, (vector, (_, folder)) in enumerate(zip(vectors(len(FOLDERS)), FOLDERS.values(), strict=True))
    ]
    return made_index(tmp_path_factory.mktemp("folders") / "index", rows)


def found(index: Index, words: str) -> list[str]:
    return [hit.id for hit in index.search(Query(words=words)).hits]


@pytest.mark.parametrize(("place", "words"), [(n, w) for n, (w, _) in enumerate(FOLDERS.values())], ids=FOLDERS.keys())
def test_a_folder_is_found_by_its_name(index: Index, place: int, words: str) -> None:
    assert found(index, words) == [made_id(place)]


@pytest.mark.parametrize("words", ["Pictures", "home"])
def test_the_indexed_folder_and_those_above_it_are_in_every_path_and_tell_nothing(index: Index, words: str) -> None:
    assert found(index, words) == []


def test_a_file_that_moves_takes_the_names_of_its_new_folders(tmp_path: Path) -> None:
    row = made_row(0, vectors(1)[0], path=f"{ROOT}/Roma/a.jpg", folder=ROOT, name="a.jpg", text="un gatto")
    index = made_index(tmp_path / "index", [row])
    with index.writing() as writer:
        writer.moved({row.id: Place(f"{ROOT}/Milano/notte/a.jpg", ROOT, "a.jpg", 7)})
    assert [found(index, words) for words in ("roma", "milano", "notte", "gatto")] == [[], [row.id], [row.id], [row.id]]


def test_rows_without_a_folder_have_no_names_of_folders(tmp_path: Path) -> None:
    row = made_row(0, vectors(1)[0], path="/somewhere/else/x.jpg", folder="", name="x.jpg")
    assert found(made_index(tmp_path / "index", [row]), "somewhere") == []

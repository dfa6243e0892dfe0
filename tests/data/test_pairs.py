"""Batches of pairs: pure functions of the step, shared by processes, bad samples named and replaced."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from altclip.data.labels import Labels
from altclip.data.pairs import PairBatches, Pairs, PairSource, Row, stable_key
from altclip.data.reading import open_rows
from altclip.data.texts import Captions, ClassNames
from altclip.errors import DataError, ImageError, UsageError
from tests.train import made

LABELS = Labels({name: {"en": (name, f"{name}ish"), "zh": (zh,)} for name, (_, zh) in made.COLOURS.items()})


def source(folder: Path, name: str, count: int, streaming: bool = False, **options: Any) -> PairSource:
    path = folder / f"{name}.parquet"
    if not path.is_file():
        made.write_parquet(path, made.rows(count))
    rows = open_rows(path, streaming=streaming)
    return PairSource(name, rows, options.pop("texts", Captions({"zh": "zh"})), **options)


def number(row: Row, draw: np.random.Generator, step: int) -> NDArray[np.float32]:
    """In place of an image: which row it is."""
    return np.array([row.source, row.index], dtype=np.float32)


def batches(sources: list[PairSource], size: int = 8, image: Any = number, **process: int) -> PairBatches:
    return PairBatches(sources, size, 3, image, **process)


def at(made_batches: PairBatches, step: int) -> Pairs:
    return made_batches(next(made_batches.plans(step, step + 1)))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("pairs")


def test_an_epoch_holds_every_row_once(folder: Path) -> None:
    wanted = batches([source(folder, "a", 24)])
    seen = [int(row[1]) for step in range(3) for row in at(wanted, step).images]
    assert sorted(seen) == list(range(24))


def test_images_and_texts_belong_together(folder: Path) -> None:
    batch = at(batches([source(folder, "a", 24)]), 1)
    assert batch.texts == [made.rows(24)[int(index)]["zh"] for _, index in batch.images]


def test_sources_share_a_batch_by_weight(folder: Path) -> None:
    two = [source(folder, "a", 24, weight=3.0), source(folder, "b", 10)]
    for step in range(4):
        assert [int(number) for number, _ in at(batches(two), step).images].count(1) == 2


def test_a_step_can_be_made_again_alone(folder: Path) -> None:
    one, two = (batches([source(folder, "a", 24, texts=ClassNames(LABELS, "wnid", ["en", "zh"]))]) for _ in range(2))
    whole = [at(one, step) for step in range(6)]
    for step in (4, 1):
        again = at(two, step)
        assert again.texts == whole[step].texts
        assert np.array_equal(again.images, whole[step].images)
        assert np.array_equal(again.keys, whole[step].keys)


def test_processes_make_up_the_global_batch(folder: Path) -> None:
    one = source(folder, "a", 24, texts=ClassNames(LABELS, "wnid", ["en", "zh"]))
    whole = at(batches([one]), 2)
    parts = [at(batches([one], rank=rank, world_size=2), 2) for rank in range(2)]
    assert [text for pair in zip(*(part.texts for part in parts), strict=True) for text in pair] == whole.texts
    assert sorted(row.tobytes() for part in parts for row in part.images) == sorted(r.tobytes() for r in whole.images)


def test_keys_are_equal_where_pairs_mean_the_same(folder: Path) -> None:
    classes = at(batches([source(folder, "a", 24, texts=ClassNames(LABELS, "wnid", ["en"]))], 24), 0)
    assert len(set(classes.keys[:, 0].tolist())) == 6
    captions = at(batches([source(folder, "a", 24)], 24), 0)
    assert len(set(captions.keys[:, 0].tolist())) == 24


def test_equal_texts_have_a_key_in_common_whatever_their_rows_and_sources(folder: Path) -> None:
    texts = ClassNames(LABELS, "wnid", ["en"], template_share=0.0)
    batch = at(batches([source(folder, "a", 24, texts=texts), source(folder, "b", 24, texts=texts)], 48), 0)
    of_text = {
        text: {key for key, other in zip(batch.keys[:, 1].tolist(), batch.texts, strict=True) if other == text}
        for text in batch.texts
    }
    assert len(of_text) > 6
    assert all(len(keys) == 1 for keys in of_text.values())
    assert len(set.union(*of_text.values())) == len(of_text)
    assert len(set(batch.keys[:, 0].tolist())) == 12  # six classes of each source


def test_a_key_is_the_same_everywhere() -> None:
    assert stable_key("a.parquet", "n01") == 4227190014522554247
    assert stable_key("a", "bc") != stable_key("ab", "c")
    assert stable_key("a", "\ud800") >= 0


class Broken:
    """Rows of some numbers cannot be read."""

    def __init__(self, *bad: int) -> None:
        self.bad = bad

    def __call__(self, row: Row, draw: np.random.Generator, step: int) -> NDArray[np.float32]:
        if row.index in self.bad:
            raise ImageError("<30 bytes>", "is cut short")
        return number(row, draw, step)


@pytest.mark.parametrize("streaming", [False, True], ids=["map", "stream"])
def test_a_bad_sample_is_named_and_replaced(streaming: bool, folder: Path) -> None:
    one = source(folder, "a", 24, streaming, buffer=1)
    wanted = batches([one], image=Broken(5, 6))
    made_batches = [wanted(plan) for plan in wanted.plans(0, 3)]
    skipped = [line for batch in made_batches for line in batch.skipped]
    assert set(skipped) >= {"a[5]: <30 bytes>: is cut short", "a[6]: <30 bytes>: is cut short"}
    seen = [int(index) for batch in made_batches for _, index in batch.images]
    assert len(seen) == 24
    assert not {5, 6} & set(seen)
    assert {*seen, 5, 6} == set(range(24))


def test_what_is_skipped_does_not_depend_on_threads_or_processes(folder: Path) -> None:
    one = source(folder, "a", 24)
    alone = batches([one], image=Broken(1, 2, 3, 4))
    whole = sorted(line for step in range(3) for line in at(alone, step).skipped)
    shared = [batches([one], image=Broken(1, 2, 3, 4), rank=rank, world_size=2) for rank in range(2)]
    assert sorted(line for part in shared for step in range(3) for line in at(part, step).skipped) == whole


def test_nothing_but_bad_samples(folder: Path) -> None:
    with pytest.raises(DataError, match="a: 32 bad samples in a row"):
        at(batches([source(folder, "a", 24)], image=Broken(*range(24))), 0)


def test_a_text_that_is_missing_is_a_bad_sample(folder: Path) -> None:
    few = Labels({name: names for name, names in LABELS.names.items() if name != "red"})
    batch = at(batches([source(folder, "a", 24, texts=ClassNames(few, "wnid", ["en"]))], 24), 0)
    assert len(batch.skipped) >= 4
    assert "no name in en for wnid = 'red'" in batch.skipped[0]


def test_no_rows(folder: Path) -> None:
    empty = source(folder, "a", 24)
    with pytest.raises(DataError, match="no rows in none"):
        batches([PairSource("none", empty.rows.select([]), empty.texts)])


def test_a_batch_too_small_for_its_sources(folder: Path) -> None:
    with pytest.raises(UsageError, match="1 places for 2 sources"):
        batches([source(folder, "a", 24), source(folder, "b", 10)], 1)


def test_streams_and_maps_in_one_batch_go_on_in_the_middle(folder: Path) -> None:
    def two() -> PairBatches:
        return batches([source(folder, "a", 24, True, buffer=1), source(folder, "b", 10)])

    wanted = two()
    whole = [wanted(plan) for plan in wanted.plans(0, 9)]
    again = two()
    rest = [again(plan) for plan in again.plans(4, 9, whole[3].position)]
    assert [batch.texts for batch in rest] == [batch.texts for batch in whole[4:]]
    assert all(np.array_equal(a.images, b.images) for a, b in zip(rest, whole[4:], strict=True))
    assert whole[3].position.keys() == {"0"}
    assert batches([source(folder, "b", 10)], 4)(next(batches([source(folder, "b", 10)], 4).plans(0, 1))).position == {}


def test_images_are_opened_only_where_they_are_asked_for(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where embeddings are cached, not even the bytes of an image are read."""
    one = source(folder, "a", 24)
    monkeypatch.setattr(PairSource, "open", lambda *_: pytest.fail("an image was opened"))
    assert one.read([2, 0]) == [{"zh": made.rows(3)[2]["zh"]}, {"zh": made.rows(1)[0]["zh"]}]
    at(batches([one]), 0)

"""Parallel text: read with care, mixed with temperature, each source in its own order."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from altclip.data.labels import Labels
from altclip.data.parallel import ParallelBatches, ParallelSource, folded, name_pairs, read_pairs, row_pairs
from altclip.errors import DataError
from tests.train import made


def numbered(language: str, count: int, weight: float = 1.0) -> ParallelSource:
    return ParallelSource(language, [((f"{language} {n}",), (f"x{n}",)) for n in range(count)], 0.0, weight)


def test_a_file_of_pairs(tmp_path: Path) -> None:
    path = tmp_path / "en-ja.tsv"
    lines = "a cat\tネコ\r\n\u2028odd\x85line\t犬\nLeave, me!\t鳥\n"
    path.write_text(lines, encoding="utf-8", newline="")
    source = read_pairs(path, "ja", held_out=frozenset({folded("leave me.")}))
    assert source.pairs == [(("a cat",), ("ネコ",)), (("\u2028odd\x85line",), ("犬",))]
    assert source.language == "ja"


@pytest.mark.parametrize(
    ("text", "line"), [("a\tb\nc\n", 2), ("a\tb\tc\n", 1), ("a\t\n", 1), ("a\tb\n\nc\td\n", 2), ("a\t \n", 1)]
)
def test_a_line_that_is_not_two_texts_is_named(text: str, line: int, tmp_path: Path) -> None:
    (tmp_path / "p.tsv").write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=rf"p\.tsv, line {line}: expected two texts"):
        read_pairs(tmp_path / "p.tsv", "fr")


@pytest.mark.parametrize("content", [None, b"\xff\xfe\x00a"])
def test_a_file_that_cannot_be_read(content: bytes | None, tmp_path: Path) -> None:
    if content:
        (tmp_path / "p.tsv").write_bytes(content)
    with pytest.raises(DataError, match=r"p\.tsv cannot be read"):
        read_pairs(tmp_path / "p.tsv", "fr")


def test_two_columns_of_a_data_set(tmp_path: Path) -> None:
    made.write_parquet(tmp_path / "p.parquet", [{"en": "a", "de": "b", "n": 1}, {"en": "c", "de": None, "n": 2}])
    source = row_pairs(tmp_path / "p.parquet", "fr", ("en", "de"))
    assert len(source.pairs) == 2
    assert source.pairs[0] == (("a",), ("b",))
    with pytest.raises(DataError, match="no column es"):
        row_pairs(tmp_path / "p.parquet", "fr", ("en", "es"))


def test_a_pair_with_an_empty_text_is_skipped_by_name(tmp_path: Path) -> None:
    made.write_parquet(tmp_path / "p.parquet", [{"english": "a", "other": "b"}, {"english": "c", "other": None}])
    source = row_pairs(tmp_path / "p.parquet", "fr", ("english", "other"))
    pairs, skipped = ParallelBatches([source], 20, 0)(0)
    assert {pair.english for pair in pairs} == {"a"}
    assert set(skipped) == {f"{tmp_path / 'p.parquet'}[1]: a text is empty"}


def test_nothing_but_empty_texts() -> None:
    source = ParallelSource("fr", [(("a",), ("",))], name="p")
    with pytest.raises(DataError, match="p: 32 bad pairs in a row"):
        ParallelBatches([source], 4, 0)(0)


def test_names_of_classes() -> None:
    labels = Labels(
        {"1": {"en": ("cat", "moggy"), "ru": ("кошка", "кот")}, "2": {"ru": ("дом",)}, "3": {"en": ("dog",)}}
    )
    source = name_pairs(labels, "ru", 0.0, 2.0)
    assert source.pairs == [(("cat",), ("кошка", "кот"))]
    texts = {pair.other for pair in ParallelBatches([source._replace(template_share=0.5)], 300, 0)(0)[0]}
    assert {"кошка", "кот"} < texts  # and templates of them
    assert all("кошка" in text or "кот" in text for text in texts)


@pytest.mark.parametrize(("temperature", "share"), [(1.0, 0.99), (2.0, 900**0.5 / (900**0.5 + 9**0.5)), (1e9, 0.5)])
def test_languages_are_mixed_with_temperature(temperature: float, share: float) -> None:
    batches = ParallelBatches([numbered("ja", 900), numbered("ar", 9)], 512, 1, temperature)
    languages = Counter(pair.language for step in range(16) for pair in batches(step)[0])
    assert languages["ja"] / languages.total() == pytest.approx(share, abs=0.002)


def test_a_weight_counts_beside_the_size() -> None:
    batches = ParallelBatches([numbered("ja", 100, weight=3.0), numbered("ar", 100)], 512, 1)
    languages = Counter(pair.language for step in range(16) for pair in batches(step)[0])
    assert languages["ja"] == pytest.approx(3 * languages["ar"], rel=0.01)


def test_each_source_is_walked_in_epochs() -> None:
    batches = ParallelBatches([numbered("ja", 50), numbered("ar", 50)], 20, 1, 1.0)
    japanese = [p.english for step in range(60) for p in batches(step)[0] if p.language == "ja"]
    for epoch in range(len(japanese) // 50):
        assert len(set(japanese[epoch * 50 : (epoch + 1) * 50])) == 50


def test_processes_make_up_the_global_batch() -> None:
    sources = [numbered("ja", 50)._replace(template_share=0.5), numbered("ar", 9)]
    whole, _ = ParallelBatches(sources, 12, 1)(7)
    parts = [ParallelBatches(sources, 12, 1, rank=rank, world_size=3)(7)[0] for rank in range(3)]
    assert [pair for trio in zip(*parts, strict=True) for pair in trio] == whole


def test_no_text_at_all() -> None:
    with pytest.raises(DataError, match="every source is empty"):
        ParallelBatches([numbered("ja", 0)], 4, 0)

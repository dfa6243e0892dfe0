"""Embeddings kept on disk: made once, found by content, whole or absent."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from altclip.data.cache import cached_embeddings, digest_weights
from altclip.errors import DataError

ROWS = np.arange(30, dtype=np.float32).reshape(10, 3)


class Embed:
    """Rows of the table, with a note of what was asked for; may break off."""

    def __init__(self, stop_at: int = 99) -> None:
        self.asked: list[int] = []
        self.stop_at = stop_at

    def __call__(self, start: int, stop: int) -> NDArray[np.float32]:
        if start >= self.stop_at:
            raise KeyboardInterrupt
        self.asked.append(start)
        return ROWS[start:stop]


def test_made_once_and_found_again(tmp_path: Path) -> None:
    embed = Embed()
    made = cached_embeddings(tmp_path / "new" / "folder", ["model", "data"], 10, embed, 4)
    again = cached_embeddings(tmp_path / "new" / "folder", ["model", "data"], 10, embed, 4)
    assert embed.asked == [0, 4, 8]
    assert np.array_equal(made, ROWS)
    assert np.array_equal(again, ROWS)
    assert isinstance(again, np.memmap)
    assert again.dtype == np.float32


@pytest.mark.parametrize("parts", [["model", "other"], ["other", "data"], ["modeld", "ata"]])
def test_anything_else_is_another_entry(parts: list[str], tmp_path: Path) -> None:
    cached_embeddings(tmp_path, ["model", "data"], 10, Embed(), 4)
    embed = Embed()
    cached_embeddings(tmp_path, parts, 10, embed, 4)
    assert embed.asked


def test_another_number_of_rows_is_another_entry(tmp_path: Path) -> None:
    cached_embeddings(tmp_path, ["m"], 10, Embed(), 4)
    assert len(cached_embeddings(tmp_path, ["m"], 9, Embed(), 4)) == 9


@pytest.mark.parametrize("stop_at", [0, 4, 8])
def test_a_killed_run_is_taken_up_again(stop_at: int, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        cached_embeddings(tmp_path, ["m"], 10, Embed(stop_at), 4)
    assert not list(tmp_path.glob("*.npy"))
    embed = Embed()
    assert np.array_equal(cached_embeddings(tmp_path, ["m"], 10, embed, 4), ROWS)
    assert embed.asked == [start for start in (0, 4, 8) if start >= stop_at]


@pytest.mark.parametrize("left", [b"", b"\x93NUMPY", b"nonsense" * 50])
def test_a_part_that_is_no_part_is_made_anew(left: bytes, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        cached_embeddings(tmp_path, ["m"], 10, Embed(4), 4)
    (partial,) = tmp_path.glob("*.part")
    partial.write_bytes(left)
    assert np.array_equal(cached_embeddings(tmp_path, ["m"], 10, Embed(), 4), ROWS)


def test_a_row_that_was_cut_off_is_made_anew(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        cached_embeddings(tmp_path, ["m"], 10, Embed(8), 4)
    (partial,) = tmp_path.glob("*.part")
    partial.write_bytes(partial.read_bytes()[:-5])
    embed = Embed()
    assert np.array_equal(cached_embeddings(tmp_path, ["m"], 10, embed, 4), ROWS)
    assert embed.asked[0] == 7


def test_a_second_process_waits_and_finds_it(tmp_path: Path) -> None:
    begun, embeds = threading.Event(), [Embed(), Embed()]

    def slow(start: int, stop: int) -> NDArray[np.float32]:
        begun.set()
        return embeds[0](start, stop)

    first = threading.Thread(target=cached_embeddings, args=(tmp_path, ["m"], 10, slow, 1))
    first.start()
    assert begun.wait(10)
    assert np.array_equal(cached_embeddings(tmp_path, ["m"], 10, embeds[1], 1), ROWS)
    first.join()
    assert embeds[1].asked == []


def test_no_room_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DataError, match="make room"):
        cached_embeddings(tmp_path / "file", ["m"], 10, Embed(), 4)


def test_weights_are_told_apart() -> None:
    weights = {"a": torch.ones(2, 3), "b": torch.tensor(1.0)}
    digest = digest_weights(weights.items())
    assert digest == digest_weights(reversed(weights.items()))
    for other in (
        {**weights, "b": torch.tensor(2.0)}, {"a": weights["a"], "c": weights["b"]},
        {**weights, "a": torch.ones(3, 2)}, {**weights, "a": torch.ones(2, 3, dtype=torch.bfloat16)},
    ):  # fmt: skip
        assert digest_weights(other.items()) != digest

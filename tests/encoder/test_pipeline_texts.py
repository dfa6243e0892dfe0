"""Texts on their way to the engine: next to no padding, windows that pass by, and those asked for before."""

from __future__ import annotations

import itertools
import threading
import weakref
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from altclip.encoder import Encoder, batching
from altclip.encoder.batching import TextBatch, groups, tokens_at_once
from altclip.encoder.recent import RecentBatches
from altclip.encoder.running import text_blocks
from altclip.engines import Features, Ids
from altclip.models import TextConfig
from tests.tiny import MAX_TOKENS, tiny_model, tiny_processor, tiny_tokenizer

CPU, GPU = torch.device("cpu"), torch.device("cuda")


class Counting:
    """An engine without a model: the features of a text are its length and the sum of its ids."""

    name, device, dtype = "counting", CPU, torch.float32

    def __init__(self) -> None:
        self.asked: list[tuple[int, ...]] = []
        self.tokens = 0

    def encode_image(self, pixels: Any) -> Features:
        raise NotImplementedError

    def encode_text(self, ids: Ids, mask: Ids) -> Features:
        self.asked.append(ids.shape)
        self.tokens += int(mask.sum())
        return np.stack([mask.sum(1), (ids * mask).sum(1)], axis=1).astype(np.float32)

    @property
    def padded(self) -> float:
        """Share of the tokens that are padding."""
        return 1 - self.tokens / sum(rows * longest for rows, longest in self.asked)


def blocks_of(engine: Counting, texts: Any, **options: Any) -> Iterator[Features]:
    config = TextConfig(vocab_size=400, max_position_embeddings=MAX_TOKENS + 2)
    options = {"batch_size": "auto", "progress": False, **options}
    return text_blocks(engine, texts, tiny_tokenizer(), config, **options)


def captions(number: int) -> list[str]:
    """Texts of as many lengths as captions have, hardly any of them alike."""
    random = np.random.default_rng(0)
    return ["".join(map(chr, random.integers(97, 123, length))) for length in random.poisson(9, number) + 3]


class TestGroups:
    @pytest.mark.parametrize(("number", "most"), [(64, 0.15), (256, 0.05), (4000, 0.01)])
    def test_hardly_any_padding(self, number: int, most: float) -> None:
        lengths = np.random.default_rng(1).poisson(16, number) + 3
        made = list(groups(lengths.tolist(), "auto", CPU))
        computed = sum(len(group) * lengths[group].max() for group in made)
        assert 1 - lengths.sum() / computed < most
        assert len(made) < 50

    @pytest.mark.parametrize("device", [CPU, GPU])
    def test_each_text_once_and_none_too_large(self, device: torch.device) -> None:
        lengths = np.random.default_rng(2).integers(0, 512, 3000)
        made = list(groups(lengths.tolist(), "auto", device))
        assert sorted(itertools.chain(*made)) == list(range(3000))
        assert all(len(group) * lengths[group].max() <= tokens_at_once(device) for group in made)
        longest = [lengths[group].max() for group in made]
        assert longest == sorted(longest, reverse=True)

    def test_they_cost_least_of_all_ways_to_cut(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Against all 2 ** 7 ways of cutting eight lengths."""
        monkeypatch.setattr(batching, "_TOKENS_AT_ONCE", {"cpu": 60})
        monkeypatch.setattr(batching, "_CALL", {"cpu": 5})
        for seed in range(20):
            lengths = sorted(np.random.default_rng(seed).permutation(30)[:8] + 1, reverse=True)

            def cost(cuts: tuple[bool, ...], lengths: list[int] = lengths) -> float:
                ends = [0, *(place + 1 for place, cut in enumerate(cuts) if cut), len(lengths)]
                pairs = [(end - start) * lengths[start] for start, end in itertools.pairwise(ends)]
                return sum(pairs) + 5 * len(pairs) if max(pairs) <= 60 else np.inf

            best = min(cost(cuts) for cuts in itertools.product([True, False], repeat=7))
            made = list(groups([int(length) for length in lengths], "auto", CPU))
            assert sum(len(group) * lengths[group[0]] + 5 for group in made) <= best

    def test_of_one_length_there_is_one_group(self) -> None:
        assert list(groups([7] * 40, "auto", CPU)) == [list(range(40))]
        assert list(groups([], "auto", CPU)) == []

    def test_through_the_engine(self) -> None:
        engine = Counting()
        list(blocks_of(engine, captions(2000)))
        assert engine.padded < 0.02


class TestWindows:
    def test_rows_come_back_in_order_with_repeats(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(batching, "_WINDOW_TEXTS", 50)
        texts = captions(120) + captions(33)
        texts = [texts[place] for place in np.random.default_rng(0).permutation(len(texts))]
        engine = Counting()
        rows = list(blocks_of(engine, texts))
        assert [len(block) for block in rows] == [50, 50, 50, 3]
        one_by_one = np.concatenate([next(blocks_of(Counting(), [text])) for text in texts])
        np.testing.assert_array_equal(np.concatenate(rows), one_by_one)

    def test_blocks_come_while_texts_are_still_to_come(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(batching, "_WINDOW_TEXTS", 8)
        blocks = blocks_of(Counting(), (f"text {number}" for number in itertools.count()))
        assert [len(next(blocks)) for _ in range(3)] == [8, 8, 8]

    def test_of_a_stream_few_texts_are_in_memory(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(batching, "_WINDOW_TEXTS", 64)

        class Text(str):
            """A string that tells when it is gone."""

            __slots__ = ("__weakref__",)

        alive: weakref.WeakSet[Text] = weakref.WeakSet()
        most = 0

        def texts() -> Iterator[str]:
            nonlocal most
            for number in range(2000):
                text = Text(number)
                alive.add(text)
                most = max(most, len(alive))
                yield text

        assert sum(map(len, blocks_of(Counting(), texts()))) == 2000
        assert 64 <= most <= 3 * 64

    def test_tokenizing_goes_on_while_the_engine_computes(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The engine waits in its first batch until the texts of the next have been asked for."""
        monkeypatch.setattr(batching, "_WINDOW_TEXTS", 4)
        asked = threading.Event()

        def texts() -> Iterator[str]:
            for number in range(12):
                if number == 7:
                    asked.set()
                yield f"text {number}"

        class Waiting(Counting):
            def encode_text(self, ids: Ids, mask: Ids) -> Features:
                assert asked.wait(20)
                return super().encode_text(ids, mask)

        assert sum(map(len, blocks_of(Waiting(), texts()))) == 12


class TestRecent:
    def test_labels_asked_for_again_are_not_computed_again(
        self, tiny_folder: Path, photos: list[Path], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        encoder = Encoder(tiny_folder, device="cpu")
        compute, asked = encoder.engine.encode_text, []

        def counted(ids: Ids, mask: Ids) -> Features:
            asked.append(len(ids))
            return compute(ids, mask)

        monkeypatch.setattr(encoder.engine, "encode_text", counted)
        first = encoder.classify(photos[0], ["a cat", "un chien", "鳥"])
        computed = sum(asked)
        assert encoder.classify(photos[0], ["a cat", "un chien", "鳥"]) == first
        assert sum(asked) == computed
        encoder.encode_texts(["another one", "yet another"])
        assert sum(asked) == computed + 2

    def test_of_a_model_that_may_change_nothing_is_kept(self) -> None:
        model = tiny_model()
        encoder = Encoder.from_model(model, tiny_processor())
        before = encoder.encode_texts("a cat")
        with torch.no_grad():
            model.get_parameter("text.projections.text_projection.weight").neg_()
        np.testing.assert_allclose(encoder.encode_texts("a cat"), -before, atol=1e-6)

    def test_weights_written_to_are_seen(self, tiny_folder: Path) -> None:
        encoder = Encoder(tiny_folder, device="cpu")
        before = encoder.encode_texts("a cat")
        weight = encoder.model.get_parameter("text.projections.text_projection.weight")
        with torch.no_grad():
            weight.neg_()
        np.testing.assert_allclose(encoder.encode_texts("a cat"), -before, atol=1e-6)
        weight.data = -weight.data
        np.testing.assert_allclose(encoder.encode_texts("a cat"), before, atol=1e-6)

    def test_what_was_computed_before_a_change_is_not_kept_after_it(self) -> None:
        """Another thread sees the change while this one still computes."""
        recent = RecentBatches()
        batch = TextBatch([[0]], np.array([[5]]), np.array([[1]]), 1)

        def changed_meanwhile(_: TextBatch) -> Features:
            recent.of(2)
            return np.zeros((1, 2), np.float32)

        recent.of(1).through(batch, changed_meanwhile)
        assert recent.of(2).through(batch, lambda _: np.ones((1, 2), np.float32))[0, 0] == 1

    def test_a_model_opened_in_inference_mode(self, tiny_folder: Path) -> None:
        expected = Encoder(tiny_folder, device="cpu").encode_texts("a cat")
        with torch.inference_mode():
            encoder = Encoder(tiny_folder, device="cpu")
        for _ in range(2):
            np.testing.assert_allclose(encoder.encode_texts("a cat"), expected, atol=1e-6)

    def test_the_same_batch_is_computed_once(self) -> None:
        recent, engine = RecentBatches(), Counting()
        for _ in range(3):
            (rows,) = blocks_of(engine, ["a cat", "an old dog", "a cat"], recent=recent)
            np.testing.assert_array_equal(rows, next(blocks_of(Counting(), ["a cat", "an old dog", "a cat"])))
        assert len(engine.asked) == 1

    def test_what_is_given_does_not_depend_on_what_was_asked_before(self, tiny_folder: Path) -> None:
        """To the last bit: another batch of the same texts is computed anew."""
        fresh, used = Encoder(tiny_folder, device="cpu"), Encoder(tiny_folder, device="cpu")
        texts = captions(40)
        for part in (texts[:7], texts[3:30], texts[::2]):
            used.encode_texts(part)
        np.testing.assert_array_equal(used.encode_texts(texts), fresh.encode_texts(texts))
        np.testing.assert_array_equal(used.encode_texts(texts), fresh.encode_texts(texts))

    def test_padding_tells_batches_apart(self) -> None:
        recent = RecentBatches()
        ids = np.array([[5, 1]])
        for mask, value in (([[1, 1]], 1.0), ([[1, 0]], 2.0)):
            batch = TextBatch([[0]], ids, np.array(mask), 1)
            assert recent.through(batch, lambda _, value=value: np.full((1, 2), value, np.float32))[0, 0] == value  # type: ignore[misc]

    def test_the_oldest_are_forgotten(self) -> None:
        recent, engine = RecentBatches(3), Counting()
        for text in ("a", "b", "c", "a", "d"):
            list(blocks_of(engine, [text], recent=recent))
        assert len(recent) == 3
        asked = len(engine.asked)
        for text in ("a", "c", "d"):
            list(blocks_of(engine, [text], recent=recent))
        assert len(engine.asked) == asked
        list(blocks_of(engine, ["b"], recent=recent))
        assert len(engine.asked) == asked + 1
        list(blocks_of(engine, ["p", "q", "r", "s"], recent=recent))  # more than it keeps
        assert len(recent) == 0

    def test_what_is_kept_cannot_be_written_to_through_results(self, tiny_folder: Path) -> None:
        encoder = Encoder(tiny_folder, device="cpu")
        rows = encoder.encode_texts("a cat")
        before = rows.copy()
        rows[:] = 7
        np.testing.assert_array_equal(encoder.encode_texts("a cat"), before)

    def test_threads_share_it(self) -> None:
        recent, texts = RecentBatches(20), captions(60)
        (expected,) = blocks_of(Counting(), texts)

        def encode(seed: int) -> bool:
            start = seed * 7 % 50
            (rows,) = blocks_of(Counting(), texts[start : start + 10], recent=recent)
            return bool((rows == expected[start : start + 10]).all())

        with ThreadPoolExecutor(4) as pool:
            assert all(pool.map(encode, range(40)))
        assert 10 <= len(recent) <= 20

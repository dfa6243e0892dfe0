"""The pieces under the encoder: batches by length, decoding ahead, overlap, progress, the card, the description."""

from __future__ import annotations

import gc
import io
import json
import shutil
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from altclip.checkpoints.card import Card, card_of
from altclip.encoder import describe, progress
from altclip.encoder.batching import groups, most_at_once, overlapped, text_batches, windows
from altclip.encoder.decoding import decode_ahead, stacked
from altclip.encoder.progress import shown
from altclip.errors import HubError, ImageError, LayoutError, UsageError
from altclip.languages import LANGUAGES
from tests.tiny import tiny_model_folder

CPU = torch.device("cpu")


class TestBatches:
    def test_auto_counts_tokens(self) -> None:
        assert most_at_once("auto", 257, CPU) == 4096 // 257
        assert most_at_once("auto", 100_000, CPU) == 1
        assert most_at_once("auto", 257, torch.device("cuda")) > most_at_once("auto", 257, CPU)
        assert most_at_once(7, 257, CPU) == 7

    def test_groups_hold_each_text_once_the_longest_first(self) -> None:
        lengths = [3, 9, 1, 9, 4, 2, 8]
        made = list(groups(lengths, 2, CPU))
        assert [[lengths[place] for place in group] for group in made] == [[9, 9], [8, 4], [3, 2], [1]]
        assert sorted(place for group in made for place in group) == list(range(7))

    def test_groups_of_auto_hold_more_short_texts_than_long_ones(self) -> None:
        sizes = [len(group) for group in groups([64] * 100 + [4] * 2000, "auto", CPU)]
        assert sizes[0] == 64
        assert max(sizes) == 1024

    def test_padding_and_mask(self) -> None:
        rows = {"a": [5, 6], "b": [5], "c": [5, 6, 7]}
        (batch,) = text_batches("bca", lambda texts: [rows[t] for t in texts], pad=1, batch_size=3, device=CPU)
        assert batch.positions == [[1], [2], [0]]
        assert batch.ids.tolist() == [[5, 6, 7], [5, 6, 1], [5, 1, 1]]
        assert batch.mask.tolist() == [[1, 1, 1], [1, 1, 0], [1, 0, 0]]
        assert batch.ids.dtype == batch.mask.dtype == np.int64

    def test_equal_texts_are_one_row(self) -> None:
        rows = {"a": [5, 6], "b": [5], "A": [5, 6]}
        (batch,) = text_batches("abAa", lambda texts: [rows[t] for t in texts], pad=1, batch_size=4, device=CPU)
        assert batch.positions == [[0, 2, 3], [1]]
        assert batch.ids.tolist() == [[5, 6], [5, 1]]

    def test_windows_end_at_a_number_of_texts_or_characters(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("altclip.encoder.batching._WINDOW_TEXTS", 3)
        monkeypatch.setattr("altclip.encoder.batching._WINDOW_CHARACTERS", 10)
        texts = ["a", "b", "c", "d" * 12, "e", "f"]
        assert list(windows(texts)) == [["a", "b", "c"], ["d" * 12], ["e", "f"]]


class TestOverlap:
    def test_results_in_order_from_another_thread(self) -> None:
        threads = set()

        def work(number: int) -> int:
            threads.add(threading.current_thread())
            return number * number

        assert list(overlapped(work, range(20))) == [number * number for number in range(20)]
        assert threading.current_thread() not in threads
        assert len(threads) == 1
        assert list(overlapped(work, [])) == []

    def test_the_next_item_is_made_while_one_is_worked_on(self) -> None:
        made_second = threading.Event()

        def items() -> Iterator[int]:
            yield 1
            made_second.set()
            yield 2

        def work(number: int) -> bool:
            return made_second.wait(10) if number == 1 else True

        assert list(overlapped(work, items())) == [True, True]

    def test_an_error_of_the_work_arrives(self) -> None:
        with pytest.raises(ZeroDivisionError):
            list(overlapped(lambda number: 1 / number, [1, 0, 1]))

    def test_the_thread_is_kept_for_who_asks_again_and_is_nobody_else_s(self) -> None:
        def work(_: int) -> threading.Thread:
            return threading.current_thread()

        mine = {*overlapped(work, [1, 2]), *overlapped(work, [3])}
        assert len(mine) == 1
        others: list[threading.Thread] = []
        asker = threading.Thread(target=lambda: others.extend(overlapped(work, [1])))
        asker.start()
        asker.join()
        assert not mine & set(others)
        del asker
        gc.collect()
        others[0].join(10)
        assert not others[0].is_alive(), "it ends with who asked"

    def test_nothing_runs_on_when_it_is_left_early(self) -> None:
        running = []

        def work(number: int) -> int:
            running.append(number)
            time.sleep(0.05)
            running.remove(number)
            return number

        results = overlapped(work, range(9))
        assert next(results) == 0
        results.close()  # type: ignore[attr-defined]
        assert running == []
        assert list(overlapped(work, [7])) == [7]


class TestDecoding:
    def test_in_order_however_long_each_takes(self) -> None:
        def prepare(image: Any) -> Any:
            time.sleep(0.02 * (image % 3))
            return np.float32(image)

        assert [int(value) for value in decode_ahead(range(12), prepare, workers=4)] == list(range(12))  # type: ignore[arg-type]

    def test_few_are_taken_ahead(self) -> None:
        taken = 0

        def images() -> Iterator[Any]:
            nonlocal taken
            for number in range(100):
                taken += 1
                yield number

        results = decode_ahead(images(), np.asarray, workers=3)
        next(results)
        assert taken == 6
        results.close()  # type: ignore[attr-defined]

    def test_after_an_error_no_more_are_prepared(self) -> None:
        prepared = []

        def prepare(image: Any) -> Any:
            prepared.append(image)
            raise ImageError("x", "bad")

        with pytest.raises(ImageError):
            list(decode_ahead(range(1000), prepare, workers=2))  # type: ignore[arg-type]
        assert len(prepared) <= 5

    def test_stacks_of_a_size(self) -> None:
        arrays = [np.full((2, 2), n, np.float32) for n in range(5)]
        assert [stack.shape[0] for stack in stacked(arrays, 2)] == [2, 2, 1]
        assert list(stacked([], 2)) == []


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class TestProgress:
    def run(self, monkeypatch: pytest.MonkeyPatch, wanted: Any, seconds: float, terminal: bool = True) -> str:
        stderr = _Terminal() if terminal else io.StringIO()
        monkeypatch.setattr(sys, "stderr", stderr)
        monkeypatch.setattr(progress, "_PATIENCE", 0.2)
        monkeypatch.setenv("TERM", "xterm")
        with shown("images", 3, wanted) as done:
            done(1)
            time.sleep(seconds)
            done(2)
        return stderr.getvalue()

    def test_nothing_for_quick_work(self, monkeypatch: pytest.MonkeyPatch) -> None:
        assert "images" not in self.run(monkeypatch, "auto", 0)

    def test_a_bar_for_long_work(self, monkeypatch: pytest.MonkeyPatch) -> None:
        assert "images" in self.run(monkeypatch, "auto", 0.6)

    def test_none_where_stderr_is_no_terminal(self, monkeypatch: pytest.MonkeyPatch) -> None:
        assert self.run(monkeypatch, "auto", 0.4, terminal=False) == ""

    def test_at_once_or_never_if_asked(self, monkeypatch: pytest.MonkeyPatch) -> None:
        assert "images" in self.run(monkeypatch, True, 0.1)
        assert self.run(monkeypatch, False, 0.4) == ""

    def test_none_where_there_is_no_stderr(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sys, "stderr", None)
        with shown("images", 3, "auto") as done:
            done(3)

    def test_it_is_gone_after_an_error(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sys, "stderr", _Terminal())
        with pytest.raises(KeyError), shown("images", None, True):
            raise KeyError
        assert not [thread for thread in threading.enumerate() if isinstance(thread, threading.Timer)]

    def test_another_word_is_refused(self) -> None:
        with pytest.raises(UsageError, match="progress='maybe'"), shown("images", None, "maybe"):  # type: ignore[arg-type]
            pass


class TestCard:
    @pytest.mark.parametrize(
        ("head", "card"),
        [
            ("license: apache-2.0\nlanguage:\n- en\n- zh", Card(("en", "zh"), "apache-2.0")),
            ("language: [en, 'zh']\nlicense: mit", Card(("en", "zh"), "mit")),
            ("language: zh\ntags:\n- x", Card(("zh",), None)),
            ("license: other\nlicense_name: my-terms", Card(None, "my-terms")),
            ("tags:\n- en", Card()),
        ],
    )
    def test_heads_of_cards(self, tmp_path: Path, head: str, card: Card) -> None:
        (tmp_path / "README.md").write_text(f"---\n{head}\n---\n\n# Model\nlicense: none of this\n", encoding="utf-8")
        assert card_of("some/model", tmp_path, {}) == card

    @pytest.mark.parametrize("text", ["", "# no head\nlicense: mit", "---\nnever closed", "\udc80"])
    def test_other_files_say_nothing(self, tmp_path: Path, text: str) -> None:
        (tmp_path / "README.md").write_bytes(text.encode("utf-8", "surrogateescape"))
        assert card_of("some/model", tmp_path, {}) == Card()

    def test_config_comes_first_and_released_models_are_known(self, tmp_path: Path) -> None:
        (tmp_path / "README.md").write_text("---\nlanguage: zh\nlicense: x\n---\n", encoding="utf-8")
        assert card_of("BAAI/AltCLIP-m9", tmp_path, {}) == Card(LANGUAGES, "creativeml-openrail-m")
        assert card_of("altclip", None, {}).languages == ("en", "zh")
        assert card_of("x", tmp_path, {"languages": ["it"], "license": "y"}) == Card(("it",), "y")


class TestDescription:
    def test_a_folder(self, tiny_folder: Path) -> None:
        found = describe(tiny_folder)
        assert found.family == "Hugging Face AltCLIP"
        assert found.weights_here
        assert found.formats == ("float32",)
        assert found.parameters["all"] == found.parameters["image"] + found.parameters["text"] + 1  # the logit scale
        assert found.files["config.json"] == (tiny_folder / "config.json").stat().st_size
        assert found.config is not None
        assert found.config["vision"]["image_size"] == 32
        assert json.loads(json.dumps(found.to_dict()))["model"] == str(tiny_folder)

    def test_weights_are_not_loaded(self, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(*_: object, **__: object) -> None:
            raise AssertionError("weights were read")

        monkeypatch.setattr("altclip.checkpoints.weights.SafetensorsWeights.read", refuse)
        describe(tiny_folder)

    def test_licence_files_are_named(self, tiny_folder: Path, tmp_path: Path) -> None:
        folder = Path(shutil.copytree(tiny_folder, tmp_path / "own"))
        (folder / "LICENSE").write_text("terms", encoding="utf-8")
        assert describe(folder).licence_files == ("LICENSE",)

    def test_of_a_preset_without_network_the_sizes_are_known(self) -> None:
        found = describe("altclip-m9")
        assert found.languages == LANGUAGES
        assert not found.weights_here
        assert 860e6 < found.parameters["all"] < 870e6
        assert found.folder is None

    @pytest.mark.parametrize("name", ["taiyi", "mini-teacher"])
    def test_of_a_preset_that_nobody_has_released_the_sizes_are_known(self, name: str) -> None:
        found = describe(name)
        assert found.parameters["text"] > 0
        assert not found.weights_here

    def test_of_any_other_hub_model_nothing_is(self) -> None:
        with pytest.raises(HubError):
            describe("somebody/something")

    def test_a_broken_folder_is_an_error(self, tmp_path: Path) -> None:
        folder = tiny_model_folder(tmp_path / "broken")
        (folder / "config.json").unlink()
        with pytest.raises(LayoutError):
            describe(folder)

"""The price of a precision: cosines one by one, and paired changes of what queries find."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from altclip import Encoder
from altclip.bench.price import MEAN, Answers, Price, answers, prices
from altclip.evaluate.benchmarks import BENCHMARKS, open_benchmark
from altclip.evaluate.suites.outcomes import Kind, Outcome
from altclip.metrics import normalised
from tests.evaluate import benchmark_files as files
from tests.tiny import tiny_model_folder


def outcome(language: str, ranks: list[int], kind: Kind = "templates", choices: int = 50) -> Outcome:
    return Outcome(language, kind, np.array(ranks), np.arange(len(ranks)), choices)


def rows(seed: int, count: int = 4) -> NDArray[np.float32]:
    return normalised(np.random.default_rng(seed).standard_normal((count, 8), np.float32))


def answered(*outcomes: Outcome, seed: int = 0) -> Answers:
    return Answers({"images": rows(seed)}, outcomes)


def named(found: list[Price]) -> dict[tuple[str, str], Price]:
    return {(price.language, price.figure): price for price in found}


def test_a_change_is_the_difference_of_the_shares_with_an_interval_around_it() -> None:
    before = answered(outcome("en", [0] * 60 + [3] * 40))
    after = answered(outcome("en", [0] * 50 + [1] * 10 + [3] * 40))
    _, (price,) = prices("int8", before, after)
    assert (price.precision, price.language, price.figure) == ("int8", "en", "top-1, with templates")
    assert price.exact == pytest.approx(0.6)
    assert price.difference.value == pytest.approx(-0.1)
    assert price.difference.low < -0.1 < price.difference.high < 0


def test_what_is_found_again_costs_nothing() -> None:
    same = answered(outcome("en", [0, 1, 0, 5]), outcome("zh", [2, 0, 0, 0]))
    _, found = prices("fast", same, same)
    assert [(p.difference.value, p.difference.low, p.difference.high) for p in found] == [(0, 0, 0)] * 3


def test_the_mean_over_languages_comes_first_and_draws_an_image_with_all_its_languages() -> None:
    """What one language loses another wins, image by image: drawn together, the mean never moves."""
    before = answered(outcome("en", [0] * 20 + [9] * 20), outcome("zh", [9] * 20 + [0] * 20))
    after = answered(outcome("en", [9] * 20 + [0] * 20), outcome("zh", [0] * 20 + [9] * 20))
    _, found = prices("fast", before, after)
    assert [price.language for price in found] == [MEAN, "en", "zh"]
    mean = found[0].difference
    assert (mean.value, mean.low, mean.high) == pytest.approx((0, 0, 0), abs=1e-12)
    assert found[1].difference.low < found[1].difference.high


def test_retrieval_is_told_at_1_and_at_10_unless_there_are_no_more_to_choose_from() -> None:
    before, after = outcome("en", [0, 20], "T2I"), outcome("en", [0, 4], "T2I")
    of = named(prices("fast", answered(before), answered(after))[1])
    assert of["en", "T2I R@1"].difference.value == 0
    assert of["en", "T2I R@10"].difference.value == pytest.approx(0.5)
    few = outcome("en", [0, 2], "T2I", choices=5)
    assert [price.figure for price in prices("fast", answered(few), answered(few))[1]] == ["T2I R@1"]
    alone = outcome("en", [0, 0], "to English", choices=1)
    assert prices("fast", answered(alone), answered(alone))[1] == []


def test_cosines_are_those_of_each_embedding() -> None:
    exact, other = rows(0), rows(0)
    other[2] = -other[2]
    (near,), _ = prices("int8", Answers({"images": exact}, ()), Answers({"images": other}, ()))
    assert (near.precision, near.kind, near.count) == ("int8", "images", 4)
    assert near.least_cosine == pytest.approx(-1)
    assert near.mean_cosine == pytest.approx(0.5)


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Encoder:
    return Encoder(tiny_model_folder(tmp_path_factory.mktemp("models") / "one"), precision="exact")


def test_a_set_with_captions_answers_by_language(encoder: Encoder, tmp_path: Path) -> None:
    files.pictures(tmp_path, ["0.png", "1.png", "2.png"])
    table = [{"image": f"{number}.png", "ja": f"文{number}", "it": f"testo {number}"} for number in range(3)]
    path = files.write(tmp_path / "a.jsonl", files.lines(*map(json.dumps, table)))
    found = answers(encoder, open_benchmark(BENCHMARKS["captions"], path))
    assert [len(of) for of in found.embeddings.values()] == [3, 6]
    assert {(of.language, of.kind) for of in found.outcomes} == {(x, k) for x in ("ja", "it") for k in ("T2I", "I2T")}
    near, changes = prices("exact", found, answers(encoder, open_benchmark(BENCHMARKS["captions"], path)))
    assert all(of.least_cosine == pytest.approx(1) for of in near)
    assert all(price.difference.value == 0 for price in changes)


def test_a_set_with_classes_answers_by_names_and_templates(encoder: Encoder, tmp_path: Path) -> None:
    files.class_folders(tmp_path, "test", ["0", "1", "2"])
    files.write(tmp_path / "label.txt", files.lines("red", "green", "blue"))
    found = answers(encoder, open_benchmark(BENCHMARKS["folders"], tmp_path))
    assert [of.kind for of in found.outcomes] == ["names", "templates"]
    assert len(found.embeddings["images"]) == 6
    assert len(found.embeddings["texts"]) > 6  # names, and each in several templates

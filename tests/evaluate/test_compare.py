"""Two reports compared: made by hand, written, read again."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from altclip.errors import AltclipError, DataError, UsageError
from altclip.evaluate import compare
from altclip.evaluate.images import ImageSet
from altclip.evaluate.suites.findings import Findings
from altclip.evaluate.suites.outcomes import Outcome
from altclip.evaluate.suites.report import Measured, Model, SetReport, SuiteReport

COUNT = 400
Ranks = NDArray[np.int64]


def drawn(share: float, seed: int = 0) -> Ranks:
    """Ranks of which about this share is 0, the rest 7."""
    return np.where(np.random.default_rng(seed).random(COUNT) < share, 0, 7)


def classes(ranks: Ranks, language: str = "zh") -> Outcome:
    return Outcome(language, "names", ranks, np.arange(len(ranks)), 10)


def write(
    folder: Path,
    name: str,
    models: Mapping[str, Sequence[Outcome]],
    *,
    title: str = "CIFAR-10",
    digest: str = "d",
    **more: Any,
) -> Path:
    """A report of one set, as `altclip evaluate --json` writes it."""
    made = [Model(label, label, f"digest of {label}") for label in models]
    data = {"images": COUNT, "digest": digest, "texts": more.get("texts", {"zh": "t"})}
    measured = [Measured(model, 1.0, Findings((), models[model.label])) for model in made]
    images = ImageSet("made", lambda number: number, ("a",), digest)
    of = SetReport("cifar10", title, data, (), measured, (), images)
    content, (beside, ranks) = SuiteReport("made", made, [of], more.get("versions", {"torch": "2"}), None).files(name)
    (folder / beside).write_bytes(ranks)
    path = folder / f"{name}.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def test_a_difference_beyond_noise_is_told_from_one_within(tmp_path: Path) -> None:
    base = drawn(0.4)
    better = base.copy()
    better[np.flatnonzero(base)[:20]] = 0  # 20 of 400 more, none less: five points
    other = np.random.default_rng(1).permutation(base)  # as good, on other images
    first = write(tmp_path, "a", {"one": [classes(base)]})
    second = write(tmp_path, "b", {"two": [classes(better)]})
    third = write(tmp_path, "c", {"three": [classes(other)]})
    top1 = compare(first, second).changes[0]
    assert (top1.metric, top1.prompts, top1.verdict) == ("top-1", "names", "better")
    assert top1.difference.value == pytest.approx(0.05)
    # each image by itself: 20 of 400 gained, so the interval is that of the share of gains
    assert top1.difference.low == pytest.approx(0.05 - 1.96 * np.sqrt(0.05 * 0.95 / COUNT), abs=0.006)
    assert compare(second, first).changes[0].verdict == "worse"
    unpaired = compare(first, third).changes[0]
    assert (unpaired.verdict, unpaired.difference.value) == ("within noise", 0.0)


def test_a_model_against_itself_has_not_changed(tmp_path: Path) -> None:
    path = write(tmp_path, "a", {"one": [classes(drawn(0.3))]})
    found = compare(path, path)
    assert {change.verdict for change in found.changes} == {"within noise"}
    assert all(change.difference.low == change.difference.high == 0 for change in found.changes)
    assert "both are the same model: weights and preprocessing are equal" in found.notes
    assert "0 of 2 figures better, 0 worse, 2 within noise" in found.verdict()


def test_retrieval_has_both_directions_their_mean_and_ranks(tmp_path: Path) -> None:
    """Two captions an image; the images of a draw come with their captions in both directions."""
    units = np.repeat(np.arange(50), 2)
    of_texts, of_images = np.full(100, 12), np.full(50, 12)

    def outcomes(texts: Ranks, images: Ranks) -> list[Outcome]:
        return [Outcome("fr", "T2I", texts, units, 50), Outcome("fr", "I2T", images, np.arange(50), 100)]

    moved = of_texts.copy()
    moved[:40] = 3  # 20 of 50 images
    first = write(tmp_path, "a", {"one": outcomes(of_texts, of_images)})
    second = write(tmp_path, "b", {"two": outcomes(moved, of_images)})
    found = {change.metric: change for change in compare(first, second).changes}
    assert list(found) == [
        "T2I R@1", "T2I R@5", "T2I R@10", "T2I mean rank", "I2T R@1", "I2T R@5", "I2T R@10", "I2T mean rank", "MR"
    ]  # fmt: skip
    assert found["T2I R@5"].difference.value == pytest.approx(0.4)
    assert found["T2I R@5"].difference.low == pytest.approx(0.4 - 1.96 * np.sqrt(0.24 / 50), abs=0.03)
    assert found["MR"].second == pytest.approx((0.4 + 0.4) / 6)
    assert found["T2I mean rank"].difference.value == pytest.approx(-3.6)
    assert found["T2I mean rank"].verdict == "better"
    assert found["T2I R@1"].verdict == found["I2T R@10"].verdict == "within noise"


def test_two_models_of_one_report(tmp_path: Path) -> None:
    path = write(tmp_path, "a", {"stage 1": [classes(drawn(0.3))], "stage 2": [classes(drawn(0.6, 1))]})
    found = compare(path, path, ["stage 1", "stage 2"])
    assert (found.first, found.second) == ("stage 1", "stage 2")
    assert found.changes[0].verdict == "better"
    (table,) = found.tables()
    assert table.title == "CIFAR-10"
    assert table.rows[0][:2] == ("zh", "top-1, names")
    assert table.rows[0][5] == "better"
    assert found.to_dict()["changes"][0]["verdict"] == "better"


def test_what_else_changed_is_said(tmp_path: Path) -> None:
    outcome = [classes(drawn(0.3))]
    first = write(tmp_path, "a", {"m": outcome}, versions={"torch": "2.13"})
    second = write(tmp_path, "b", {"m": outcome}, versions={"torch": "2.14"}, texts={"zh": "others", "fr": "t"})
    notes = compare(first, second).notes
    assert "torch: 2.13 and 2.14" in notes
    assert "CIFAR-10, zh: the texts differ" in notes
    assert "CIFAR-10, fr: in one report only" in notes


def test_only_the_same_images_and_queries_are_compared(tmp_path: Path) -> None:
    outcome, less = classes(drawn(0.3)), Outcome("fr", "names", drawn(0.3)[:300], np.arange(300), 10)
    one = Outcome("fr", "names", drawn(0.3), np.arange(COUNT), 10)
    first = write(tmp_path, "a", {"m": [outcome, one]})
    second = write(tmp_path, "b", {"m": [outcome, less]})
    found = compare(first, second)
    assert {change.language for change in found.changes} == {"zh"}
    assert "CIFAR-10, fr, names: not compared, the queries differ" in found.notes
    changed = write(tmp_path, "c", {"m": [outcome]}, digest="another")
    with pytest.raises(DataError, match="nothing to compare: .*CIFAR-10: not compared, the images differ"):
        compare(first, changed)
    elsewhere = write(tmp_path, "d", {"m": [outcome]}, title="CIFAR-100")
    with pytest.raises(DataError, match="CIFAR-10: in the first report only; CIFAR-100: in the second report only"):
        compare(first, elsewhere)


def _without_ranks(path: Path) -> None:
    path.with_name("a.ranks.npz").unlink()


def _other_ranks(path: Path) -> None:
    write(path.parent, "a2", {"m": [classes(drawn(0.9))]})
    path.with_name("a2.ranks.npz").replace(path.with_name("a.ranks.npz"))


def _mini_report(path: Path) -> None:
    path.write_text(json.dumps({"format": 1, "models": [{"label": "m"}], "results": []}), encoding="utf-8")


def _cut_short(path: Path) -> None:
    path.write_text(path.read_text(encoding="utf-8")[:200], encoding="utf-8")


def _gone(path: Path) -> None:
    path.unlink()


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (_without_ranks, "a.ranks.npz cannot be read .*keep both"),
        (_other_ranks, "a.ranks.npz is not the file that was written with its JSON file"),
        (_mini_report, "no report that can be compared"),
        (_cut_short, "no report that can be compared"),
        (_gone, "cannot be read"),
    ],
)
def test_files_that_do_not_serve_are_named(tmp_path: Path, spoil: Any, words: str) -> None:
    path = write(tmp_path, "a", {"m": [classes(drawn(0.3))]})
    other = write(tmp_path, "b", {"m": [classes(drawn(0.3))]})
    spoil(path)
    with pytest.raises(DataError, match=words):
        compare(path, other)


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        ([], "say which with --label, one of x, y"),
        (["x"], "1 labels: give two"),
        (["x", "z"], "has no model 'z': say which"),
    ],
)
def test_a_model_must_be_named_where_there_are_several(tmp_path: Path, labels: list[str], words: str) -> None:
    path = write(tmp_path, "a", {"x": [classes(drawn(0.3))], "y": [classes(drawn(0.4))]})
    with pytest.raises(UsageError, match=words) as caught:
        compare(path, path, labels)
    assert isinstance(caught.value, AltclipError)

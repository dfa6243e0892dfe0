"""benchmarks/encode.py: how rows are judged, merged and shown, what is refused, and a trial of every row."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
HERE = {"bfloat16": True, "int8 products": True}


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Import a file of the folder, whose files import each other by name."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module


@pytest.fixture
def found(load: Any) -> Any:
    return load("encode_found")


def row(found: Any, **changes: Any) -> Any:
    return found.Row(**{"title": "a", "must": 4.8, "aim": 5.2, "measure": None, "needs": "bfloat16", **changes})


def judged(found: Any, value: float, *checks: Any, can: Mapping[str, bool] = HERE, **changes: Any) -> str:
    measured = found.Found(value, value, value, "", "", {}, [], checks).to_dict()
    verdict: str = found.verdict(row(found, **changes), measured, can)
    return verdict


def test_a_row_is_judged_by_its_bounds(found: Any) -> None:
    assert [judged(found, value) for value in (4.7, 4.8, 5.2)] == ["no", "must", "aim"]
    less: dict[str, Any] = {"less": True, "must": 0.05, "aim": 0.02}
    assert [judged(found, value, **less) for value in (0.06, 0.05, 0.02)] == ["no", "must", "aim"]
    assert judged(found, 9.0, aim=None) == "must"


def test_what_must_hold_beside_the_ratio_decides_too(found: Any) -> None:
    off = found.Check("cosine", 0.99, 0.9999)
    assert judged(found, 9.0, off) == "no"
    assert judged(found, 9.0, found.Check("cosine", 0.99995, 0.9999)) == "aim"
    assert judged(found, 9.0, found.Check("share of GEMM", 0.5, 0.9, of="aim")) == "must"
    assert judged(found, 9.0, found.Check("difference", 1e-3, 1e-4, less=True)) == "no"


def test_without_the_arithmetic_a_row_is_reported_and_not_judged_but_wrong_stays_wrong(found: Any) -> None:
    without = {**HERE, "bfloat16": False}
    assert judged(found, 1.0, can=without) == "reported, not judged: no bfloat16 here"
    assert judged(found, 1.0, can=without, needs="") == "no"
    assert judged(found, 9.0, found.Check("cosine", 0.5, 0.9999), can=without) == "no"


def test_the_quickest_of_ours_is_set_against_the_peer_run_by_run(load: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = load("encode_rows")
    seconds = {"slow": [4.0, 4.0, 4.0], "quick": [1.0, 2.0, 1.0], "peer": [6.0, 6.0, 9.0]}
    monkeypatch.setattr(rows, "alternating", lambda *_: seconds)
    setting = load("encode_setting").Setting("random:mini", Path("x"), None, 3)
    first = dict.fromkeys(seconds, np.eye(2, dtype=np.float32))
    made = rows.compared(setting, dict.fromkeys(seconds), first, ["slow", "quick"], 8, "images/s", 0.9999, 1e-4)
    assert (made.value, made.least, made.most) == (6.0, 3.0, 9.0)
    assert made.ours == "8 images/s (quick)"
    assert made.peer == "1.33 images/s (peer)"
    assert made.more["ratio_of_each"] == {"slow": 1.5, "quick": 6.0}
    assert len(made.checks) == 4
    assert all(check.holds for check in made.checks)


def test_time_in_the_model_counts_overlapping_calls_once(load: Any) -> None:
    watched = load("encode_rows").Watched(None)
    watched.spans = [(0.0, 2.0), (1.0, 3.0), (5.0, 6.0), (5.2, 5.4)]
    assert watched.busy == pytest.approx(4.0)


def test_growth_is_the_worst_of_more_over_fewer(load: Any) -> None:
    sizes = {
        "100": {"seconds": [1.0, 1.0], "peak_mb": 300.0},
        "1000": {"seconds": [9.0, 9.0], "peak_mb": 310.0},
        "10000": {"seconds": [99.0, 117.0], "peak_mb": 360.0},
    }
    made = load("encode_processes").grown({"computes": "torch", "sizes": sizes})
    assert made.value == pytest.approx(1.2)
    assert (made.least, made.most) == (pytest.approx(1.1), pytest.approx(1.3))
    assert not made.checks[0].holds
    assert made.checks[0].value == pytest.approx(1.2)


def test_numbered_texts_never_repeat(load: Any) -> None:
    texts = load("encode_growth").numbered(["a cat", "a dog"])
    first = [next(texts) for _ in range(100)]
    assert first[:3] == ["a cat 00000", "a dog 00001", "a cat 00002"]
    assert len(set(first)) == 100


def test_every_run_has_captions_of_its_own_in_nine_languages(load: Any) -> None:
    setting = load("encode_setting").Setting("random:mini", Path("x"), None, 2)
    setting.texts = 45
    runs = [setting.captions(number) for number in (-1, 0, 1)]
    assert [len(of) for of in runs] == [45, 45, 45]
    assert not set(runs[1]) & set(runs[2])
    setting.texts = 10**6
    with pytest.raises(SystemExit, match="too few"):
        setting.captions(0)


@pytest.mark.shared
def test_captions_of_the_data_are_of_nine_languages(load: Any, shared: Path) -> None:
    texts = load("encode_setting").read_captions(shared / "data")
    assert len(texts) == 9
    assert min(map(len, texts.values())) == 500


def test_rows_are_merged_into_what_was_measured_before(load: Any, tmp_path: Path) -> None:
    encode, common = load("encode"), load("common")
    facts = {
        "model": "random:mini",
        "runs": 5,
        "threads": 2,
        "processor_computes_in": load("encode_setting").arithmetic(),
    }
    entry = {
        "title": "captions", "must": 6.5, "aim": None, "less_is_better": False, "unit": "x", "value": 7.123,
        "least": 7.0, "most": 7.5, "ours": "70 captions/s", "peer": "10 captions/s", "checks": [],
        "more": {"gflop_an_image": 1.5},
        "verdict": "must", "circumstances": {**facts, **common.circumstances()},
    }  # fmt: skip
    encode.merged(tmp_path, "captions", entry)
    encode.merged(tmp_path, "cli", {**entry, "title": "cli", "unit": "s", "less_is_better": True})
    encode.merged(tmp_path, "images", {**entry, "title": "images"})
    encode.merged(tmp_path, "captions", {**entry, "value": 8.0})
    rows = json.loads((tmp_path / "encode.json").read_text(encoding="utf-8"))["rows"]
    assert list(rows) == ["images", "captions", "cli"]
    assert rows["captions"]["value"] == 8.0
    shown = (tmp_path / "encode.md").read_text(encoding="utf-8")
    assert "| captions | 70 captions/s | 10 captions/s | 8.00 x | ≥ 6.50 x |  | must | 7.00 x to 7.50 x |" in shown
    assert "| cli | 70 captions/s | 10 captions/s | 7.12 s | ≤ 6.50 s |" in shown
    assert "- images: gflop an image: 1.5" in shown
    assert "in bfloat16" in shown


def script(*arguments: str, cache: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "XDG_CACHE_HOME": str(cache)}
    command = [sys.executable, str(BENCHMARKS / "encode.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False)


@pytest.mark.parametrize(
    ("arguments", "wrong"),
    [
        (("--runs", "0"), "expected a whole number from 1"),
        (("--only", "images,imagse"), "no row imagse"),
        ((), "--data is missing"),
        (("--data", "no/such"), "no folder parallel/"),
    ],
)
def test_wrong_calls_say_what_is_wrong(
    arguments: tuple[str, ...],
    wrong: str,
    load: Any,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys, "argv", ["encode.py", *arguments])
    with pytest.raises(SystemExit) as leaving:
        load("encode").main()
    assert leaving.value.code == 2
    assert wrong in capsys.readouterr().err.replace("\n", " ")


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_trial_of_every_row(load: Any, tmp_path: Path) -> None:
    for library in ("transformers", "sentence_transformers", "openvino", "nncf"):
        pytest.importorskip(library)
    done = script("--trial", "--results", str(tmp_path / "results"), cache=tmp_path)
    assert done.returncode == 0, done.stderr
    rows = json.loads((tmp_path / "results" / "encode.json").read_text(encoding="utf-8"))["rows"]
    assert list(rows) == list(load("encode_rows").ROWS)
    for name, of in rows.items():
        assert of["value"] > 0, name
        near = [check for check in of["checks"] if "cosine" in check["what"] or "difference" in check["what"]]
        assert all(check["holds"] for check in near), name
    assert "int8" in rows["images_int8"]["computes"][0]
    assert rows["images"]["circumstances"]["processor_computes_in"]["bfloat16"] in (True, False)


@pytest.mark.slow
def test_an_unknown_preset_ends_the_row_and_the_others_go_on(tmp_path: Path) -> None:
    rows = ("--only", "images,captions", "--no-write")
    done = script("--trial", "--model", "random:altclip-m7", *rows, cache=tmp_path)
    assert done.returncode == 1
    assert "images cannot be measured here: no preset 'altclip-m7'" in done.stderr
    assert "captions cannot be measured here" in done.stderr

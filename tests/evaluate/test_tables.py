"""Reports: JSON in the long form, tables with models side by side, and strings of users kept as text."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest

from altclip.errors import UsageError
from altclip.evaluate.mini.measures import Settings
from altclip.evaluate.mini.report import Model, Report
from altclip.evaluate.mini.results import Result
from altclip.evaluate.mini.tables import shown, tables
from altclip.evaluate.tables import Table, labels_for, markdown
from altclip.metrics import Estimate

NAN = Estimate(math.nan, math.nan, math.nan)


def results(scale: float) -> list[Result]:
    """Figures of one model, all in proportion to `scale`."""

    def estimate(value: float) -> Estimate:
        return Estimate(value * scale, value * scale - 0.01, value * scale + 0.01)

    made = []
    for kind in ("names", "templates"):
        for language, share in (("en", 0.5), ("zh", 0.48), ("fr", 0.4)):
            made.append(Result("photographs", language, kind, "top-1", estimate(share), 5000, 200))
            if language != "en":
                over = estimate(share * 2)
                made.append(Result("photographs", language, kind, "top-1 over English", over, 5000, 200))
                made.append(Result("left out", language, kind, "top-1 over English", over, 900, 200, "left out"))
        made.append(Result("left out", "all", kind, "top-1 over English", estimate(0.6), 1800, 0, "left out"))
        made.append(Result("full size", "en", kind, "top-5", estimate(0.4), 100, 200))
    made.append(Result("drawings", "en", "names", "R@10", estimate(0.7), 1612, 1612))
    made.append(Result("drawings", "zh", "names", "R@10 over English", NAN, 1612, 1612))
    return made


def report(left_out: int = 0) -> Report:
    models = [
        Model("stage 1", "run/distill", "aa", 1.25, results(0.5)),
        Model("stage 2", "run/align", "bb", 2.0, results(1.0)),
    ]
    return Report(models, Settings(("en", "zh", "fr"), "noto", left_out), {"val": "cc"}, {"torch": "2"}, None)


def table(title: str, left_out: int = 0) -> Table:
    (found,) = [made for made in tables(report(left_out)) if made.title.startswith(title)]
    return found


def test_a_share_is_in_percent_and_a_ratio_is_not() -> None:
    share = Result("photographs", "en", "names", "top-1", Estimate(0.481, 0.467, 0.495), 5000, 200)
    assert shown(share) == "48.1 (46.7–49.5)"
    assert shown(replace(share, metric="top-1 over English")) == "0.48 (0.47–0.49)"
    assert shown(replace(share, estimate=NAN)) == "–"
    assert shown(None) == "–"


def test_models_stand_side_by_side_in_the_summary() -> None:
    rows = {row[0]: row[1:] for row in table("Summary").rows}
    assert table("Summary").columns == ("measure", "stage 1", "stage 2")
    assert rows["photographs, top-1, English, names alone"] == ("25.0 (24.0–26.0)", "50.0 (49.0–51.0)")
    assert rows["full-size photographs, top-5, English, with templates"][1] == "40.0 (39.0–41.0)"
    assert rows["drawings, R@10, English"][1] == "70.0 (69.0–71.0)"


def test_the_lowest_language_is_named() -> None:
    rows = table("Summary").rows
    assert rows[1] == (
        "its lowest other language over English, names alone",
        "fr 0.40 (0.39–0.41)",
        "fr 0.80 (0.79–0.81)",
    )
    assert ("its lowest other language over English", "–", "–") in rows  # a ratio over nothing is no lowest


def test_each_language_has_a_row_for_each_model() -> None:
    found = table("Photographs, names alone")
    assert found.columns == ("language", "model", "classes", "top-1", "top-5", "top-1 over English")
    assert [row[:3] for row in found.rows] == [
        (language, model, "200") for language in ("en", "zh", "fr") for model in ("stage 1", "stage 2")
    ]
    assert found.rows[0][3:] == ("25.0 (24.0–26.0)", "–", "–")
    assert found.rows[5][5] == "0.80 (0.79–0.81)"


def test_the_style_of_the_drawings_is_in_their_title() -> None:
    assert table("Drawings").title == "Drawings found by name, style noto, among 1,612"


def test_names_left_out_have_tables_if_they_were_measured() -> None:
    assert not any("left out" in made.title for made in tables(report()))
    titles = [made.title for made in tables(report(left_out=5))]
    assert sum("every 5th name was left out" in title for title in titles) == 2
    found = table("Top-1 over English where every 5th name was left out of training, names alone", left_out=5)
    assert ("all", "stage 2", "0.60 (0.59–0.61)", "–") in found.rows
    assert not any(row[0] == "en" for row in found.rows)
    rows = {row[0]: row[2] for row in table("Summary", left_out=5).rows}
    assert rows["names left out of training, over English, names alone"] == "0.60 (0.59–0.61)"


def test_markdown_has_a_heading_a_rule_and_a_line_a_row() -> None:
    text = markdown([Table("Photographs", ("language", "model"), (("en", "mini"), ("zh", "mini")))])
    assert text.split("\n") == [
        "## Photographs", "", "| language | model |", "| --- | --- |", "| en | mini |", "| zh | mini |", "",
    ]  # fmt: skip


def test_a_label_with_a_bar_or_a_line_break_stays_in_its_cell() -> None:
    text = markdown([Table("T", ("model",), (("a|b\nc\\",),))])
    assert "| a\\|b c\\\\ |" in text.split("\n")


def test_json_holds_every_figure_and_how_it_was_made() -> None:
    made = report(left_out=5).to_dict()
    text = json.dumps(made, allow_nan=False)  # NaN is null, or this would fail
    assert json.loads(text) == made
    assert made["settings"] == {"languages": ["en", "zh", "fr"], "style": "noto", "left_out": 5}
    assert made["models"][0] == {"label": "stage 1", "source": "run/distill", "digest": "aa", "seconds": 1.2}
    assert (made["data"], made["versions"], made["commit"]) == ({"val": "cc"}, {"torch": "2"}, None)
    assert len(made["results"]) == 2 * len(results(1))
    assert made["results"][0] == {
        "model": "stage 1", "task": "photographs", "group": "", "language": "en", "prompts": "names",
        "metric": "top-1", "value": 0.25, "low": 0.24, "high": 0.26, "queries": 5000, "choices": 200,
    }  # fmt: skip
    assert [r["value"] for r in made["results"] if r["language"] == "zh" and r["task"] == "drawings"] == [None, None]


def test_labels_are_those_given_or_the_models_names() -> None:
    assert labels_for(["a", "b"], []) == ["a", "b"]
    assert labels_for(["a", "b"], ["one", "two"]) == ["one", "two"]
    with pytest.raises(UsageError, match="1 labels for 2 models"):
        labels_for(["a", "b"], ["one"])
    with pytest.raises(UsageError, match="models of one label: a, a"):
        labels_for(["a", "a"], [])

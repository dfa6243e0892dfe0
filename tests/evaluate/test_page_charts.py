"""What the charts show: numbers of figures and ranks, in text that is Latin."""

from __future__ import annotations

import base64
import itertools
import math
import sys
import warnings
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.container import BarContainer

from altclip.errors import MissingExtraError
from altclip.evaluate.page import bar_chart, curve_chart
from altclip.evaluate.page.chart_data import MOST_LINES, Bars, bars, panels, recall_curve
from altclip.evaluate.page.latin import LONGEST, chart_names
from altclip.evaluate.suites.findings import Findings
from altclip.evaluate.suites.report import SetReport
from altclip.metrics import Estimate
from altclip.pages import drawing
from tests.evaluate.page_made import classes, figure, model, outcome, published_row, retrieval, set_report

ONE, TWO = model("one"), model("two")
SQUARES = {"en": ("red", "green", "blue"), "de": ("rot", "grün", "blau")}


def same(names: Any) -> dict[str, str]:
    return {name: name for name in names}


def svg_of(chart: drawing.Chart) -> str:
    head, _, content = chart.source.partition(",")
    assert head == "data:image/svg+xml;base64"
    return base64.b64decode(content).decode("utf-8")


@pytest.fixture
def report() -> SetReport:
    return set_report(
        [(ONE, retrieval(["en", "ar"], 0.4)), (TWO, retrieval(["en", "ar"], 0.6))],
        published=[
            published_row("en", "CLIP", MR=87.6),
            published_row("ar", "AltCLIP", MR=70.5),
            published_row("en", "AltCLIP", MR=88.3),
            published_row("en", "other metric", **{"R@10": 95.4}),
            published_row("fr", "other language", MR=50.0),
        ],
    )


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Takes the figures that are drawn, before they become text."""
    taken: list[Any] = []
    for module in (bar_chart, curve_chart):
        monkeypatch.setattr(module, "chart", lambda figure, _: taken.append(figure))
    return taken


# Recall curves


def test_a_curve_by_hand() -> None:
    ks, shares = recall_curve(np.array([2, 0, 5, 0]), 4)
    assert ks.tolist() == [1, 2, 3, 4]
    assert shares.tolist() == [0.5, 0.5, 0.75, 0.75]


def test_a_curve_ends_at_a_hundred_or_at_the_last_choice() -> None:
    ranks = np.array([0, 99, 100, 4999])
    ks, shares = recall_curve(ranks, 5000)
    assert (ks[-1], shares[-2], shares[-1]) == (100, 0.25, 0.5)
    assert recall_curve(np.array([0, 0]), 1)[1].tolist() == [1.0]


def test_a_curve_passes_through_recall_at_k() -> None:
    ranks = np.random.default_rng(0).integers(0, 300, 500)
    ks, shares = recall_curve(ranks, 300)
    for k in (1, 5, 10, 100):
        assert shares[ks.tolist().index(k)] == (ranks < k).mean()


def test_a_line_for_each_model_where_there_are_no_more_languages(report: SetReport) -> None:
    made = panels(report)
    assert [(panel.kind, panel.of, panel.of_model) for panel in made] == [
        ("T2I", "en", False),
        ("T2I", "ar", False),
        ("I2T", "en", False),
        ("I2T", "ar", False),
    ]
    assert [line.name for line in made[0].lines] == ["one", "two"]
    assert made[2].lines[0].shares.tolist() == [50.0, *[100.0] * 7]


def test_a_line_for_each_language_where_there_are_more() -> None:
    made = panels(set_report([(ONE, retrieval(["en", "ar"], 0.4))]))
    assert [(panel.kind, panel.of, panel.of_model) for panel in made] == [("T2I", "one", True), ("I2T", "one", True)]
    assert [line.name for line in made[0].lines] == ["en", "ar"]


def test_classes_have_one_curve_a_language_and_that_with_templates() -> None:
    findings = classes({"en": SQUARES["en"]}, 0.5, ["names", "templates"])
    better = [of if of.kind == "names" else outcome("en", "templates", [0, 0, 0, 0]) for of in findings.outcomes]
    names = classes({"de": SQUARES["de"]}, 0.5, ["names"])
    (panel,) = panels(set_report([(ONE, Findings(findings.figures, better) + names)]))
    assert (panel.kind, [line.name for line in panel.lines]) == ("templates", ["en", "de"])
    assert [line.shares[0] for line in panel.lines] == [100.0, 50.0]


def test_text_to_text_has_no_curve() -> None:
    findings = Findings([figure("en", "MR", 0.5)], [outcome("en", "to English", [0, 1])])
    assert panels(set_report([(ONE, findings)])) == []


def test_many_lines_are_dealt_evenly() -> None:
    codes = [f"l{number}" for number in range(2 * MOST_LINES + 6)]
    findings = Findings([figure(c, "MR", 0.5) for c in codes], [outcome(c, "T2I", [0, 3]) for c in codes])
    made = panels(set_report([(ONE, findings)]))
    assert [len(panel.lines) for panel in made] == [10, 10, 10]
    assert [line.name for panel in made for line in panel.lines] == codes


# Bars


def test_bars_are_the_figures(report: SetReport) -> None:
    found = bars(report)
    assert found is not None
    assert (found.metric, found.languages, found.names_alone) == ("MR", ("en", "ar"), ())
    assert [(e.value, e.low, e.high) for e in found.models["two"] if e] == [pytest.approx((60, 55, 65))] * 2
    assert found.published == {"CLIP": (87.6, None), "AltCLIP": (88.3, 70.5)}


@pytest.mark.parametrize(
    ("metrics", "chosen"),
    [
        (["T2I R@1", "T2I R@5", "T2I R@10"], "T2I R@10"),
        (["T2I R@1", "T2I R@5"], "T2I R@5"),
        (["T2I R@1"], "T2I R@1"),
        (["calibration error"], None),
    ],
)
def test_bars_without_a_mean_recall(metrics: list[str], chosen: str | None) -> None:
    findings = Findings([figure("en", metric, 0.3) for metric in metrics])
    found = bars(set_report([(ONE, findings)]))
    assert (found and found.metric) == chosen


def test_bars_of_classes_are_with_templates_where_there_are_some() -> None:
    findings = Findings(
        [
            figure("en", "top-1", 0.3, "templates"),
            figure("en", "top-1", 0.2, "names"),
            figure("de", "top-1", 0.1, "names"),
        ]
    )
    found = bars(set_report([(ONE, findings)]))
    assert found is not None
    assert [e.value for e in found.models["one"] if e] == pytest.approx([30, 10])
    assert found.names_alone == ("de",)


def test_what_is_not_known_has_no_bar() -> None:
    partly = Findings([figure("en", "MR", 0.3), figure("de", "MR", math.nan)])
    other = Findings([figure("de", "MR", 0.2)])
    found = bars(set_report([(ONE, partly), (TWO, other)]))
    assert found is not None
    assert [[e is None for e in of] for of in found.models.values()] == [[False, True], [True, False]]
    assert bars(set_report([(ONE, Findings([figure("en", "MR", math.nan)]))])) is None


def test_drawn_bars_reach_to_their_figures(report: SetReport, drawn: list[Any]) -> None:
    data = bars(report)
    assert data is not None
    bar_chart.draw_bars(data, same(data.models), same(data.languages), {"CLIP": "CLIP", "AltCLIP": "method 2"})
    (axes,) = drawn[0].axes
    groups = [each for each in axes.containers if isinstance(each, BarContainer)]
    assert [[bar.get_height() for bar in group] for group in groups] == [
        pytest.approx([40, 40]),
        pytest.approx([60, 60]),
    ]
    whiskers = [lines.get_segments() for lines in axes.collections]
    assert [[low[1], high[1]] for low, high in whiskers[1]] == [pytest.approx([55, 65])] * 2
    marks = {tuple(line.get_ydata()) for line in axes.lines if line.get_linestyle() == "None"}
    assert {(87.6,), (88.3, 70.5)} <= marks
    assert [text.get_text() for text in axes.get_xticklabels()] == ["en", "ar"]
    (legend,) = drawn[0].legends
    assert [text.get_text() for text in legend.get_texts()] == [
        "one",
        "two",
        "CLIP (published)",
        "method 2 (published)",
    ]


def test_bars_do_not_lie_on_each_other_or_on_marks(report: SetReport, drawn: list[Any]) -> None:
    data = bars(report)
    assert data is not None
    bar_chart.draw_bars(data, same(data.models), same(data.languages), same(data.published))
    axes = drawn[0].axes[0]
    spans = sorted((bar.get_x(), bar.get_x() + bar.get_width()) for bar in axes.patches)
    assert all(before[1] <= after[0] for before, after in itertools.pairwise(spans))
    places = [x for line in axes.lines if line.get_linestyle() == "None" for x in line.get_xdata()]
    published = [x for x in places if not any(x == pytest.approx((a + b) / 2) for a, b in spans)]
    assert len(published) == 3
    assert not [x for x in published for start, end in spans if start <= x <= end]


def test_drawn_curves_are_the_shares(report: SetReport, drawn: list[Any]) -> None:
    panel = panels(report)[2]
    curve_chart.draw_panel(panel, {"one": "one", "two": "model 2"}, same(["en", "ar"]))
    axes = drawn[0].axes[0]
    assert (axes.get_xscale(), axes.get_title(loc="left")) == ("log", "en")
    assert [line.get_label() for line in axes.lines] == ["one", "model 2"]
    assert axes.lines[0].get_ydata().tolist() == [50.0, *[100.0] * 7]


def test_charts_tell_their_figures_in_words(report: SetReport) -> None:
    data = bars(report)
    assert data is not None
    assert bar_chart.draw_bars(data, same(data.models), same(data.languages), same(data.published)).alt == (
        "Bars of MR in percent, by language. en: one 40.0, two 60.0; ar: one 40.0, two 60.0."
    )
    panel = curve_chart.draw_panel(panels(report)[0], same(data.models), same(data.languages))
    assert panel.alt == "Recall in percent within the first k, en. one: 33.3 at 1; two: 33.3 at 1."


@pytest.mark.parametrize("ranks", [[0], [0, 0, 0]])
def test_one_choice_and_one_query_can_be_drawn(ranks: list[int]) -> None:
    report = set_report([(ONE, Findings([figure("en", "T2I R@1", 1.0, spread=0)], [outcome("en", "T2I", ranks, 1)]))])
    data = bars(report)
    assert data is not None
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        bar_chart.draw_bars(data, same(data.models), same(data.languages), {})
        curve_chart.draw_panel(panels(report)[0], same(data.models), same(data.languages))


# Names in charts


@pytest.mark.parametrize("name", ["stage 1", "AltCLIP*", "M-CLIP XLM-R large L/14", "Modèle été", "a" * LONGEST])
def test_short_latin_names_stand_in_charts(name: str) -> None:
    assert chart_names(["x", name], "model")[name] == name


@pytest.mark.parametrize(
    "name",
    [
        "نموذج",
        "模型",
        "модель",
        "a" * (LONGEST + 1),
        "$x$",
        "_x",
        "a\\b",
        "<b>",
        "",
        " a",
        "a\n",
        "\x1b",
        "\udc80",
        "model 1",
    ],
)
def test_others_are_numbered(name: str) -> None:
    assert chart_names(["x", name], "model") == {"x": "x", name: "model 2"}


def test_no_two_models_share_a_name_in_charts() -> None:
    given = ["model 2", "模型", "model 1", "one"]
    assert list(chart_names(given, "model").values()) == ["model 1", "model 2", "model 3", "one"]


# What is drawn


def some_bars(label: str) -> Bars:
    return Bars("MR", ("en",), {label: (Estimate(50.0, 45.0, 55.0),)}, {"CLIP": (60.0,)}, ())


def test_letters_that_cannot_be_drawn_do_not_get_into_a_chart() -> None:
    names = chart_names(["نموذج", "latin"], "model")
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # matplotlib warns of glyphs that it has not
        chart = bar_chart.draw_bars(some_bars("نموذج"), names, same(["en"]), same(["CLIP"]))
    assert svg_of(chart).isascii()
    assert "<!-- model 1 -->" in svg_of(chart)
    assert "<!-- CLIP (published) -->" in svg_of(chart)


def test_a_chart_is_equal_each_time_and_tells_nothing_of_its_making() -> None:
    made = [svg_of(bar_chart.draw_bars(some_bars("one"), same(["one"]), same(["en"]), same(["CLIP"]))) for _ in "ab"]
    assert made[0] == made[1]
    assert made[0].startswith("<svg")
    assert "<dc:date>" not in made[0]
    assert "Matplotlib" not in made[0]


def test_colours_follow_the_readers_choice() -> None:
    chart = svg_of(bar_chart.draw_bars(some_bars("one"), same(["one"]), same(["en"]), same(["CLIP"])))
    rules, _, drawn = chart.partition("</style>")
    assert "prefers-color-scheme:dark" in rules
    assert "fill: var(--c" in drawn
    assert not [colour for colour in (*drawing.SERIES, drawing.INK, drawing.SOFT) if colour in drawn]


def test_a_users_settings_neither_change_a_chart_nor_are_changed() -> None:
    plain = bar_chart.draw_bars(some_bars("one"), same(["one"]), same(["en"]), same(["CLIP"]))
    with mpl.rc_context({"axes.facecolor": "pink", "font.size": 30, "axes.grid": True}):
        before = dict(mpl.rcParams)
        assert bar_chart.draw_bars(some_bars("one"), same(["one"]), same(["en"]), same(["CLIP"])) == plain
        assert dict(mpl.rcParams) == before


def test_without_matplotlib_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingExtraError, match=r"altclip\[report\]") as caught:
        drawing.check()
    assert caught.value.library == "matplotlib"


def test_a_panel_holds_no_more_lines_than_there_are_colours() -> None:
    assert len(set(drawing.SERIES)) >= MOST_LINES

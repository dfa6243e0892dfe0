"""The page of a report: whole in one file, every string harmless, every row there, honest about what is shown."""

from __future__ import annotations

import base64
import io
import itertools
import re
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
from PIL import Image

from altclip.errors import ImageError, MissingExtraError, UsageError
from altclip.evaluate import page
from altclip.evaluate.images import ImageSet
from altclip.evaluate.page.page import direction
from altclip.evaluate.page.pictures import Gallery
from altclip.evaluate.page.tables import page_tables
from altclip.evaluate.suites.findings import Findings
from altclip.evaluate.suites.report import SetReport, SuiteReport
from altclip.evaluate.suites.tables import set_tables
from altclip.pages.pictures import SIDE
from altclip.pages.template import template
from tests.evaluate.page_made import (
    CAPTIONS,
    classes,
    colour_images,
    figure,
    model,
    outcome,
    published_row,
    retrieval,
    set_report,
    suite_report,
)

Attributes = dict[str, str | None]
VOID = {"meta", "img", "input", "link", "br", "hr"}
ONE, TWO = model("one"), model("two", "/a folder/<model>")
SQUARES = {"en": ("red", "green", "blue"), "ar": ("أحمر", "أخضر", "أزرق")}
EVIL = "<script>alert(1)</script>"


class Reader(HTMLParser):
    """Collects elements and texts, checks that every end has its start, and reads tables as rows of cells."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, Attributes]] = []
        self.texts: list[tuple[list[tuple[str, Attributes]], str]] = []
        self.open: list[tuple[str, Attributes]] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop()[0] == tag

    def handle_data(self, data: str) -> None:
        if data.strip() and not (self.open and self.open[-1][0] == "style"):
            self.texts.append((list(self.open), data.strip()))

    def all(self, tag: str) -> list[Attributes]:
        return [attributes for name, attributes in self.elements if name == tag]

    def within(self, tag: str, **attributes: str) -> list[str]:
        """All texts in elements of this tag and these attributes."""
        wanted = {name.rstrip("_"): value for name, value in attributes.items()}
        return [text for tags, text in self.texts if any(t == tag and wanted.items() <= a.items() for t, a in tags)]


def rows_of(html: str) -> list[list[list[str]]]:
    """The figures' tables, as rows of (language, method, cells...), from the page's text."""
    tables = []
    for table in re.findall(r'<table class="figures">.*?</table>', html, re.DOTALL):
        rows, language = [], ""
        for row in re.findall(r"<tr.*?</tr>", table.partition("<tbody>")[2], re.DOTALL):
            cells = [text_of(cell) for cell in re.findall(r"<t[hd].*?</t[hd]>", row, re.DOTALL)]
            if 'scope="rowgroup"' in row:
                language = text_of(re.sub(r"<small>.*?</small>", "", row).partition("</th>")[0])
                cells = cells[1:]
            rows.append([language, *cells])
        tables.append(rows)
    return tables


def text_of(html: str) -> str:
    """Of one cell, whatever it stands in."""
    return " ".join(text for _, text in Reader(f"<p>{re.sub('</?t[rhd][^>]*>', '', html)}</p>").texts)


@pytest.fixture(scope="module")
def squares() -> SetReport:
    published = [
        published_row("en", "CLIP", **{"T2I R@1": 65.0, "MR": 87.6}),
        published_row("ar", "AltCLIP", MR=70.5),
        published_row("en", "AltCLIP", MR=88.3),
    ]
    return set_report([(ONE, retrieval(["en", "ar"], 0.4)), (TWO, retrieval(["en", "ar"], 0.6))], "Squares", published)


@pytest.fixture(scope="module")
def report(squares: SetReport) -> SuiteReport:
    of_classes = [
        (ONE, classes(SQUARES, 0.3, ["names", "templates"])),
        (TWO, classes(SQUARES, 0.5, ["names", "templates"])),
    ]
    named = set_report(of_classes, "Squares by name", captions={}, classes=3, languages=["en", "ar"])
    return suite_report(squares, named)


@pytest.fixture(scope="module")
def html(report: SuiteReport) -> str:
    return page.render(report)


@pytest.fixture(scope="module")
def reader(html: str) -> Reader:
    return Reader(html)


def small(findings: Findings, label: str = "one") -> str:
    """The page of one set, measured once."""
    return page.render(suite_report(set_report([(model(label), findings)])))


# The page as a whole


def test_it_is_well_formed(html: str, reader: Reader) -> None:
    assert reader.open == []
    assert html.startswith("<!doctype html>")
    assert reader.all("html") == [{"lang": "en"}]


def test_it_loads_nothing(html: str, reader: Reader) -> None:
    for _, attributes in reader.elements:
        for name in ("src", "href", "srcset", "action", "poster", "data"):
            assert (attributes.get(name) or "#").startswith(("data:image/", "#"))
        assert not [name for name in attributes if name.startswith("on")]
    assert not {"script", "link", "iframe", "object", "form"} & {tag for tag, _ in reader.elements}
    assert all(url.startswith('"data:image/jpeg;base64,') for url in re.findall(r"url\((.{30})", html))
    assert "@import" not in html
    assert not re.search("https?:", html)
    [policy] = [meta["content"] for meta in reader.all("meta") if meta.get("http-equiv") == "Content-Security-Policy"]
    assert policy == "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def test_headings_are_in_order(reader: Reader) -> None:
    levels = [int(tag[1]) for tag, _ in reader.elements if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))


def test_every_set_has_its_title_counts_notes_and_place(reader: Reader, report: SuiteReport) -> None:
    assert reader.within("h2") == ["Squares", "Squares by name"]
    assert [a["href"] for a in reader.all("a")] == ["#set-0", "#set-1"]
    assert [s["id"] for s in reader.all("section")] == ["set-0", "set-1"]
    first, second = (" ".join(reader.within("section", id=f"set-{number}")) for number in (0, 1))
    assert "8 images; captions: 1,234 in en , 1,234 in ar" in first
    assert "3 classes named in en , ar" in second
    assert "d1" * 6 in first
    assert "d1" * 7 not in first
    assert "2 captions without words: 7" in first
    assert "1.2 s ( one ), 1.2 s ( two )" in first


def test_the_head_says_what_was_measured_and_with_what(reader: Reader) -> None:
    head = " ".join(reader.within("header"))
    for part in (
        "Two sets",
        "one",
        "folder/model",
        "two",
        "/a folder/<model>",
        "0123456789ab",
        "altclip 1.2.3, torch 2.13.0",
    ):
        assert part in head
    assert "0123456789abc" not in head
    assert f"{'f' * 12} +" in head or f"{'f' * 12}+" in head


def test_the_foot_says_how_figures_are_made_and_compared(reader: Reader, report: SuiteReport) -> None:
    foot = " ".join(reader.within("footer"))
    assert report.to_dict()["interval"] in foot
    assert "altclip compare A.json B.json" in foot


def test_equal_reports_make_equal_pages() -> None:
    assert small(retrieval(["ar"], 0.4)) == small(retrieval(["ar"], 0.4))


def test_a_set_without_anything_measured_can_be_shown() -> None:
    empty = set_report([(ONE, Findings())])
    assert "<h2>" in page.render(suite_report(empty))


# Tables


def test_rows_are_those_of_the_tables_in_their_order(html: str, report: SuiteReport) -> None:
    made = [table for of in report.sets for table in set_tables(of)]
    assert len(made) == 4
    assert rows_of(html) == [[list(row) for row in table.rows] for table in made]
    assert [text for text in Reader(html).within("caption") if "Squares" in text] == [table.title for table in made]


def test_published_rows_are_softer_than_ours(html: str) -> None:
    rows = re.findall(r'<tr( class="published")?>.*?class="method"><bdi dir="auto">([^<]*)</bdi>', html)
    assert {name for soft, name in rows if soft} == {"CLIP (published)", "AltCLIP (published)"}
    assert {name for soft, name in rows if not soft} == {"one", "two"}


def test_table_headings_have_a_scope(reader: Reader) -> None:
    assert all(attributes.get("scope") in ("col", "row", "rowgroup") for attributes in reader.all("th"))


def best(report: SetReport) -> set[tuple[str, str, str]]:
    """(language, method, metric) of the marked cells."""
    return {
        (language, row.method, column)
        for table in page_tables(report)
        for language, rows in table.groups
        for row in rows
        for column, cell in zip(table.columns, row.cells, strict=True)
        if cell.best
    }


def test_the_best_of_ours_is_marked_by_language(squares: SetReport) -> None:
    marked = best(squares)
    assert {method for _, method, _ in marked} == {"two"}  # AltCLIP's published figures are higher, and not ours
    assert {("en", "two", "MR"), ("ar", "two", "MR"), ("en", "two", "I2T R@10")} <= marked


def test_less_is_better_for_ranks_and_calibration() -> None:
    def findings(rank: float, error: float, gap: float) -> Findings:
        named = {"T2I mean rank": (rank, None), "calibration error": (error, "names"), "gap": (gap, None)}
        return Findings([figure("en", name, value, prompts, 0) for name, (value, prompts) in named.items()])  # type: ignore[arg-type]

    marked = best(set_report([(ONE, findings(3.0, 0.2, 0.1)), (TWO, findings(4.0, 0.1, 0.2))]))
    assert marked == {("en", "one", "T2I mean rank"), ("en", "two", "calibration error")}


def test_nothing_is_best_alone_or_among_equals() -> None:
    assert best(set_report([(ONE, retrieval(["en"], 0.4))])) == set()
    assert best(set_report([(ONE, retrieval(["en"], 0.4)), (TWO, retrieval(["en"], 0.4))])) == set()
    three = [(model(name), retrieval(["en"], value)) for name, value in (("a", 0.6), ("b", 0.6), ("c", 0.5))]
    assert {method for _, method, _ in best(set_report(three))} == {"a", "b"}


def test_a_label_that_ends_like_a_published_row_is_ours() -> None:
    (table, *_) = page_tables(set_report([(model("x (published)"), retrieval(["en"], 0.4))]))
    assert [row.published for _, rows in table.groups for row in rows] == [False]


# Charts


def test_every_chart_is_an_svg_with_words(reader: Reader) -> None:
    images = reader.all("img")
    # a chart of bars a set; curves of two directions and two languages, and of classes in two languages
    assert len(images) == 1 + 4 + 1 + 2
    assert all((image["src"] or "").startswith("data:image/svg+xml;base64,") for image in images)
    assert sum("en: one 40.0, two 60.0" in (image["alt"] or "") for image in images) == 1
    assert sum((image["alt"] or "").startswith("Recall in percent") for image in images) == 6


def test_models_that_charts_rename_are_explained() -> None:
    html = small(retrieval(["en"], 0.4), label="نموذج")
    reader = Reader(html)
    assert "(in charts: model 1)" in reader.within("table", class_="models")
    caption = " ".join(reader.within("figcaption"))
    assert "model 1 is نموذج" in caption


# Contact sheets and confusions


def test_texts_stand_in_their_language_and_direction(reader: Reader) -> None:
    for language, captions in CAPTIONS.items():
        for caption in captions:
            found = [tags[-1] for tags, text in reader.texts if text == caption]
            assert found
            assert all(tag == "bdi" and a == {"lang": language, "dir": "auto"} for tag, a in found), caption


def test_rows_of_right_to_left_languages_run_from_the_right(html: str) -> None:
    for panel in re.findall(r'<div class="in".*?(?=<div class="in"|</section>)', html, re.DOTALL):
        directions = set(re.findall(r'<ul class="queries" dir="(\w+)">', panel))
        assert directions == ({"rtl"} if CAPTIONS["ar"][0] in panel or SQUARES["ar"][0] in panel else {"ltr"})
    assert [direction(code) for code in ("ar", "he", "fa-IR", "zh", "en")] == ["rtl", "rtl", "rtl", "ltr", "ltr"]


def test_sheets_show_hits_and_misses_with_the_place_of_the_right_one(html: str) -> None:
    section = html.partition('id="set-0"')[2].partition("</section>")[0]
    english = re.split(r'<div class="in"', section)[1]
    assert "Hits: the right one comes first (1 of 1)" in english
    assert "Misses: another comes first (2 of 2)" in english
    lists = re.findall(r'<ol class="finds">.*?</ol>', english, re.DOTALL)
    rights = [["right" in (a.get("class") or "").split() for a in Reader(each).all("li")] for each in lists]
    no = False
    assert rights == [[True, *[no] * 4], [*[no] * 5, True], [no, no, True, no, no, True]]
    assert [re.findall(r"#[\d,]+", each) for each in lists] == [[], ["#12"], ["#3"]]
    assert re.findall(r">(0\.\d\d)", lists[0]) == ["0.50", "0.40", "0.30", "0.20", "0.10"]
    texts = re.findall(r'<ol class="texts">.*?</ol>', english, re.DOTALL)
    assert Reader(texts[1]).within("li", class_="right wanted") == ["a blue square", "✓", "#1,234"]


def test_the_page_says_how_queries_were_chosen_and_of_which_model(html: str) -> None:
    assert "taken at even distances among all hits and among all misses" in html
    assert "none is picked by hand" in html
    assert html.count('A closer look at <bdi dir="auto">two</bdi>') == 2
    assert 'A closer look at <bdi dir="auto">one</bdi>' not in html


def test_only_the_last_model_is_looked_at_closely() -> None:
    first, last = retrieval(["en"], 0.4), Findings(retrieval(["en"], 0.5).figures)
    html = page.render(suite_report(set_report([(ONE, first), (TWO, last)])))
    assert CAPTIONS["en"][0] not in html
    assert "A closer look" not in html


def test_a_sheet_without_misses_says_so() -> None:
    html = small(classes({"en": SQUARES["en"]}, 0.5, ["templates"]))
    assert ">None.</p>" in html
    assert "Images that look for their class" in html
    assert "Hits: the right one comes first (1 of 2)" in html


def test_confusions_name_what_classes_were_taken_for(html: str) -> None:
    tables = re.findall(r'<table class="worst">.*?</table>', html, re.DOTALL)
    assert len(tables) == 2  # with templates; those by names alone are not repeated
    assert [text for _, text in Reader(tables[0]).texts] == [
        "English", ", with templates", "class", "right", "taken for", "red", "3 of 9", "green", "× 4", "blue", "× 2",
    ]  # fmt: skip
    assert '<th scope="row"><bdi lang="ar" dir="auto">أحمر</bdi></th>' in tables[1]


def test_one_language_is_chosen_at_a_time_without_a_script(html: str, reader: Reader) -> None:
    buttons = reader.all("input")
    assert [(b["name"], b["id"], "checked" in b) for b in buttons] == [
        (f"set-{of}-speak", f"set-{of}-speak-{n}", n == 0) for of in (0, 1) for n in (0, 1)
    ]
    assert [label["for"] for label in reader.all("label")] == [button["id"] for button in buttons]
    for of in (0, 1):
        for n in (0, 1):
            rule = f'#set-{of}:not(:has(#set-{of}-speak-{n}:checked)) .in[data-n="{n}"] {{ display: none; }}'
            assert rule in html
    assert 'type="radio"' not in small(retrieval(["en"], 0.4))


# Pictures


def test_each_image_is_in_the_page_once(html: str) -> None:
    pictures = re.findall(r"data:image/jpeg;base64,[\w+/=]+", html)
    assert len(pictures) == len(set(pictures)) == 7  # of eight colours all but the last are shown, some in both sets
    used = set(re.findall(r'class="picture (p\d+)"', html))
    assert used == {f"p{number}" for number in range(7)}
    assert all(html.count(f".{name} {{ background-image") == 1 for name in used)


def test_pictures_have_words_for_who_cannot_see_them(reader: Reader) -> None:
    pictures = [a for tag, a in reader.elements if (a.get("class") or "").startswith("picture")]
    assert pictures
    assert {a["role"] for a in pictures} == {"img"}
    assert {a["aria-label"] for a in pictures} >= {"image red.jpg", "image green.jpg"}


def test_thumbnails_are_small_and_equal_images_are_one() -> None:
    def jpeg(colour: str) -> bytes:
        file = io.BytesIO()
        Image.new("RGB", (640, 480), colour).save(file, "JPEG")
        return file.getvalue()

    content = [jpeg("red"), jpeg("red"), jpeg("blue")]
    images = ImageSet("x", content.__getitem__, ("a", "b", "c"), "")
    gallery = Gallery(10**6)
    assert [gallery.add("one", images, n) for n in (0, 1, 2, 0)] == ["p0", "p0", "p1", "p0"]
    assert gallery.add("two", images, 2) == "p1"
    assert len(gallery.sources) == 2
    picture = Image.open(io.BytesIO(base64.b64decode(gallery.sources[0].partition(",")[2])))
    assert picture.size == (SIDE, SIDE * 3 // 4)


def test_an_image_is_opened_once_and_not_beyond_the_limit() -> None:
    opened: list[int] = []
    images = colour_images()
    counted = ImageSet("x", lambda n: opened.append(n) or images.at(n), images.keys, "")  # type: ignore[func-returns-value]
    gallery = Gallery(10**6)
    for _ in range(3):
        gallery.add("one", counted, 5)
    assert opened == [5]


def test_an_image_that_is_gone_is_named(tmp_path: Path) -> None:
    report = set_report([(ONE, retrieval(["en"], 0.4))])
    gone = ImageSet("x", lambda n: tmp_path / f"{n}.jpg", report.images.keys, "")
    with pytest.raises(ImageError, match=r"0\.jpg: there is no such file"):
        page.render(suite_report(SetReport(**{**vars(report), "images": gone})))


# Strings of others


def test_markup_in_any_string_is_text() -> None:
    findings = classes({"en": (f"red {EVIL}", f"green {EVIL}", "blue")}, 0.5, ["names"])
    extra = Findings([figure(EVIL, "top-1", 0.1, "names")], [outcome(EVIL, "names", [0])])
    made = set_report(
        [(model(EVIL, f"folder/{EVIL}"), findings + extra)], EVIL, [published_row("en", EVIL, **{"top-1": 5})]
    )
    html = page.render(suite_report(SetReport(**{**vars(made), "notes": [EVIL]}), title=f"{EVIL}</title>"))
    assert "<script" not in html.lower()
    reader = Reader(html)
    assert reader.open == []
    shown = [text for _, text in reader.texts if EVIL in text]
    assert {f"red {EVIL}", f"folder/{EVIL}", EVIL, f"{EVIL}</title>"} <= set(shown)


def test_strings_of_others_are_isolated(reader: Reader) -> None:
    for tags, text in reader.texts:
        if text in ("one", "two", "/a folder/<model>", "Squares", "Squares by name", "Two sets"):
            assert tags[-1] == ("bdi", {"dir": "auto"}), text


def test_control_characters_and_halves_of_letters_are_codes(tmp_path: Path) -> None:
    html = small(classes({"en": ("r\x00e\x1bd", "gr\x85een", "bl\udc80ue")}, 0.5, ["names"]), label="on\udce9e\x07")
    page.write(html, tmp_path / "page.html")
    text = (tmp_path / "page.html").read_bytes().decode("utf-8")
    assert text == html
    for code in (r"r\x00e\x1bd", r"gr\x85een", r"bl\udc80ue", r"on\udce9e\x07"):
        assert code in text
    assert not re.search("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]", text)


def test_templates_escape_and_know_every_name() -> None:
    made = template("{{ text }} {{ mark | twice }}", "report", {"twice": lambda text: 2 * text})
    assert made.render(text="<\x07&", mark="\ud83d") == r"&lt;\x07&amp; \ud83d\ud83d"
    with pytest.raises(Exception, match="'text' is undefined"):
        made.render(mark="x")


# Where it goes


@pytest.mark.parametrize("library", ["jinja2", "matplotlib"])
def test_without_a_library_the_extra_is_named_before_the_work(
    library: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page.check(tmp_path / "page.html")
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(MissingExtraError, match=r"altclip\[report\]") as caught:
        page.check(tmp_path / "page.html")
    assert caught.value.library == library


def test_a_folder_and_a_place_that_is_not_there_are_refused(tmp_path: Path) -> None:
    for target in (tmp_path, tmp_path / "no" / "page.html"):
        with pytest.raises(UsageError, match="cannot be written"):
            page.check(target)


def test_a_page_is_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "page.html"
    page.write("before", target)

    def fail(self: Path, *_: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(OSError, match="no space"):
        page.write("after", target)
    assert target.read_text(encoding="utf-8") == "before"
    assert list(tmp_path.iterdir()) == [target]

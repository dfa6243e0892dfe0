"""The page: whole in one file, every string harmless, every language there, and honest about what was never learned."""

from __future__ import annotations

import re
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from altclip.demo import Results, look, of_user, page, shipped
from altclip.errors import MissingExtraError, UsageError
from altclip.languages import LANGUAGES, NAMES
from altclip.prompts import label_set
from tests.demo.conftest import table_encoder

Attributes = dict[str, str | None]
VOID = {"meta", "img", "input", "link", "br", "hr"}


class Reader(HTMLParser):
    """Collects the elements of a page as (tag, attributes, text), and whether every end has its start."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, Attributes]] = []
        self.texts: list[tuple[list[str], Attributes, str]] = []
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
        if data.strip():
            tags = [tag for tag, _ in self.open]
            self.texts.append((tags, self.open[-1][1] if self.open else {}, data.strip()))

    def all(self, tag: str) -> list[Attributes]:
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture(scope="module")
def results() -> Results:
    return look(table_encoder(), shipped())


@pytest.fixture(scope="module")
def html(results: Results) -> str:
    return page.render(results)


def one(encoder: Any, folder: Path, name: str) -> str:
    """The page of one photograph of that name."""
    Image.new("RGB", (9, 9), "red").save(folder / name, "PNG")
    return page.render(look(encoder, of_user([folder / name], folder), ["en", "ar"]))


def test_it_is_well_formed(html: str) -> None:
    assert Reader(html).open == []
    assert html.startswith("<!doctype html>")


def test_it_loads_nothing(html: str) -> None:
    reader = Reader(html)
    for _, attributes in reader.elements:
        for name in ("src", "href", "srcset", "action", "poster", "data"):
            address = attributes.get(name) or ""
            assert address.startswith(("data:image/jpeg;base64,", "#")) or not address
    assert not {"script", "link", "iframe", "object"} & {tag for tag, _ in reader.elements}
    assert all(url.startswith('"data:image/jpeg;base64,') for url in re.findall(r"url\((.{30})", html))
    assert "@import" not in html
    assert "http://" not in html
    [policy] = [meta["content"] for meta in reader.all("meta") if meta.get("http-equiv") == "Content-Security-Policy"]
    assert policy == "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def test_every_photograph_is_there_with_words_for_who_cannot_see_it(html: str, results: Results) -> None:
    images = Reader(html).all("img")
    assert [image["alt"] for image in images] == [photograph.shows for photograph in results.photographs]
    assert all((image["src"] or "").startswith("data:image/jpeg;base64,") for image in images)
    for attributes in Reader(html).all("div"):
        assert "find" not in (attributes.get("class") or "").split() or attributes["aria-label"]


def test_every_label_stands_in_its_language_and_direction(html: str, results: Results) -> None:
    shown = {(a["lang"], text) for tags, a, text in Reader(html).texts if tags[-1] == "bdi" and "lang" in a}
    for part in results.languages:
        assert (part.language, NAMES[part.language]) in shown
        for guesses in part.guesses:
            assert {(part.language, each.label) for each in guesses.top} <= shown
        assert {(part.language, search.words) for search in part.searches} <= shown


def test_labels_and_names_are_isolated(html: str, results: Results) -> None:
    reader = Reader(html)
    labels = {label for language in LANGUAGES for label in label_set("mini", language).values()}
    names = {photograph.name for photograph in results.photographs}
    for tags, attributes, text in reader.texts:
        if text in labels | names:
            assert tags[-1] == "bdi", text
            assert attributes["dir"] == "auto"


def test_right_to_left_lists_run_from_the_right(html: str) -> None:
    for tag in ("ol", "div"):
        panels = [each for each in Reader(html).all(tag) if "data-lang" in each]
        assert {each["data-lang"] for each in panels} == set(LANGUAGES)
        assert {each["data-lang"]: each["dir"] for each in panels} == {
            language: "rtl" if language == "ar" else "ltr" for language in LANGUAGES
        }


def test_one_language_is_chosen_and_all_can_be(html: str) -> None:
    buttons = Reader(html).all("input")
    assert [each["id"] for each in buttons] == [f"speak-{language}" for language in LANGUAGES]
    assert ["checked" in each for each in buttons] == [True, *[False] * 8]
    for language in LANGUAGES:
        assert f'body:has(#speak-{language}:checked) .in[data-lang="{language}"]' in html


def test_things_never_learned_have_a_section_that_says_so(html: str) -> None:
    learned, _, never = html.partition('<section class="never">')
    never = never.partition("</section>")[0]
    assert "So every guess here is wrong" in never
    assert all(name in never and name not in learned for name in ("rocket.jpg", "astronaut.png", "flower.jpg"))
    assert "chelsea.png" in learned
    assert "chelsea.png" not in never
    assert 'class="right"' in learned
    assert 'class="right"' not in never


def test_the_right_label_behind_the_five_is_shown_with_its_place(encoder: Any) -> None:
    encoder.sees["coffee.png"] = {
        wnid: 0.9 - place / 10 for place, wnid in enumerate(list(label_set("mini", "en"))[:6])
    }
    text = page.render(look(encoder, shipped()[:2], ["en"]))
    missed = re.findall(r'<li class="missed">.*?</li>', text, re.DOTALL)
    assert len(missed) == 1
    assert '<bdi lang="en" dir="auto">espresso</bdi>' in missed[0]
    assert re.search(r"#\d+ · ", missed[0])


def test_names_are_text(encoder: Any, folder: Path) -> None:
    name = "<script>alert(1)</script>\"'&{{ 7 * 7 }}.png".replace("/", "\u2215")
    text = one(encoder, folder, name)
    reader = Reader(text)
    assert reader.all("script") == []
    assert [image["alt"] for image in reader.all("img")] == [name]
    assert sum(shown == name for tags, _, shown in reader.texts if tags[-1] == "bdi") == 2  # on the card, in the table


def test_a_name_that_turns_text_around_is_isolated(encoder: Any, folder: Path) -> None:
    name = "\u202egnp.exe.png"
    assert any(tags[-1] == "bdi" and shown == name for tags, _, shown in Reader(one(encoder, folder, name)).texts)


def test_a_name_of_no_valid_unicode_is_written_as_codes(encoder: Any, folder: Path, tmp_path: Path) -> None:
    page.write(one(encoder, folder, "a\udcff.png"), tmp_path / "out.html")
    assert "a\\udcff.png" in (tmp_path / "out.html").read_text(encoding="utf-8")


def test_a_users_folder_has_no_section_of_unknown_things(encoder: Any, folder: Path) -> None:
    text = page.render(look(encoder, of_user([folder / "cat.png"], folder), ["en"]))
    assert "never learned" not in text
    assert "Nobody told the model" in text
    assert "1 photograph, 200 labels, 1 language<" in text
    assert "The first guess in every language" not in text


def test_failures_and_what_is_left_out_are_told(encoder: Any, folder: Path) -> None:
    (folder / "bad<b>.png").write_bytes(b"")
    files = [folder / name for name in ("bad<b>.png", "cat.png", "b.JPG")]
    text = page.render(look(encoder, of_user(files, folder), ["en"], limit=2))
    assert "bad&lt;b&gt;.png: " in text
    assert "1 more photographs" in text


def test_mini_is_called_what_it_is_and_others_are_not(encoder: Any) -> None:
    photographs = shipped()[1:3]
    assert "small model for research and demonstration" in page.render(look(encoder, photographs, ["en"]))
    encoder.name = "BAAI/AltCLIP-m9"
    text = page.render(look(encoder, photographs, ["en"]))
    assert "small model" not in text
    assert "mini was never" not in text
    assert "BAAI/AltCLIP-m9" in text


def test_it_says_how_to_go_on_and_whose_the_photographs_are(html: str) -> None:
    for words in ("altclip demo FOLDER", "altclip classify", "--model BAAI/AltCLIP-m9", "danielbuechele", "CC BY 2.0"):
        assert words in html


def test_it_stays_small(html: str) -> None:
    assert len(html) < 1_500_000


@pytest.mark.parametrize(
    ("probability", "text"),
    [
        (0.0, "<0.1%"),
        (0.00099, "<0.1%"),
        (0.0012, "0.1%"),
        (0.0434, "4.3%"),
        (0.0996, "10%"),
        (0.5, "50%"),
        (1, "100%"),
    ],
)
def test_percent(probability: float, text: str) -> None:
    assert page.percent(probability) == text


def test_the_file_is_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "out.html"
    page.write("first", target)

    real = Path.write_bytes

    def full(self: Path, content: bytes) -> int:
        real(self, content[:3])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="No space"):
        page.write("second", target)
    assert target.read_bytes() == b"first"
    assert list(tmp_path.iterdir()) == [target]


def test_what_cannot_be_written_is_known_before_the_work(tmp_path: Path) -> None:
    page.check(tmp_path / "out.html")
    for path in (tmp_path, tmp_path / "no" / "out.html"):
        with pytest.raises(UsageError, match="cannot be written"):
            page.check(path)


def test_without_jinja2_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(MissingExtraError, match=r"'jinja2'.*altclip\[demo\]"):
        page.check(tmp_path / "out.html")

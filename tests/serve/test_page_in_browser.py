"""The page in Chromium: searches, pictures, parts, conditions, the grid, the large view, and what goes wrong."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from PIL import Image

from altclip.encoder import Encoder
from altclip.languages import LANGUAGES
from tests.bad import picture
from tests.serve.browsing import WORDS, hand_over, look_for, make_many, names, searched, sent, slow, until
from tests.serve.made import encoded, serving

pytest.importorskip("playwright", reason="needs playwright")
from playwright.sync_api import Error, expect

if TYPE_CHECKING:
    from playwright.sync_api import Page, Route

    from tests.serve.conftest import OpenPage


OTHERS = [name for name in WORDS if name not in ("heart.png", "coffee.png")]


@pytest.fixture
def page(open_page: OpenPage, address: str) -> Page:
    """The page of the gallery, its photographs shown."""
    opened = open_page(address)
    expect(opened.locator(".cell.shown").first).to_be_visible()
    return opened


@pytest.fixture(scope="module")
def many(encoder: Encoder, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server with 130 photographs, some without a thumbnail."""
    index = make_many(tmp_path_factory.mktemp("many"), encoder, 130)
    with serving(encoder, index=index) as found:
        yield str(found.base_url).rstrip("/")


@pytest.mark.parametrize("name", ["heart.png", "coffee.png", *(slow(name) for name in OTHERS)])
def test_words_of_nine_languages_find_what_they_name(page: Page, name: str) -> None:
    for language, text in zip(LANGUAGES, WORDS[name], strict=True):
        assert name in look_for(page, text)[:3], (language, text)


def test_search_begins_while_typing_and_the_address_keeps_it(page: Page, open_page: OpenPage) -> None:
    page.locator("#text").press_sequentially("قلب أحمر", delay=15)
    until(page, lambda: names(page)[:1] == ["heart.png"] and "%D8%B1" in page.url)
    expect(page.locator("#status")).to_contain_text("16")
    assert page.title().startswith("قلب أحمر")
    again = open_page(page.url)
    expect(again.locator("#text")).to_have_value("قلب أحمر")
    until(again, lambda: names(again) == names(page))


def test_letters_that_an_input_method_still_chooses_are_not_searched_for(page: Page) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.post_data or "") if "/search" in request.url else None)
    page.focus("#text")
    keyboard = page.context.new_cdp_session(page)
    for letters in ("さ", "さん", "さんそ", "傘"):
        keyboard.send("Input.imeSetComposition", {"text": letters, "selectionStart": 1, "selectionEnd": 1})
    page.wait_for_timeout(500)
    assert asked == []
    found = searched(page, lambda: keyboard.send("Input.insertText", {"text": "傘"}))
    assert "umbrella.png" in found[:3]
    assert [json.loads(body)["parts"] for body in asked] == [[{"text": "傘"}]]


@pytest.mark.slow
def test_a_photograph_of_a_phone_that_the_system_has_no_type_for(page: Page, gallery: Path) -> None:
    heif, data = pytest.importorskip("pillow_heif"), io.BytesIO()
    with Image.open(gallery / "apple.png") as image:
        heif.from_pillow(image.convert("RGB")).save(data)
    found = searched(page, lambda: hand_over(page, "drop", data.getvalue(), kind="", name="IMG_1.HEIC"))
    assert "apple.png" in found[:3]


@pytest.mark.parametrize("how", ["drop", slow("paste")])
def test_a_picture_that_is_given(page: Page, gallery: Path, how: str) -> None:
    found = searched(page, lambda: hand_over(page, how, (gallery / "apple.png").read_bytes()))
    assert found[0] == "apple.png"
    expect(page.locator(".chip img")).to_be_visible()
    assert "part" not in page.url
    found = searched(page, lambda: page.click(".chip .sign"))
    assert found[-1] == "apple.png"
    searched(page, lambda: page.click(".chip .remove"))
    expect(page.locator(".chip")).to_have_count(0)


@pytest.mark.slow
def test_a_picture_that_is_chosen(page: Page, gallery: Path) -> None:
    found = searched(page, lambda: page.set_input_files("#file", gallery / "chelsea.png"))
    assert found[0] == "chelsea.png"


def test_a_broken_picture(page: Page) -> None:
    hand_over(page, "drop", b"\x89PNG\r\n\x1a\n no more")
    expect(page.get_by_role("heading", name="This picture cannot be read")).to_be_visible()
    expect(page.locator(".chip.wrong")).to_have_count(1)
    hand_over(page, "drop", b"%PDF-1.7", "application/pdf")
    expect(page.locator(".chip")).to_have_count(1)
    searched(page, lambda: page.click("#clear"))
    expect(page.locator("#notice")).to_be_hidden()


def test_parts_with_weights_are_what_the_server_is_asked(page: Page) -> None:
    look_for(page, "crescent moon")
    page.click("#without")
    searched(page, lambda: page.keyboard.insert_text("red heart"))
    page.click("#with")
    searched(page, lambda: page.keyboard.insert_text("umbrella"))
    with page.expect_request("**/search") as asked:
        page.locator(".chip input[type=range]").first.fill("0.5")
    parts = sent(asked.value)["parts"]
    expected = [{"text": "crescent moon"}, {"text": "red heart", "weight": -0.5}, {"text": "umbrella", "weight": 1}]
    assert parts == expected
    until(page, lambda: "0.5" in page.url)
    page.reload()
    expect(page.locator(".chip")).to_have_count(2)
    expect(page.locator(".chip .sign").first).to_have_attribute("aria-pressed", "true")
    expect(page.locator(".chip input[type=text]").last).to_have_value("umbrella")


@pytest.mark.slow
def test_an_address_of_a_stranger_is_read_with_care(page: Page) -> None:
    strange = "part={}&part=[1]&part={%22text%22:%22a%22,%22weight%22:1e9}&part={%22id%22:%22../x%22,%22weight%22:1}"
    where = page.url.split("#")[0]
    for place, days in enumerate(("from=soon", "to=2023-99-99", "from=2023-02-31&to=9999-12-31")):
        page.goto(f"{where}?{place}#q=%3Cimg%20src%3Dx%20onerror%3Dalert(1)%3E&{days}&folder=x&{strange}")
        expect(page.locator(".cell.shown").first).to_be_visible()
        expect(page.locator("#text")).to_have_value("<img src=x onerror=alert(1)>")
        expect(page.locator(".chip")).to_have_count(0)
        expect(page.locator("#filter-count")).to_be_hidden()


def test_conditions(page: Page) -> None:
    page.click("#filter")
    options = page.locator("#folder option")
    expect(options).to_have_count(2)
    found = searched(page, lambda: page.fill("#name", "OO"))
    assert found == ["moon.png"]
    expect(page.locator("#filter-count")).to_have_text("1")
    with page.expect_request("**/search") as asked:
        page.fill("#to", "2024-02-29")
    assert sent(asked.value)["where"] == {"taken_to": "2024-03-01", "name_contains": "OO"}
    expect(page.get_by_role("heading", name="No photograph fits")).to_be_visible()
    searched(page, lambda: page.get_by_role("button", name="Clear the filters").click())
    assert len(names(page)) == 16
    searched(page, lambda: page.select_option("#folder", index=1))
    assert len(names(page)) == 16


@pytest.mark.slow
def test_names_searched_too_and_scenes_once(page: Page) -> None:
    """Words that are the name of a file find it; the address keeps both, and the large view tells no cosine."""
    page.click("#filter")
    look_for(page, "moon.png")
    before = names(page)
    with page.expect_request("**/search") as asked:
        found = searched(page, lambda: page.get_by_label("Search captions and file names, too").check())
    assert sent(asked.value)["words"] == "moon.png"
    assert found.index("moon.png") < before.index("moon.png")
    page.click(".cell:first-child")
    expect(page.locator("#view-facts")).to_contain_text("File")
    expect(page.locator("#view-facts")).not_to_contain_text("Similarity")
    page.keyboard.press("Escape")
    with page.expect_request("**/search") as asked:
        searched(page, lambda: page.get_by_label("One photograph of each scene").check())
    assert sent(asked.value)["group"] is True
    expect(page.locator("#filter-count")).to_have_text("2")
    page.reload()
    expect(page.get_by_label("One photograph of each scene")).to_be_checked()
    expect(page.get_by_label("Search captions and file names, too")).to_be_checked()


@pytest.mark.slow
def test_more_like_this_and_the_way_back(page: Page) -> None:
    look_for(page, "espresso")
    page.hover(".cell:first-child")
    found = searched(page, lambda: page.click(".cell:first-child .similar"))
    assert found[0] == "coffee.png"
    expect(page.locator(".chip.id img")).to_be_visible()
    page.go_back()
    expect(page.locator("#text")).to_have_value("espresso")
    expect(page.locator(".chip")).to_have_count(0)


def test_the_latter_of_two_searches_counts(page: Page) -> None:
    held: list[Route] = []
    page.route("**/search", lambda route: held.append(route))
    page.fill("#text", "crescent moon")
    page.keyboard.press("Enter")
    until(page, lambda: len(held) == 1)
    page.fill("#text", "espresso")
    page.keyboard.press("Enter")
    until(page, lambda: len(held) == 2)
    held[1].continue_()
    until(page, lambda: names(page)[0] == "coffee.png")
    with suppress(Error):  # the browser has given it up
        held[0].fulfill(json={"hits": [], "total": 0, "exact": True})
    page.wait_for_timeout(100)
    assert names(page)[0] == "coffee.png"


@pytest.mark.slow
def test_the_grid_goes_on_to_the_end(open_page: OpenPage, many: str) -> None:
    page = open_page(many)
    expect(page.locator(".cell.shown").first).to_be_visible()
    assert len(names(page)) < 130

    def all_there() -> bool:
        page.mouse.wheel(0, 2000)
        return page.locator(".cell").count() == 130

    until(page, all_there)
    ids = page.locator(".cell").evaluate_all("cells => cells.map((cell) => cell.dataset.id)")
    assert len(ids) == len(set(ids)) == 130
    expect(page.locator("#end")).to_be_hidden()
    expect(page.locator(".broken").first).to_contain_text("Cannot be shown")
    expect(page.locator(".broken").first).to_contain_text("6.jpg")


def test_a_search_that_is_awaited_is_not_continued_with_the_one_before(open_page: OpenPage, many: str) -> None:
    page = open_page(many)
    expect(page.locator(".cell.shown").first).to_be_visible()
    before = page.locator(".cell").count()
    asked: list[Route] = []

    def hold_the_first(route: Route) -> None:
        asked.append(route)
        if len(asked) > 1:
            route.continue_()

    page.route("**/search", hold_the_first)
    page.fill("#text", "espresso")
    page.keyboard.press("Enter")
    until(page, lambda: len(asked) == 1)
    for _ in range(5):
        page.mouse.wheel(0, 4000)
        page.wait_for_timeout(50)
    assert (len(asked), page.locator(".cell").count()) == (1, before)
    with page.expect_response("**/search"):
        asked[0].continue_()


def test_a_window_that_shows_the_end_all_along_gets_every_photograph(open_page: OpenPage, many: str) -> None:
    page = open_page(many, before=lambda page: page.set_viewport_size({"width": 1280, "height": 12_000}))
    expect(page.locator(".cell")).to_have_count(130, timeout=30_000)
    expect(page.locator("#end")).to_be_hidden()


@pytest.mark.slow
def test_more_by_a_button_when_a_page_failed(open_page: OpenPage, many: str) -> None:
    def fail(route: Route) -> None:
        route.abort() if "offset" in (route.request.post_data or "") else route.continue_()

    page = open_page(many, before=lambda page: page.route("**/search", fail))
    expect(page.locator(".cell.shown").first).to_be_visible()
    page.mouse.wheel(0, 20_000)
    expect(page.locator("#status")).to_have_text("More could not be loaded.")
    page.unroute("**/search")
    count = page.locator(".cell").count()
    page.get_by_role("button", name="More photographs").click()
    until(page, lambda: page.locator(".cell").count() > count)


def test_the_large_view(page: Page, address: str) -> None:
    found = look_for(page, "espresso")
    page.click(".cell:first-child .photo")
    view = page.get_by_role("dialog")
    expect(view).to_have_accessible_name("coffee.png")
    expect(view.locator("#view-picture")).to_have_attribute("src", f"/images/{_id(page, 0)}?side=1600")
    first = view.locator(".bars li").first
    expect(first).to_contain_text("espresso")
    assert float(first.locator(".bar span").evaluate("bar => bar.style.inlineSize").rstrip("%")) > 50
    expect(view.get_by_role("button", name="Previous photograph")).to_be_disabled()
    page.keyboard.press("ArrowRight")
    expect(view).to_have_accessible_name(found[1])
    page.keyboard.press("Escape")
    expect(view).to_be_hidden()
    expect(page.locator(".photo").nth(1)).to_be_focused()


def _id(page: Page, place: int) -> str:
    return str(page.locator(".cell").nth(place).get_attribute("data-id"))


@pytest.mark.slow
def test_labels_in_the_language_of_the_interface_and_of_one_s_own(page: Page) -> None:
    page.select_option("#language", "zh")
    look_for(page, "espresso")
    page.click(".cell:first-child .photo")
    expect(page.locator(".bars li").first).to_contain_text("浓缩咖啡")
    page.click("summary")
    page.fill("#own", "قطة, cup of espresso、<b>x</b>")
    expect(page.locator(".bars li")).to_have_count(3)
    expect(page.locator(".bars li").first).to_contain_text("cup of espresso")
    expect(page.locator(".bars")).to_contain_text("<b>x</b>")
    page.reload()
    page.click(".cell:first-child .photo")
    expect(page.locator(".bars li")).to_have_count(3)


@pytest.mark.slow
def test_like_and_unlike_from_the_large_view_and_the_file(page: Page, gallery: Path) -> None:
    look_for(page, "red apple")
    page.click(".cell:first-child .photo")
    with page.expect_download() as saved:
        page.get_by_role("button", name="Save").click()
    assert saved.value.suggested_filename == "apple.png"
    assert Path(saved.value.path()).read_bytes() == (gallery / "apple.png").read_bytes()
    found = searched(page, lambda: page.get_by_role("button", name="Fewer like this").click())
    assert found[0] != "apple.png"
    expect(page.locator("#text")).to_have_value("red apple")
    expect(page.get_by_role("dialog")).to_be_hidden()


@pytest.mark.slow
def test_a_photograph_whose_file_is_gone(page: Page) -> None:
    page.route("**/images/*?side=*", lambda route: route.fulfill(status=404, json={"error": {"message": "gone"}}))
    page.click(".cell:first-child .photo")
    expect(page.locator("#view-problem")).to_contain_text("the small picture kept in the index")
    expect(page.locator("#view-picture")).to_have_attribute("src", f"/images/{_id(page, 0)}/thumbnail")


def test_a_server_that_is_gone_and_comes_again(page: Page) -> None:
    page.context.set_offline(True)
    page.fill("#text", "crescent moon")
    expect(page.get_by_role("heading", name="The server cannot be reached")).to_be_visible()
    expect(page.locator(".cell")).to_have_count(0)
    page.context.set_offline(False)
    until(page, lambda: names(page)[:1] == ["moon.png"])
    expect(page.locator("#notice")).to_be_hidden()


@pytest.mark.slow
def test_a_slow_server(page: Page) -> None:
    page.clock.install()
    held: list[Route] = []
    page.route("**/search", lambda route: held.append(route))
    expect(page.locator("#progress")).to_be_hidden()
    page.fill("#text", "crescent moon")
    page.keyboard.press("Enter")
    until(page, lambda: held)
    page.clock.fast_forward(1000)
    expect(page.locator("#progress")).to_be_visible()
    expect(page.locator("#grid")).to_have_attribute("aria-busy", "true")
    page.clock.fast_forward(4000)
    expect(page.locator("#status")).to_contain_text("the server takes long")
    held[0].continue_()
    until(page, lambda: names(page)[0] == "moon.png")
    expect(page.locator("#progress")).to_be_hidden()


ERRORS: list[Any] = [
    slow(429, {"message": "full", "code": "full", "param": None}, "too much to do", "repeated by itself"),
    slow(500, {"message": "its <b>log</b>", "code": "failed", "param": None}, "failed at this", "<b>log</b>"),
    (400, {"message": "cancel out", "code": "invalid_query", "param": None}, "be searched for", "cancel out"),
    slow(502, {}, "failed at this", "log"),
]


@pytest.mark.parametrize(("status", "error", "title", "words"), ERRORS, ids=["busy", "failed", "wrong", "no JSON"])
def test_errors_are_told_and_can_be_tried_again(
    page: Page, status: int, error: dict[str, Any], title: str, words: str
) -> None:
    page.route("**/search", lambda route: route.fulfill(status=status, json={"error": error} if error else None))
    page.fill("#text", "crescent moon")
    expect(page.locator("#notice h2")).to_contain_text(title)
    expect(page.locator("#notice")).to_contain_text(words)
    page.unroute("**/search")
    searched(page, lambda: page.get_by_role("button", name="Try again").click())
    expect(page.locator("#notice")).to_be_hidden()


@pytest.mark.slow
def test_without_an_index_a_picture_is_still_looked_at(open_page: OpenPage, client: httpx.Client) -> None:
    page = open_page(str(client.base_url))
    expect(page.get_by_role("heading", name="no photographs to search")).to_be_visible()
    expect(page.locator("#notice pre")).to_contain_text("altclip index")
    hand_over(page, "drop", encoded(picture()))
    expect(page.get_by_role("dialog")).to_have_accessible_name("Your picture")
    expect(page.locator(".bars li, #bars-said:not(:empty)").first).to_be_visible()


@pytest.mark.slow
def test_an_empty_index(open_page: OpenPage, encoder: Encoder, tmp_path: Path) -> None:
    with serving(encoder, index=make_many(tmp_path, encoder, 0)) as client:
        page = open_page(str(client.base_url))
        expect(page.get_by_role("heading", name="holds no photographs yet")).to_be_visible()
        page.context.close()

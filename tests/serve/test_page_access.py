"""The page for everybody: axe, the keyboard alone, nine languages, both directions, a phone; keys; made pictures."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from altclip.encoder import Encoder
from altclip.languages import LANGUAGES, RIGHT_TO_LEFT
from altclip.search import Index
from altclip.serve.keys import KeyRing, new_key
from tests.serve.browsing import hand_over, look_for, names, searched, sent, slow, until
from tests.serve.made import encoded, serving

pytest.importorskip("playwright", reason="needs playwright")
from playwright.sync_api import expect

if TYPE_CHECKING:
    from playwright.sync_api import Page, Route

    from tests.serve.conftest import OpenPage

TAGS: Final = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
_BLOB: Final = re.compile("^blob:")
WORDS: Final = Path(__file__).parents[2] / "src" / "altclip" / "serve" / "page" / "words"


def found_by_axe(page: Page) -> list[str]:
    """What axe calls serious or critical."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="needs axe-playwright-python")
    page.wait_for_timeout(400)  # what comes in softly has come
    found = axe.Axe().run(page, options={"runOnly": TAGS}).response["violations"]
    return [
        f"{one['id']}: {node['html']} {node['failureSummary']}"
        for one in found
        if one["impact"] in ("serious", "critical")
        for node in one["nodes"]
    ]


def words(language: str) -> dict[str, str]:
    found: dict[str, str] = json.loads((WORDS / f"{language}.json").read_text("utf-8"))
    return found


@pytest.mark.parametrize(
    ("language", "scheme"), [("en", "light"), slow("ar", "dark"), slow("en", "dark"), slow("ar", "light")]
)
def test_axe_finds_nothing(open_page: OpenPage, address: str, language: str, scheme: str) -> None:
    page = open_page(f"{address}/#q=crescent%20moon", locale=language, color_scheme=scheme)
    expect(page.locator("html")).to_have_attribute("lang", language)
    until(page, lambda: names(page)[:1] == ["moon.png"])
    page.click("#filter")
    page.click("#without")
    searched(page, lambda: page.keyboard.insert_text("red heart"))
    assert found_by_axe(page) == []
    page.click(".cell:nth-child(2) .photo")
    expect(page.locator(".bars li").first).to_be_visible()
    page.click("summary")
    assert found_by_axe(page) == []


@pytest.mark.slow
def test_axe_finds_nothing_where_something_is_wrong(open_page: OpenPage, address: str) -> None:
    page = open_page(address)
    expect(page.locator(".cell.shown").first).to_be_visible()
    hand_over(page, "drop", b"no picture")
    expect(page.locator(".chip.wrong")).to_be_visible()
    assert found_by_axe(page) == []


def test_the_keyboard_alone_is_enough(open_page: OpenPage, address: str) -> None:
    page = open_page(address)
    expect(page.locator(".cell.shown").first).to_be_visible()
    press = page.keyboard.press
    press("Tab")
    expect(page.locator("#skip")).to_be_focused()
    press("Enter")
    expect(page.locator("#main")).to_be_focused()
    for _ in range(20):
        press("Shift+Tab")
        if page.locator("#text").evaluate("field => field === document.activeElement"):
            break
    page.keyboard.insert_text("umbrella")
    found = searched(page, lambda: press("Enter"))
    for _ in range(20):
        press("Tab")
        if page.locator(".photo:focus").count():
            break
    photos = page.locator(".photo")
    expect(photos.nth(0)).to_be_focused()
    for key, place in (("ArrowRight", 1), ("ArrowLeft", 0), ("End", 15), ("Home", 0)):
        press(key)
        expect(photos.nth(place)).to_be_focused()
    press("ArrowDown")
    below = page.locator(".photo:focus").bounding_box()
    first = photos.nth(0).bounding_box()
    assert below is not None
    assert first is not None
    assert below["y"] > first["y"] + first["height"] / 2
    press("Home")
    press("Enter")
    expect(page.get_by_role("dialog")).to_have_accessible_name(found[0])
    expect(page.locator("#next")).to_be_focused()
    press("Enter")
    expect(page.get_by_role("dialog")).to_have_accessible_name(found[1])
    for _ in range(15):  # the focus stays in the dialog
        press("Tab")
        where = page.evaluate("document.activeElement.closest('dialog')?.id ?? document.activeElement.tagName")
        assert where in ("view", "BODY"), "BODY stands for the browser's own bar"
    press("Escape")
    expect(photos.nth(1)).to_be_focused()
    assert page.locator('.photo[tabindex="0"]').count() == 1


@pytest.mark.slow
def test_what_a_screen_reader_is_told(open_page: OpenPage, address: str) -> None:
    page = open_page(address)
    for role in ("banner", "main", "search"):
        expect(page.get_by_role(role)).to_have_count(1)
    expect(page.get_by_role("searchbox", name="What the picture shows")).to_be_visible()
    expect(page.get_by_role("status").first).to_have_text("Newest first of \u206816\u2069 photographs")
    look_for(page, "crescent moon")
    expect(page.get_by_role("status").first).to_have_text("Best first of \u206816\u2069 photographs")
    expect(page.get_by_role("list", name="Photographs").get_by_role("button", name="moon.png")).to_be_visible()


@pytest.mark.parametrize("language", [slow(one) if one != "ar" else one for one in LANGUAGES])
def test_the_language_of_the_browser_is_spoken_and_fits_a_phone(
    open_page: OpenPage, address: str, language: str
) -> None:
    page = open_page(address, locale=language, viewport={"width": 360, "height": 640})
    expect(page.locator("#text")).to_have_attribute("placeholder", words(language)["search.hint"])
    expect(page.locator("html")).to_have_attribute("dir", "rtl" if language in RIGHT_TO_LEFT else "ltr")
    expect(page.locator(".cell.shown").first).to_be_visible()
    page.click("#filter")
    page.click("#without")
    for place in ("", ".cell:first-child .photo"):
        if place:
            page.click(place)
            expect(page.locator(".bars li").first).to_be_visible()
        wide = page.evaluate("[document.documentElement.scrollWidth, document.querySelector('#view').scrollWidth]")
        assert max(wide) <= 360
    shown = str(page.evaluate("document.body.innerText"))
    assert [key for key in words("en") if "." in key and key in shown] == [], "a key stands where a word should"


@pytest.mark.slow
def test_a_language_is_chosen_and_remembered(open_page: OpenPage, address: str) -> None:
    page = open_page(f"{address}/#name=zzz", locale="pt-BR")
    expect(page.locator("html")).to_have_attribute("lang", "en")
    expect(page.locator("#notice h2")).to_have_text(words("en")["notice.none"])
    page.select_option("#language", "ar")
    expect(page.locator("#notice h2")).to_have_text(words("ar")["notice.none"])
    assert page.locator("#clear").bounding_box()["x"] < page.locator("#with").bounding_box()["x"]  # type: ignore[index]
    page.reload()
    expect(page.locator("html")).to_have_attribute("dir", "rtl")
    expect(page.locator("#language")).to_have_value("ar")


@pytest.mark.slow
def test_arrows_follow_the_direction_of_the_words(open_page: OpenPage, address: str) -> None:
    page = open_page(address, locale="ar")
    expect(page.locator(".cell.shown").first).to_be_visible()
    page.locator(".photo").first.focus()
    page.keyboard.press("ArrowLeft")
    expect(page.locator(".photo").nth(1)).to_be_focused()
    page.keyboard.press("Enter")
    shown = names(page)
    expect(page.get_by_role("dialog")).to_have_accessible_name(shown[1])
    page.keyboard.press("ArrowLeft")
    expect(page.get_by_role("dialog")).to_have_accessible_name(shown[2])


@pytest.mark.slow
def test_dark_and_light(open_page: OpenPage, address: str) -> None:
    page = open_page(address, color_scheme="dark")
    ground = "getComputedStyle(document.body).backgroundColor"
    dark = page.evaluate(ground)
    page.click("#theme")
    light = page.evaluate(ground)
    assert dark != light
    page.reload()
    assert page.evaluate(ground) == light
    page.click("#theme")
    page.emulate_media(color_scheme="light")
    assert page.evaluate(ground) == light, "what is as the system has it follows the system"


def test_keys(open_page: OpenPage, encoder: Encoder, index: Index) -> None:
    secret, key = new_key("phone", "read")
    with serving(encoder, keys=KeyRing({"phone": key}), index=index) as client:
        page = open_page(str(client.base_url))
        dialog = page.get_by_role("dialog", name="This server asks for a key")
        expect(dialog).to_be_visible()
        page.keyboard.press("Escape")
        expect(dialog).to_be_visible()
        assert found_by_axe(page) == []
        page.fill("#secret", "altclip-wrong")
        page.keyboard.press("Enter")
        expect(page.get_by_role("alert")).to_have_text("The server does not know this key.")
        asked: list[Any] = []
        page.on("request", lambda one: asked.append(one))
        page.fill("#secret", secret)
        page.keyboard.press("Enter")
        expect(page.locator(".cell.shown").first).to_be_visible()
        expect(page.locator(".photo img").first).to_have_attribute("src", _BLOB)
        sent = {one.headers.get("authorization") for one in asked if "/images/" in one.url or "/search" in one.url}
        assert sent == {f"Bearer {secret}"}
        page.reload()
        expect(page.locator(".cell.shown").first).to_be_visible()
        page.click(".cell:first-child .photo")
        expect(page.locator("#view-picture")).to_have_attribute("src", _BLOB)
        expect(page.locator("#view-facts")).not_to_contain_text("File")
        page.keyboard.press("Escape")
        page.get_by_role("button", name="Forget the key").click()
        expect(dialog).to_be_visible()
        assert page.evaluate("JSON.stringify([{...sessionStorage}, {...localStorage}])").count("altclip-") == 0
        page.context.close()


@pytest.mark.slow
def test_pictures_of_words(open_page: OpenPage, address: str) -> None:
    asked: list[dict[str, Any]] = []
    held: list[Route] = []

    def give(route: Route) -> None:
        asked.append(sent(route.request))
        if len(asked) == 1:
            held.append(route)
            return
        picture = base64.b64encode(encoded()).decode()
        route.fulfill(
            json={"created": 1, "data": [{"b64_json": picture, "seed": seed, "withheld": seed == 8} for seed in (7, 8)]}
        )

    state = {
        "model": "mini",
        "languages": [],
        "index": True,
        "keys": False,
        "generate": {"number": 4, "steps": 50, "sizes": ["256x256", "512x512"]},
    }

    def before(page: Page) -> None:
        page.route("**/page/state.json", lambda route: route.fulfill(json=state))
        page.route("**/v1/images/generations", give)

    page = open_page(address, before=before)
    page.get_by_role("navigation").get_by_role("button", name="Generate").click()
    expect(page.locator("#results")).to_be_hidden()
    expect(page.locator("#size option")).to_have_text(["automatic", "256x256", "512x512"])
    assert [page.locator(name).get_attribute("max") for name in ("#number", "#steps")] == ["4", "50"]
    page.fill("#prompt", "قطة على الشاطئ")
    page.click("#make")
    expect(page.locator("#making")).to_contain_text("can take minutes")
    page.click("#stop")
    expect(page.locator("#making")).to_have_text("Stopped.")
    page.fill("#number", "2")
    page.fill("#seed", "7")
    page.fill("#steps", "30")
    page.select_option("#size", "512x512")
    page.click("#make")
    expect(page.get_by_role("img", name="قطة على الشاطئ")).to_have_count(2)
    assert asked[1] == {
        "prompt": "قطة على الشاطئ", "n": 2, "size": "512x512", "response_format": "b64_json", "steps": 30, "seed": 7,
    }  # fmt: skip
    assert asked[0] == {"prompt": "قطة على الشاطئ", "n": 1, "response_format": "b64_json"}
    expect(page.locator("#made li").nth(1)).to_contain_text("safety check")
    with page.expect_download() as saved:
        page.get_by_role("link", name="Save").first.click()
    assert Path(saved.value.path()).read_bytes() == encoded()
    assert found_by_axe(page) == []

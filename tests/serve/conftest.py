"""One tiny encoder and one server for tests that change nothing; torch is imported by who needs them."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import pytest

if TYPE_CHECKING:
    import httpx
    from playwright.sync_api import Browser, Page

    from altclip.encoder import Encoder
    from altclip.search import Index

    OpenPage: TypeAlias = Callable[..., Page]

for _library in ("fastapi", "uvicorn", "prometheus_client"):
    pytest.importorskip(_library, reason="needs the extra serve")


@pytest.fixture(scope="session")
def encoder() -> Encoder:
    from tests.serve.made import tiny_encoder

    return tiny_encoder()


@pytest.fixture(scope="session")
def client(encoder: Encoder) -> Iterator[httpx.Client]:
    from tests.serve.made import serving

    with serving(encoder, max_items=50, max_characters=500, max_prompts=200, max_body=300_000) as found:
        yield found


@pytest.fixture(scope="session")
def album(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tests.serve.photographs import make_album

    return make_album(tmp_path_factory.mktemp("album"), tmp_path_factory.mktemp("outside") / "secret.jpg")


@pytest.fixture(scope="session")
def index(album: Path, encoder: Encoder, tmp_path_factory: pytest.TempPathFactory) -> Index:
    pytest.importorskip("lancedb", reason="needs the extra search")
    from tests.serve.photographs import make_index

    return make_index(tmp_path_factory.mktemp("index"), album, encoder)


@pytest.fixture(scope="session")
def gallery(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tests.serve.browsing import make_gallery

    return make_gallery(tmp_path_factory.mktemp("gallery"))


@pytest.fixture(scope="session")
def address(gallery: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Of a server with mini and the gallery."""
    pytest.importorskip("lancedb", reason="needs the extra search")
    from altclip import Encoder
    from altclip.search import Index
    from altclip.search.indexing import Update
    from tests.serve.made import serving

    mini, folder = Encoder(), tmp_path_factory.mktemp("index")
    Update(folder, [gallery], lambda _: mini).run()
    with serving(mini, index=Index.open(folder)) as found:
        yield str(found.base_url).rstrip("/")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium as Debian has it. For one module alone: while it is open, asyncio counts this thread as its own."""
    playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.skip("needs Chromium (apt-get install chromium)")
    with playwright.sync_playwright() as tools:
        # its sandbox asks for rights that root of a container has not, and no page but ours is opened
        playwright.expect.set_options(timeout=_PATIENCE)
        opened = tools.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        yield opened
        opened.close()


_PATIENCE = 30_000  # milliseconds: a test machine may have much else to do
_SETTINGS = {"locale": "en-GB", "viewport": {"width": 800, "height": 600}, "reduced_motion": "reduce"}


@pytest.fixture
def open_page(browser: Browser) -> Iterator[OpenPage]:
    """Pages in contexts of their own. None may ask another server for anything, break a policy, or throw an error."""
    problems: list[str] = []
    contexts = []

    def note(what: str, wrong: bool = True) -> None:
        if wrong:
            problems.append(what)

    def opened(where: str, before: Callable[[Page], object] | None = None, **settings: Any) -> Page:
        context = browser.new_context(**{**_SETTINGS, **settings})
        contexts.append(context)
        context.set_default_timeout(_PATIENCE)
        page = context.new_page()
        origin = "/".join(where.split("/")[:3])
        page.on("request", lambda asked: note(asked.url, not asked.url.startswith((origin, "blob:"))))
        page.on("pageerror", lambda error: note(str(error)))
        page.on("console", lambda said: note(said.text, "Content Security" in said.text))
        if before is not None:
            before(page)
        page.goto(where)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert problems == []

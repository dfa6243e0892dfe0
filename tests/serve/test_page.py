"""The page over HTTP, without a browser: its files and nothing else, whole in every language, safe by its headers."""

from __future__ import annotations

import json
import re
from http.client import HTTPConnection
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from altclip.encoder import Encoder
from altclip.languages import LANGUAGES, NAMES, RIGHT_TO_LEFT
from altclip.prompts import label_set
from altclip.search import Index
from altclip.serve.keys import KeyRing, new_key
from altclip.serve.site import NAMES as SERVED
from altclip.serve.site import STATE
from tests.serve.made import NAME, serving

FOLDER: Final = Path(str(files("altclip.serve").joinpath("page")))
CODE: Final = {file.name: file.read_text("utf-8") for file in FOLDER.iterdir() if file.suffix in (".js", ".html")}
WORDS: Final[dict[str, dict[str, str]]] = {
    language: json.loads((FOLDER / "words" / f"{language}.json").read_text("utf-8")) for language in LANGUAGES
}
KINDS: Final = {
    ".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml", ".json": "application/json",
}  # fmt: skip


def test_every_file_of_the_folder_is_served_and_no_other() -> None:
    there = {file.relative_to(FOLDER).as_posix() for file in FOLDER.rglob("*") if file.is_file()}
    assert set(SERVED.values()) == there


@pytest.mark.parametrize("path", SERVED)
def test_a_file_is_given_whole_and_kept_by_browsers(client: httpx.Client, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 200
    assert answer.content == (FOLDER / SERVED[path]).read_bytes()
    assert answer.headers["content-type"] == KINDS[Path(SERVED[path]).suffix]
    assert answer.headers["x-content-type-options"] == "nosniff"
    tag = answer.headers["etag"]
    for given in (tag, f"W/{tag}", f'"other", {tag}'):
        again = client.get(path, headers={"if-none-match": given})
        assert (again.status_code, again.content) == (304, b"")
    assert client.get(path, headers={"if-none-match": '"other"'}).status_code == 200
    head = client.head(path)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == str(len(answer.content))


def test_the_policy_allows_the_page_s_own_files_alone(client: httpx.Client) -> None:
    for path in ("/", "/page/main.js", "/page/base.css", STATE):
        headers = client.get(path).headers
        rules = dict(rule.strip().split(" ", 1) for rule in headers["content-security-policy"].split(";"))
        assert rules == {
            "default-src": "'none'", "script-src": "'self'", "style-src": "'self'", "img-src": "'self' blob:",
            "connect-src": "'self'", "base-uri": "'none'", "form-action": "'none'", "frame-ancestors": "'none'",
            "require-trusted-types-for": "'script'", "trusted-types": "'none'",
        }  # fmt: skip
        assert headers["x-frame-options"] == "DENY"
        assert headers["referrer-policy"] == "no-referrer"


def test_nothing_is_written_inside_the_page_and_nothing_is_elsewhere() -> None:
    markup = CODE["index.html"]
    assert not re.search(r"<style|<script(?![^>]*\ssrc=)|\sstyle=|\son\w+=|javascript:", markup, re.IGNORECASE)
    for name, text in CODE.items():
        assert not re.search(r"(https?:)?//[\w-]+\.\w", text), name
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function", text), name
    for file in FOLDER.glob("*.css"):
        assert not re.search(r"url\(|@import|@font-face", file.read_text("utf-8")), file.name
    for name in re.findall(r'(?:src|href)="([^"#]+)"', markup):
        assert name in SERVED


@pytest.mark.parametrize(
    "path",
    [
        "/page", "/page/", "/page/../site.py", "/page/..%2fsite.py", "/page/%2e%2e/app.py", "/page/words/../main.js",
        "/page//main.js", "//page/main.js", "/page/main.js/", "/page/MAIN.JS", "/page/words/xx.json", "/page/words",
        "/page/index.html", "/index.html", "/page/main.js%00", "/page/..\\site.py", "/page/%252e%252e/site.py",
    ],
)  # fmt: skip
def test_no_other_path_leads_to_a_file(client: httpx.Client, path: str) -> None:
    plain = HTTPConnection(client.base_url.host, client.base_url.port or 0)  # httpx would tidy the path up
    plain.request("GET", path)
    answer = plain.getresponse()
    assert answer.status == 404
    assert json.loads(answer.read())["error"]["type"] == "not_found_error"
    plain.close()


def test_the_page_is_read_only(client: httpx.Client) -> None:
    for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS"):
        answer = client.request(method, "/", content=b"x")
        assert answer.status_code == 405
        assert answer.headers["allow"] == "GET, HEAD"


def test_the_page_is_counted_by_its_names(client: httpx.Client) -> None:
    client.get("/page/main.js")
    assert 'route="/page/{file}",status="200"' in client.get("/metrics").text


def test_state_without_an_index(client: httpx.Client) -> None:
    told = client.get(STATE).json()
    languages = told.pop("languages")
    assert told == {"model": NAME, "index": False, "generate": None, "keys": False}
    assert languages is None or set(languages) <= set(LANGUAGES)


def test_with_keys_the_page_is_open_and_all_else_is_not(encoder: Encoder, index: Index) -> None:
    secret, key = new_key("a", "read")
    with serving(encoder, keys=KeyRing({"a": key}), index=index, rate=60, burst=3) as client:
        for path in SERVED:
            assert client.get(path).status_code == 200, path
        told = client.get(STATE).json()
        assert (told["keys"], told["index"]) == (True, True)
        assert client.get("/labels", params={"language": "en"}).status_code == 401
        assert client.get("/page/other.js").status_code == 401
        given = {"authorization": f"Bearer {secret}"}
        assert client.get("/labels", params={"language": "en"}, headers=given).status_code == 200


@pytest.mark.parametrize("language", LANGUAGES)
def test_labels_of_the_model(client: httpx.Client, language: Any) -> None:
    told = client.get("/labels", params={"language": language}).json()
    assert told == {"language": language, "labels": list(label_set("mini", language).values())}


def test_labels_of_another_language(client: httpx.Client) -> None:
    for wrong in ({"language": "de"}, {}, {"language": "../en"}):
        assert client.get("/labels", params=wrong).status_code == 400


def places(text: str) -> list[str]:
    return sorted(re.findall(r"\{(\w+)\}", text))


@pytest.mark.parametrize("language", LANGUAGES)
def test_words_are_complete(language: str) -> None:
    assert list(WORDS[language]) == list(WORDS["en"])
    for key, text in WORDS[language].items():
        assert text.strip() == text != "", key
        assert places(text) == places(WORDS["en"][key]), key
        assert "<" not in text, key


def test_words_are_translated() -> None:
    same = {
        (language, key)
        for language in LANGUAGES[1:]
        for key, text in WORDS[language].items()
        if text == WORDS["en"][key]
    }
    assert same == {("it", "fact.path")}, "file is the Italian word, too"


def test_each_word_is_used_and_each_used_word_is_there() -> None:
    code = "\n".join(CODE.values())
    named = set(re.findall(r'data-t(?:-label|-hint)?="([^"]+)"', code))
    quoted = set(re.findall(r'"([a-z]+(?:[._][a-z_]+)*)"', code))
    kinds = {key.split(".")[1] for key in WORDS["en"] if key.startswith("notice.")}
    assert named <= set(WORDS["en"])
    assert set(re.findall(r'\bt\("([^"]+)"', code)) <= set(WORDS["en"])
    built = {f"notice.{kind}" for kind in kinds} | {f"notice.{kind}.said" for kind in kinds}
    assert set(WORDS["en"]) - named - quoted - built == set()
    assert kinds <= quoted | {"unreachable", "busy", "failed", "refused"}


def test_the_page_and_the_package_know_the_same_languages() -> None:
    listed = re.search(r"LANGUAGES = \{(.*?)\}", CODE["words.js"], re.DOTALL)
    assert listed is not None
    assert dict(re.findall(r'(\w\w): "([^"]+)"', listed[1])) == NAMES
    right_to_left = re.search(r"RIGHT_TO_LEFT = new Set\((.*?)\)", CODE["words.js"])
    assert right_to_left is not None
    assert set(json.loads(right_to_left[1])) == set(RIGHT_TO_LEFT)

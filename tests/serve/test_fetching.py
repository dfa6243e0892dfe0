"""Images at addresses: what is public, what is refused however it is spelt, and that the address seen is the one used.

Servers are on loopback; a rule and a resolver of the tests stand in for the internet.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import numpy as np
import pytest

from altclip.encoder import Encoder
from altclip.serve.addresses import is_public
from altclip.serve.fetching import Budget, Fetcher, UnfetchableError
from tests.serve.made import asked, encoded, serving

pytest.importorskip("httpcore2", reason="needs the extra serve")

PUBLIC = ["8.8.8.8", "93.184.216.34", "172.32.0.1", "100.128.0.1", "192.0.1.1", "2606:4700::1111", "2a00:1450::1"]
LOCAL = [
    "127.0.0.1", "127.8.9.10", "0.0.0.0", "10.1.2.3", "172.16.0.1", "172.31.255.255", "192.168.0.1", "169.254.169.254",
    "100.64.0.1", "100.100.100.200", "168.63.129.16", "192.0.0.192", "192.0.2.1", "198.18.0.1", "198.19.255.255",
    "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.255", "192.88.99.1",
    "::", "::1", "::ffff:8.8.8.8", "::ffff:127.0.0.1", "::ffff:7f00:1", "::127.0.0.1", "64:ff9b::808:808",
    "64:ff9b::7f00:1", "64:ff9b:1::1", "fe80::1", "fe80::1%eth0", "fc00::1", "fd00:ec2::254", "ff02::1", "100::1",
    "2001::1", "2001:db8::1", "2002:7f00:1::", "2002:808:808::", "3fff::1", "fec0::1", "2606:4700::1%eth0",
    "localhost", "", "127.1", "0x7f.1", "2130706433", "017700000001", "8.8.8.8 ", "08.8.8.8",
]  # fmt: skip


@pytest.mark.parametrize("address", PUBLIC)
def test_public(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize("address", LOCAL)
def test_not_public(address: str) -> None:
    assert not is_public(address)


def test_nothing_is_public_that_python_calls_private() -> None:
    import ipaddress

    random = np.random.default_rng(0)
    for number in random.integers(0, 2**32, 3_000):
        address = ipaddress.IPv4Address(int(number))
        assert not is_public(str(address)) or (address.is_global and not address.is_multicast)
    for network in ("2001::/16", "2002::/16", "fc00::/7", "fe80::/10", "::/64", "2000::/3"):
        base = int(ipaddress.IPv6Network(network).network_address)
        for number in random.integers(0, 2**62, 200):
            held = ipaddress.IPv6Address(base + int(number))
            assert not is_public(str(held)) or held.is_global


@dataclass
class Site:
    """A server of pictures on loopback. asked: the paths and headers of what was asked for."""

    port: int
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    stop: threading.Event = field(default_factory=threading.Event)

    def at(self, path: str, host: str = "pictures.example") -> str:
        return f"http://{host}:{self.port}{path}"


def given(site: Site, path: str, rest: str) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body of what lies at a path."""
    if path == "/slow":
        site.stop.wait(10)
    pages: dict[str, tuple[int, dict[str, str], bytes]] = {
        "/cat.png": (200, {"content-type": "image/png"}, encoded()),
        "/text": (200, {"content-type": "image/png"}, b"dear diary, root:x:0:0"),
        "/large": (200, {}, bytes(400_000)),
        "/endless": (200, {"content-length": "1000000000"}, bytes(400_000)),
        "/gzip": (200, {"content-encoding": "gzip"}, b"x"),
        "/to": (302, {"location": rest.replace("PORT", str(site.port))}, b""),
        "/round": (307, {"location": "/round"}, b""),
    }
    return pages.get(path, (404, {}, b"inner words"))


@contextmanager
def site() -> Iterator[Site]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            found.asked.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
            path, _, rest = self.path.partition("?")
            status, headers, body = given(found, path, rest)
            self.send_response(status)
            for name, value in {"content-length": str(len(body)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    found = Site(server.server_address[1])
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield found
    finally:
        found.stop.set()
        server.shutdown()
        server.server_close()
        thread.join(10)


@pytest.fixture(scope="module")
def pictures() -> Iterator[Site]:
    with site() as found:
        yield found


@dataclass
class Names:
    """A resolver: a name stands for 127.0.0.1 or what it is told; what counts as public is `public`."""

    told: dict[str, list[str]] = field(default_factory=dict)
    public: frozenset[str] = frozenset({"127.0.0.1"})
    asked: list[str] = field(default_factory=list)

    async def resolve(self, host: str, port: int) -> list[str]:
        self.asked.append(host)
        found = self.told.get(host, ["127.0.0.1"] if host.endswith(".example") else None)
        if found is None:
            kinds = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
            found = [str(address[0]) for *_, address in kinds]
        return found

    def allowed(self, address: str, port: int) -> bool:
        return address in self.public

    def fetcher(self, seconds: float = 5) -> Fetcher:
        return Fetcher(seconds, self.resolve, self.allowed)


def fetched(fetcher: Fetcher, address: str, most: int = 300_000) -> bytes:
    (found,) = tried(fetcher, [address], most)
    if isinstance(found, UnfetchableError):
        raise found
    return found


def tried(fetcher: Fetcher, addresses: list[str], most: int = 300_000) -> list[bytes | UnfetchableError]:
    """One after the other."""

    async def one(address: str) -> bytes | UnfetchableError:
        try:
            return await fetcher.fetch(address, Budget(most))
        except UnfetchableError as error:
            return error

    async def all_of_them() -> list[bytes | UnfetchableError]:
        found = [await one(address) for address in addresses]
        await fetcher.close()
        return found

    return asyncio.run(all_of_them())


def reasons(fetcher: Fetcher, addresses: list[str]) -> dict[str, str | None]:
    """Why each was refused, None for one that was not."""
    found = tried(fetcher, addresses)
    return {address: getattr(error, "reason", None) for address, error in zip(addresses, found, strict=True)}


def refused(fetcher: Fetcher, address: str, most: int = 300_000) -> str:
    with pytest.raises(UnfetchableError) as error:
        fetched(fetcher, address, most)
    return error.value.reason


def test_a_picture_and_what_is_sent_for_it(pictures: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")  # nobody is there
    pictures.asked.clear()
    assert fetched(Names().fetcher(), pictures.at("/cat.png?a=b#c")) == encoded()
    (path, headers), *others = pictures.asked
    assert (path, others) == ("/cat.png?a=b", [])
    assert headers["host"] == f"pictures.example:{pictures.port}"
    assert not {"cookie", "authorization", "referer"} & headers.keys()


@pytest.mark.parametrize("steps", [["/cat.png"], ["/to?/cat.png"], ["/to?/to?http://b.example:PORT/cat.png"]])
def test_redirects(pictures: Site, steps: list[str]) -> None:
    assert fetched(Names().fetcher(), pictures.at(steps[0])) == encoded()


BAD = [
    "ftp://pictures.example/x", "file:///etc/passwd", "gopher://pictures.example/", "data:text/plain,x", "cat.png", "",
    "http://", "http:///x", "http://user@pictures.example/", "http://a:b@pictures.example/", "http://pictures.example:x/",
    "http://8.8.8.8:99999/", "http://[::1/", "http://a%00b/", "http://pictures.example/ x", "http://pictures.example\\@x/",
    "http://pictures.example/\r\nx: y", "http://кот.example/", "http://pictures.example/" + "x" * 5000,
]  # fmt: skip
# Loopback in the spellings that resolvers and parsers take, which only resolving tells.
SPELT = [
    "127.0.0.1", "127.1", "0", "0.0.0.0", "2130706433", "0x7f000001", "0x7f.0.0.1", "0177.0.0.1", "017700000001",
    "[::1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[0:0:0:0:0:0:0:1]", "[::]", "localhost", "LOCALHOST",
    "localhost.", "169.254.169.254", "[fe80::1]", "[64:ff9b::7f00:1]", "10.0.0.1", "[fd00:ec2::254]", "nowhere.invalid",
]  # fmt: skip


def test_addresses_that_are_not_fetched_say_no_more_than_that() -> None:
    addresses = [*BAD, *(f"{scheme}://{host}/" for host in SPELT for scheme in ("http", "https"))]
    addresses += [f"http://8.8.8.8:{port}/" for port in (0, 22, 25, 6379, 8080)]
    assert reasons(Fetcher(5), addresses) == dict.fromkeys(addresses, UnfetchableError().reason)


def test_a_redirect_into_the_network_is_refused_alike(pictures: Site) -> None:
    pictures.asked.clear()
    names = Names()

    def allowed(address: str, _port: int) -> bool:
        """What redirects name is checked by the true rule, the first step by the tests' own."""
        return names.asked[-1] == "front.example" or is_public(address)

    addresses = [pictures.at(f"/to?http://{host}:PORT/cat.png", "front.example") for host in SPELT]
    found = reasons(Fetcher(5, names.resolve, allowed), addresses)
    assert found == dict.fromkeys(addresses, UnfetchableError().reason)
    assert [path.partition("?")[0] for path, _ in pictures.asked] == ["/to"] * len(SPELT)


def test_a_redirect_to_no_web_address(pictures: Site) -> None:
    led = ("file:///etc/passwd", "//a@b.example/", "ftp://b.example/", "http://[", "gopher:x")
    addresses = [pictures.at(f"/to?{address}") for address in led]
    assert reasons(Names().fetcher(), addresses) == dict.fromkeys(addresses, UnfetchableError().reason)


def test_one_local_address_of_several_is_enough(pictures: Site) -> None:
    names = Names({"mixed.example": ["127.0.0.1", "10.0.0.1"]})
    pictures.asked.clear()
    assert refused(names.fetcher(), pictures.at("/cat.png", "mixed.example")) == UnfetchableError().reason
    assert refused(Names({"none.example": []}).fetcher(), pictures.at("/", "none.example"))
    assert pictures.asked == []


def test_what_was_checked_is_what_is_connected_to(pictures: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that changes its meaning between looks is looked up once, and never by the connection itself."""
    looked = []

    async def rebinding(host: str, port: int) -> list[str]:
        looked.append(host)
        return ["127.0.0.1"] if len(looked) == 1 else ["10.0.0.1"]

    def never(*_: Any, **__: Any) -> Any:
        raise AssertionError("the name was looked up again")

    fetcher = Fetcher(5, rebinding, Names().allowed)
    monkeypatch.setattr(socket, "getaddrinfo", never)
    assert fetched(fetcher, pictures.at("/cat.png", "rebinds.example")) == encoded()
    assert looked == ["rebinds.example"]


def test_each_step_and_each_address_is_looked_up_anew(pictures: Site) -> None:
    names = Names()
    assert fetched(names.fetcher(), pictures.at("/to?/cat.png")) == encoded()
    assert names.asked == ["pictures.example"] * 2


WRONG = {
    "/none": "answers 404", "/round": "leads on more than 3 times", "/gzip": "encoding that was not asked",
    "/large": "more bytes than", "/endless": "more bytes than", "/slow": "did not answer within 0.3 s",
}  # fmt: skip


@pytest.mark.parametrize(("path", "words"), WRONG.items())
def test_answers_that_are_no_use(pictures: Site, path: str, words: str) -> None:
    reason = refused(Names().fetcher(0.3 if path == "/slow" else 5), pictures.at(path))
    assert words in reason
    assert "inner" not in reason


def test_nobody_is_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = held.getsockname()[1]
    assert refused(Names().fetcher(), f"http://pictures.example:{port}/") == UnfetchableError().reason


def test_https_is_checked_by_name_and_does_not_lead_to_http(pictures: Site) -> None:
    """The site speaks no TLS, and that is all that is told."""
    tls = Names().fetcher()._pool._ssl_context
    assert (tls.verify_mode, tls.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert refused(Names().fetcher(), f"https://pictures.example:{pictures.port}/") == UnfetchableError().reason
    from altclip.serve.fetching import _next

    with pytest.raises(UnfetchableError):
        _next("https://a.example/", "http://a.example/")
    assert _next("https://a.example/b/c", "../d") == "https://a.example/d"


@pytest.fixture(scope="module")
def fetching(encoder: Encoder, pictures: Site) -> Iterator[httpx.Client]:
    limits: dict[str, Any] = {"max_body": 300_000, "fetch_items": 3, "max_characters": 500}
    with serving(encoder, fetcher=Names().fetcher(), fetch=True, **limits) as client:
        yield client


def test_the_server_embeds_what_lies_there(fetching: httpx.Client, encoder: Encoder, pictures: Site) -> None:
    found = fetching.post("/v1/embeddings", json=asked(["a cat at http://x", pictures.at("/cat.png"), "猫"])).json()
    rows = np.array([row["embedding"] for row in found["data"]])
    np.testing.assert_allclose(rows[1:2], encoder.encode_images([encoded()]), atol=1e-5)
    np.testing.assert_allclose(rows[[0, 2]], encoder.encode_texts(["a cat at http://x", "猫"]), atol=1e-5)
    answer = fetching.post("/classify", json={"images": [pictures.at("/cat.png")], "labels": ["a", "b"]})
    assert len(answer.json()["results"][0]) == 2


REFUSED = {
    "/none": ("not_fetched", "input[1]: the address answers 404"), "/text": ("invalid_image", "is not an image"),
    "/large": ("not_fetched", "more bytes"),
}  # fmt: skip


@pytest.mark.parametrize(("path", "told"), REFUSED.items())
def test_the_server_says_what_is_wrong_and_where(
    fetching: httpx.Client, pictures: Site, path: str, told: tuple[str, str]
) -> None:
    answer = fetching.post("/v1/embeddings", json=asked(["x", pictures.at(path)]))
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert (error["code"], error["param"]) == (told[0], "input[1]")
    assert told[1] in error["message"]
    assert "diary" not in answer.text
    assert "127.0.0.1" not in answer.text


def test_a_request_has_so_many_addresses_and_bytes(fetching: httpx.Client, pictures: Site) -> None:
    pictures.asked.clear()
    answer = fetching.post("/v1/embeddings", json=asked([pictures.at("/cat.png")] * 4))
    assert answer.json()["error"]["code"] == "too_many_inputs"
    assert pictures.asked == []


def test_a_server_that_is_not_told_to_fetch_does_not(client: httpx.Client, pictures: Site) -> None:
    pictures.asked.clear()
    assert client.post("/v1/embeddings", json=asked(pictures.at("/cat.png"))).status_code == 200  # as a text
    for body in ({"images": [pictures.at("/cat.png")], "labels": ["a", "b"]},):
        answer = client.post("/classify", json=body)
        assert answer.status_code == 400
        assert "not fetched" in answer.json()["error"]["message"]
    assert pictures.asked == []

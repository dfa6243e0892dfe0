"""The server under way: batches across requests, full, slow, left, ending, stuck; keys, limits and logs."""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import httpx
import numpy as np
import pytest

from altclip.encoder import Encoder
from altclip.models import TextConfig
from altclip.serve.app import create_app
from altclip.serve.keys import KeyRing, new_key
from altclip.serve.settings import Settings
from tests.bad import picture
from tests.serve.made import NAME, Slow, asked, encoded, serving, tiny_encoder, uri
from tests.tiny import SENTENCES, tiny_config, tiny_model, tiny_processor


@pytest.fixture
def slow(encoder: Encoder) -> Slow:
    return Slow(encoder)


def warm(slow: Slow, run: Callable[[], Any]) -> Any:
    """Start something with the encoder let go, then hold it again."""
    slow.go.set()
    found = run()
    hold(slow)
    return found


def hold(slow: Slow) -> None:
    slow.go.clear()
    slow.began.clear()
    slow.calls.clear()


def until(true: Callable[[], Any], seconds: float = 10) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not come to be"
        time.sleep(0.005)


def post(client: httpx.Client, texts: Any) -> httpx.Response:
    return client.post("/v1/embeddings", json=asked(texts))


def counter(client: httpx.Client, name: str) -> float:
    lines = client.get("/metrics").text.splitlines()
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(name))


def test_requests_are_computed_together_and_right(slow: Slow, encoder: Encoder) -> None:
    slow.go.set()
    with serving(slow, batch=32) as client, ThreadPoolExecutor(20) as pool:
        hold(slow)
        first = pool.submit(post, client, "the first")
        assert slow.began.wait(10)
        others = [pool.submit(post, client, SENTENCES[number % 9]) for number in range(18)]
        until(lambda: "altclip_text_queued_items 18.0" in client.get("/metrics").text)
        slow.go.set()
        assert first.result().status_code == 200
        rows = [other.result().json()["data"][0]["embedding"] for other in others]
        assert slow.calls == [1, 18], "all that waited were one batch"
        np.testing.assert_allclose(rows, encoder.encode_texts([SENTENCES[n % 9] for n in range(18)]), atol=1e-5)


def test_a_bad_image_fails_its_own_request_alone(slow: Slow, encoder: Encoder) -> None:
    slow.go.set()
    damaged = encoded(picture(size=(300, 200)), "JPEG")[:700]
    with serving(slow) as client, ThreadPoolExecutor(9) as pool:
        hold(slow)
        first = pool.submit(post, client, uri())
        assert slow.began.wait(10)
        images = [encoded(), damaged, encoded(picture(size=(1, 1))), b"GIF89a", encoded(picture((1, 2, 3)))]
        jobs = [pool.submit(post, client, uri(image)) for image in images]
        until(lambda: "altclip_image_queued_items 5.0" in client.get("/metrics").text)
        slow.go.set()
        answers = [job.result() for job in jobs]
        assert first.result().status_code == 200
        assert slow.calls == [1, 5]
        assert [answer.status_code for answer in answers] == [200, 400, 200, 400, 200]
        good = [answers[place].json()["data"][0]["embedding"] for place in (0, 2, 4)]
        np.testing.assert_allclose(good, encoder.encode_images([images[place] for place in (0, 2, 4)]), atol=1e-5)
        assert client.get("/healthz").status_code == 200


def test_a_model_that_sees_padding_computes_each_request_alone() -> None:
    config = tiny_config()
    unmasked = replace(config.heads["retrieval"], masked=False)
    model = tiny_model(config=replace(config, heads={**config.heads, "unmasked": unmasked}))
    encoder = Encoder.from_model(model, tiny_processor(), engine="torch", precision="exact", head="unmasked")
    texts = ["a", "a much longer text than the other one"]
    with serving(encoder) as client, ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(lambda text: post(client, text), texts))
        rows = [answer.json()["data"][0]["embedding"] for answer in answers]
        np.testing.assert_allclose(rows, [encoder.encode_texts(text)[0] for text in texts], atol=1e-5)


def test_a_full_queue_answers_429(slow: Slow) -> None:
    slow.go.set()
    with serving(slow, queue=2, batch=1, gather=0) as client, ThreadPoolExecutor(4) as pool:
        hold(slow)
        jobs = [pool.submit(post, client, "a")]
        assert slow.began.wait(10)
        jobs += [pool.submit(post, client, text) for text in "bc"]
        until(lambda: client.get("/readyz").status_code == 503)
        refused = post(client, "d")
        assert refused.status_code == 429
        assert refused.json()["error"]["type"] == "rate_limit_error"
        assert int(refused.headers["retry-after"]) >= 1
        slow.go.set()
        assert [job.result().status_code for job in jobs] == [200] * 3
        assert client.get("/readyz").status_code == 200


def test_a_request_that_takes_too_long_is_504(slow: Slow) -> None:
    slow.go.set()
    with serving(slow, timeout=1) as client:
        hold(slow)
        answer = post(client, "a")
        assert answer.status_code == 504
        assert answer.json()["error"]["code"] == "timeout"
        slow.go.set()
        assert post(client, "b").status_code == 200


def test_who_leaves_is_not_computed_for(slow: Slow) -> None:
    slow.go.set()
    with serving(slow, batch=4) as client, ThreadPoolExecutor(1) as pool:
        hold(slow)
        first = pool.submit(post, client, "a")
        assert slow.began.wait(10)
        with pytest.raises(httpx.ReadTimeout):
            client.post("/v1/embeddings", json=asked(["b", "c"]), timeout=0.3)
        until(lambda: counter(client, 'altclip_requests_total{method="POST",route="/v1/embeddings",status="499"}') == 1)
        assert "altclip_text_queued_items 0.0" in client.get("/metrics").text
        slow.go.set()
        assert first.result().status_code == 200
        assert post(client, "d").status_code == 200
        assert slow.calls == [1, 1]


def test_the_end_finishes_what_was_taken(slow: Slow) -> None:
    slow.go.set()
    with ThreadPoolExecutor(4) as pool:
        with serving(slow, batch=1, gather=0) as client:
            address = str(client.base_url).rstrip("/")
            hold(slow)
            jobs = [pool.submit(httpx.post, f"{address}/v1/embeddings", json=asked(text)) for text in "abc"]
            until(lambda: "altclip_text_queued_items 2.0" in client.get("/metrics").text)
            threading.Timer(0.3, slow.go.set).start()
        assert [job.result().status_code for job in jobs] == [200] * 3
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{address}/readyz")


def test_health_really_encodes_and_tells_of_a_stuck_worker(slow: Slow) -> None:
    slow.go.set()
    with serving(slow, stuck=0.2, timeout=0.1) as client:
        slow.calls.clear()
        assert client.get("/healthz").json() == {"status": "ok", "problem": None}
        assert slow.calls == [1, 1]
        hold(slow)
        assert post(client, uri()).status_code == 504
        time.sleep(0.3)
        answer = client.get("/healthz")
        assert answer.status_code == 503
        assert "worker for images is stuck" in answer.json()["problem"]
        slow.go.set()
        until(lambda: client.get("/healthz").status_code == 200)


def test_a_model_that_fails_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = tiny_encoder()
    with serving(encoder) as client:

        def broken(*_: Any, **__: Any) -> Any:
            raise RuntimeError("secret words")

        monkeypatch.setattr(type(encoder), "encode_texts", broken)
        answer = post(client, "my diary")
        assert answer.status_code == 500
        assert "secret" not in answer.text
        health = client.get("/healthz")
        assert health.status_code == 503
        assert "RuntimeError" in health.json()["problem"]


@pytest.fixture
def keyed(encoder: Encoder) -> Any:
    made = [new_key("phone", "read"), new_key("admin", "write")]
    return [secret for secret, _ in made], KeyRing({key.name: key for _, key in made})


def bearer(secret: str) -> dict[str, str]:
    return {"authorization": f"Bearer {secret}"}


def test_keys(encoder: Encoder, keyed: Any) -> None:
    secrets, ring = keyed
    with serving(encoder, keys=ring) as client:
        for path in ("/v1/models", "/metrics", "/openapi.json", "/index", "/nowhere"):
            answer = client.get(path)
            assert answer.status_code == 401
            assert answer.headers["www-authenticate"] == "Bearer"
            assert answer.json()["error"]["code"] == "invalid_api_key"
        for wrong in ("x", secrets[0][:-1], secrets[0] + "x", "Ünïcode".encode().decode("latin-1")):
            headers = {b"authorization": b"Bearer " + wrong.encode("latin-1")}
            assert client.get("/v1/models", headers=headers).status_code == 401
        assert client.get("/v1/models", headers={"authorization": f"Basic {secrets[0]}"}).status_code == 401
        for wrong in (secrets[0].upper(), f"{secrets[0]},{secrets[1]}", f"{secrets[0]} x", f'"{secrets[0]}"'):
            assert client.get("/v1/models", headers=bearer(wrong)).status_code == 401
        twice = [("authorization", "Bearer x"), ("authorization", f"Bearer {secrets[0]}")]
        bare = [("authorization", secrets[0])]
        for odd in (twice, twice[::-1], bare, [("authorization", "Bearer")], [("x-api-key", secrets[0])]):
            assert client.get("/v1/models", headers=odd).status_code == 401
        assert client.get("/v1/models", params={"key": secrets[0]}).status_code == 401
        for secret in secrets:
            assert client.get("/v1/models", headers=bearer(secret)).status_code == 200
        assert client.get("/healthz").status_code == 200
        assert client.get("/readyz").status_code == 200


def test_a_stranger_s_body_is_not_read(encoder: Encoder, keyed: Any) -> None:
    with serving(encoder, keys=keyed[1]) as client:
        where = client.base_url
        with socket.create_connection((where.host, where.port), timeout=10) as line:
            line.sendall(b"POST /v1/embeddings HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n")
            assert line.recv(100).startswith(b"HTTP/1.1 401")


def test_the_rate_of_a_caller(encoder: Encoder, keyed: Any) -> None:
    secrets, ring = keyed
    with serving(encoder, keys=ring, rate=1, burst=3) as client:
        found = [client.get("/v1/models", headers=bearer(secrets[0])) for _ in range(5)]
        assert [answer.status_code for answer in found] == [200] * 3 + [429] * 2
        assert 1 <= int(found[-1].headers["retry-after"]) <= 60
        assert client.get("/v1/models", headers=bearer(secrets[1])).status_code == 200
        assert [client.get("/v1/models").status_code for _ in range(5)] == [401] * 3 + [429] * 2
        assert client.get("/v1/models", headers=bearer(secrets[1])).status_code == 200
        assert client.get("/healthz").status_code == 200


def test_a_large_body_is_413(client: httpx.Client) -> None:
    assert post(client, "x" * 400_000).status_code == 413

    def parts() -> Any:
        for _ in range(400):
            yield b"x" * 1000

    try:
        answer = client.post("/v1/embeddings", content=parts(), headers={"content-type": "application/json"})
    except httpx.WriteError:  # the connection was closed while it still sent
        return
    assert answer.status_code == 413
    assert answer.json()["error"]["code"] == "body_too_large"


def test_who_needs_no_key_sends_no_body(client: httpx.Client) -> None:
    for path in ("/healthz", "/readyz"):
        assert client.request("GET", path, content=b"x" * 100).status_code == 200
        answer = client.request("GET", path, content=b"x" * 2000)
        assert (answer.status_code, answer.json()["error"]["code"]) == (413, "body_too_large")


def test_a_body_that_does_not_come_is_408(encoder: Encoder) -> None:
    with serving(encoder, body_timeout=0.2) as client:
        where = client.base_url
        with socket.create_connection((where.host, where.port), timeout=10) as line:
            head = f"POST /classify HTTP/1.1\r\nHost: {where.host}\r\nContent-Length: 10\r\n\r\nabc"
            line.sendall(head.encode())
            assert line.recv(100).startswith(b"HTTP/1.1 408")


def test_only_json_is_taken_so_that_no_page_elsewhere_can_send_it(client: httpx.Client) -> None:
    body = b'{"model": "x", "input": "y"}'
    assert client.post("/v1/embeddings", content=body, headers={"content-type": "text/plain"}).status_code == 400
    assert client.post("/v1/embeddings", content=body).status_code == 400


def test_another_host_name_is_refused(client: httpx.Client, encoder: Encoder) -> None:
    assert client.get("/v1/models", headers={"host": "evil.example"}).status_code == 400
    assert client.get("/v1/models", headers={"host": "localhost:1"}).status_code == 200
    assert client.get("/v1/models", headers={"host": "[::1]:1"}).status_code == 200


def test_the_address_that_it_listens_at_is_answered(encoder: Encoder) -> None:
    app = create_app(Settings(host="127.0.0.2"), encoder)

    async def status(host: str) -> int:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url=f"http://{host}") as client:
            return (await client.get("/v1/models")).status_code

    assert asyncio.run(status("127.0.0.2:8000")) == 200
    assert asyncio.run(status("127.0.0.3:8000")) == 400


def test_host_names_that_the_settings_name(encoder: Encoder) -> None:
    with serving(encoder, hosts=("photos.example",)) as client:
        answers = [client.get("/v1/models", headers={"host": host}) for host in ("photos.example", "evil.example")]
    assert [answer.status_code for answer in answers] == [200, 400]


@pytest.mark.parametrize(("proxies", "statuses"), [("127.0.0.1", [200, 200, 429]), ("", [200, 429, 429])])
def test_the_rate_is_that_of_a_client_behind_a_proxy_that_is_believed(
    encoder: Encoder, proxies: str, statuses: list[int]
) -> None:
    with serving(encoder, proxies=proxies, rate=1, burst=1) as client:
        found = [
            client.get("/v1/models", headers={"x-forwarded-for": address}).status_code
            for address in ("192.0.2.1", "192.0.2.2", "192.0.2.1")
        ]
    assert found == statuses


def test_connections_beyond_the_limit_are_turned_away(encoder: Encoder) -> None:
    with serving(encoder, connections=2) as client:
        where = client.base_url
        held = [socket.create_connection((where.host, where.port or 0), timeout=10) for _ in range(2)]
        try:
            for line in held:  # a request each, so that the server knows of both
                line.sendall(f"GET /healthz HTTP/1.1\r\nHost: {where.host}\r\n\r\n".encode())
                assert line.recv(100)
            assert client.get("/v1/models").status_code == 503
        finally:
            for line in held:
                line.close()


@pytest.mark.parametrize("path", ["/v1/models", "/nowhere", "/healthz", "/openapi.json"])
def test_security_headers(client: httpx.Client, path: str) -> None:
    headers = client.get(path).headers
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cache-control"] == "no-store"
    assert "server" not in headers


def test_errors_of_the_frame_have_the_form(client: httpx.Client) -> None:
    assert client.get("/nowhere").json()["error"]["type"] == "not_found_error"
    wrong = client.delete("/v1/models")
    assert wrong.status_code == 405
    assert wrong.headers["allow"] == "GET"
    assert wrong.json()["error"]["message"]


def test_logs_and_counters_hold_no_contents(client: httpx.Client, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, "altclip.serve"):
        post(client, "my very secret diary")
        client.get("/secret-path?secret=query")
        post(client, {"secret": "key"})
        text = client.get("/metrics").text
    assert "/v1/embeddings 200" in caplog.text
    assert "secret" not in caplog.text
    assert "secret" not in text
    assert 'route="other"' in text


def test_without_a_tower(encoder: Encoder) -> None:
    from altclip.models import DualEncoder, ModelConfig, heads_of

    config = tiny_config()
    assert isinstance(config.text, TextConfig)
    texts_only = ModelConfig(vision=None, text=config.text, projection_dim=16, heads=heads_of("altclip"))
    only = Encoder.from_model(DualEncoder(texts_only).eval(), tiny_processor(), engine="torch")
    with serving(only) as client:
        assert post(client, "a").status_code == 200
        answer = client.post("/v1/embeddings", json={"model": NAME, "input": uri()})
        assert answer.status_code == 400
        assert answer.json()["error"]["code"] == "no_such_tower"

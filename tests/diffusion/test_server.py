"""Pictures by OpenAI's client from a server with a tiny pipeline: limits, refusals, and clients that leave."""

from __future__ import annotations

import asyncio
import base64
import io
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import openai
import pytest
from PIL import Image

from altclip.encoder import Encoder
from altclip.serve.app import create_app
from altclip.serve.keys import KeyRing, new_key
from altclip.serve.pictures import PictureForm, Pictures, open_pictures
from altclip.serve.refusals import Refusal
from altclip.serve.settings import Settings
from tests.serve.made import running, tiny_encoder

PATH = "/v1/images/generations"


@contextmanager
def drawing(encoder: Encoder, pipeline: Any, keys: Any = None, **settings: Any) -> Iterator[httpx.Client]:
    made = Settings(port=0, **settings)
    generator = Pictures(pipeline, "tiny", made)
    app = create_app(made, encoder, keys=keys, generator=generator)
    assert app.state.generator is generator
    with running(app, made) as address, httpx.Client(base_url=address, timeout=60, trust_env=False) as client:
        yield client


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return tiny_encoder()


@pytest.fixture(scope="module")
def client(encoder: Encoder, pipeline: Any) -> Iterator[httpx.Client]:
    with drawing(encoder, pipeline, generate_steps=20, generate_side=128, max_characters=10_000) as found:
        yield found


def pixels(data: str) -> np.ndarray:
    with Image.open(io.BytesIO(base64.b64decode(data))) as image:
        return np.asarray(image.convert("RGB"), dtype=int)


def test_by_the_client_of_openai(client: httpx.Client, pipeline: Any) -> None:
    from altclip.diffusion import generate

    http: Any = httpx.Client(trust_env=False)
    ask: Any = openai.OpenAI(base_url=f"{client.base_url}/v1", api_key="none", http_client=http)
    found = ask.images.generate(
        prompt="il gatto nero", model="tiny", n=2, size="64x48", response_format="b64_json", user="me", quality="hd",
        style="vivid", background="opaque", moderation="low", output_compression=90, stream=False,
        extra_body={"steps": 2, "seed": 9, "guidance": 4, "negative_prompt": "собака", "sampler": "ddim"},
    )  # fmt: skip
    assert found.size == "64x48"
    assert [picture.seed for picture in found.data] == [9, 10]
    expected = generate(
        pipeline, "il gatto nero", number=2, width=64, height=48, steps=2, seed=9, guidance=4, sampler="ddim",
        negative_prompt="собака",
    )  # fmt: skip
    for picture, ours in zip(found.data, expected, strict=True):
        assert np.array_equal(pixels(picture.b64_json), np.asarray(ours.image, dtype=int))
    assert [model.id for model in ask.models.list()] == [ask.models.list().data[0].id, "tiny"]
    assert ask.models.retrieve("tiny").owned_by == "altclip"
    plain = ask.images.generate(prompt="x", size="auto", extra_body={"steps": 1})
    assert len(plain.data or []) == 1
    assert 'altclip_items_total{kind="picture"}' in client.get("/metrics").text
    assert plain.output_format == "png"


def test_a_long_prompt_says_what_was_left_out(client: httpx.Client, recwarn: pytest.WarningsRecorder) -> None:
    long = "the cat " * 500 + "ends"
    for field, told, silent in (
        ("prompt", "left_out", "negative_left_out"),
        ("negative_prompt", "negative_left_out", "left_out"),
    ):
        answer = client.post(PATH, json={"prompt": "x", "steps": 1, field: long})
        assert answer.status_code == 200
        (drawn,) = answer.json()["data"]
        assert drawn[told].endswith("ends")
        assert drawn[silent] is None
    assert not [warning for warning in recwarn if "left out" in str(warning.message)]  # a log would keep it


WRONG: dict[str, tuple[dict[str, Any], str, str]] = {
    "empty": ({"prompt": " "}, "invalid_request", "is empty"),
    "none": ({}, "invalid_request", "prompt"),
    "number": ({"n": 5}, "too_large", "at most 4 pictures"),
    "zero": ({"n": 0}, "invalid_request", "greater than or equal to 1"),
    "size": ({"size": "512x64"}, "too_large", "at most 128 pixels a side"),
    "multiple": ({"size": "60x64"}, "invalid_request", "width = 60: no multiple of 8; the nearest is 56 or 64"),
    "no size": ({"size": "large"}, "invalid_request", "size"),
    "steps": ({"steps": 21}, "too_large", "at most 20 steps"),
    "seed": ({"seed": 2**32}, "invalid_request", "seed"),
    "last seed": ({"seed": 2**32 - 1, "n": 2}, "invalid_request", "needs seeds over"),
    "sampler": ({"sampler": "dimm"}, "invalid_request", "did you mean `ddim`"),
    "address": ({"response_format": "url"}, "unsupported_response_format", "b64_json"),
    "long": ({"prompt": "x" * 10_001}, "too_large", "10000 characters"),
    "model": ({"model": "dall-e-3"}, "model_not_found", "drawn by tiny"),
    "unknown": ({"mask": "x"}, "invalid_request", "mask"),
    "stream": ({"stream": True}, "invalid_request", "stream"),
    "transparent": ({"background": "transparent"}, "invalid_request", "background"),
}


@pytest.mark.parametrize(("body", "code", "words"), WRONG.values(), ids=WRONG.keys())
def test_what_is_refused(client: httpx.Client, body: dict[str, Any], code: str, words: str) -> None:
    answer = client.post(PATH, json={"prompt": "x", **body} if body else {})
    assert answer.status_code == (404 if code == "model_not_found" else 400)
    error = answer.json()["error"]
    assert error["code"] == code
    assert words in error["message"]


def test_a_picture_of_the_models_own_size_keeps_to_the_limit_too(pipeline: Any) -> None:
    def sides(size: str | None, limit: int) -> tuple[Any, Any]:
        found = Pictures(pipeline, "tiny", Settings(generate_side=limit))._options(PictureForm(prompt="x", size=size))
        return found["width"], found["height"]

    assert sides(None, 768) == sides("auto", 64) == (64, 64)
    assert sides(None, 45) == sides("auto", 40) == (40, 40)
    assert sides("32x16", 40) == (32, 16)


@pytest.mark.parametrize(
    ("limits", "sizes"),
    [({}, ["32x32", "64x64", "96x96"]), ({"generate_side": 64, "generate_steps": 9}, ["32x32", "64x64"])],
)
def test_the_page_is_told_what_may_be_asked_for(
    encoder: Encoder, pipeline: Any, limits: dict[str, Any], sizes: list[str]
) -> None:
    with drawing(encoder, pipeline, **limits) as client:
        told = client.get("/page/state.json").json()["generate"]
        assert told == {"number": 4, "steps": limits.get("generate_steps", 50), "sizes": sizes}
        for size in sizes:
            assert client.post(PATH, json={"prompt": "x", "steps": 1, "size": size}).json()["size"] == size


def test_mistakes_do_not_wait_in_the_queue(pipeline: Any) -> None:
    idle = Pictures(pipeline, "tiny", Settings(generate_timeout=0.2))  # nobody takes from its queue
    mistakes: list[dict[str, Any]] = [
        {"sampler": "dimm"},
        {"size": "60x64"},
        {"seed": 2**32 - 1, "n": 2},
        {"prompt": " "},
    ]
    for mistake in mistakes:
        with pytest.raises(Refusal) as refused:
            asyncio.run(idle.generations(PictureForm(**{"prompt": "x", **mistake})))
        assert refused.value.status == 400


def test_too_little_memory_is_said(client: httpx.Client, pipeline: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_given: Any, **_named: Any) -> None:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")

    monkeypatch.setattr(pipeline.unet, "forward", full)
    answer = client.post(PATH, json={"prompt": "x", "steps": 1})
    assert (answer.status_code, answer.json()["error"]["code"]) == (500, "not_drawn")
    assert "no room for 1 picture(s) of 64x64" in answer.json()["error"]["message"]


def test_off_unless_a_model_is_named(encoder: Encoder) -> None:
    made = Settings(port=0)
    assert open_pictures(made, "cpu") is None
    app = create_app(made, encoder)
    assert app.state.generator is None
    with running(app, made) as address:
        answer = httpx.post(address + PATH, json={"prompt": "x"}, trust_env=False)
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "no_generator")


def test_the_setting_opens_a_folder(released: Path) -> None:
    with pytest.warns(UserWarning, match="safety checker"):
        found = open_pictures(Settings(generate=str(released)), "cpu")
    assert found is not None
    assert found.name == released.name


def test_it_needs_a_key_where_there_are_keys(encoder: Encoder, pipeline: Any) -> None:
    secret, key = new_key("a", "read")
    with drawing(encoder, pipeline, keys=KeyRing({"a": key})) as client:
        body = {"prompt": "x", "steps": 1}
        assert client.post(PATH, json=body).status_code == 401
        assert client.post(PATH, json=body, headers={"authorization": f"Bearer {secret}"}).status_code == 200


class Held:
    """The UNet's forward, of which each call waits until it is let go."""

    def __init__(self, unet: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        self.calls, self.began, self.go = 0, threading.Event(), threading.Event()
        forward = unet.forward

        def held(*given: Any, **named: Any) -> Any:
            self.calls += 1
            self.began.set()
            assert self.go.wait(30)
            return forward(*given, **named)

        monkeypatch.setattr(unet, "forward", held)


def test_a_client_that_leaves_ends_its_picture(
    encoder: Encoder,
    pipeline: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    held = Held(pipeline.unet, monkeypatch)
    with drawing(encoder, pipeline) as client:
        with pytest.raises(httpx.ReadTimeout):
            client.post(PATH, json={"prompt": "x", "steps": 50}, timeout=2)
        assert held.began.is_set()
        time.sleep(0.3)  # until the server has noticed
        held.go.set()
        assert client.post(PATH, json={"prompt": "x", "steps": 1, "sampler": "ddim"}).status_code == 200
    assert held.calls <= 3  # one step of the first, and the second's


def test_one_at_a_time_and_a_full_queue(
    encoder: Encoder,
    pipeline: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    held, statuses = Held(pipeline.unet, monkeypatch), []
    with drawing(encoder, pipeline, generate_queue=1) as client:

        def ask() -> None:
            statuses.append(client.post(PATH, json={"prompt": "x", "steps": 1, "sampler": "ddim"}).status_code)

        first, second = threading.Thread(target=ask), threading.Thread(target=ask)
        first.start()
        assert held.began.wait(20)
        second.start()
        deadline = time.monotonic() + 20
        while "altclip_picture_queued_items 1.0" not in client.get("/metrics").text:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        answer = client.post(PATH, json={"prompt": "x"})
        assert (answer.status_code, answer.json()["error"]["code"]) == (429, "queue_full")
        assert held.calls == 1
        # the model itself goes on answering meanwhile
        name = client.get("/v1/models").json()["data"][0]["id"]
        assert client.post("/v1/embeddings", json={"model": name, "input": "x"}).status_code == 200
        held.go.set()
        first.join(30)
        second.join(30)
    assert statuses == [200, 200]
    assert held.calls == 2


def test_what_takes_too_long_is_given_up(
    encoder: Encoder,
    pipeline: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    held = Held(pipeline.unet, monkeypatch)
    with drawing(encoder, pipeline, generate_timeout=0.5, shutdown=0.2) as client:
        answer = client.post(PATH, json={"prompt": "x", "steps": 30})
        assert (answer.status_code, answer.json()["error"]["code"]) == (504, "timeout")
        held.go.set()
    assert held.calls == 1  # the step after it was never begun


def test_the_end_of_the_server_ends_a_picture(pipeline: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    held = Held(pipeline.unet, monkeypatch)
    pictures = Pictures(pipeline, "tiny", Settings(shutdown=0.2))

    async def ended() -> bool:
        pictures.start()
        asked = asyncio.ensure_future(pictures.generations(PictureForm(prompt="x", steps=40)))
        await asyncio.to_thread(held.began.wait, 20)
        asyncio.get_running_loop().call_later(0.5, held.go.set)
        whole = await pictures.close()
        with pytest.raises(Refusal, match="shutting down"):
            await asked
        return whole

    assert asyncio.run(ended())
    assert held.calls == 1

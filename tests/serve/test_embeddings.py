"""The server as OpenAI's own client sees it, and its vectors beside those of `Encoder`."""

from __future__ import annotations

import asyncio
import io
import struct
import warnings
from copy import copy
from typing import Any

import httpx
import numpy as np
import openai
import pytest
from PIL import features

from altclip.cli.opening import open_encoder as open_by_command
from altclip.encoder import Encoder
from altclip.errors import ImageError
from altclip.processing import open_image
from altclip.serve.answers import Answers
from altclip.serve.contents import is_known_kind
from altclip.serve.forms import ClassifyForm
from altclip.serve.model import Model
from altclip.serve.refusals import Refusal
from altclip.serve.settings import Settings
from tests.bad import picture
from tests.serve.made import NAME, asked, encoded, serving, uri
from tests.tiny import DIM, SENTENCES


@pytest.fixture(scope="module")
def talk(client: httpx.Client) -> openai.OpenAI:
    address = str(client.base_url).rstrip("/") + "/v1"
    direct = openai.DefaultHttpxClient(trust_env=False)
    return openai.OpenAI(base_url=address, api_key="none", max_retries=0, http_client=direct)


@pytest.mark.parametrize("form", [None, "float", "base64"])
def test_openai_gets_the_encoder_s_vectors(talk: openai.OpenAI, encoder: Encoder, form: Any) -> None:
    how = {"encoding_format": form} if form else {}
    found = talk.embeddings.create(model=NAME, input=list(SENTENCES), **how)
    assert [row.index for row in found.data] == list(range(len(SENTENCES)))
    assert found.model == NAME
    assert found.usage.prompt_tokens == found.usage.total_tokens > 2 * len(SENTENCES)
    rows = [_numbers(row.embedding) for row in found.data]
    np.testing.assert_allclose(rows, encoder.encode_texts(SENTENCES), atol=1e-5)


def _numbers(embedding: Any) -> np.ndarray:
    """The client decodes base64 by itself only where it was not asked for it."""
    if isinstance(embedding, str):
        import base64

        return np.frombuffer(base64.b64decode(embedding), "<f4")
    return np.asarray(embedding, np.float32)


def test_one_text(talk: openai.OpenAI, encoder: Encoder) -> None:
    found = talk.embeddings.create(model=NAME, input="一只猫")
    np.testing.assert_allclose([found.data[0].embedding], encoder.encode_texts("一只猫"), atol=1e-5)


def test_images_among_texts(talk: openai.OpenAI, encoder: Encoder) -> None:
    one = encoded(picture(size=(1, 1)))
    found = talk.embeddings.create(model=NAME, input=["un chien", uri(), "кошка", uri(one), uri(encoded(kind="JPEG"))])
    rows = np.array([row.embedding for row in found.data])
    np.testing.assert_allclose(rows[[0, 2]], encoder.encode_texts(["un chien", "кошка"]), atol=1e-5)
    expected = encoder.encode_images([encoded(), one, encoded(kind="JPEG")])
    np.testing.assert_allclose(rows[[1, 3, 4]], expected, atol=1e-5)


def test_the_model(talk: openai.OpenAI) -> None:
    models = list(talk.models.list())
    assert [model.id for model in models] == [NAME]
    assert talk.models.retrieve(NAME).id == NAME
    with pytest.raises(openai.NotFoundError, match="no such model"):
        talk.models.retrieve("gpt")


def test_another_model_is_not_found(talk: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as refused:
        talk.embeddings.create(model="text-embedding-3-small", input="x")
    assert refused.value.code == "model_not_found"
    assert refused.value.param == "model"


@pytest.mark.parametrize("tokens", [[1, 2, 3], [[1, 2], [3]]])
def test_tokens_are_refused_in_words(talk: openai.OpenAI, tokens: Any) -> None:
    with pytest.raises(openai.BadRequestError, match="another tokenizer"):
        talk.embeddings.create(model=NAME, input=tokens)


def test_dimensions(talk: openai.OpenAI) -> None:
    assert len(talk.embeddings.create(model=NAME, input="x", dimensions=DIM).data[0].embedding) == DIM
    with pytest.raises(openai.BadRequestError, match=f"have {DIM} dimensions"):
        talk.embeddings.create(model=NAME, input="x", dimensions=DIM - 1)


def icon() -> bytes:
    """Its header says 16 x 16 pixels; the file within has 64 x 64."""
    inner = encoded(picture(size=(64, 64)))
    return struct.pack("<3H4B2H2I", 0, 1, 1, 16, 16, 0, 0, 1, 32, len(inner), 22) + inner


JPEG = encoded(picture(size=(300, 200)), "JPEG")
BAD: dict[str, tuple[Any, str, str]] = {
    "nothing": ([], "input", "at least 1"),
    "a number": (5, "input", "valid list"),
    "too many": (["x"] * 51, "input", "51 entries"),
    "too long": (["x", "y" * 501], "input[1]", "501 characters"),
    "a truncated image": (["x", uri(JPEG[:700])], "input[1]", "cut short"),
    "no image": (uri(b"dear diary"), "input[0]", "is not an image"),
    "an empty image": ("data:image/png;base64,", "input[0]", "is empty"),
    "a picture in an icon": (uri(icon()), "input[0]", "of a kind that is taken"),
    "an icon that begins as HEIF does": (uri(b"\0\0\1\0ftyp" + bytes(40)), "input[0]", "of a kind that is taken"),
    "PostScript that does": (uri(b"%!PSftyp" + bytes(40)), "input[0]", "of a kind that is taken"),
    "PostScript": (["x", uri(b"%!PS-Adobe-3.0 EPSF-3.0\n")], "input[1]", "of a kind that is taken"),
    "damaged base64": ("data:image/png;base64,@@@", "input[0]", "base64"),
    "no base64": ("data:image/png,abc", "input[0]", "expected an image as"),
}


@pytest.mark.parametrize(("value", "param", "words"), BAD.values(), ids=BAD.keys())
def test_bad_input(client: httpx.Client, value: Any, param: str, words: str) -> None:
    answer = client.post("/v1/embeddings", json=asked(value))
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert error["type"] == "invalid_request_error"
    assert error["param"].startswith(param)
    assert words in error["message"]


def test_broken_json_and_letters(client: httpx.Client) -> None:
    kind = {"content-type": "application/json"}
    for body in (
        b"{",
        b'{"model": "m", "input": "\\ud800"}',
        b"[" * 100_000,
        b'{"input": ' + b"1" * 5000 + b"}",
        b"\xff",
    ):
        answer = client.post("/v1/embeddings", content=body, headers=kind)
        assert answer.status_code == 400, body[:20]
        assert answer.json()["error"]["message"]


def test_an_address_is_a_text_and_nothing_is_fetched(client: httpx.Client, encoder: Encoder) -> None:
    address = "http://127.0.0.1:9/cat.png"
    found = client.post("/v1/embeddings", json=asked(address)).json()["data"][0]["embedding"]
    np.testing.assert_allclose([found], encoder.encode_texts(address), atol=1e-5)
    refused = client.post("/classify", json={"images": [address], "labels": ["a", "b"]})
    assert refused.status_code == 400


@pytest.mark.parametrize("more", [{}, {"templates": None}, {"templates": ["{}!"], "top_k": 2}, {"language": "fr"}])
def test_classify_is_the_encoder_s(client: httpx.Client, encoder: Encoder, more: dict[str, Any]) -> None:
    images, labels = [encoded(), encoded(picture((0, 200, 0)))], ["chat", "chien", "кошка"]
    for _ in range(2):  # the second time the labels are known
        answer = client.post("/classify", json={"images": [uri(image) for image in images], "labels": labels, **more})
        for found, expected in zip(answer.json()["results"], encoder.classify(images, labels, **more), strict=True):
            assert [chance["label"] for chance in found] == [label for label, _ in expected]
            chances = [chance["probability"] for chance in found]
            assert chances == pytest.approx([chance for _, chance in expected], abs=1e-5)


KINDS = ("JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF", "JPEG2000", "PPM", "AVIF")


@pytest.mark.parametrize("kind", KINDS)
def test_kinds_that_are_taken(kind: str) -> None:
    if kind == "AVIF" and not features.check("avif"):
        pytest.skip("this Pillow knows no AVIF")
    assert is_known_kind(encoded(picture(), kind))


def test_phones_photographs_are_taken() -> None:
    heif = pytest.importorskip("pillow_heif")
    buffer = io.BytesIO()
    heif.from_pillow(picture(size=(64, 48))).save(buffer)
    assert is_known_kind(buffer.getvalue())


@pytest.mark.parametrize("form", [{"input": [[]] * 50_000}, {"input": [0.5] * 50_000}])
def test_one_mistake_of_many_is_named(client: httpx.Client, form: dict[str, Any]) -> None:
    answer = client.post("/v1/embeddings", json={"model": NAME, **form})
    assert answer.status_code == 400
    assert len(answer.content) < 1000


def test_a_picture_within_an_icon_keeps_to_the_limit_of_the_commands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("altclip.cli.opening.MAX_PIXELS", 1000)
    with warnings.catch_warnings():
        open_by_command("mini", max_pixels=1000)
    with pytest.raises(ImageError, match="over the limit of 1,000 pixels"):  # 4,096 within, told only when decoded
        open_image(icon(), max_pixels=1000)


@pytest.mark.filterwarnings("ignore:Image was not the expected size")
def test_an_icon_would_be_opened() -> None:
    """What the server refuses above is no damaged file."""
    assert open_image(icon()).size == (64, 64)


def test_max_pixels_holds_without_the_command(encoder: Encoder) -> None:
    with serving(copy(encoder), max_pixels=100) as client:
        answer = client.post("/v1/embeddings", json=asked(uri(JPEG)))
        assert answer.status_code == 400
        assert "over the limit of 100" in answer.json()["error"]["message"]


def test_a_template_is_no_longer_than_a_text(client: httpx.Client) -> None:
    form = {"images": [uri()], "labels": ["a", "b"]}
    assert client.post("/classify", json={**form, "templates": ["{}" + "x" * 498]}).status_code == 200
    answer = client.post("/classify", json={**form, "templates": ["{}", "{}" + "x" * 499]})
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert (error["code"], error["param"]) == ("text_too_long", "templates")
    assert error["message"].startswith("a template is over 500 characters")


@pytest.mark.parametrize("templates", ["auto", ["{} " + "x" * 50] * 20])
def test_labels_and_templates_do_not_multiply_without_end(encoder: Encoder, templates: Any) -> None:
    answers = Answers(Model(copy(encoder), Settings(max_body=1000)))
    labels = ["y" * 40, "z" * 40]
    form = ClassifyForm(images=[uri()], labels=labels, templates=templates, language="en")
    with pytest.raises(Refusal, match="too long together"):
        answers._prompts(form)
    assert answers._prompts(form.model_copy(update={"templates": None})) == [[label] for label in labels]


def test_labels_are_kept_without_their_letters(encoder: Encoder) -> None:
    model = Model(copy(encoder), Settings())
    answers = Answers(model)
    form = ClassifyForm(images=[uri()], labels=["cat", "y" * 8000], templates=None)

    async def twice() -> None:
        await model.start()
        first = await answers._label_rows(form)
        assert await answers._label_rows(form) is first
        await answers._label_rows(form.model_copy(update={"templates": ["{}"]}))
        await answers._label_rows(form.model_copy(update={"language": "en"}))
        await model.close()

    asyncio.run(twice())
    assert [len(key) for key in answers._labels] == [32, 32, 32]


@pytest.mark.parametrize("labels", [["a", "a"], ["a", " "], [f"label {n}" for n in range(201)]])
def test_labels_that_cannot_be_used(client: httpx.Client, labels: list[str]) -> None:
    answer = client.post("/classify", json={"images": [uri()], "labels": labels})
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == "labels"


def test_similarity_is_the_encoder_s(client: httpx.Client, encoder: Encoder) -> None:
    texts = ["猫", "犬", "a dog"]
    answer = client.post("/similarity", json={"images": [uri()], "texts": texts})
    np.testing.assert_allclose(answer.json()["cosines"], encoder.similarity(encoded(), texts), atol=1e-5)

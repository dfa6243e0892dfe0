"""Embeddings: right against a reference, in the order given, whatever the batches and the kinds of input."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from altclip.encoder import Encoder, batching
from altclip.encoder.inputs import BatchSize
from altclip.errors import ImageError, InputError, UsageError, WeightsError
from altclip.processing import Processor
from tests.bad import ODD_IMAGES
from tests.tiny import DIM, MAX_TOKENS, tiny_model, tiny_processor

TEXTS = [
    "a cat",
    "一只猫坐在一张很旧的沙发上，看着窗外的雨",
    "",
    "un chien",
    "собака",
    "   ",
    "猫とネコ",
    "고양이",
    "قطة سوداء صغيرة",
    "un gatto e un cane " * 20,
    "x",
    "😀👍🏽",
    "un gato y un perro juegan en el jardín",
]
SIZES: list[BatchSize] = [1, 2, 3, 5, 100, "auto"]


@pytest.fixture(scope="module")
def one_by_one(encoder: Encoder) -> np.ndarray:
    return np.concatenate([encoder.encode_texts([text]) for text in TEXTS])


@pytest.mark.parametrize("size", SIZES)
def test_texts_in_any_batches_equal_one_by_one_in_the_order_given(
    encoder: Encoder, one_by_one: np.ndarray, size: BatchSize
) -> None:
    rows = encoder.encode_texts(TEXTS, batch_size=size)
    assert rows.shape == (len(TEXTS), DIM)
    assert rows.dtype == np.float32
    np.testing.assert_allclose(rows, one_by_one, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-6)


def test_the_texts_are_told_apart(one_by_one: np.ndarray) -> None:
    """Else the test above would pass in any order."""
    assert len({tuple(row) for row in one_by_one.round(3).tolist()}) == len(TEXTS)


def test_windows_of_a_few_texts_change_nothing(
    encoder: Encoder, one_by_one: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batching, "_WINDOW_TEXTS", 4)
    np.testing.assert_allclose(encoder.encode_texts(iter(TEXTS), batch_size=3), one_by_one, atol=1e-5)


@pytest.mark.parametrize("size", SIZES)
def test_images_in_any_batches_come_in_the_order_given(encoder: Encoder, photos: list[Path], size: BatchSize) -> None:
    single = np.concatenate([encoder.encode_images(path) for path in photos])
    assert len({tuple(row) for row in single.round(3).tolist()}) == len(photos)
    rows = encoder.encode_images(photos, batch_size=size)
    assert rows.shape == (len(photos), DIM)
    assert rows.dtype == np.float32
    np.testing.assert_allclose(rows, single, atol=1e-5)


def test_embeddings_equal_those_of_transformers(encoder: Encoder, tiny_folder: Path, photos: list[Path]) -> None:
    from transformers import AltCLIPModel

    reference = AltCLIPModel.from_pretrained(tiny_folder).eval()
    texts = [text for text in TEXTS if len(text) < 30]
    pictures = [Image.open(path) for path in photos]
    inputs = tiny_processor()(texts, pictures, return_tensors="pt", padding=True)
    with torch.inference_mode():
        expected = reference(**inputs)
    np.testing.assert_allclose(encoder.encode_texts(texts), expected.text_embeds.numpy(), atol=1e-5)
    np.testing.assert_allclose(encoder.encode_images(photos), expected.image_embeds.numpy(), atol=1e-5)
    cosines = expected.logits_per_image.numpy() / np.exp(encoder.logit_scale)
    np.testing.assert_allclose(encoder.similarity(photos, texts), cosines, atol=1e-5)


FORMS: dict[str, Callable[[Path], Any]] = {
    "string": str,
    "path": Path,
    "bytes": Path.read_bytes,
    "bytearray": lambda path: bytearray(path.read_bytes()),
    "open file": lambda path: io.BytesIO(path.read_bytes()),
    "PIL image": Image.open,
    "array": lambda path: np.asarray(Image.open(path)),
    "floats": lambda path: np.asarray(Image.open(path)) / np.float32(255),
    "many in an array": lambda path: np.asarray(Image.open(path))[None],
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS.keys())
def test_every_form_of_an_image_gives_the_same_row(
    encoder: Encoder, photos: list[Path], form: Callable[[Path], Any]
) -> None:
    np.testing.assert_allclose(encoder.encode_images(form(photos[0])), encoder.encode_images([photos[0]]), atol=1e-5)


def test_exact_decodes_every_picture_in_full(tiny_folder: Path) -> None:
    """A JPEG of forty times the side that the model reads; the same picture in memory cannot be decoded small."""
    drawn = np.random.default_rng(0).integers(0, 255, (40, 50, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(drawn).resize((1600, 1280), Image.Resampling.BICUBIC).save(file, "JPEG", quality=95)
    full = Image.open(io.BytesIO(file.getvalue()))
    exact, fast = Encoder(tiny_folder, precision="exact"), Encoder(tiny_folder)
    assert np.array_equal(exact.encode_images(file.getvalue()), exact.encode_images(full))
    small, large = fast.encode_images(file.getvalue())[0], fast.encode_images(full)[0]
    assert not np.array_equal(small, large)
    assert small @ large > 0.999


def test_forms_may_be_mixed(encoder: Encoder, photos: list[Path]) -> None:
    mixed = [form(photo) for form, photo in zip(list(FORMS.values())[:8], photos, strict=False)]
    np.testing.assert_allclose(encoder.encode_images(mixed), encoder.encode_images(photos[:8]), atol=1e-5)


@pytest.mark.parametrize("name", ODD_IMAGES)
def test_an_odd_file_is_the_picture_that_a_person_sees(encoder: Encoder, tmp_path: Path, name: str) -> None:
    seen = ODD_IMAGES[name](tmp_path / name)
    np.testing.assert_allclose(encoder.encode_images(tmp_path / name), encoder.encode_images(seen), atol=1e-5)


def test_one_text_and_one_image_count_as_a_list_of_one(encoder: Encoder, photos: list[Path]) -> None:
    assert encoder.encode_texts("a cat").shape == (1, DIM)
    assert encoder.encode_images(str(photos[0])).shape == (1, DIM)


def test_nothing_gives_no_rows(encoder: Encoder) -> None:
    for rows in (encoder.encode_texts([]), encoder.encode_images([]), encoder.encode_images(iter(()))):
        assert rows.shape == (0, DIM)
        assert rows.dtype == np.float32
    assert encoder.similarity([], ["a"]).shape == (0, 1)


@pytest.mark.parametrize("text", ["</s>", "<pad>", "<s>", "<unk>"])
def test_the_string_of_a_special_token_is_text(encoder: Encoder, text: str) -> None:
    assert encoder.tokenizer is not None
    alone = encoder.encode_texts([text])
    assert np.abs(alone - encoder.encode_texts([""])).max() > 1e-3
    with_token = encoder.tokenizer([text], padding=True, return_tensors="np")
    read_as_token = encoder.engine.encode_text(with_token["input_ids"], with_token["attention_mask"])
    assert np.abs(alone - read_as_token / np.linalg.norm(read_as_token)).max() > 1e-3


def test_a_long_text_is_cut_to_the_models_limit(encoder: Encoder) -> None:
    long = "a cat " * 2000
    assert len(long) > 10_000
    np.testing.assert_allclose(encoder.encode_texts([long]), encoder.encode_texts(["a cat " * 100]), atol=1e-6)
    assert np.abs(encoder.encode_texts([long]) - encoder.encode_texts(["a cat "])).max() > 1e-3


@pytest.mark.parametrize("text", ["\ud83d", "a\udc80b", "\x00", "שלום עולם", "\u202eabc", "a" * 10_000, "\n\t "])
def test_any_text_has_an_embedding(encoder: Encoder, text: str) -> None:
    np.testing.assert_allclose(np.linalg.norm(encoder.encode_texts([text, "a"]), axis=1), 1, atol=1e-6)


def test_the_tower_limits_texts_where_the_tokenizer_names_a_higher_limit() -> None:
    processor = tiny_processor()
    processor.tokenizer.model_max_length = 512
    encoder = Encoder.from_model(tiny_model(), processor)
    assert encoder.encode_texts(["many words " * 100]).shape == (1, DIM)


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        (["a", 5], r"text 1 is 5, a int"),
        (["a", None], r"text 1 is None"),
        (["a", b"b"], r"text 1 is b'b'"),
        (7, "a int"),
        (None, "a NoneType"),
    ],
)
def test_what_is_no_text_is_named(encoder: Encoder, texts: Any, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        encoder.encode_texts(texts)


def test_the_position_of_what_is_no_text_counts_from_the_first(
    encoder: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batching, "_WINDOW_TEXTS", 2)
    with pytest.raises(UsageError, match="text 4 is"):
        encoder.encode_texts(["a", "b", "c", "d", 5])  # type: ignore[list-item]


@pytest.mark.parametrize(
    ("images", "words"), [(7, "a int"), (None, "a NoneType"), ([7], "a int"), ([None], "NoneType")]
)
def test_what_is_no_image_is_refused_even_where_bad_files_are_skipped(
    encoder: Encoder, images: Any, words: str
) -> None:
    with pytest.raises(UsageError, match=words):
        encoder.encode_images(images, on_error=dict[int, InputError]().__setitem__)


@pytest.mark.parametrize("size", [0, -1, 2.5, "many", None, True])
def test_a_wrong_batch_size_is_refused(encoder: Encoder, size: Any) -> None:
    with pytest.raises(UsageError, match="batch_size"):
        encoder.encode_images([], batch_size=size)
    with pytest.raises(UsageError, match="batch_size"):
        encoder.encode_texts([], batch_size=size)


def test_one_bad_image_among_many_raises(encoder: Encoder, photos: list[Path], tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="no such file") as raised:
        encoder.encode_images([*photos, tmp_path / "none.jpg"])
    assert raised.value.source == str(tmp_path / "none.jpg")


def test_bad_images_are_reported_by_position_and_the_rest_is_done(
    encoder: Encoder, photos: list[Path], tmp_path: Path
) -> None:
    (tmp_path / "empty.jpg").touch()
    mixed: list[Path | bytes] = [tmp_path / "none.jpg", *photos[:3], b"", *photos[3:5], tmp_path / "empty.jpg"]
    bad: dict[int, InputError] = {}
    rows = encoder.encode_images(mixed, batch_size=2, on_error=bad.__setitem__)
    np.testing.assert_allclose(rows, encoder.encode_images(photos[:5]), atol=1e-5)
    assert list(bad) == [0, 4, 7]
    assert "no such file" in str(bad[0])
    assert str(bad[4]).startswith("image 4, <0 bytes>: is empty")  # its name alone would not say which
    assert str(tmp_path / "empty.jpg") in str(bad[7])


def test_if_all_images_are_bad_no_rows_come_back(encoder: Encoder) -> None:
    bad: dict[int, InputError] = {}
    assert encoder.encode_images([b"", b"x"], on_error=bad.__setitem__).shape == (0, DIM)
    assert list(bad) == [0, 1]


def test_an_error_that_the_function_raises_stops_the_work(encoder: Encoder, photos: list[Path]) -> None:
    def stop(position: int, error: InputError) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        encoder.encode_images([b"", *photos], on_error=stop)


def test_an_error_of_the_users_generator_arrives_as_it_is(encoder: Encoder, photos: list[Path]) -> None:
    def broken() -> Iterator[Path]:
        yield photos[0]
        raise LookupError("the archive ended")

    with pytest.raises(LookupError, match="the archive ended"):
        encoder.encode_images(broken())


def test_the_size_limit_can_be_moved(tiny_folder: Path, photos: list[Path]) -> None:
    encoder = Encoder(tiny_folder, device="cpu")
    assert encoder.max_pixels == 100_000_000
    encoder.max_pixels = 1000
    with pytest.raises(ImageError, match="over the limit of 1,000"):
        encoder.encode_images(photos)


def test_a_generator_is_advanced_in_the_callers_thread_and_only_a_little_ahead(
    encoder: Encoder, photos: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    taken, computed, most = 0, 0, 0
    threads = set()
    compute = encoder.engine.encode_image

    def images() -> Iterator[Path]:
        nonlocal taken, most
        for number in range(200):
            threads.add(threading.current_thread())
            taken += 1
            most = max(most, taken - computed)
            yield photos[number % len(photos)]

    def counted(pixels: Any) -> Any:
        nonlocal computed
        features = compute(pixels)
        computed += len(pixels)
        return features

    monkeypatch.setattr(encoder.engine, "encode_image", counted)
    assert encoder.encode_images(images(), batch_size=4).shape == (200, DIM)
    assert threads == {threading.current_thread()}
    assert most <= 3 * 4 + 2 * 8  # a batch in work, one waiting, one being made; two images a worker


def test_texts_without_end_are_taken_by_the_window(encoder: Encoder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batching, "_WINDOW_TEXTS", 8)
    taken, first = 0, None
    compute = encoder.engine.encode_text

    def texts() -> Iterator[str]:
        nonlocal taken
        for number in range(500):
            taken += 1
            yield f"text {number}"

    def counted(ids: Any, mask: Any) -> Any:
        nonlocal first
        first = taken if first is None else first
        return compute(ids, mask)

    monkeypatch.setattr(encoder.engine, "encode_text", counted)
    assert encoder.encode_texts(texts(), batch_size=8).shape == (500, DIM)
    assert first is not None
    assert first <= 32


def test_several_threads_may_use_one_encoder(encoder: Encoder, photos: list[Path]) -> None:
    images, texts = encoder.encode_images(photos), encoder.encode_texts(TEXTS)
    with ThreadPoolExecutor(4) as pool:
        both = [(pool.submit(encoder.encode_images, photos), pool.submit(encoder.encode_texts, TEXTS)) for _ in "1234"]
    for of_images, of_texts in both:
        np.testing.assert_allclose(of_images.result(), images, atol=1e-5)
        np.testing.assert_allclose(of_texts.result(), texts, atol=1e-5)


def test_what_a_model_gives_must_be_numbers(encoder: Encoder) -> None:
    model = tiny_model()
    broken = Encoder.from_model(model, tiny_processor())
    with torch.no_grad():
        model.get_parameter("visual_projection.weight")[0, 0] = torch.inf
        model.get_parameter("text.projections.text_projection.weight")[0, 0] = torch.nan
    with pytest.raises(WeightsError, match="NaN or infinity in torch.float32"):
        broken.encode_images(np.zeros((9, 9, 3), np.uint8))
    with pytest.raises(WeightsError, match="dtype='float32'"):
        broken.encode_texts("a")


class TestSimilarity:
    def test_either_side_may_be_embeddings(self, encoder: Encoder, photos: list[Path]) -> None:
        images, texts = encoder.encode_images(photos), encoder.encode_texts(TEXTS)
        expected = images @ texts.T
        assert expected.shape == (len(photos), len(TEXTS))
        for left in (photos, images):
            for right in (TEXTS, texts):
                np.testing.assert_allclose(encoder.similarity(left, right), expected, atol=1e-5)

    def test_embeddings_of_any_length_and_format_are_normalised(self, encoder: Encoder, photos: list[Path]) -> None:
        images, texts = encoder.encode_images(photos), encoder.encode_texts(TEXTS)
        cosines = encoder.similarity(images.astype(np.float64) * 7, texts.astype(np.float16))
        np.testing.assert_allclose(cosines, images @ texts.T, atol=2e-3)

    def test_one_image_and_one_text(self, encoder: Encoder, photos: list[Path]) -> None:
        assert encoder.similarity(photos[0], "a cat").shape == (1, 1)

    @pytest.mark.parametrize("rows", [np.ones((2, DIM + 1), np.float32), np.full((1, DIM), np.nan, np.float32)])
    def test_embeddings_of_another_kind_are_refused(self, encoder: Encoder, rows: np.ndarray) -> None:
        with pytest.raises(UsageError, match="embeddings"):
            encoder.similarity(rows, ["a"])
        with pytest.raises(UsageError, match="embeddings"):
            encoder.similarity([], rows)

    def test_a_grey_picture_is_no_embeddings(self, encoder: Encoder) -> None:
        picture = np.zeros((DIM, DIM), np.uint8)
        assert encoder.similarity(picture, ["a"]).shape == (1, 1)
        assert encoder.similarity([picture / 255.0], ["a"]).shape == (1, 1)


def test_a_model_of_one_tower_says_what_it_lacks() -> None:
    from dataclasses import replace

    processor: Processor = tiny_processor()
    whole = tiny_model()
    text_only = Encoder.from_model(tiny_model(config=replace(whole.config, vision=None)), processor)
    assert text_only.encode_texts(["a"]).shape == (1, text_only.dim)
    with pytest.raises(UsageError, match="image_weights"):
        text_only.encode_images([])
    image_only = Encoder.from_model(tiny_model(config=replace(whole.config, text=None, heads={})), processor)
    assert image_only.encode_images([np.zeros((5, 5, 3), np.uint8)]).shape == (1, DIM)
    with pytest.raises(UsageError, match="no text tower"):
        image_only.encode_texts([])


def test_the_longest_text_fits_the_tower() -> None:
    assert tiny_processor().tokenizer.model_max_length == MAX_TOKENS

"""Labels and probabilities: arithmetic done by hand, prompts of the right language, mistakes refused."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from altclip.encoder import Encoder, Prediction
from altclip.encoder.labels import probabilities, ranked
from altclip.errors import ImageError, InputError, UsageError
from altclip.prompts import prompts_for, templates

Rows = np.ndarray


@pytest.fixture
def by_hand(encoder: Encoder, monkeypatch: pytest.MonkeyPatch) -> Encoder:
    """An encoder whose embeddings stand in a table: prompts and images by name."""
    table = {
        "cat": [1.0, 0.0], "a cat": [0.6, 0.8], "dog": [0.0, 1.0], "a dog": [-0.6, 0.8], "photo": [0.8, 0.6],
        "other": [0.0, -1.0],
    }  # fmt: skip

    def rows(names: Iterable[str], **_: object) -> Rows:
        return np.array([table[name] for name in ([names] if isinstance(names, str) else names)], np.float32)

    monkeypatch.setattr(encoder, "encode_texts", rows)
    monkeypatch.setattr(encoder, "encode_images", rows)
    monkeypatch.setattr(type(encoder), "logit_scale", math.log(10.0))
    return encoder


def test_bare_labels_by_hand(by_hand: Encoder) -> None:
    """Cosines 0.8 and 0.6, logits 8 and 6: the first gets 1 / (1 + exp(-2))."""
    first, second = by_hand.classify("photo", ["dog", "cat"], templates=None)
    assert (first.label, second.label) == ("cat", "dog")
    assert first.probability == pytest.approx(1 / (1 + math.exp(-2)), abs=1e-6)
    assert second.probability == pytest.approx(1 / (1 + math.exp(2)), abs=1e-6)


def test_templates_by_hand(by_hand: Encoder) -> None:
    """cat: mean of (1, 0), (.6, .8) is (.8, .4), length .8 ** .5; dog: of (0, 1), (-.6, .8) is (-.3, .9), .9 ** .5."""
    labels = by_hand.encode_labels(["cat", "dog"], templates=["{}", "a {}"])
    np.testing.assert_allclose(labels, [np.array([0.8, 0.4]) / 0.8**0.5, np.array([-0.3, 0.9]) / 0.9**0.5], atol=1e-6)
    cosines = [(0.8 * 0.8 + 0.4 * 0.6) / 0.8**0.5, (-0.3 * 0.8 + 0.9 * 0.6) / 0.9**0.5]
    expected = 1 / (1 + math.exp(10 * (cosines[1] - cosines[0])))
    first = by_hand.classify("photo", ["cat", "dog"], templates=["{}", "a {}"])[0]
    assert isinstance(first, Prediction)
    assert first.label == "cat"
    assert first.probability == pytest.approx(expected, abs=1e-6)


def test_many_images_give_a_list_each_in_their_order(by_hand: Encoder) -> None:
    rankings = by_hand.classify(["other", "photo"], ["cat", "dog"], templates=None)
    assert [[label for label, _ in ranking] for ranking in rankings] == [["cat", "dog"], ["cat", "dog"]]
    assert rankings[0][0].probability == pytest.approx(1 / (1 + math.exp(-10)), abs=1e-6)
    assert by_hand.classify(iter(["photo"]), iter(["cat", "dog"]), templates=None) == rankings[1:]


def test_the_first_few(by_hand: Encoder) -> None:
    everything = by_hand.classify("photo", ["cat", "dog", "other"], templates=None)
    assert by_hand.classify("photo", ["cat", "dog", "other"], templates=None, top_k=2) == everything[:2]
    assert by_hand.classify("photo", ["cat", "dog", "other"], templates=None, top_k=9) == everything
    assert sum(p for _, p in everything) == pytest.approx(1, abs=1e-9)


def test_large_logits_do_not_overflow() -> None:
    row = probabilities(np.array([[1.0, -1.0, 0.999]], np.float32), math.log(100_000.0))[0]
    assert np.isfinite(row).all()
    assert row.sum() == pytest.approx(1)
    assert row.argmax() == 0


def test_equals_keep_the_order_of_the_labels() -> None:
    assert [label for label, _ in ranked(["b", "c", "a"], np.array([0.3, 0.4, 0.3]), None)] == ["c", "b", "a"]


def test_one_label_is_certain(encoder: Encoder, photos: list[Path]) -> None:
    ((label, probability),) = encoder.classify(photos[0], ["猫"])
    assert label == "猫"
    assert probability == pytest.approx(1.0)


MIXED = ["一只猫", "un chien", "鳥", "собака", "고양이", "قطة"]


def test_labels_in_several_languages_get_the_prompts_of_their_own(
    encoder: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    encode = encoder.encode_texts

    def noting(texts: list[str]) -> Rows:
        seen.extend(texts)
        return encode(texts)

    monkeypatch.setattr(encoder, "encode_texts", noting)
    rows = encoder.encode_labels(MIXED)
    assert rows.shape == (len(MIXED), encoder.dim)
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-6)
    assert "un chien" in seen  # Latin letters do not tell a language: the label stands alone
    assert sum("un chien" in text for text in seen) == 1
    for label, language in (("一只猫", "zh"), ("собака", "ru"), ("고양이", "ko"), ("قطة", "ar"), ("鳥", "zh")):
        expected = [template.replace("{}", label) for template in templates(language)]  # type: ignore[arg-type]
        assert [text for text in seen if label in text] == expected


def test_a_label_embedding_is_the_mean_of_its_prompts(encoder: Encoder) -> None:
    (prompts,) = prompts_for(["собака"])
    assert len(prompts) > 1
    mean = encoder.encode_texts(prompts).mean(axis=0)
    np.testing.assert_allclose(encoder.encode_labels(["собака"])[0], mean / np.linalg.norm(mean), atol=1e-5)


def test_a_language_that_is_named_counts(encoder: Encoder) -> None:
    named = encoder.encode_labels(["gatto", "cane"], language="it")
    assert np.abs(named - encoder.encode_labels(["gatto", "cane"])).max() > 1e-3
    np.testing.assert_allclose(named, encoder.encode_labels(["gatto", "cane"], language=["it", "it"]), atol=1e-6)
    one_each = encoder.encode_labels(["gatto", "собака"], language=["it", None])
    np.testing.assert_allclose(one_each[:1], named[:1], atol=1e-5)


def test_mixed_languages_end_to_end(encoder: Encoder, photos: list[Path]) -> None:
    rankings = encoder.classify(photos, MIXED, batch_size=3)
    labels = encoder.encode_labels(MIXED)
    logits = np.exp(encoder.logit_scale) * encoder.similarity(photos, labels)
    for ranking, row in zip(rankings, logits, strict=True):
        assert {label for label, _ in ranking} == set(MIXED)
        assert [p for _, p in ranking] == sorted((p for _, p in ranking), reverse=True)
        assert ranking[0].label == MIXED[int(row.argmax())]
        expected = np.exp(row[row.argmax()]) / np.exp(row).sum()
        assert ranking[0].probability == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        ([], "no labels"),
        ("cat", "one text"),
        (["a", "b", "a"], "more than once: 'a'"),
        (["a", " a "], "more than once"),
        (["a", ""], "label 1 is '', an empty text"),
        (["a", "  "], "empty text"),
        (["a", "\u200b"], "empty text"),
        (["a", 5], "label 1 is 5"),
        (None, "a NoneType"),
        (5, "a int"),
    ],
)
def test_labels_that_no_one_could_choose_among_are_refused(
    encoder: Encoder, photos: list[Path], labels: Any, words: str
) -> None:
    with pytest.raises(UsageError, match=words):
        encoder.classify(photos[0], labels)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"templates": "a {}"}, "put a single template in a list"),
        ({"templates": []}, "empty list"),
        ({"templates": ["no place"]}, "0 places"),
        ({"language": "xx"}, "unknown language 'xx'"),
        ({"language": ["en"]}, "1 languages for 2 labels"),
        ({"top_k": 0}, "top_k=0"),
        ({"top_k": "3"}, "top_k='3'"),
    ],
)
def test_wrong_options_are_refused(encoder: Encoder, photos: list[Path], options: Any, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        encoder.classify(photos[0], ["a", "b"], **options)


def test_bad_images(encoder: Encoder, photos: list[Path]) -> None:
    with pytest.raises(ImageError):
        encoder.classify(b"", ["a", "b"])
    with pytest.raises(ImageError):
        encoder.classify([*photos, b""], ["a", "b"])
    bad: dict[int, InputError] = {}
    rankings = encoder.classify([b"", *photos], ["a", "b"], on_error=bad.__setitem__)
    assert [[label for label, _ in ranking] for ranking in rankings] == [
        [label for label, _ in ranking] for ranking in encoder.classify(photos, ["a", "b"])
    ]
    assert list(bad) == [0]
    with pytest.raises(UsageError, match="on_error is for several images"):
        encoder.classify(photos[0], ["a"], on_error=bad.__setitem__)  # type: ignore[call-overload]


@pytest.mark.parametrize("label", ["x" * 10_000, "😀", "</s>", "\ud83d", "مرحبا", "{}", "a{b}c", "[red]x[/red]"])
def test_any_visible_text_is_a_label(encoder: Encoder, photos: list[Path], label: str) -> None:
    predictions = encoder.classify(photos[0], [label, "other"])
    assert {name for name, _ in predictions} == {label, "other"}

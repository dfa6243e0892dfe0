"""From embeddings to guesses and searches, by worked examples; and that nothing is chosen for looking good."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from altclip.demo import choose, look, of_user, shipped
from altclip.demo.results import Guess, Guesses, find, guess, words_to_find
from altclip.errors import InputError, UsageError
from altclip.languages import LANGUAGES
from altclip.prompts import label_set
from tests.demo.conftest import ESPRESSO, LION, TABBY, WNIDS, TableEncoder

LABELS = {letter: f"label {letter}" for letter in "abcdefg"}


def rows(*places: dict[int, float]) -> np.ndarray:
    made = np.zeros((len(places), len(LABELS)), np.float32)
    for row, of_row in zip(made, places, strict=True):
        for place, value in of_row.items():
            row[place] = value
    return made


def test_guesses_are_the_softmax_over_all_labels() -> None:
    images = rows({2: 0.8, 5: 0.6})
    [found] = guess(images, np.eye(7, dtype=np.float32), LABELS, [None], math.log(10))
    powers = [math.exp(8), math.exp(6)]
    total = sum(powers) + 5
    assert [(each.label, each.place) for each in found.top[:2]] == [("label c", 1), ("label f", 2)]
    assert [each.probability for each in found.top[:2]] == pytest.approx([power / total for power in powers], rel=1e-5)
    assert [each.wnid for each in found.top[2:]] == ["a", "b", "d"], "equals come in the order of the labels"
    assert found.right is None


@pytest.mark.parametrize(("truth", "place"), [("c", 1), ("f", 2), ("g", 7)])
def test_the_right_label_keeps_its_place_even_behind_the_five(truth: str, place: int) -> None:
    [found] = guess(rows({2: 0.8, 5: 0.6}), np.eye(7, dtype=np.float32), LABELS, [truth], math.log(10))
    assert len(found.top) == 5
    assert found.right is not None
    assert (found.right.wnid, found.right.place) == (truth, place)


def test_searches_rank_the_photographs_by_cosine() -> None:
    images = rows({0: 1.0}, {0: 0.6, 1: 0.8}, {1: 1.0})
    words = {"a": "label a", "b": "label b"}
    first, second = find(np.eye(7, dtype=np.float32)[:2], images, words, ["b", None, None])
    assert [(hit.photograph, hit.right) for hit in first.hits] == [(0, False), (1, False), (2, False)]
    assert [hit.similarity for hit in first.hits] == pytest.approx([1.0, 0.6, 0.0])
    assert (first.words, first.place) == ("label a", None)
    assert [hit.photograph for hit in second.hits] == [2, 1, 0]
    assert second.place == 3
    assert second.hits[2].right


def test_the_place_of_a_find_counts_all_photographs() -> None:
    images = rows(*[{0: 1.0 - place / 10} for place in range(8)])
    [found] = find(np.eye(7, dtype=np.float32)[:1], images, {"a": "x"}, [None] * 7 + ["a"])
    assert len(found.hits) == 5
    assert found.place == 8


def test_words_are_what_is_known_and_even_steps_through_the_labels() -> None:
    wnids, rule = words_to_find(WNIDS, [TABBY, None, ESPRESSO, TABBY], [], "en")
    assert wnids == [TABBY, ESPRESSO, *(WNIDS[place] for place in (0, 40, 80, 120, 160))]
    assert "every 40th of the 200 labels" in rule


def test_a_word_stands_once() -> None:
    wnids, _ = words_to_find(WNIDS, [WNIDS[40]], [], "en")
    assert len(wnids) == len(set(wnids)) == 5


def test_words_for_unknown_photographs_are_their_most_common_first_guesses() -> None:
    firsts = [Guesses((Guess(wnid, "", 0.5, 1),)) for wnid in "abbcccdefg"]
    wnids, rule = words_to_find(list("gfedcba"), [None] * 10, firsts, "fr")
    assert wnids == ["c", "b", "a", "d", "e"]
    assert "français" in rule


def test_the_whole_label_set_is_offered_in_every_language(encoder: Any) -> None:
    found = look(encoder, shipped()[:2])
    assert found.labels == 200
    assert [part.language for part in found.languages] == list(LANGUAGES)
    for language in LANGUAGES:
        assert encoder.offered[language] == list(label_set("mini", language).values())


def test_each_photograph_gets_five_labels_of_the_language(encoder: Any) -> None:
    found = look(encoder, shipped())
    for part in found.languages:
        labels = label_set("mini", part.language)
        assert len(part.guesses) == len(found.photographs) == 10
        for guesses in part.guesses:
            assert len(guesses.top) == 5
            assert all(each.label == labels[each.wnid] for each in guesses.top)
        assert [search.words for search in part.searches] == [labels[search.wnid] for search in part.searches]
        assert [search.wnid for search in part.searches] == [each.wnid for each in found.languages[0].searches]


def test_only_what_is_known_has_a_right_label(encoder: Any) -> None:
    for part in look(encoder, shipped(), ["en", "ar"]).languages:
        right = [each.right for each in part.guesses]
        assert [each.place if each else None for each in right[:3]] == [2, 1, None]
        assert right[2:] == [None] * 8
        assert [search.place for search in part.searches] == [1, 1, *[None] * 5]


def test_the_model_decides_not_the_truth(encoder: Any) -> None:
    [part] = look(encoder, shipped()[:1], ["en"]).languages
    assert part.guesses[0].top[0].wnid == LION


def test_bad_files_are_named_and_the_rest_is_done(encoder: Any, folder: Path) -> None:
    (folder / "a.png").write_bytes(b"")
    files = [folder / name for name in ("a.png", "cat.png", "below/c.webp")]
    found = look(encoder, of_user(files, folder), ["en"])
    assert [photograph.name for photograph in found.photographs] == ["cat.png", "below/c.webp"]
    assert found.languages[0].guesses[0].top[0].label == "tabby cat"
    [(name, error)] = found.failures
    assert name == "a.png"
    assert "empty" in error


def test_no_good_file_at_all_is_an_error(encoder: Any, folder: Path) -> None:
    (folder / "a.png").write_bytes(b"")
    with pytest.raises(InputError, match=r"none .* opened:\n.*a\.png"):
        look(encoder, of_user([folder / "a.png"], folder), ["en"])


def test_more_than_the_limit_is_counted_not_shown(encoder: Any, folder: Path) -> None:
    files = [folder / name for name in ("b.JPG", "cat.png", "below/c.webp")]
    found = look(encoder, of_user(files, folder), ["en"], limit=2)
    assert [photograph.name for photograph in found.photographs] == ["b.JPG", "cat.png"]
    assert found.left_out == 1


def test_languages_come_in_the_usual_order() -> None:
    assert choose([]) == LANGUAGES
    assert choose(["ar", "zh", "ar"]) == ("zh", "ar")
    with pytest.raises(UsageError, match=r"'de'.*expected some of en, zh"):
        choose(["en", "de"])


def test_work_is_reported(encoder: Any) -> None:
    lines: list[str] = []
    look(encoder, shipped()[:2], ["zh", "ar"], report=lines.append)
    assert lines == ["looking at 2 photographs", "200 labels in 中文 (1 of 2)", "200 labels in العربية (2 of 2)"]


def test_the_dictionary_is_json_and_names_photographs(encoder: TableEncoder) -> None:
    found = look(encoder, shipped()[:3], ["zh"])  # type: ignore[arg-type]
    told = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert (told["model"], told["labels"], told["errors"], told["left_out"]) == ("mini", 200, [], 0)
    assert told["photographs"][0]["wnid"] == TABBY
    assert told["photographs"][2]["wnid"] is None
    cat = told["languages"]["zh"]["predictions"][0]
    assert cat["image"] == "chelsea.png"
    assert len(cat["top"]) == 5
    assert cat["right"]["place"] == 2
    search = told["languages"]["zh"]["searches"][1]
    assert (search["right_at"], search["found"][0]["image"]) == (1, "coffee.png")


def test_a_users_photographs_are_not_called_unknown_things(encoder: Any, folder: Path) -> None:
    told = look(encoder, of_user([folder / "cat.png"], folder), ["en"]).to_dict()
    assert set(told["photographs"][0]) == {"image", "path"}

"""From embeddings of a benchmark set to figures, on embeddings whose answers are known beforehand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from altclip.data.labels import Labels
from altclip.errors import UsageError
from altclip.evaluate.benchmarks import BENCHMARKS, Captions, CaptionSet, LabelledSet
from altclip.evaluate.embedding import Embedded
from altclip.evaluate.images import ImageSet
from altclip.evaluate.suites.captioned import retrieval_of
from altclip.evaluate.suites.figures import Figure, exact
from altclip.evaluate.suites.findings import Findings
from altclip.evaluate.suites.labelled import accuracies_of
from altclip.evaluate.suites.published import published
from altclip.evaluate.suites.report import Measured, Model, SetReport
from altclip.evaluate.suites.tables import set_tables
from altclip.languages import LANGUAGES
from altclip.metrics import Estimate, normalised, retrieval

COUNT = 24


def rows(count: int = COUNT, seed: int = 0) -> NDArray[np.float32]:
    return normalised(np.random.default_rng(seed).standard_normal((count, 8)).astype(np.float32))


def image_set(keys: Sequence[str]) -> ImageSet:
    return ImageSet("made", lambda number: number, tuple(keys), "digest")


def caption_set(owners: Mapping[str, Sequence[Sequence[int]]], **options: object) -> CaptionSet:
    captions = {
        language: Captions(tuple(f"{language} {number}" for number in range(len(of))), np.array(of))
        for language, of in owners.items()
    }
    return CaptionSet("made", image_set([str(number) for number in range(COUNT)]), captions, **options)  # type: ignore[arg-type]


def values(figures: Sequence[Figure], language: str) -> dict[str, float]:
    return {figure.metric: figure.estimate.value for figure in figures if figure.language == language}


EACH_ONCE = [[number] for number in range(COUNT)]


# --- captions -----------------------------------------------------------------------------------------------------


def test_each_language_has_all_figures() -> None:
    images = rows()
    content = caption_set({"en": EACH_ONCE, "zh": EACH_ONCE})
    near = normalised(images + 0.4 * rows(seed=1))
    found = retrieval_of(content, images, {"en": images, "zh": near}).figures
    assert values(found, "en")["MR"] == values(found, "en")["T2I R@1"] == 1.0
    assert values(found, "en")["T2I median rank"] == 1.0
    plain = retrieval(images, near, range(COUNT))
    assert values(found, "zh")["I2T R@5"] == pytest.approx(plain.image_to_text[5])
    assert values(found, "zh")["MR"] == pytest.approx(plain.mean_recall)
    assert values(found, "zh")["cosine matched"] < values(found, "en")["cosine matched"] == pytest.approx(1)
    by_metric = {figure.metric: figure for figure in found if figure.language == "zh"}
    assert (by_metric["T2I R@1"].queries, by_metric["I2T R@1"].choices) == (COUNT, COUNT)


def test_text_to_text_is_measured_where_captions_belong_together() -> None:
    images, other = rows(), rows(seed=2)
    content = caption_set({"en": EACH_ONCE, "zh": EACH_ONCE, "fr": EACH_ONCE[::-1]})
    found = retrieval_of(content, images, {"en": images, "zh": images, "fr": other}).figures
    assert values(found, "zh")["to English R@1"] == values(found, "zh")["from English R@1"] == 1.0
    assert "to English R@1" not in values(found, "en") | values(found, "fr")


def test_several_captions_of_an_image_are_no_translations_of_each_other() -> None:
    texts, twice = rows(2 * COUNT), np.repeat(np.arange(COUNT), 2)[:, None].tolist()
    found = retrieval_of(caption_set({"en": twice, "zh": twice}), rows(), {"en": texts, "zh": texts}).figures
    assert "T2I R@1" in values(found, "zh")
    assert "to English R@1" not in values(found, "zh")


def test_parts_are_measured_by_themselves_and_averaged() -> None:
    """In parts of 12, only 12 images stand for choice; the figures equal the mean over the parts."""
    images = rows()
    owners = np.repeat(np.arange(COUNT), 2)
    texts = normalised(images[owners] + 0.8 * rows(2 * COUNT, 1))
    content = caption_set({"en": owners[:, None].tolist()}, folds=2)
    found = values(retrieval_of(content, images, {"en": texts}).figures, "en")
    parts = [retrieval(images[s : s + 12], texts[2 * s : 2 * s + 24], owners[: 2 * 12]) for s in (0, 12)]
    for k in (1, 5, 10):
        assert found[f"T2I R@{k}"] == pytest.approx(np.mean([part.text_to_image[k] for part in parts]))
        assert found[f"I2T R@{k}"] == pytest.approx(np.mean([part.image_to_text[k] for part in parts]))
    assert found["MR"] == pytest.approx(np.mean([part.mean_recall for part in parts]))
    whole = values(retrieval_of(caption_set({"en": owners[:, None].tolist()}), images, {"en": texts}).figures, "en")
    assert whole["T2I R@1"] < found["T2I R@1"]


def test_images_without_captions_stand_for_choice_where_the_set_says_so() -> None:
    images = rows()
    owners = [[0, 1], [2, -1], [3, -1], [4, -1], [5, -1], [6, -1]]
    content = caption_set({"zh": owners}, distractors=True)
    found = retrieval_of(content, images, {"zh": images[[1, 2, 3, 4, 5, 6]]}).figures
    named = {figure.metric: figure for figure in found}
    assert named["T2I R@1"].estimate.value == 1.0
    assert (named["T2I R@1"].choices, named["I2T R@1"].queries) == (COUNT, 7)
    with pytest.raises(UsageError, match="17 of 24 images have no text"):
        retrieval_of(
            caption_set({"zh": [[0, 1], [2, -1], *([n, -1] for n in range(3, 7))]}), images, {"zh": images[:6]}
        )


def test_a_k_that_takes_in_every_choice_is_left_out() -> None:
    small = CaptionSet("made", image_set("abcdef"), {"en": Captions(tuple("abcdef"), np.arange(6)[:, None])})
    found = values(retrieval_of(small, rows(6), {"en": rows(6)}).figures, "en")
    assert "T2I R@5" in found
    assert not {"T2I R@10", "MR"} & set(found)


# --- classes ------------------------------------------------------------------------------------------------------


class Words:
    """Embeds a text at the first word that it holds of those known."""

    def __init__(self, words: Mapping[str, NDArray[np.float32]]) -> None:
        self.words, self.asked = words, list[str]()

    def encode_images(self, images: object, **_: object) -> NDArray[np.float32]:
        raise AssertionError("images are embedded already")

    def encode_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        self.asked += texts
        return np.stack([next(row for word, row in self.words.items() if word in text) for text in texts])


AXES = np.eye(8, dtype=np.float32)
LABELLED = LabelledSet(
    "made",
    image_set("aabbcc"),
    Labels(
        {
            "a": {"en": ("ant",), "pl": ("mrówka",)},
            "b": {"en": ("bee",), "pl": ("owad",)},
            "c": {"en": ("cat",), "pl": ("owad",)},
        }
    ),
)
SHOWN = Embedded(AXES[[0, 0, 1, 2, 2, 2]], np.array(list("aabbcc")))


def test_accuracy_by_language_and_kind_of_prompt() -> None:
    encoder = Words({"ant": AXES[0], "bee": AXES[1], "cat": AXES[2], "mrówka": AXES[0], "owad": AXES[1]})
    found = accuracies_of(LABELLED, encoder, SHOWN, 100.0).figures
    english = {(f.prompts, f.metric): f.estimate.value for f in found if f.language == "en"}
    assert english["names", "top-1"] == pytest.approx(5 / 6)
    assert english["names", "mean per class"] == pytest.approx((1 + 0.5 + 1) / 3)
    assert english["names", "calibration error"] == pytest.approx(1 / 6, abs=1e-3)  # sure of all, wrong in one
    assert english["templates", "top-1"] == pytest.approx(5 / 6)
    assert ("names", "top-5") not in english
    assert all(figure.choices == 3 for figure in found)


def test_a_language_without_templates_is_measured_by_names() -> None:
    encoder = Words({"ant": AXES[0], "bee": AXES[1], "cat": AXES[2], "mrówka": AXES[0], "owad": AXES[1]})
    found = [f for f in accuracies_of(LABELLED, encoder, SHOWN, 100.0).figures if f.language == "pl"]
    assert {figure.prompts for figure in found} == {"names"}
    assert "owad" in encoder.asked
    top = next(figure for figure in found if figure.metric == "top-1")
    assert top.estimate.value == pytest.approx(3 / 6)  # either of the two classes of one name would count


# --- published rows -----------------------------------------------------------------------------------------------


def test_published_rows_are_those_of_the_papers() -> None:
    by_name = {row.method: row.figures for row in published("flickr30k_cn")}
    assert list(by_name["AltCLIP"].values()) == [63.7, 86.3, 92.1, 84.7, 97.4, 98.7, 87.2]
    assert by_name["CLIP"]["MR"] == 5.0
    assert [row.language for row in published("flickr30k")] == ["en"] * 5
    assert {row.language: row.figures["R@10"] for row in published("xtd10") if row.method == "AltCLIP-m9"}["zh"] == 95.1
    assert published("imagenet_cn")[0].figures == {"top-1": 55.04, "top-5": 81.75}
    assert {row.figures["top-1"] for row in published("imagenet_a") if row.method == "AltCLIP"} == {70.4, 56.8}
    assert published("cifar10")[0].figures == {"top-1": 95.4, "top-5": 99.62}
    assert published("muge") == []


@pytest.mark.parametrize("name", BENCHMARKS)
def test_published_rows_are_of_sets_and_languages_that_there_are(name: str) -> None:
    from altclip.evaluate.suites.figures import SHARES

    for row in published(name):
        assert set(row.figures) <= SHARES
        assert all(0 <= value <= 100 for value in row.figures.values())
        assert row.language in (BENCHMARKS[name].languages or LANGUAGES)
        assert row.source


def test_mean_recall_of_a_published_row_is_that_of_its_recalls() -> None:
    for name in ("flickr30k", "flickr30k_cn"):
        for row in published(name):
            *recalls, mean = row.figures.values()
            assert mean == pytest.approx(np.mean(recalls), abs=0.11)  # CLIP's Chinese one is printed 5.0 for 4.9


# --- tables -------------------------------------------------------------------------------------------------------


def report(name: str, figures: Sequence[Figure]) -> SetReport:
    measured = Measured(Model("ours [b]", "folder", "digest"), 1.0, Findings(figures))
    data = {"images": 3, "digest": "digest"}
    return SetReport(name, BENCHMARKS[name].title, data, (), [measured], published(name), image_set("abc"))


def figure(metric: str, value: float, language: str = "zh", prompts: str | None = None) -> Figure:
    return Figure(language, metric, Estimate(value, value - 0.1, value + 0.1), 10, 10, prompts)  # type: ignore[arg-type]


def test_published_rows_stand_above_ours_language_by_language() -> None:
    (table, ranks) = set_tables(report("flickr30k_cn", [figure("T2I R@1", 0.5), figure("T2I median rank", 2.0)]))
    assert table.columns == ("language", "method", "T2I R@1")
    assert table.rows[0] == ("zh", "CLIP (published)", "0.0")
    assert table.rows[-2:] == (("zh", "AltCLIP* (published)", "69.8"), ("zh", "ours [b]", "50.0 (40.0–60.0)"))
    assert ranks.rows == (("zh", "ours [b]", "2.0 (1.9–2.1)"),)


def test_a_recall_published_without_direction_has_a_column_of_its_own() -> None:
    (table,) = set_tables(report("xtd10", [figure("T2I R@10", 0.5, "ja"), figure("I2T R@10", 0.6, "ja")]))
    assert table.columns == ("language", "method", "T2I R@10", "I2T R@10", "R@10")
    assert table.rows[0] == ("ja", "AltCLIP-m9 (published)", "–", "–", "91.7")
    assert table.rows[-1] == ("ja", "ours [b]", "50.0 (40.0–60.0)", "60.0 (50.0–70.0)", "–")


def test_classification_has_a_table_for_each_kind_of_prompt() -> None:
    figures = [figure("top-1", 0.5, "en", "names"), figure("top-1", 0.6, "en", "templates")]
    figures.append(Figure("en", "calibration error", exact(0.05), 10, 10, "names"))
    names, templates = set_tables(report("cifar10", figures))
    assert names.title == "CIFAR-10, names alone"
    assert names.rows[-1] == ("en", "ours [b]", "50.0 (40.0–60.0)", "5.0")
    assert templates.rows[-1] == ("en", "ours [b]", "60.0 (50.0–70.0)")
    assert templates.rows[0] == ("en", "AltCLIP (published)", "95.4")


def test_json_has_null_where_nothing_can_be_said() -> None:
    written = report("cifar10", [Figure("en", "calibration error", exact(0.05), 10, 10, "names")]).to_dict()
    assert written["results"][0]["value"] == 0.05
    assert written["results"][0]["low"] is None
    assert written["published"][0]["figures"]["top-1"] == 95.4
    assert written["data"]["digest"] == "digest"

"""Images in the stages: the cache of embeddings, live images, augmentation, bad ones, folders of classes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from altclip.data.pairs import PairSource
from altclip.data.reading import open_rows
from altclip.data.texts import Captions
from altclip.errors import DataError
from altclip.processing.images import ImageProcessor
from altclip.train.logs import read_log
from altclip.train.stages.align import Align
from altclip.train.stages.build import train_mode
from altclip.train.stages.contrastive import Contrastive
from tests.train import made
from tests.train.conftest import Open


def test_live_images_are_augmented_and_carry_no_gradient(context: Open) -> None:
    stage = Align(context("align", live=True))
    train_mode(stage.module)
    assert not stage.trained.vision.training
    batch = next(stage.batches(0, 1, {}))
    assert batch.images.shape == (12, 3, 16, 16)
    features = stage.module(batch)
    assert not features["images"].requires_grad
    assert features["texts"].requires_grad


def test_cached_embeddings_are_those_of_the_tower(context: Open, world: Path) -> None:
    """Without augmentation, by the processor that the model is saved with, and computed once."""
    stage = Align(context("align"))
    source = stage.pairs.sources[0]
    batch = next(stage.batches(0, 1, {}))
    plan = next(stage.pairs.plans(0, 1))
    processor = ImageProcessor.from_dict({"size": 16, "crop_size": 16})
    pixels = np.stack([processor.preprocess(source.open(row.index)) for row in plan.rows])
    with torch.no_grad():
        expected = stage.trained.eval().encode_image(torch.from_numpy(pixels))
    torch.testing.assert_close(batch.images, expected, atol=1e-5, rtol=1e-4)


def test_the_cache_is_of_one_model_and_one_data_set(
    context: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("teacher", "student"):
        trained = context("align").output
        (tmp_path / name).symlink_to(trained / name)
    Align(context("align", output=tmp_path))
    monkeypatch.setattr(PairSource, "open", lambda *_: pytest.skip("opened"))
    Align(context("align", output=tmp_path, steps=3))  # nothing of the images has changed
    assert len(list((tmp_path / "cache").glob("*.npy"))) == 1
    for change in ({"split": "train[:30]"}, {"image": "other"}):
        with pytest.raises((pytest.skip.Exception, DataError), match=r"opened|no column other"):
            Align(context("align", output=tmp_path, pairs=[{**made.ALIGN["pairs"][0], **change}]))
    excluded = [{**made.ALIGN["pairs"][0], "exclude": {"style": ["odd"]}}]
    with pytest.raises(pytest.skip.Exception):
        Align(context("align", output=tmp_path, pairs=excluded))
    with pytest.raises(pytest.skip.Exception):
        Align(context("align", output=tmp_path, start={"text": "student"}))


def test_images_beside_a_table_that_change_are_noticed(tmp_path: Path) -> None:
    for name in ("0.png", "1.png"):
        (tmp_path / name).write_bytes(made.picture((200, 10, 10), 0))
    lines = [json.dumps({"image": f"{number}.png", "caption": f"number {number}"}) for number in range(2)]
    (tmp_path / "a.jsonl").write_text("\n".join(lines), encoding="utf-8")
    source = PairSource("a", open_rows(tmp_path / "a.jsonl"), Captions({"en": "caption"}), folder=tmp_path)
    before = source.files()
    assert source.files() == before != ""
    (tmp_path / "1.png").write_bytes(made.picture((10, 10, 200), 1))
    assert source.files() != before
    made.write_parquet(tmp_path / "b.parquet", made.rows(4))
    assert PairSource("b", open_rows(tmp_path / "b.parquet"), Captions({"zh": "zh"})).files() == ""


def broken_world(folder: Path, bad: int) -> Path:
    """The world with some images that are none."""
    data = made.write_world(folder)
    rows = made.rows(60)
    for row in rows[:bad]:
        row["image"] = {"bytes": b"no image", "path": None}
    import datasets

    table = datasets.Dataset.from_list(rows)
    features = datasets.Features({**table.features, "image": datasets.Image(decode=False)})
    table.cast(features).to_parquet(str(data / "pairs.parquet"))
    return data


@pytest.mark.parametrize("name", ["teacher", "align"])
def test_a_bad_image_is_named_counted_and_skipped(name: str, tmp_path: Path, trained: Path, train: Any) -> None:
    data = broken_world(tmp_path / "data", 3)
    for stage in ("teacher", "student"):
        (tmp_path / "out").mkdir(exist_ok=True)
        if stage != name:
            (tmp_path / "out" / stage).symlink_to(trained / stage)
    folder = train(
        made.recipe({name: {"steps": 5, "max_bad_share": 0.5}}), data=data, only=name, output=tmp_path / "out"
    )
    skipped = [entry["skipped"] for entry in read_log(folder / "log.jsonl") if "skipped" in entry]
    named = {line.split(":")[0] for line in skipped}
    assert named == {"pairs.parquet[0]", "pairs.parquet[1]", "pairs.parquet[2]"}
    assert all("<8 bytes>" in line for line in skipped)
    assert f'"skipped_samples": {len(skipped)}' in (folder / "report.json").read_text(encoding="utf-8")


def test_too_many_bad_images_stop_the_run(tmp_path: Path, train: Any) -> None:
    data = broken_world(tmp_path / "data", 30)
    with pytest.raises(
        DataError, match=r"over the limit of 1\.0%.*pairs\.parquet\[\d+\]: <8 bytes>.*raise max_bad_share"
    ):
        train(made.recipe(), data=data)


def test_small_images_first(context: Open) -> None:
    sizes = [[0.5, 8], [0.75, 16]]
    stage = Contrastive(context("teacher", augment={"sizes": sizes}))
    assert [stage.image_size(step) for step in range(8)] == [8, 8, 8, 8, 16, 16, 16, 16]
    assert next(stage.batches(0, 1, {})).images.shape[-1] == 8
    stage.loss(stage.module(next(stage.batches(0, 1, {}))), next(stage.batches(0, 1, {})))


def test_classes_by_folder(context: Open, tmp_path: Path) -> None:
    """An image folder, its sub-folders named as the keys of the labels file."""
    data = made.write_world(tmp_path / "data")
    for number, name in enumerate(made.COLOURS):
        (data / "photos" / name).mkdir(parents=True)
        (data / "photos" / name / f"{number}.png").write_bytes(made.picture(made.COLOURS[name][0], number))
    pairs = [{"path": "photos", "label": "label", "labels": {**made.LABELS, "template_share": 0.0}}]
    stage = Contrastive(context("teacher", data=data, pairs=pairs, batch_size=6))
    made_pairs = stage.pairs(next(stage.pairs.plans(0, 1)))
    assert {text.removesuffix("ish") for text in made_pairs.texts} == set(made.COLOURS)

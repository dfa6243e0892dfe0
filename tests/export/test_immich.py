"""The folder for Immich, fed as its machine-learning service does: Pillow, tokenizers, onnxruntime, and no altclip.

`Service` follows what `immich_ml/models/clip` and `immich_ml/models/transforms.py` do, in words of our own.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from PIL import Image
from tokenizers import Tokenizer

from altclip.encoder import Encoder
from altclip.engines.onnx_library import runner, write_onnx
from altclip.errors import LayoutError, UsageError
from altclip.export import to_immich
from altclip.export.immich import NAMES, _context, _preprocessing
from altclip.models.graphs import single_text_graph
from altclip.processing import Processor
from tests.export.conftest import Made
from tests.export.made import TEXTS, config_of, encoder_of, photos, processor_of
from tests.tiny import DIM, MAX_TOKENS, SIDE, tiny_model

FILES = [
    *("config.json", "textual/model.onnx", "textual/tokenizer.json", "textual/tokenizer_config.json"),
    *("visual/model.onnx", "visual/preprocess_cfg.json"),
]


class Service:
    """Immich's service over one model folder. mclip: the model's name is one of its M-CLIP table."""

    def __init__(self, folder: Path, mclip: bool) -> None:
        self.mclip = mclip
        self.length = _json(folder / "config.json")["text_cfg"].get("context_length", 77)
        pad = _json(folder / "textual" / "tokenizer_config.json")["pad_token"]
        self.tokenizer = Tokenizer.from_file(str(folder / "textual" / "tokenizer.json"))
        self.tokenizer.enable_padding(length=self.length, pad_token=pad, pad_id=self.tokenizer.token_to_id(pad))
        self.tokenizer.enable_truncation(max_length=self.length)
        self.preprocess = _json(folder / "visual" / "preprocess_cfg.json")
        self.textual, self.visual = (
            onnxruntime.InferenceSession(folder / name / "model.onnx", providers=["CPUExecutionProvider"])
            for name in ("textual", "visual")
        )

    def text(self, text: str) -> Any:
        encoding = self.tokenizer.encode(" ".join(text.split()))
        ids = np.array([encoding.ids], np.int32)
        mask = np.array([encoding.attention_mask], np.int32)
        feed = {"input_ids": ids, "attention_mask": mask} if self.mclip else {"text": ids}
        return self.textual.run(None, feed)[0][0]

    def image(self, image: Image.Image) -> Any:
        size = self.preprocess["size"][0]
        resampling = {found.name.lower(): found for found in Image.Resampling}[self.preprocess["interpolation"]]
        if self.preprocess["resize_mode"] == "squash":
            image = image.resize((size, size), resampling)
        else:
            width, height = image.size
            sides = (size, int((height / width) * size)) if width < height else (int((width / height) * size), size)
            image = image.resize(sides, resampling)
            left, upper = int(image.width / 2 - size / 2), int(image.height / 2 - size / 2)
            image = image.crop((left, upper, left + size, upper + size))
        mean, std = (np.array(self.preprocess[key], np.float32) for key in ("mean", "std"))
        pixels = np.asarray(image, np.float32) / 255.0 * (1.0 / std) - mean / std
        return self.visual.run(None, {"image": pixels.transpose(2, 0, 1)[None]})[0][0]


def _json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


CASES = [
    ("altclip", "immich"),
    pytest.param("altclip", "immich-mclip", marks=pytest.mark.slow),
    pytest.param("clip", "immich", marks=pytest.mark.slow),
]


@pytest.mark.parametrize(("family", "form"), CASES)
def test_the_service_gets_the_encoders_embeddings(
    made: Made, encoders: dict[str, Encoder], family: str, form: str
) -> None:
    done = made(family, form, "fp32")
    service = Service(done.folder, mclip=form == "immich-mclip")
    for text in TEXTS:
        one_space = " ".join(text.split())  # the service does so to every search
        np.testing.assert_allclose(service.text(text), encoders[family].encode_texts(one_space)[0], atol=1e-4)
    for image in photos():
        np.testing.assert_allclose(service.image(image), encoders[family].encode_images(image)[0], atol=1e-4)
    assert max(agreement.max_difference for agreement in done.checks.values()) < 1e-5


@pytest.mark.parametrize(("family", "form"), CASES)
def test_names_types_and_shapes(made: Made, family: str, form: str) -> None:
    folder = made(family, form, "fp32").folder
    found = {
        name: [(node.name, node.type, node.shape) for node in run.get_inputs()]
        for name in ("textual", "visual")
        for run in [onnxruntime.InferenceSession(folder / name / "model.onnx", providers=["CPUExecutionProvider"])]
    }
    texts = ["input_ids", "attention_mask"] if form == "immich-mclip" else ["text"]
    assert found["textual"] == [(name, "tensor(int32)", [1, MAX_TOKENS]) for name in texts]
    assert found["visual"] == [("image", "tensor(float)", [1, 3, SIDE, SIDE])]


def test_the_files_are_those_that_are_read(made: Made) -> None:
    folder = made("altclip", "immich", "fp32").folder
    found = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert found == {*FILES, "README.md", "LICENSE.txt", "report.json"}
    assert _json(folder / "config.json")["text_cfg"] == {"context_length": MAX_TOKENS}
    settings = _json(folder / "visual" / "preprocess_cfg.json")
    assert (settings["size"], settings["interpolation"], settings["resize_mode"]) == (
        [SIDE, SIDE],
        "bicubic",
        "shortest",
    )


@pytest.mark.parametrize("family", ["chinese-clip", "m-clip"])
def test_the_mask_is_told_from_the_ids(tmp_path: Path, family: str) -> None:
    """Padded to the full length without a mask, texts come out as they do alone."""
    encoder = encoder_of(family)
    assert encoder.tokenizer is not None
    write_onnx(single_text_graph(encoder.model, MAX_TOKENS, 1, "embeddings"), tmp_path / "text.onnx")
    run = runner(tmp_path / "text.onnx")
    for text in TEXTS:
        ids = encoder.tokenizer(
            [text], padding="max_length", truncation=True, max_length=MAX_TOKENS, return_tensors="np"
        )["input_ids"]
        np.testing.assert_allclose(run({"text": ids.astype(np.int32)}), encoder.encode_texts(text), atol=1e-4)


def test_advice_names_a_model_of_the_table_or_says_that_there_is_none(made: Made) -> None:
    (note,) = made("altclip", "immich", "fp32").notes
    assert f"no name in Immich's table has embeddings of {DIM} numbers (512, 640, 768, 1024)" in note
    assert NAMES["immich"][768].startswith("ViT-L-14")
    assert NAMES["immich-mclip"][768] == "XLM-Roberta-Large-Vit-L-14"
    assert not any(name.startswith("nllb") for of in NAMES.values() for name in of.values())  # these get a prefix


SQUARE = {"height": SIDE, "width": SIDE}


def with_images(**settings: Any) -> Encoder:
    processor = replace(processor_of("altclip").image_processor, **settings)
    model = tiny_model(3, config_of("altclip"))
    return Encoder.from_model(model, Processor(processor, processor_of("altclip").tokenizer))


def test_squashing_and_other_settings_are_passed_on() -> None:
    squashed = _preprocessing(with_images(size=SQUARE, do_center_crop=False, resample=1))
    assert (squashed["resize_mode"], squashed["interpolation"]) == ("squash", "lanczos")
    raw = _preprocessing(with_images(do_normalize=False))
    assert (raw["mean"], raw["std"]) == ([0.0] * 3, [1.0] * 3)


@pytest.mark.parametrize(
    "settings",
    [
        {"size": {"shortest_edge": SIDE + 8}},
        {"do_resize": False},
        {"do_rescale": False},
        {"rescale_factor": 1.0},
    ],
    ids=str,
)
def test_images_prepared_in_another_way_are_refused(tmp_path: Path, settings: dict[str, Any]) -> None:
    with pytest.raises(LayoutError, match="Immich's service cannot prepare images"):
        to_immich(with_images(**settings), tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("length", [2, MAX_TOKENS + 1])
def test_a_context_that_the_model_does_not_take(tmp_path: Path, length: int) -> None:
    with pytest.raises(UsageError, match=f"context_length={length}: expected 3 to {MAX_TOKENS}"):
        to_immich(encoder_of("altclip"), tmp_path / "out", context_length=length)


def test_an_unknown_form_and_a_tokenizer_without_pad(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="form 'immich2' is not known"):
        to_immich(encoder_of("altclip"), tmp_path / "out", form="immich2")
    encoder = encoder_of("altclip")
    assert encoder.tokenizer is not None
    encoder.tokenizer.pad_token_id = None
    with pytest.raises(LayoutError, match="no pad token"):
        to_immich(encoder, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_a_squashing_model_is_fed_as_the_service_feeds_it(made: Made, tmp_path: Path) -> None:
    """The same weights under other settings: only `preprocess_cfg.json` is another then."""
    encoder = with_images(size=SQUARE, do_center_crop=False)
    folder = Path(shutil.copytree(made("altclip", "immich", "fp32").folder, tmp_path / "model"))
    (folder / "visual" / "preprocess_cfg.json").write_text(json.dumps(_preprocessing(encoder)), encoding="utf-8")
    service = Service(folder, mclip=False)
    for image in photos():
        np.testing.assert_allclose(service.image(image), encoder.encode_images(image)[0], atol=1e-4)


def test_the_context_is_77_or_what_the_model_takes() -> None:
    encoder = encoder_of("altclip")
    assert _context(encoder, None) == MAX_TOKENS
    assert _context(encoder, 12) == 12
    assert _context(with_positions(200), None) == 77


def with_positions(count: int) -> Encoder:
    config = config_of("altclip")
    assert config.text is not None
    text = replace(config.text, max_position_embeddings=count)
    processor = processor_of("altclip")
    processor.tokenizer.model_max_length = count - 2
    return Encoder.from_model(tiny_model(0, replace(config, text=text)), processor)

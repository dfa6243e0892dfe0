"""The form `hf`: what Encoder and transformers open gives the same embeddings."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from altclip.encoder import Encoder
from altclip.export import convert, to_huggingface
from altclip.metrics import normalised
from tests.export.conftest import Made
from tests.export.made import FAMILIES, TEXTS, encoder_of, photos


@pytest.mark.parametrize("family", FAMILIES)
def test_encoder_opens_it_to_the_same(made: Made, encoders: dict[str, Encoder], family: str) -> None:
    done = made(family, "hf", "fp32")
    again = Encoder(done.folder, device="cpu")
    assert np.array_equal(again.encode_texts(TEXTS), encoders[family].encode_texts(TEXTS))
    assert np.array_equal(again.encode_images(photos()), encoders[family].encode_images(photos()))
    assert (done.form, done.precision) == ("hf", "fp32")


@pytest.mark.parametrize("family", FAMILIES)
def test_transformers_opens_it_to_the_same(made: Made, encoders: dict[str, Encoder], family: str) -> None:
    import transformers

    folder = made(family, "hf", "fp32").folder
    model, processor = (kind.from_pretrained(folder) for kind in (transformers.AutoModel, transformers.AutoProcessor))
    texts = TEXTS[:2]
    with torch.no_grad():
        inputs = processor(text=texts, images=photos(), return_tensors="pt", padding=True)
        found = model.eval()(**{name: inputs[name] for name in ("input_ids", "attention_mask", "pixel_values")})
    np.testing.assert_allclose(normalised(found.text_embeds.numpy()), encoders[family].encode_texts(texts), atol=1e-5)
    np.testing.assert_allclose(found.image_embeds.numpy(), encoders[family].encode_images(photos()), atol=1e-5)


def test_half_precision_is_that_of_the_files(folders: dict[str, Path], tmp_path: Path) -> None:
    done = convert(folders["altclip"], tmp_path / "half", precision="fp16")
    tensors = load_file(done.folder / "model.safetensors")
    assert {tensor.dtype for tensor in tensors.values()} == {torch.float16}
    assert json.loads((done.folder / "config.json").read_text(encoding="utf-8"))["torch_dtype"] == "float16"
    assert done.precision == "fp16"


def test_it_carries_card_and_report(made: Made) -> None:
    folder = made("altclip", "hf", "fp32").folder
    report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    assert (report["form"], report["precision"], report["dim"]) == ("hf", "fp32", 16)
    assert (folder / "README.md").read_text(encoding="utf-8").startswith("---\nlicense: creativeml-openrail-m\n")


def test_a_model_in_memory_is_written_too(tmp_path: Path) -> None:
    encoder = encoder_of("altclip")
    folder = to_huggingface(encoder, tmp_path / "out").folder
    assert np.array_equal(Encoder(folder, device="cpu").encode_texts(TEXTS), encoder.encode_texts(TEXTS))


def test_an_earlier_conversion_is_replaced(folders: dict[str, Path], tmp_path: Path) -> None:
    out = tmp_path / "out"
    convert(folders["clip"], out)
    (out / "mine.txt").touch()
    convert(folders["altclip"], out, overwrite=True)
    assert not (out / "mine.txt").exists()
    assert json.loads((out / "config.json").read_text(encoding="utf-8"))["model_type"] == "altclip"

"""The form `sentence-transformers`: the library opens the folder and gives the same embeddings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from altclip.encoder import Encoder
from altclip.errors import LayoutError
from altclip.export import convert, to_sentence_transformers
from tests.export.conftest import Made
from tests.export.made import FAMILIES, TEXTS, encoder_of, photos


@pytest.mark.parametrize("family", FAMILIES)
def test_texts_and_images_come_out_the_same(made: Made, encoders: dict[str, Encoder], family: str) -> None:
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(made(family, "sentence-transformers", "fp32").folder), device="cpu")
    np.testing.assert_allclose(model.encode(TEXTS), encoders[family].encode_texts(TEXTS), atol=1e-5)
    np.testing.assert_allclose(model.encode(photos()), encoders[family].encode_images(photos()), atol=1e-5)
    assert model.encode("a cat").shape == (encoders[family].dim,)
    assert model.get_embedding_dimension() == encoders[family].dim
    cosines = model.similarity(model.encode(photos()), model.encode(TEXTS)).numpy()
    np.testing.assert_allclose(cosines, encoders[family].similarity(photos(), TEXTS), atol=1e-5)


def test_the_folder_needs_no_code_of_its_own(made: Made) -> None:
    folder = made("altclip", "sentence-transformers", "fp32").folder
    modules = json.loads((folder / "modules.json").read_text(encoding="utf-8"))
    assert all(row["type"].startswith("sentence_transformers.") for row in modules)
    assert not list(folder.rglob("*.py"))


def test_images_are_prepared_with_pillow_even_beside_torchvision(made: Made) -> None:
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(made("altclip", "sentence-transformers", "fp32").folder), device="cpu")
    first: Any = model[0]
    assert type(first.processor.image_processor).__name__ == "CLIPImageProcessorPil"
    settings = (made("altclip", "sentence-transformers", "fp32").folder / "sentence_bert_config.json").read_text()
    assert json.loads(settings)["processor_kwargs"] == {"backend": "pil"}


def test_texts_are_cut_where_the_model_ends(folders: dict[str, Path], tmp_path: Path) -> None:
    """Some released tokenizers name a higher limit than the model has, or none."""
    import shutil

    from sentence_transformers import SentenceTransformer

    folder = Path(shutil.copytree(folders["altclip"], tmp_path / "model"))
    path = folder / "tokenizer_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "model_max_length": 400}), encoding="utf-8")
    done = convert(folder, tmp_path / "out", to="sentence-transformers")
    long = ["猫" * 300]
    found = SentenceTransformer(str(done.folder), device="cpu").encode(long)
    np.testing.assert_allclose(found, Encoder(folder, device="cpu").encode_texts(long), atol=1e-5)


def test_a_family_that_transformers_does_not_have_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LayoutError, match="opens models of altclip, clip, chinese-clip.*take the form onnx"):
        to_sentence_transformers(encoder_of("m-clip"), tmp_path / "out")
    assert list(tmp_path.iterdir()) == []

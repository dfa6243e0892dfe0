"""Model folders and finished conversions, each made once: exporting a graph takes seconds."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest

from altclip.encoder import Encoder
from altclip.export import Converted, convert
from tests.export.made import FAMILIES, model_folder

Made = Callable[[str, str, str], Converted]


@pytest.fixture(scope="session", autouse=True)
def _operators_read_once() -> Iterator[None]:
    """onnxscript reads the sources of all its operators anew at each export, half of the time that a tiny one takes."""
    registration = importlib.import_module("torch.onnx._internal.exporter._registration")
    with pytest.MonkeyPatch.context() as patch:
        if apis := getattr(registration, "onnxscript_apis", None):  # torch's own matter: it may go
            patch.setattr(apis, "get_torchlib_ops", cache(apis.get_torchlib_ops), raising=False)
        yield


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Folders by family; not to be changed."""
    place = tmp_path_factory.mktemp("families")
    return {family: model_folder(place / f"tiny-{family}", family) for family in FAMILIES}


@pytest.fixture(scope="session")
def encoders(folders: dict[str, Path]) -> dict[str, Encoder]:
    return {family: Encoder(folder, device="cpu") for family, folder in folders.items()}


@pytest.fixture(scope="session")
def made(folders: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Made:
    """A function that gives the conversion of a family to a form in a precision; not to be changed."""
    place = tmp_path_factory.mktemp("conversions")

    @cache
    def conversion(family: str, form: str, precision: str) -> Converted:
        return convert(folders[family], place / f"{family}-{form}-{precision}", to=form, precision=precision)

    return conversion

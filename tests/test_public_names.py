"""The public names are a contract: adding one is a decision, losing one is an error."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest

import altclip

PUBLIC = [
    "AltCLIP",
    "AltCLIPConfig",
    "AltCLIPModel",
    "AltCLIPProcessor",
    "AltCLIPTextConfig",
    "AltCLIPTextModel",
    "AltCLIPVisionConfig",
    "AltCLIPVisionModel",
    "Encoder",
    "LANGUAGES",
    "__version__",
    "errors",
    "open_image",
]


def test_the_public_names_are_these() -> None:
    assert sorted(altclip.__all__) == PUBLIC


@pytest.mark.parametrize("name", PUBLIC)
def test_each_name_is_there_and_listed(name: str) -> None:
    assert getattr(altclip, name) is not None
    assert name in dir(altclip)


def test_lazy_names_are_what_their_modules_define() -> None:
    for name, home in altclip._HOME.items():
        assert name in altclip.__all__
        assert getattr(altclip, name) is getattr(importlib.import_module(home), name)


def test_the_class_of_the_model_cards_is_one_class() -> None:
    assert altclip.AltCLIP is altclip.AltCLIPModel


def test_a_star_import_brings_all_of_them() -> None:
    namespace: dict[str, object] = {}
    exec("from altclip import *", namespace)
    assert namespace.keys() >= set(PUBLIC)


def test_a_wrong_name_is_an_attribute_error_that_lists_the_right_ones() -> None:
    with pytest.raises(AttributeError, match=r"'Encodr'.*Encoder"):
        altclip.Encodr  # noqa: B018
    assert not hasattr(altclip, "transformers")
    with pytest.raises(ImportError):
        exec("from altclip import Encodr")


def test_a_name_is_loaded_at_first_use_and_kept() -> None:
    code = (
        "import altclip, sys\n"
        "assert 'torch' not in sys.modules and 'open_image' not in vars(altclip)\n"
        "first = altclip.open_image\n"
        "assert vars(altclip)['open_image'] is first is altclip.open_image\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_version_is_one_number_everywhere() -> None:
    from importlib.metadata import version

    assert version("altclip") == altclip.__version__


def test_the_package_says_that_it_is_typed() -> None:
    from importlib.resources import files

    assert (files("altclip") / "py.typed").is_file()

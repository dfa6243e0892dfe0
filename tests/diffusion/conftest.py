"""Tiny pipelines, made once; tests that change one open it anew."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.cli.conftest import run  # noqa: F401 - a fixture

for _library in ("diffusers", "transformers"):
    pytest.importorskip(_library, reason="needs the extra diffusion")
_SERVED = ("fastapi", "uvicorn", "prometheus_client", "httpx", "openai")
collect_ignore = [] if all(map(find_spec, _SERVED)) else ["test_server.py"]


@pytest.fixture(scope="session")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tests.diffusion import made

    return made.tokenizer_folder(tmp_path_factory.mktemp("tokenizer"))


@pytest.fixture(scope="session")
def oracle(tokenizer: Path) -> Any:
    """diffusers' own, deprecated pipeline."""
    from tests.diffusion import made

    return made.oracle(tokenizer)


@pytest.fixture(scope="session")
def released(oracle: Any, tokenizer: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as the hub has them; tests that change it copy it first."""
    from tests.diffusion import made

    return made.released(tmp_path_factory.mktemp("pipelines") / "tiny", oracle, tokenizer)


@pytest.fixture(scope="session")
def checked(tokenizer: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with a safety checker, that finds everything unsafe."""
    from tests.diffusion import made

    return made.released(tmp_path_factory.mktemp("pipelines") / "safe", made.oracle(tokenizer, safety=True), tokenizer)


@pytest.fixture
def folder(released: Path, tmp_path: Path) -> Path:
    """A copy to be damaged."""
    return Path(shutil.copytree(released, tmp_path / "pipeline"))


@pytest.fixture(scope="session")
def opened() -> Callable[..., Any]:
    """Open a folder without the warnings that other tests look at."""
    import warnings

    from altclip.diffusion import AltDiffusionPipeline

    def opener(folder: Path, kind: Any = AltDiffusionPipeline, **options: Any) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            pipeline = kind.from_pretrained(folder, **options)
        pipeline.set_progress_bar_config(disable=True)
        return pipeline

    return opener


@pytest.fixture(scope="session")
def pipeline(opened: Callable[..., Any], released: Path) -> Any:
    return opened(released)


@pytest.fixture(scope="session")
def photograph() -> Image.Image:
    import numpy as np

    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    return Image.fromarray(noise).resize((8, 8)).resize((64, 64))

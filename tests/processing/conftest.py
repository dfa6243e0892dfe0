"""Tiny tokenizer folders, made once a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from altclip.processing import Tokenizer
from tests.processing.tiny import FOLDERS, KINDS, theirs


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One folder of each kind of tokenizer files."""
    root = tmp_path_factory.mktemp("tokenizers")
    return {kind: make(root / kind) for kind, make in FOLDERS.items()}


@pytest.fixture(scope="module", params=KINDS)
def pair(request: pytest.FixtureRequest, folders: dict[str, Path]) -> tuple[Tokenizer, Any]:
    """Our tokenizer and transformers', of one kind of files."""
    return Tokenizer.from_folder(folders[request.param]), theirs(request.param, folders[request.param])


@pytest.fixture(params=KINDS)
def tokenizer(request: pytest.FixtureRequest, folders: dict[str, Path]) -> Tokenizer:
    return Tokenizer.from_folder(folders[request.param])

"""Golden results: what CLIP_benchmark's own functions say of random embeddings, for the tests of altclip.metrics.

    python -m venv ENV && ENV/bin/pip install -r benchmarks/requirements-clip-benchmark.txt
    ENV/bin/python benchmarks/golden_clip_benchmark.py       # writes tests/golden/clip_benchmark.{npz,json}

It imports nothing of altclip, and nothing that needs torchvision: of CLIP_benchmark the metrics alone. Its functions
take a model and a loader; `Replayed` is a model that has embedded everything already.
"""

from __future__ import annotations

import json
import platform
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from clip_benchmark.metrics import zeroshot_classification, zeroshot_retrieval

GOLDEN = Path(__file__).resolve().parent.parent / "tests" / "golden"
KS = [1, 5, 10]
# images, captions an image (least, most), noise
RETRIEVAL = {
    "one to seven captions": (60, (1, 7), 2.0),
    "seven captions": (40, (7, 7), 2.5),
    "one caption": (80, (1, 1), 1.5),
    "hard": (70, (1, 7), 6.0),
    "few images": (10, (1, 7), 2.0),
}
# images, classes, templates, noise
CLASSIFICATION = {"twelve classes": (150, 12, 4, 2.0), "six classes": (90, 6, 1, 3.0), "hard": (200, 40, 3, 6.0)}


class Replayed:
    """A model whose images and texts are numbers of embeddings made beforehand."""

    def __init__(self, images: torch.Tensor, texts: torch.Tensor) -> None:
        self.encode_image, self.encode_text = images.__getitem__, texts.__getitem__


def main() -> None:
    # its `accuracy` makes a number of an array of one, which newer numpy refuses; the value is the same
    vars(zeroshot_classification)["float"] = lambda array: np.asarray(array).item()
    arrays: dict[str, np.ndarray] = {}
    results: dict[str, Any] = {"retrieval": {}, "classification": {}}
    for seed, (name, case) in enumerate(RETRIEVAL.items()):
        made = retrieval_case(np.random.default_rng(seed), *case)
        arrays |= {f"retrieval/{name}/{key}": value for key, value in made.items()}
        results["retrieval"][name] = retrieval(made["images"], made["texts"], made["owners"])
    for seed, (name, case) in enumerate(CLASSIFICATION.items()):
        made = classification_case(np.random.default_rng(100 + seed), *case)
        classifier, figures = classification(**made)
        arrays |= {f"classification/{name}/{key}": value for key, value in (made | {"classifier": classifier}).items()}
        results["classification"][name] = figures
    versions = {name: metadata.version(name) for name in ("clip-benchmark", "torch", "numpy")}
    results["versions"] = {"python": platform.python_version(), **versions}
    GOLDEN.mkdir(exist_ok=True)
    np.savez_compressed(GOLDEN / "clip_benchmark.npz", **arrays)
    (GOLDEN / "clip_benchmark.json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


def retrieval_case(
    draw: np.random.Generator, images: int, captions: tuple[int, int], noise: float
) -> dict[str, np.ndarray]:
    owners = np.repeat(np.arange(images), draw.integers(captions[0], captions[1] + 1, images))
    shown = draw.standard_normal((images, 16))
    texts = shown[owners] + noise * draw.standard_normal((len(owners), 16))
    return {"images": shown.astype(np.float32), "texts": texts.astype(np.float32), "owners": owners}


def retrieval(images: np.ndarray, texts: np.ndarray, owners: np.ndarray, batch: int = 64) -> dict[str, float]:
    """CLIP_benchmark's figures of images (I, D) and texts (T, D), the texts standing in the order of their images."""
    model = Replayed(torch.from_numpy(images), torch.from_numpy(texts))
    rows = [np.flatnonzero(owners == image).tolist() for image in range(len(images))]
    loader = [
        (torch.arange(start, min(start + batch, len(images))), rows[start : start + batch])
        for start in range(0, len(images), batch)
    ]
    return zeroshot_retrieval.evaluate(model, loader, torch.tensor, "cpu", amp=False, recall_k_list=KS)  # type: ignore[no-any-return]


def classification_case(
    draw: np.random.Generator, images: int, classes: int, templates: int, noise: float
) -> dict[str, np.ndarray]:
    centres, shown = draw.standard_normal((classes, 16)), draw.integers(0, classes, images)
    prompts = (centres[:, None] + draw.standard_normal((classes, templates, 16))).reshape(-1, 16)
    pictures = centres[shown] + noise * draw.standard_normal((images, 16))
    return {"images": pictures.astype(np.float32), "prompts": prompts.astype(np.float32), "shown": shown}


def classification(images: np.ndarray, prompts: np.ndarray, shown: np.ndarray) -> tuple[np.ndarray, dict[str, float]]:
    """Its classifier (C, D) and figures. Names and templates are numbers: text `c t` is prompt c * templates + t."""
    classes = int(shown.max()) + 1
    each = len(prompts) // classes
    templates = [f"{{c}} {number}" for number in range(each)]
    names = [str(number) for number in range(classes)]

    def tokenizer(texts: list[str]) -> torch.Tensor:
        return torch.tensor([int(text.split()[0]) * each + int(text.split()[1]) for text in texts])

    model = Replayed(torch.from_numpy(images), torch.from_numpy(prompts))
    loader = Loader(torch.arange(len(images)), torch.from_numpy(shown), names)
    classifier = zeroshot_classification.zero_shot_classifier(model, tokenizer, names, templates, "cpu", amp=False)
    figures = zeroshot_classification.evaluate(model, loader, tokenizer, names, templates, "cpu", amp=False)
    return classifier.T.numpy(), {key: float(value) for key, value in figures.items()}


class Loader:
    """Batches of image numbers and classes, with what CLIP_benchmark asks of a loader."""

    def __init__(self, images: torch.Tensor, classes: torch.Tensor, names: list[str], batch: int = 32) -> None:
        self.batches = list(zip(images.split(batch), classes.split(batch), strict=True))
        self.dataset = SimpleNamespace(classes=names)

    def __iter__(self) -> Any:
        return iter(self.batches)


if __name__ == "__main__":
    main()

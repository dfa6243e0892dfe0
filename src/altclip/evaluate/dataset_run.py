"""Measures models on one benchmark set, in every language that it has; images are embedded once a model and kept."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from altclip.checkpoints import resolve
from altclip.encoder import Encoder
from altclip.errors import UsageError
from altclip.evaluate.benchmarks import BENCHMARKS, CaptionSet, Content, open_benchmark
from altclip.evaluate.captioned import retrieval_of
from altclip.evaluate.dataset_report import DatasetReport, Measured
from altclip.evaluate.embedding import embed_images
from altclip.evaluate.facts import cache_folder, commit, versions
from altclip.evaluate.figures import Figure
from altclip.evaluate.labelled import accuracies_of
from altclip.evaluate.published import published
from altclip.evaluate.report import labels_for

Say = Callable[[str], None]


def evaluate_dataset(
    models: Sequence[str],
    name: str,
    root: Path,
    languages: Sequence[str] = (),
    *,
    labels: Sequence[str] = (),
    cache: Path | None = None,
    device: str = "auto",
    report: Say = lambda _: None,
) -> DatasetReport:
    """Measure each model (a folder, a preset or a hub id) on a set of `BENCHMARKS`, in float32 on every device.

    Args:
        models: one or more.
        name: of the set.
        root: the folder with its files; a file, for a set of your own.
        languages: those to measure; all that the set has if empty.
        labels: what the report calls each model; their own names if empty.
        cache: where image embeddings are kept; None for the user's cache folder.
        device: cpu, cuda, mps, or auto.
        report: told what is being done.

    Raises:
        UsageError: no model, an unknown set or language, labels that do not fit.
        CheckpointError: a model cannot be opened.
        DataError: files are missing or damaged, or hold less than the set has.
    """
    if not models:
        raise UsageError("no model to evaluate: name one or more, for example mini")
    if name not in BENCHMARKS:
        raise UsageError(f"unknown data set {name!r}: expected one of {', '.join(BENCHMARKS)}")
    named = labels_for(models, labels)
    for model in models:  # a wrong name of the last one shows before the first is measured
        resolve(model)
    report(f"reading {BENCHMARKS[name].title}")
    content = open_benchmark(BENCHMARKS[name], root, languages)
    folder = cache or cache_folder()
    measured = [
        _measure(model, label, content, folder, device, report) for model, label in zip(models, named, strict=True)
    ]
    return DatasetReport(
        name, BENCHMARKS[name].title, _data(content), content.notes, measured, published(name), versions(), commit()
    )


def _measure(source: str, label: str, content: Content, cache: Path, device: str, report: Say) -> Measured:
    started = time.monotonic()
    report(f"{label}: opening the model")
    encoder = Encoder(source, device=device, precision="exact")
    digest = encoder.digest
    report(f"{label}: embedding {len(content.images):,} images")
    key = (digest, encoder.device.type, versions()["altclip"])
    images = embed_images(encoder, content.images, cache, key)
    figures: list[Figure] = []
    if isinstance(content, CaptionSet):
        texts = {}
        for language, captions in content.captions.items():
            report(f"{label}: embedding {len(captions.texts):,} captions in {language}")
            texts[language] = encoder.encode_texts(captions.texts)
        report(f"{label}: ranking in {', '.join(texts)}")
        figures = retrieval_of(content, images.embeddings, texts)
    else:
        report(f"{label}: classifying in {', '.join(content.languages)}")
        figures = list(accuracies_of(content, encoder, images, math.exp(encoder.logit_scale)))
    return Measured(label, source, digest, time.monotonic() - started, figures)


def _data(content: Content) -> dict[str, object]:
    """Digest of the images, and how many there were of everything."""
    counted: dict[str, object] = {"images": len(content.images), "digest": content.images.digest}
    if isinstance(content, CaptionSet):
        counted["captions"] = {language: len(of.texts) for language, of in content.captions.items()}
    else:
        counted["classes"] = len(content.labels.names)
        counted["languages"] = list(content.languages)
    return counted

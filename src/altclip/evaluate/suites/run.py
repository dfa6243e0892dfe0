"""Measures models on the sets of a suite, in every language that each has; images are embedded once a model."""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from altclip.checkpoints import resolve
from altclip.encoder import Encoder
from altclip.errors import UsageError
from altclip.evaluate.benchmarks import BENCHMARKS, CaptionSet, Content, ParallelSet, open_benchmark
from altclip.evaluate.embedding import embed_images
from altclip.evaluate.facts import cache_folder, commit, versions
from altclip.evaluate.suites.captioned import retrieval_of
from altclip.evaluate.suites.findings import Findings
from altclip.evaluate.suites.labelled import accuracies_of
from altclip.evaluate.suites.published import published
from altclip.evaluate.suites.report import Measured, Model, SetReport, SuiteReport
from altclip.evaluate.suites.suite import Suite
from altclip.evaluate.suites.translated import translations_of
from altclip.evaluate.tables import labels_for

Say = Callable[[str], None]


def evaluate_suite(
    models: Sequence[str],
    suite: Suite,
    *,
    labels: Sequence[str] = (),
    cache: Path | None = None,
    device: str = "auto",
    report: Say = lambda _: None,
) -> SuiteReport:
    """Measure each model (a folder, a preset or a hub id) on each set of a suite, in float32 on every device.

    Args:
        models: one or more.
        suite: of `read_suite`, or `suite_of` for one set.
        labels: what the report calls each model; their own names if empty.
        cache: where image embeddings are kept; None for the user's cache folder.
        device: cpu, cuda, mps, or auto.
        report: told what is being done.

    Raises:
        UsageError: no model, an unknown language, labels that do not fit.
        CheckpointError: a model cannot be opened.
        DataError: files are missing or damaged, or hold less than a set has.
    """
    if not models:
        raise UsageError("no model to evaluate: name one or more, for example mini")
    named = labels_for(models, labels)
    for model in models:  # a wrong name of the last one, or a missing set, shows before the first is measured
        resolve(model)
    contents = []
    for choice in suite.sets:
        report(f"reading {choice.shown}")
        contents.append(open_benchmark(BENCHMARKS[choice.dataset], choice.root, choice.languages, choice.partial))
    folder = cache or cache_folder()
    found: list[list[Measured]] = [[] for _ in contents]
    opened = []
    for source, label in zip(models, named, strict=True):
        report(f"{label}: opening the model")
        encoder = Encoder(source, device=device, precision="exact")
        opened.append(Model(label, source, encoder.digest))
        for content, measured in zip(contents, found, strict=True):
            measured.append(_measure(opened[-1], encoder, content, folder, report))
    sets = [
        SetReport(
            choice.dataset,
            choice.shown,
            _data(content),
            content.notes,
            measured,
            published(choice.dataset),
            content.images,
        )
        for choice, content, measured in zip(suite.sets, contents, found, strict=True)
    ]
    return SuiteReport(suite.title, opened, sets, versions(), commit())


def _measure(model: Model, encoder: Encoder, content: Content, cache: Path, report: Say) -> Measured:
    started = time.monotonic()
    if isinstance(content, ParallelSet):
        found = _translated(model, encoder, content, report)
        return Measured(model, time.monotonic() - started, found)
    report(f"{model.label}, {content.name}: embedding {len(content.images):,} images")
    images = embed_images(
        encoder, content.images, cache, (model.digest, encoder.engine.name, encoder.device.type, versions()["altclip"])
    )
    if isinstance(content, CaptionSet):
        texts = {}
        for language, captions in content.captions.items():
            report(f"{model.label}, {content.name}: embedding {len(captions.texts):,} captions in {language}")
            texts[language] = encoder.encode_texts(captions.texts)
        report(f"{model.label}, {content.name}: ranking in {', '.join(texts)}")
        findings: Findings = retrieval_of(content, images.embeddings, texts)
    else:
        report(f"{model.label}, {content.name}: classifying in {', '.join(content.languages)}")
        findings = accuracies_of(content, encoder, images, math.exp(encoder.logit_scale))
    return Measured(model, time.monotonic() - started, findings)


def _translated(model: Model, encoder: Encoder, content: ParallelSet, report: Say) -> Findings:
    found = Findings()
    for language, texts in content.texts.items():
        report(f"{model.label}, {content.name}: embedding {len(texts.own):,} pairs in {language} and English")
        embedded = encoder.encode_texts(texts.own), encoder.encode_texts(texts.english)
        found += translations_of(language, texts, embedded, np.arange(len(texts.own)))
    return found


def _data(content: Content) -> dict[str, object]:
    """Digests of images and texts, and how many there were of everything."""
    texts: dict[str, Sequence[str]]
    counted: dict[str, object] = {"images": len(content.images), "digest": content.images.digest}
    if isinstance(content, CaptionSet):
        counted["captions"] = {language: len(of.texts) for language, of in content.captions.items()}
        texts = {language: of.texts for language, of in content.captions.items()}
    elif isinstance(content, ParallelSet):
        counted["pairs"] = {language: len(of.own) for language, of in content.texts.items()}
        texts = {language: [*of.own, *of.english] for language, of in content.texts.items()}
    else:
        counted["classes"] = len(content.labels.names)
        counted["languages"] = list(content.languages)
        texts = {
            language: [content.labels.names[key][language][0] for key in content.labels.keys_in([language])]
            for language in content.languages
        }
    counted["texts"] = {
        language: hashlib.sha256("\0".join(of).encode("utf-8", "surrogatepass")).hexdigest()
        for language, of in texts.items()
    }
    return counted

"""Measures one model after another on the same data, and puts them side by side."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from altclip.checkpoints import resolve
from altclip.encoder import Encoder
from altclip.errors import UsageError
from altclip.evaluate.facts import cache_folder, commit, versions
from altclip.evaluate.mini.data import MiniData, open_data
from altclip.evaluate.mini.measures import Settings, measure
from altclip.evaluate.mini.report import Model, Report
from altclip.evaluate.tables import labels_for

Say = Callable[[str], None]


def evaluate_models(
    models: Sequence[str],
    data: Path,
    settings: Settings | None = None,
    *,
    labels: Sequence[str] = (),
    cache: Path | None = None,
    device: str = "auto",
    report: Say = lambda _: None,
) -> Report:
    """Measure each model (a folder, a preset or a hub id) on the folder `data`; in float32 on every device.

    Args:
        settings: languages, style of the drawings, names left out; None for all nine, twemoji, none.
        labels: what the report calls each model; their own names if empty.
        cache: where image embeddings are kept; None for the user's cache folder.
        report: told what is being done.

    Raises:
        UsageError: no model, or labels that do not fit. CheckpointError: a model cannot be opened.
        DataError: a file is missing or damaged; a language has no names.
    """
    if not models:
        raise UsageError("no model to evaluate: name one or more, for example mini")
    settings = settings or Settings()
    named = labels_for(models, labels)
    for model in models:  # a wrong name of the last one shows before the first is measured
        resolve(model)
    opened = open_data(data, settings.style)
    folder = cache or cache_folder()
    measured = [
        _measure(model, label, opened, settings, folder, device, report)
        for model, label in zip(models, named, strict=True)
    ]
    return Report(measured, settings, opened.digests, versions(), commit())


def _measure(
    source: str, label: str, data: MiniData, settings: Settings, cache: Path, device: str, report: Say
) -> Model:
    started = time.monotonic()
    report(f"{label}: opening the model")
    encoder = Encoder(source, device=device, precision="exact")
    digest = encoder.digest
    key = (digest, encoder.engine.name, encoder.device.type, versions()["altclip"])
    results = measure(encoder, data, settings, cache=cache, key=key, report=lambda line: report(f"{label}: {line}"))
    return Model(label, source, digest, time.monotonic() - started, results)

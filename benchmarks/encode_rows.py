"""The rows of encode.py: what must be reached, and how each is measured. `less` marks those where less is better."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from encode_found import Check, Found, Row, words
from encode_peers import ByHand, SentenceTransformers, Transformers, product
from encode_processes import cli_classify, growth
from encode_setting import Piece, Setting, alternating, computes

from altclip.errors import AltclipError
from altclip.metrics import normalised

QUERIES = 8  # of a run of `one_query`, each its own


# --- images ---


def images_default(setting: Setting) -> Found:
    encoder, theirs = setting.encoder(), transformers(setting)
    found = images(setting, {computes(encoder): encoder.engine.encode_image}, theirs, 0.9999)
    hint = "bf16" if "bfloat16" in computes(encoder) else "f32"
    vision = encoder.model.config.vision
    tokens = setting.images * (vision.grid_size**2 + 1) if vision else 0
    work, gflop = product(setting.threads, hint, tokens, vision.hidden_size if vision else 0)
    work()
    peak = gflop / statistics.median(alternating({"": lambda _: work()}, 5 * setting.runs)[""])
    one = gflop_of_image(encoder)
    share = setting.images * one / statistics.median(found.seconds[computes(encoder)]) / peak
    more = {"gflop_an_image": round(one, 2), f"gemm_gflops_{hint}": round(peak, 1), "share_of_gemm": round(share, 3)}
    checks = [*found.checks, Check(f"share of the machine's own {hint} GEMM", round(share, 3), 0.9, of="aim")]
    return Found(**{**vars(found), "checks": checks, "more": {**found.more, **more}})


def images_int8(setting: Setting) -> Found:
    encoder = setting.encoder(precision="int8", calibration=setting.calibration)
    return images(setting, {computes(encoder): encoder.engine.encode_image}, transformers(setting), None)


def images_by_hand(setting: Setting) -> Found:
    encoder = setting.encoder()
    peer = setting.opened("by hand", lambda: ByHand(setting.model_folder, setting.threads, setting.pixels))
    theirs = {f"transformers in OpenVINO by hand, {peer.hint}": peer.encode_image}
    return images(setting, {computes(encoder): encoder.engine.encode_image}, theirs, None)


def images_exact(setting: Setting) -> Found:
    encoder = setting.encoder(precision="exact")
    return images(setting, {computes(encoder): encoder.engine.encode_image}, transformers(setting), None, 1e-4)


def images_torch(setting: Setting) -> Found:
    ours = {computes(of): of.engine.encode_image for of in in_torch(setting)}
    return images(setting, ours, transformers(setting), 0.9999)


def images(
    setting: Setting, ours: Mapping[str, Any], theirs: Mapping[str, Any], cosine: float | None, apart: float = 0.0
) -> Found:
    """The model alone on a batch of prepared photographs."""
    both, pixels = {**ours, **theirs}, setting.pixels
    first = {name: normalised(encode(pixels)) for name, encode in both.items()}
    work: dict[str, Piece] = {name: lambda _, encode=encode: encode(pixels) for name, encode in both.items()}
    return compared(setting, work, first, list(ours), setting.images, "images/s", cosine, apart)


# --- texts ---


def captions_transformers(setting: Setting) -> Found:
    peer = transformers_model(setting)
    return texts(setting, [setting.encoder()], {f"{peer.name}, batches of 32": peer.texts}, 0.9999)


def captions_flagai(setting: Setting) -> Found:
    peer = transformers_model(setting)
    return texts(setting, [setting.encoder()], {f"{peer.name}, padded to 77": peer.flagai}, 0.9999)


def captions_sentence_transformers(setting: Setting) -> Found:
    peer = setting.opened("sentence-transformers", lambda: SentenceTransformers(setting.model_folder))
    return texts(setting, [setting.encoder()], {"sentence-transformers float32": peer.texts}, 0.9999)


def captions_exact(setting: Setting) -> Found:
    peer = transformers_model(setting)
    ours = [setting.encoder(precision="exact")]
    return texts(setting, ours, {f"{peer.name}, batches of 32": peer.texts}, None, 1e-4)


def captions_torch(setting: Setting) -> Found:
    peer = transformers_model(setting)
    return texts(setting, in_torch(setting), {f"{peer.name}, batches of 32": peer.texts}, 0.9999)


def one_query(setting: Setting) -> Found:
    """One text at a time, another one each time."""
    encoder, peer = setting.encoder(), transformers_model(setting)
    both = {computes(encoder): encoder.encode_texts, peer.name: lambda text: peer.texts([text])}
    queries = setting.captions(-1)[:QUERIES]
    first = {name: np.concatenate([normalised(encode(of)) for of in queries]) for name, encode in both.items()}

    def ask(encode: Callable[[str], Any]) -> Piece:
        return lambda run: [encode(of) for of in setting.captions(run, QUERIES)]

    work = {name: ask(encode) for name, encode in both.items()}
    return compared(setting, work, first, [computes(encoder)], QUERIES, "ms", 0.9999, of="aim")


def texts(
    setting: Setting, ours: Sequence[Any], theirs: Mapping[str, Any], cosine: float | None, apart: float = 0.0
) -> Found:
    """From strings to embeddings, in the order they come."""
    both = {**{computes(of): of.encode_texts for of in ours}, **theirs}
    first = {name: normalised(encode(setting.captions(-1, 32))) for name, encode in both.items()}
    work: dict[str, Piece] = {
        name: lambda run, encode=encode: encode(setting.captions(run)) for name, encode in both.items()
    }
    ours_named = [computes(of) for of in ours]
    return compared(setting, work, first, ours_named, setting.texts, "captions/s", cosine, apart, of="aim")


# --- a folder ---


def folder(setting: Setting) -> Found:
    """Files to embeddings, and how long the model computed meanwhile; beside it the model alone on prepared pixels."""
    encoder = setting.encoder()
    engine, prepared = encoder.engine, np.stack([encoder._prepare(of) for of in setting.photographs])
    watched = Watched(engine)
    encoder.engine = watched
    encoder.encode_images(setting.photographs[: setting.images], progress=False)
    alone, size = f"{computes(encoder)}, the model alone", watched.largest
    shares, busy = [], []

    def whole(_: int) -> None:
        watched.spans.clear()
        encoder.encode_images(setting.photographs, progress=False)
        busy.append(watched.busy)

    def model(_: int) -> None:
        for start in range(0, len(prepared), size):
            engine.encode_image(prepared[start : start + size])

    seconds = alternating({computes(encoder): whole, alone: model}, setting.runs)
    encoder.engine = engine
    shares = [1 - b / s for b, s in zip(busy, seconds[computes(encoder)], strict=True)]
    totals = [statistics.median(of) for of in seconds.values()]
    count = len(setting.photographs)
    return Found(
        statistics.median(shares), min(shares), max(shares),
        f"{count} photographs in {totals[0]:.2f} s", f"the model alone {totals[1]:.2f} s", seconds,
        [computes(encoder)], more={"over_the_model_alone": round(totals[0] / totals[1] - 1, 4)},
    )  # fmt: skip


class Watched:
    """An engine that remembers when it computed images."""

    def __init__(self, engine: Any) -> None:
        self.watched, self.spans, self.largest = engine, [], 1

    def __getattr__(self, name: str) -> Any:
        return getattr(self.watched, name)

    def encode_image(self, pixels: np.ndarray) -> np.ndarray:
        started = time.perf_counter()
        rows = self.watched.encode_image(pixels)
        self.spans.append((started, time.perf_counter()))
        self.largest = max(self.largest, len(pixels))
        return rows

    @property
    def busy(self) -> float:
        """Seconds in which at least one call ran."""
        total, until = 0.0, 0.0
        for start, end in sorted(self.spans):
            total += max(0.0, end - max(start, until))
            until = max(until, end)
        return total


# --- what rows have in common ---


def compared(
    setting: Setting, work: Mapping[str, Piece], first: Mapping[str, Any], ours: Sequence[str], items: int,
    unit: str, cosine: float | None, apart: float = 0.0, of: str = "must",
) -> Found:  # fmt: skip
    """The quickest of ours over the peer, run by run; embeddings `first` (N, D) beside the peer's.

    of: what the cosine is asked for. Of texts it was not asked at all: there it counts for the aim.
    """
    seconds = alternating(work, setting.runs)
    (peer,) = [name for name in work if name not in ours]
    quickest = min(ours, key=lambda name: statistics.median(seconds[name]))
    ratios = [theirs / own for theirs, own in zip(seconds[peer], seconds[quickest], strict=True)]
    value = statistics.median(seconds[peer]) / statistics.median(seconds[quickest])
    checks, more = [], {}
    for name in ours:
        least = float((first[name] * first[peer]).sum(axis=1).min())
        difference = float(np.abs(first[name] - first[peer]).max())
        more[f"{name} to {peer}"] = {"least_cosine": round(least, 7), "largest_difference": float(f"{difference:.2g}")}
        if cosine is not None and "int8" not in name:
            checks.append(Check("least cosine to the peer's embeddings", round(least, 7), cosine, of=of))
        if apart:
            checks.append(Check("largest difference to the peer's embeddings", difference, apart, less=True))
    if len(ours) > 1:
        more["ratio_of_each"] = {
            n: round(statistics.median(seconds[peer]) / statistics.median(seconds[n]), 2) for n in ours
        }
    said = {name: words(statistics.median(of), items, unit) for name, of in seconds.items()}
    return Found(
        value, min(ratios), max(ratios), f"{said[quickest]} ({quickest})", f"{said[peer]} ({peer})", seconds,
        list(work), checks, more,
    )  # fmt: skip


def transformers_model(setting: Setting) -> Transformers:
    made: Transformers = setting.opened("transformers", lambda: Transformers(setting.model_folder))
    return made


def transformers(setting: Setting) -> dict[str, Any]:
    peer = transformers_model(setting)
    return {peer.name: peer.encode_image}


def in_torch(setting: Setting) -> list[Any]:
    """Ours without OpenVINO: eager, and compiled where this version and machine can."""
    made = [setting.encoder(engine="torch")]
    try:
        made.append(setting.encoder(engine="compiled"))
    except AltclipError as error:
        print(f"compiled is left out: {error}")
    return made


def gflop_of_image(encoder: Any) -> float:
    """Of matrix products and attention, by torch's own counter."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    vision = encoder.model.config.vision
    pixels = torch.zeros(1, vision.num_channels, vision.image_size, vision.image_size)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        encoder.model.encode_image(pixels)
    return counter.get_total_flops() / 1e9


BF16 = "bfloat16"
ROWS: dict[str, Row] = {
    "images": Row("images: default precision over transformers fp32, batch 8", 4.8, 5.2, images_default, BF16),
    "images_int8": Row("images: int8 over transformers fp32", 8.5, 9.5, images_int8, BF16),
    "images_by_hand": Row("images: over transformers in OpenVINO by hand", 1.0, 1.1, images_by_hand, BF16),
    "captions": Row("captions of nine languages: over transformers", 6.5, 9, captions_transformers, BF16),
    "captions_flagai": Row("captions: over FlagAI's way (77)", 17, 24, captions_flagai, BF16),
    "captions_sentence_transformers": Row(
        "captions: over sentence-transformers' encode", 4, 6, captions_sentence_transformers, BF16
    ),
    "one_query": Row("one text query: transformers' time over ours", 6, 8, one_query, BF16),
    "folder": Row("folder of photographs: share of time not in the model", 0.05, 0.02, folder, less=True, unit="share"),
    "images_exact": Row("images: fp32 `exact` over transformers", 2.5, None, images_exact, BF16),
    "captions_exact": Row("captions: fp32 `exact` over transformers", 2.5, None, captions_exact, BF16),
    "cli": Row("`altclip classify` of one photo with mini, fresh process", 2.0, 1.2, cli_classify, less=True, unit="s"),
    "images_torch": Row("images: torch alone over transformers fp32", 3, None, images_torch, BF16),
    "captions_torch": Row("captions: torch alone over transformers fp32", 5, None, captions_torch, BF16),
    "growth_images": Row(
        "images with mini: cost of one among the most over one among fewer", 1.1, None, growth("images"), less=True
    ),
    "growth_texts": Row(
        "texts with mini: cost of one among the most over one among fewer", 1.1, None, growth("texts"), less=True
    ),
}

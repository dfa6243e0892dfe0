"""What the rows of encode.py are given: one model folder for all tools, real inputs, tools opened when needed."""

from __future__ import annotations

import gc
import io
import itertools
import os
import time
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from altclip.encoder import Encoder
from altclip.languages import LANGUAGES

RANDOM = "random:"
WARM_UP = 32  # texts of the run that does not count, and on which embeddings are compared
Piece = Callable[[int], object]  # of a round, counted from 0; -1 does not count


class Setting:
    """model: `random:` and a preset, or what `Encoder` opens; folder: where the tools' common model folder is kept.

    images: of a batch; texts: of a run; growth: numbers of inputs whose costs are compared. Every run has texts of its
    own, the same for all tools, so that no cache of texts counts.
    """

    def __init__(self, model: str, folder: Path, data: Path | None, runs: int, *, trial: bool = False) -> None:
        self.model, self.folder, self.data, self.runs, self.trial = model, folder, data, runs, trial
        self.images, self.texts = (2, 6) if trial else (8, 256)
        self.growth = (2, 4, 8) if trial else (100, 1000, 10_000)
        self.threads = torch.get_num_threads()
        self._opened: dict[Any, Any] = {}

    def opened(self, key: Any, make: Callable[[], Any]) -> Any:
        """What `make` gives, made once and shared until `forget`."""
        if key not in self._opened:
            self._opened[key] = make()
        return self._opened[key]

    def forget(self) -> None:
        """Free what was opened: several full-size models at once are too many."""
        self._opened.clear()
        gc.collect()

    def encoder(self, **options: Any) -> Encoder:
        """Ours, opened from the folder as a user would."""
        made: Encoder = self.opened(
            ("ours", *sorted(options.items())), lambda: Encoder(self.model_folder, device="cpu", **options)
        )
        return made

    @cached_property
    def model_folder(self) -> Path:
        """One folder that altclip, transformers and sentence-transformers open: the same weights and tokenizer."""
        if not self.folder.is_dir():
            from altclip.export.sentence import to_sentence_transformers

            self.folder.parent.mkdir(parents=True, exist_ok=True)
            to_sentence_transformers(self._source(), self.folder)
        return self.folder

    def _source(self) -> Encoder:
        if not self.model.startswith(RANDOM):
            return Encoder(self.model, device="cpu", engine="torch")
        from altclip.models import DualEncoder, initialise, preset

        config = preset(self.model.removeprefix(RANDOM))
        with torch.random.fork_rng():
            torch.manual_seed(0)
            model = initialise(DualEncoder(config)).eval()
        return Encoder.from_model(model, self._processor(config.text.vocab_size if config.text else 0), engine="torch")

    def _processor(self, vocabulary: int) -> Any:
        """XLM-R's tokenizer for models with its vocabulary, mini's for the others."""
        import altclip
        from altclip.processing import ImageProcessor, Processor, Tokenizer

        if vocabulary < 100_000:
            return Processor.from_folder(Path(altclip.__file__).parent / "assets" / "mini")
        if self.data is None:
            raise SystemExit("this model needs XLM-R's sentencepiece.bpe.model, in tokenizers/ beside --data")
        return Processor(ImageProcessor(), Tokenizer.from_folder(self.data.parent / "tokenizers" / "xlm_roberta"))

    # --- inputs ---

    def captions(self, run: int, count: int | None = None) -> list[str]:
        """Captions of nine languages in turn, none twice; those of run -1 are the warm-up's."""
        count, start = count or self.texts, 0
        if run >= 0:
            start = WARM_UP + run * count
        found = self._pool[start : start + count]
        if len(found) < count:
            raise SystemExit(f"{len(self._pool):,} captions are too few for {self.runs} runs of {count}: lower --runs")
        return found

    @cached_property
    def _pool(self) -> list[str]:
        by_language = read_captions(self.data) if self.data else label_prompts()
        rows = itertools.zip_longest(*(by_language[language] for language in LANGUAGES))
        return list(dict.fromkeys(text for row in rows for text in row if text))

    @cached_property
    def photographs(self) -> list[Path]:
        """The full-size photographs, or drawn ones without the data."""
        if self.data:
            return sorted((self.data / "photos" / "full_size").glob("*.JPEG"))[: 3 if self.trial else None]
        folder = self.folder.parent / "photographs"
        folder.mkdir(exist_ok=True)
        for number in range(3):
            (folder / f"{number}.jpg").write_bytes(drawn_photograph(number))
        return sorted(folder.glob("*.jpg"))

    @property
    def calibration(self) -> tuple[Path, ...]:
        """What int8 is calibrated on: all the photographs, and again where they are too few."""
        return tuple(itertools.islice(self._endless(), max(32, len(self.photographs))))

    @cached_property
    def pixels(self) -> np.ndarray:
        """A batch of photographs as the model reads them."""
        from altclip.processing import ImageProcessor, open_image

        prepare = ImageProcessor.from_folder(self.model_folder).preprocess
        return np.stack([prepare(open_image(of)) for of in itertools.islice(self._endless(), self.images)])

    def _endless(self) -> Iterator[Path]:
        return itertools.cycle(self.photographs)


def read_captions(data: Path) -> dict[str, list[str]]:
    """By language: XTD10's, and Flickr8k's in Arabic, which XTD10 has not."""
    import pyarrow.parquet as pq

    found: dict[str, list[str]] = {language: [] for language in LANGUAGES}
    for file in sorted((data / "parallel").glob("xtd10_first500.en-*.tsv")):
        pairs = [line.split("\t") for line in file.read_text(encoding="utf-8").splitlines()]
        found[file.stem[-2:]] = [own for _, own in pairs]
        found["en"] = [english for english, _ in pairs]
    arabic = pq.read_table(data / "captioned" / "flickr8k_200.parquet", columns=["ar"]).column("ar").to_pylist()
    found["ar"] = [text for of_image in arabic for text in of_image]
    if lost := [language for language, texts in found.items() if not texts]:
        raise SystemExit(f"{data}: no captions in {', '.join(lost)}; see docs/mini-data.md for what belongs there")
    return found


def label_prompts() -> dict[str, list[str]]:
    """By language: prompts of the bundled labels, for a trial without the data."""
    from altclip.prompts import label_set, templates

    return {
        language: [
            template.replace("{}", name)
            for template in templates(language)
            for name in label_set("cifar100", language).values()
        ]
        for language in LANGUAGES
    }


def drawn_photograph(seed: int) -> bytes:
    """Soft shapes of 1600 x 1200 pixels as a JPEG."""
    drawn = np.random.default_rng(seed).integers(0, 256, (60, 80, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(drawn).resize((1600, 1200), Image.Resampling.BICUBIC).save(file, "JPEG", quality=90)
    return file.getvalue()


def alternating(work: Mapping[str, Piece], runs: int) -> dict[str, list[float]]:
    """Seconds of each piece in each of the runs, the pieces in turns."""
    seconds: dict[str, list[float]] = {name: [] for name in work}
    for run in range(runs):
        for name, piece in work.items():
            started = time.perf_counter()
            piece(run)
            seconds[name].append(time.perf_counter() - started)
    return seconds


def computes(encoder: Encoder) -> str:
    """Engine and number format in which it really computes on this machine."""
    kind = str(getattr(encoder.engine, "dtype", encoder.dtype)).removeprefix("torch.")
    precision = getattr(encoder.engine, "precision", "")
    return f"altclip, {encoder.engine.name} {'int8' if precision == 'int8' else kind}"


def arithmetic() -> dict[str, Any]:
    """What the processor computes in besides float32, as it says itself, and what limits oneDNN."""
    info = Path("/proc/cpuinfo")
    flags = set(info.read_text(encoding="utf-8").split()) if info.is_file() else set()
    limit = os.environ.get("ONEDNN_MAX_CPU_ISA", "")
    old = limit.upper() in {"SSE41", "AVX", "AVX2", "AVX512_CORE"}
    return {
        "bfloat16": bool(flags & {"avx512_bf16", "amx_bf16"}) and not old,
        "int8 products": bool(flags & {"avx512_vnni", "avx_vnni", "amx_int8"}) and not old,
        "ONEDNN_MAX_CPU_ISA": limit or None,
    }

"""Training steps in samples a second, side by side with the usual tools for the same work.

    python benchmarks/train_step.py distill --data shared/data      # beside sentence-transformers' MSELoss recipe
    python benchmarks/train_step.py align --data shared/data --open-clip /path/to/its/python
    python benchmarks/train_step.py align --data shared/data --open-clip ... --layers 2 --no-write    # a trial

distill: one epoch of all pairs of parallel/tatoeba and parallel/xtd10, student and teacher of the mini model's sizes,
the same weights and tokenizer for both tools; a sample is a pair. Ours encodes the teacher's side as it goes; theirs
before training, as its recipe does, and its row counts that time too. align: ViT-L/14 and XLM-R large with the captions
of XTD; theirs is open_clip with its image tower locked, in an environment of its own (requirements-open-clip.txt).
Both: float32, AdamW, the same batch and threads; every measurement in a process of its own, the tools take turns.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from common import write_result

HERE = Path(__file__).resolve().parent
LANGUAGES = ("zh", "es", "fr", "ru", "ja", "ko", "ar", "it")


def main() -> None:
    arguments = parsed()
    if arguments.one:
        print(json.dumps(ours(arguments)))
        return
    with tempfile.TemporaryDirectory() as folder:
        arguments.folder = folder
        prepare(arguments)
        result = ROWS[arguments.row](arguments)
    print(json.dumps(result, indent=2))
    if not arguments.no_write:
        peers = ["transformers", "sentence-transformers", "accelerate"]
        print(write_result(f"train_step_{arguments.row}", result, peers))


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("row", choices=["distill", "align"])
    parser.add_argument("--data", type=Path, required=True, help="the folder with parallel/")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batch", type=int, help="pairs; 256 for distill, 32 for align")
    parser.add_argument("--steps", type=int, help="measured ones; an epoch for distill, 3 for align")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--layers", type=int, default=24, help="of both towers of align")
    parser.add_argument("--open-clip", default=sys.executable, help="a Python that imports open_clip")
    parser.add_argument("--no-write", action="store_true")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--folder", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    arguments.batch = arguments.batch or {"distill": 256, "align": 32}[arguments.row]
    return arguments


def distill(arguments: argparse.Namespace) -> dict[str, Any]:
    """Both tools in turn; theirs with and without the time that the teacher takes before training."""
    rounds = [(measured(arguments, ""), measured(arguments, "sentence-transformers")) for _ in range(arguments.rounds)]
    mine, theirs, without = (
        statistics.median(values)
        for values in (
            [own["samples_per_second"] for own, _ in rounds],
            [peer["samples_per_second"] for _, peer in rounds],
            [peer["samples_per_second_without_teacher"] for _, peer in rounds],
        )
    )
    return {
        "batch": arguments.batch, "threads": arguments.threads, "rounds": rounds, "ours": mine,
        "sentence_transformers": theirs, "sentence_transformers_without_teacher": without,
        "ratio": round(mine / theirs, 2), "ratio_without_its_teacher": round(mine / without, 2),
    }  # fmt: skip


def align(arguments: argparse.Namespace) -> dict[str, Any]:
    """Ours, and open_clip at its padding (77 tokens) and at ours (the longest of the batch)."""
    names = ("", "open_clip 77", "open_clip longest")
    rounds = [[measured(arguments, name) for name in names] for _ in range(arguments.rounds)]
    mine, fixed, longest = (
        statistics.median(found[place]["samples_per_second"] for found in rounds) for place in range(len(names))
    )
    return {
        "batch": arguments.batch, "threads": arguments.threads, "layers": arguments.layers, "rounds": rounds,
        "ours": mine,
        "open_clip_padded_to_77": fixed, "open_clip_padded_to_the_longest": longest,
        "cache_seconds_an_image": statistics.median(found[0]["cache_seconds_an_image"] for found in rounds),
        "ratio_at_its_padding": round(mine / fixed, 2), "ratio_at_our_padding": round(mine / longest, 2),
    }  # fmt: skip


ROWS = {"distill": distill, "align": align}


def measured(arguments: argparse.Namespace, peer: str) -> dict[str, float]:
    """One measurement in a process of its own; peer: empty for ours."""
    python = arguments.open_clip if peer.startswith("open_clip") else sys.executable
    script = HERE / ("train_step_peers.py" if peer else "train_step.py")
    options = [f"--{name}={getattr(arguments, name)}" for name in ("batch", "threads", "layers", "folder", "data")]
    options += [f"--steps={arguments.steps}"] * bool(arguments.steps)
    environment = {**os.environ, "OMP_NUM_THREADS": str(arguments.threads), "HF_HUB_OFFLINE": "1"}
    command = [python, str(script), *([peer] if peer else [arguments.row, "--one"]), *options]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    print(peer or "ours", found, file=sys.stderr, flush=True)
    return found


# --- ours ---


def recipe(arguments: argparse.Namespace) -> Any:
    """The recipe that both prepares and measures read."""
    from altclip.train.config import Recipe

    files = parallel_files(arguments.data)
    common = {"optimizer": {"warmup_steps": 0, "clip_norm": 1.0}, "batch_size": arguments.batch, "steps": 10**6}
    sizes = {"num_hidden_layers": arguments.layers}
    stages = {
        "distill": {
            **common, "kind": "distill", "model": "mini", "start": {"text": f"{arguments.folder}/student"},
            "teacher": f"{arguments.folder}/teacher", "temperature": 1.0, "max_text_tokens": 64,
            "parallel": [{"path": str(file), "language": file.stem[-2:]} for file in files],
        },
        "align": {
            **common, "kind": "align", "model": "altclip", "vision": sizes, "text": sizes, "max_text_tokens": 77,
            "pairs": [{"path": f"{arguments.folder}/pairs.parquet", "captions": {"en": "caption"}}],
        },
    }  # fmt: skip
    tokenizer = {"path": f"{arguments.folder}/words"}
    return Recipe.model_validate(
        {"name": "bench", "tokenizer": tokenizer, "stages": {arguments.row: stages[arguments.row]}}
    )


def parallel_files(data: Path) -> list[Path]:
    names = [f"{kind}.en-{language}.tsv" for kind in ("tatoeba", "xtd10_first500") for language in LANGUAGES]
    return [path for name in names if (path := data.resolve() / "parallel" / name).is_file()]


def ours(arguments: argparse.Namespace) -> dict[str, float]:
    """Steps of the stage as the loop makes them: batches in a thread, loss, gradients, clipping, AdamW."""
    import torch

    from altclip.train.accelerating import open_accelerator
    from altclip.train.run import open_context
    from altclip.train.stages import STAGES
    from altclip.train.state import seed_everything

    torch.set_num_threads(arguments.threads)
    made = recipe(arguments)
    config = made.stages[arguments.row]
    accelerator = open_accelerator(made, "cpu")
    context = open_context(made, config, Path("/"), Path(arguments.folder), accelerator, lambda _: None)

    def build() -> Any:
        seed_everything(made.seed)  # the same weights every time, as the cache is of these
        return STAGES[config.kind](context)

    shutil.rmtree(context.output / "cache", ignore_errors=True)  # of an earlier round
    began = time.perf_counter()
    stage: Any = build()
    found: dict[str, float] = {}
    if arguments.row == "align":  # the second building finds the cache, so the difference is what it costs
        first, again = time.perf_counter() - began, time.perf_counter()
        stage = build()
        images = sum(len(source.rows) for source in stage.pairs.sources)
        found["cache_seconds_an_image"] = round((first - (time.perf_counter() - again)) / images, 4)
    else:
        stage.teacher.known.clear()
    epoch = (
        sum(len(source.pairs) for source in stage.pairs.sources) // arguments.batch if arguments.row == "distill" else 3
    )
    return {**found, "samples_per_second": round(speed(stage, config, accelerator, arguments.steps or epoch), 2)}


def speed(stage: Any, config: Any, accelerator: Any, steps: int) -> float:
    """Samples a second; one step before them warms up."""
    from altclip.train.accumulate import backward
    from altclip.train.optimizers import build_optimizers
    from altclip.train.stages.build import train_mode

    optimizers = build_optimizers(stage.trained, config.optimizer)
    module, *wrapped = accelerator.prepare(stage.module, *optimizers)
    train_mode(module)
    began = 0.0
    for step, batch in enumerate(stage.batches(0, steps + 1, {})):
        if step == 1:
            began = time.perf_counter()
        backward(stage, module, batch, 1, accelerator)
        accelerator.clip_grad_norm_(stage.trained.parameters(), config.optimizer.clip_norm)
        for optimizer in wrapped:
            optimizer.step()
            optimizer.zero_grad()
    return steps * config.batch_size / (time.perf_counter() - began)


# --- what both tools are given ---


def prepare(arguments: argparse.Namespace) -> None:
    """Tokenizer, and the student and teacher, or the images with captions."""
    from altclip.train.tokenizer import save_tokenizer, train_tokenizer

    folder = Path(arguments.folder)
    pairs = [line.split("\t") for file in parallel_files(arguments.data) for line in lines(file)]
    save_tokenizer(train_tokenizer((text for pair in pairs for text in pair), 12000), folder / "words", 77)
    (folder / "pairs.json").write_text(json.dumps(pairs), encoding="utf-8")
    if arguments.row == "distill":
        write_models(folder)
    else:
        write_images(folder, arguments)


def lines(file: Path) -> list[str]:
    return file.read_text(encoding="utf-8").rstrip("\n").split("\n")


def write_models(folder: Path) -> None:
    """Student and teacher in our folders, and each one's text tower in a folder of transformers'."""
    import shutil
    from dataclasses import replace

    import torch

    from altclip.checkpoints import save_model
    from altclip.models import DualEncoder, initialise, preset

    config = preset("mini")
    if config.text is None:
        raise SystemExit("the preset has a text tower")
    for seed, (name, layers) in enumerate({"student": 4, "teacher": 2}.items()):
        torch.manual_seed(seed)
        sizes = replace(config.text, num_hidden_layers=layers)
        model = initialise(DualEncoder(replace(config, text=sizes)))
        save_model(model, folder / name)
        tower = DualEncoder(replace(config, vision=None, text=sizes, heads={}))
        tower.load_state_dict(model.state_dict(), strict=False)
        save_model(tower, folder / f"{name}-tower")
        for target in (folder / name, folder / f"{name}-tower"):
            shutil.copytree(folder / "words", target, dirs_exist_ok=True)


def write_images(folder: Path, arguments: argparse.Namespace) -> None:
    """As many images of noise as the measured batches need, with captions of XTD."""
    import datasets
    import numpy as np
    from PIL import Image

    captions = [text for file in parallel_files(arguments.data) if "xtd10" in file.name for line in lines(file)
                for text in line.split("\t")]  # fmt: skip
    draw = np.random.default_rng(0)
    rows = []
    for number in range(2 * arguments.batch):
        picture = Image.fromarray(draw.integers(0, 255, (256, 256, 3), dtype=np.uint8))
        rows.append({"image": picture, "caption": captions[int(draw.integers(len(captions)))], "number": number})
    datasets.Dataset.from_list(rows).to_parquet(str(folder / "pairs.parquet"))
    (folder / "captions.json").write_text(json.dumps([row["caption"] for row in rows]), encoding="utf-8")


if __name__ == "__main__":
    main()

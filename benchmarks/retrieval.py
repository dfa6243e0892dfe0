"""Recall between 5,000 images and 25,000 captions: time and memory, beside CLIP_benchmark's own function.

    python benchmarks/retrieval.py --clip-benchmark ENV/bin/python   # ENV: requirements-clip-benchmark.txt
    python benchmarks/retrieval.py --images 500 --rounds 2 --no-write --clip-benchmark ENV/bin/python       # a trial

Every measurement runs in a process of its own, the tools take turns, on the same embeddings with the same threads.
Theirs is `clip_benchmark.metrics.zeroshot_retrieval.evaluate` with a model that has embedded everything already, in
batches of 64 as its command line takes them. Memory is the peak RSS above what it was with libraries imported and
embeddings loaded. `altclip with intervals` adds mean and median ranks and 1,000 bootstrap samples of every figure.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

OURS, INTERVALS, THEIRS = "altclip", "altclip with intervals", "CLIP_benchmark"
KS = (1, 5, 10)


def main() -> None:
    arguments = parsed()
    if arguments.one:
        print(json.dumps(one(arguments.one, arguments.folder)))
        return
    from common import write_result

    with tempfile.TemporaryDirectory() as folder:
        write_embeddings(Path(folder), arguments.images, arguments.captions, arguments.width)
        tools = {OURS: sys.executable, INTERVALS: sys.executable, THEIRS: arguments.clip_benchmark}
        rounds = [
            {tool: measured(tool, python, folder) for tool, python in tools.items() if python}
            for _ in range(arguments.rounds)
        ]
    size = {"images": arguments.images, "captions": arguments.images * arguments.captions, "width": arguments.width}
    result = size | summary(rounds)
    print(json.dumps(result, indent=2))
    if not arguments.no_write:
        print(write_result("retrieval", result))


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=5000)
    parser.add_argument("--captions", type=int, default=5, help="of each image")
    parser.add_argument("--width", type=int, default=768)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--clip-benchmark", metavar="PYTHON", help="of the environment that has it; without it, ours")
    parser.add_argument("--no-write", action="store_true")
    parser.add_argument("--one", choices=[OURS, INTERVALS, THEIRS], help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args()


def write_embeddings(folder: Path, images: int, captions: int, width: int) -> None:
    """Random ones with recalls in the middle; normalised, as a model gives them."""
    draw = np.random.default_rng(0)
    shown = draw.standard_normal((images, width), np.float32)
    texts = np.repeat(shown, captions, axis=0) + 11 * draw.standard_normal((images * captions, width), np.float32)
    for name, rows in (("images", shown), ("texts", texts)):
        np.save(folder / f"{name}.npy", rows / np.linalg.norm(rows, axis=1, keepdims=True))
    np.save(folder / "owners.npy", np.repeat(np.arange(images), captions))


def measured(tool: str, python: str, folder: str) -> dict[str, Any]:
    command = [python, __file__, "--one", tool, "--folder", folder]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])  # type: ignore[no-any-return]


def one(tool: str, folder: Path) -> dict[str, Any]:
    """Measure once; imports, and a first small product that starts the threads, are not timed."""
    images, texts, owners = (np.load(folder / f"{name}.npy") for name in ("images", "texts", "owners"))
    run = their_function() if tool == THEIRS else our_function(tool)
    run(images[:64], texts[owners < 64], owners[owners < 64])
    before, start = memory("VmRSS"), time.perf_counter()
    forget_peak()
    recalls = run(images, texts, owners)
    return {"seconds": time.perf_counter() - start, "extra": memory("VmHWM") - before, "recalls": recalls}


def our_function(tool: str) -> Any:
    from altclip import metrics

    def run(images: np.ndarray, texts: np.ndarray, owners: np.ndarray) -> list[float]:
        if tool == OURS:
            found = metrics.retrieval(images, texts, owners, KS)
            return [*found.text_to_image.values(), *found.image_to_text.values()]
        figures = metrics.retrieval_figures(metrics.retrieval_ranks(images, texts, owners), KS)
        return [e.value for side in (figures.text_to_image, figures.image_to_text) for e in side.recall.values()]

    return run


def their_function() -> Any:
    from golden_clip_benchmark import retrieval

    def run(images: np.ndarray, texts: np.ndarray, owners: np.ndarray) -> list[float]:
        found = retrieval(images, texts, owners)
        return [found[f"{side}_retrieval_recall@{k}"] for side in ("image", "text") for k in KS]

    return run


def memory(field: str) -> int:
    """VmRSS or its peak VmHWM in bytes; Linux alone tells both."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(field))


def forget_peak() -> None:
    """Set VmHWM back to what is held now."""
    Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")


def summary(rounds: list[dict[str, dict[str, Any]]]) -> dict[str, Any]:
    rows = {
        tool: {
            "seconds": round(statistics.median(r[tool]["seconds"] for r in rounds), 3),
            "seconds_all": [round(r[tool]["seconds"], 3) for r in rounds],
            "extra_memory_mb": round(statistics.median(r[tool]["extra"] for r in rounds) / 1e6, 1),
        }
        for tool in rounds[0]
    }
    result: dict[str, Any] = {"rounds": len(rounds), "tools": rows, "recalls": rounds[0][OURS]["recalls"]}
    if THEIRS in rows:
        theirs = rounds[0][THEIRS]["recalls"]
        apart = max(abs(a - b) for a, b in zip(result["recalls"], theirs, strict=True))
        result |= {
            "largest_difference_of_recall": apart,
            "seconds_over_clip_benchmark": round(rows[OURS]["seconds"] / rows[THEIRS]["seconds"], 3),
            "seconds_with_intervals_over_clip_benchmark": round(
                rows[INTERVALS]["seconds"] / rows[THEIRS]["seconds"], 3
            ),
        }
    return result


if __name__ == "__main__":
    main()

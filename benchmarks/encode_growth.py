"""A process of encode.py: mini encodes more and more images or texts; seconds and peak memory of each number.

    python benchmarks/encode_growth.py images --sizes 100,1000 PHOTOGRAPH...
    python benchmarks/encode_growth.py texts --sizes 100,1000 -- "a caption" "another"

Images come again and again in turn. Texts too, each time with a number of its own, so that none is computed only once.
Memory is the peak RSS in the first run of each number, the smallest first, as what is freed may stay with the process.
"""

from __future__ import annotations

import argparse
import itertools
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=["images", "texts"])
    parser.add_argument("--sizes", required=True)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--threads", type=int)
    parser.add_argument("inputs", nargs="+")
    arguments = parser.parse_args()
    sizes = [int(size) for size in arguments.sizes.split(",")]
    print(json.dumps(measured(arguments.kind, arguments.inputs, sizes, arguments.runs, arguments.threads)))


def measured(kind: str, inputs: list[str], sizes: list[int], runs: int, threads: int | None) -> dict[str, Any]:
    import torch
    from encode_setting import computes

    from altclip.encoder import Encoder

    if threads:
        torch.set_num_threads(threads)
    encoder = Encoder("mini", device="cpu")
    encode: Any = encoder.encode_images if kind == "images" else encoder.encode_texts
    endless = numbered(inputs) if kind == "texts" else itertools.cycle(inputs)
    encode(list(itertools.islice(endless, sizes[0])), progress=False)  # warms up
    found: dict[int, Any] = {size: {"seconds": [], "peak_mb": None} for size in sizes}
    for number in range(runs):
        for size in sizes:
            if number == 0:
                forget_peak()
            started = time.perf_counter()
            encode(itertools.islice(endless, size), progress=False)
            found[size]["seconds"].append(round(time.perf_counter() - started, 4))
            if number == 0:
                found[size]["peak_mb"] = peak()
    return {"computes": computes(encoder), "sizes": found}


def numbered(texts: list[str]) -> Iterator[str]:
    """Without end, none twice; the number has five digits, so that all are of like length."""
    return (f"{text} {number:05d}" for number, text in enumerate(itertools.cycle(texts)))


def forget_peak() -> None:
    """Set the peak back to what is held now; Linux alone can."""
    clear = Path("/proc/self/clear_refs")
    if clear.exists():
        clear.write_text("5", encoding="utf-8")


def peak() -> float | None:
    """Peak RSS in MB."""
    status = Path("/proc/self/status")
    if not status.is_file():
        return None
    lines = status.read_text(encoding="utf-8").splitlines()
    return round(next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1000, 1)


if __name__ == "__main__":
    main()

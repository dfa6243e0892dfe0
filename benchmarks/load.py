"""Loading full-size models from safetensors: time and peak memory, beside the reference's own loader.

    python benchmarks/load.py                   # AltCLIP: 864 M random weights, five rounds; needs transformers, 4 GB
    python benchmarks/load.py --family chinese-clip               # another one: see FAMILIES
    python benchmarks/load.py --layers 2 --rounds 2 --no-write    # a trial

Every loading runs in a process of its own; the tools take turns, and the file is in the page cache for all. Memory is
the peak RSS (VmHWM, so mapped pages count once) less that of a process which only imports torch. `ready` also sums
every weight, which a lazily mapped file has not read yet.
"""

from __future__ import annotations

import argparse
import gc
import importlib
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from common import RESULTS, write_result

TOOLS = ("altclip", "reference", "altclip float16", "reference float16")
_DIFFUSERS = "diffusers.pipelines.deprecated.alt_diffusion.modeling_roberta_series"
FAMILIES = {  # module and class of the reference
    "altclip": ("transformers", "AltCLIPModel"),
    "clip": ("transformers", "CLIPModel"),
    "chinese-clip": ("transformers", "ChineseCLIPModel"),
    "altdiffusion": (_DIFFUSERS, "RobertaSeriesModelWithTransformation"),
}


def main() -> None:
    arguments = parsed()
    if arguments.one:
        print(json.dumps(one(arguments.one, arguments.family, arguments.folder)))
        return
    with tempfile.TemporaryDirectory() as folder:
        size = write_model(arguments.family, Path(folder), arguments.layers)
        rounds = [
            {tool: measured(tool, arguments.family, folder) for tool in ("torch", *TOOLS)}
            for _ in range(arguments.rounds)
        ]
    result = {"family": arguments.family, "reference": FAMILIES[arguments.family], **summary(rounds, size)}
    print(json.dumps(result, indent=2))
    if not arguments.no_write:
        name = "load" if arguments.family == "altclip" else f"load_{arguments.family.replace('-', '_')}"
        print(write_result(name, result, ["transformers", "diffusers"]))
        (RESULTS / "load.md").write_text(table(), encoding="utf-8")


def table() -> str:
    """Markdown of all families measured so far: both loaders' seconds, and their peak memory over the weights."""
    lines = [
        "| family | weights | format | altclip | its peak over the weights | reference | its peak over the weights |",
        "|---|---|---|---|---|---|---|",
    ]
    for file in sorted(RESULTS.glob("load*.json")):
        found = json.loads(file.read_text(encoding="utf-8"))
        for suffix, kind in (("", "float32"), (" float16", "float32 read as float16")):
            ours, theirs = found["tools"]["altclip" + suffix], found["tools"]["reference" + suffix]
            lines.append(
                f"| {found['family']} | {found['weights_mb']:,.0f} MB | {kind} "
                f"| {ours['seconds']:.2f} s | {ours['peak_over_weights']:.2f} "
                f"| {found['reference'][1]}: {theirs['seconds']:.2f} s | {theirs['peak_over_weights']:.2f} |"
            )
    return "\n".join(lines) + "\n"


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--family", choices=list(FAMILIES), default="altclip")
    parser.add_argument("--layers", type=int, help="of each tower; the full size if not given")
    parser.add_argument("--no-write", action="store_true")
    parser.add_argument("--one", choices=["torch", *TOOLS], help=argparse.SUPPRESS)
    parser.add_argument("--folder", help=argparse.SUPPRESS)
    return parser.parse_args()


def write_model(family: str, folder: Path, layers: int | None) -> int:
    """A model of that family with random weights; returns the bytes of its weight file."""
    from altclip.checkpoints import save_model
    from altclip.models import DualEncoder, initialise

    config = config_of(family)
    sizes = {"num_hidden_layers": layers} if layers else {}
    towers = {name: replace(tower, **sizes) for name in ("vision", "text") if (tower := getattr(config, name))}
    save_model(initialise(DualEncoder(replace(config, **towers))), folder)
    return (folder / "model.safetensors").stat().st_size


def config_of(family: str) -> Any:
    """The sizes of the largest released model; Chinese-CLIP's with ViT-L/14."""
    from altclip.models import heads_of, preset

    if family == "chinese-clip":
        return replace(preset("taiyi"), heads=heads_of(family))
    if family == "altdiffusion":
        return replace(preset("altclip"), vision=None, heads=heads_of(family))
    return preset({"clip": "clip-vit-l-14"}.get(family, family))


def measured(tool: str, family: str, folder: str) -> dict[str, float]:
    command = [sys.executable, __file__, "--one", tool, "--family", family, "--folder", folder]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])  # type: ignore[no-any-return]


def one(tool: str, family: str, folder: str) -> dict[str, float]:
    """Load once; what is imported first is not timed."""
    import torch

    if tool == "torch":
        return {"peak": peak()}
    if tool.startswith("altclip"):
        open_model: Any = importlib.import_module("altclip.checkpoints").load_model
    else:
        module, name = FAMILIES[family]
        open_model = getattr(importlib.import_module(module), name).from_pretrained
    dtype = torch.float16 if tool.endswith("float16") else torch.float32
    gc.collect()  # what the imports left
    start = time.perf_counter()
    model = open_model(folder, dtype=dtype)
    loaded, most = time.perf_counter(), peak()
    total = sum(float(p.detach().sum()) for p in model.parameters())
    return {"seconds": loaded - start, "ready": time.perf_counter() - start, "peak": most, "sum": total}


def peak() -> float:
    """Peak RSS in bytes of this process alone: on Linux ru_maxrss would begin with the parent's."""
    status = Path("/proc/self/status")
    if status.is_file():
        return next(int(line.split()[1]) * 1024.0 for line in status.read_text().splitlines() if "VmHWM" in line)
    unit = 1 if sys.platform == "darwin" else 1024
    return float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit)


def summary(rounds: list[dict[str, dict[str, float]]], size: int) -> dict[str, Any]:
    base = statistics.median(r["torch"]["peak"] for r in rounds)
    rows: dict[str, dict[str, Any]] = {}
    for tool in TOOLS:
        weights = size / 2 if tool.endswith("float16") else size
        median = {key: statistics.median(r[tool][key] for r in rounds) for key in ("seconds", "ready", "peak")}
        rows[tool] = {
            "seconds": round(median["seconds"], 3),
            "seconds_ready": round(median["ready"], 3),
            "seconds_all": [round(r[tool]["seconds"], 3) for r in rounds],
            "peak_over_torch_mb": round((median["peak"] - base) / 1e6, 1),
            "peak_over_weights": round((median["peak"] - base) / weights, 3),
        }
    ours, theirs = rows["altclip"], rows["reference"]
    return {
        "weights_mb": round(size / 1e6, 1),
        "torch_mb": round(base / 1e6, 1),
        "rounds": len(rounds),
        "tools": rows,
        "seconds_over_reference": round(ours["seconds"] / theirs["seconds"], 3),
        "seconds_ready_over_reference": round(ours["seconds_ready"] / theirs["seconds_ready"], 3),
    }


if __name__ == "__main__":
    main()

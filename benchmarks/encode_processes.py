"""The rows of encode.py that run in fresh processes: a command from its start, and cost and memory by inputs."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

from encode_found import Check, Found
from encode_setting import Setting, alternating

FLAT = 1.10  # memory of ten times as many inputs over that of fewer
_GROWTH = Path(__file__).with_name("encode_growth.py")


def cli_classify(setting: Setting) -> Found:
    """One photograph, two labels; beside it what Python takes to import torch alone."""
    labels = ["--labels", "a cat,a dog"]
    ours = [sys.executable, "-m", "altclip", "classify", str(setting.photographs[0]), *labels]
    floor = [sys.executable, "-c", "import torch"]
    work = {"altclip classify": lambda _: run(ours), "import torch": lambda _: run(floor)}
    alternating(work, 1)  # warms the disk cache
    seconds = alternating(work, setting.runs)
    own, least = (median(of) for of in seconds.values())
    return Found(
        own, min(seconds["altclip classify"]), max(seconds["altclip classify"]), f"{own:.2f} s",
        f"{least:.2f} s to import torch alone", seconds, ["altclip, mini"],
    )  # fmt: skip


def growth(kind: str) -> Callable[[Setting], Found]:
    """Of images or of texts, with the bundled model."""

    def measure(setting: Setting) -> Found:
        command = [sys.executable, str(_GROWTH), kind, "--runs", str(setting.runs), "--threads", str(setting.threads)]
        command += ["--sizes", ",".join(map(str, setting.growth))]
        if kind == "images":
            command += [str(path) for path in setting.photographs]
        else:
            command += ["--", *setting.captions(-1, min(100, setting.growth[-1]))]
        return grown(json.loads(run(command).splitlines()[-1]))

    return measure


def grown(measured: dict[str, Any]) -> Found:
    """measured: `computes`, and by number of inputs `seconds` of each run and `peak_mb`, None where unknown."""
    sizes = {int(size): of for size, of in measured["sizes"].items()}
    costs = {size: median(of["seconds"]) / size for size, of in sizes.items()}
    pairs = [(few, many) for few in sizes for many in sizes if few < many]
    runs = [
        {size: each / size for size, each in zip(sizes, of, strict=True)}
        for of in zip(*(m["seconds"] for m in sizes.values()), strict=True)
    ]
    worst = [max(of[many] / of[few] for few, many in pairs) for of in (costs, *runs)]
    checks = []
    if all(of["peak_mb"] for of in sizes.values()):
        most = max(sizes[many]["peak_mb"] / sizes[few]["peak_mb"] for few, many in pairs)
        checks = [Check("peak memory of more inputs over that of fewer", round(most, 3), FLAT, less=True)]
    told = ", ".join(f"{size:,}: {1000 * cost:.3g} ms each" for size, cost in costs.items())
    memory = ", ".join(f"{size:,}: {of['peak_mb']} MB" for size, of in sizes.items())
    return Found(
        worst[0], min(worst[1:]), max(worst[1:]), told, memory,
        {f"{size:,}": of["seconds"] for size, of in sizes.items()}, [measured["computes"]], checks,
    )  # fmt: skip


def run(command: list[str]) -> str:
    """What it prints. A failure ends the row with the command's own words."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command[:6])}... failed:\n{done.stderr}")
    return done.stdout

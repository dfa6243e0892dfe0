"""Images and texts a second, side by side with the usual tools: every row of what this project promises.

    python benchmarks/encode.py --data shared/data                          # all; full-size AltCLIP, random weights
    python benchmarks/encode.py --data shared/data --only images,captions   # these rows; the others stay as they were
    python benchmarks/encode.py --trial --no-write                          # a tiny model, one run, no data needed

Tools take turns in one process (encode_processes.py says which rows need others), on the same weights, inputs and
number of threads; every run has texts of its own. `--data` is the folder that docs/mini-data.md describes.
results/encode.json is merged row by row, each with its own circumstances, and results/encode.md is made from it. A row
that asks for bfloat16 is reported and not judged where the processor does not compute in it. To measure the path
without it on one that does: ONEDNN_MAX_CPU_ISA=AVX2.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from common import RESULTS, circumstances
from encode_found import verdict
from encode_rows import ROWS
from encode_setting import RANDOM, Setting, arithmetic
from encode_table import table

from altclip.errors import AltclipError

LIBRARIES = ("openvino", "nncf", "transformers", "sentence-transformers")


def main() -> None:
    arguments = parsed()
    if arguments.threads:
        import torch

        torch.set_num_threads(arguments.threads)
        os.environ["OMP_NUM_THREADS"] = str(arguments.threads)  # of the processes that rows start
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "model" if arguments.trial else arguments.folder
        setting = Setting(arguments.model, folder, arguments.data, arguments.runs, trial=arguments.trial)
        setting.texts = arguments.texts or setting.texts
        lost = []
        for name in arguments.only or ROWS:
            try:
                entry = measured(name, setting)
            except (AltclipError, ImportError) as error:  # the other rows can be measured all the same
                print(f"{name} cannot be measured here: {error}", file=sys.stderr)
                lost.append(name)
                continue
            print(json.dumps({name: entry}, indent=2, ensure_ascii=False), flush=True)
            if not arguments.no_write:
                print(merged(arguments.results, name, entry), flush=True)
    sys.exit(bool(lost))


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="the folder with photos/, captioned/ and parallel/")
    parser.add_argument("--only", type=names, metavar="ROW[,ROW]", help=f"of {', '.join(ROWS)}")
    parser.add_argument("--runs", type=count, default=5)
    parser.add_argument("--model", help="random:PRESET, a folder or a hub id; random:altclip if not given")
    parser.add_argument("--folder", type=Path, help="where the model is kept for all tools (3.5 GB at full size)")
    parser.add_argument("--texts", type=count, help="of a run; 256 if not given")
    parser.add_argument("--threads", type=count)
    parser.add_argument("--trial", action="store_true", help="random:mini, few inputs, one run")
    parser.add_argument("--no-write", action="store_true")
    parser.add_argument("--results", type=Path, default=RESULTS, help="the folder to write to")
    arguments = parser.parse_args()
    if arguments.trial:
        arguments.runs = 1
    elif arguments.data is None:
        parser.error("--data is missing: full-size measurements take real captions and photographs; or --trial")
    if arguments.data and not (arguments.data / "parallel").is_dir():
        parser.error(
            f"--data {arguments.data}: there is no folder parallel/ in it; docs/mini-data.md tells what belongs there"
        )
    arguments.model = arguments.model or f"{RANDOM}{'mini' if arguments.trial else 'altclip'}"
    arguments.folder = arguments.folder or cache() / arguments.model.replace(":", "-").replace("/", "--")
    return arguments


def count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text}: expected a whole number from 1")
    return int(text)


def names(text: str) -> list[str]:
    chosen = [name.strip() for name in text.split(",")]
    if unknown := [name for name in chosen if name not in ROWS]:
        raise argparse.ArgumentTypeError(f"no row {', '.join(unknown)}: expected some of {', '.join(ROWS)}")
    return chosen


def cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "altclip" / "benchmarks"


def measured(name: str, setting: Setting) -> dict[str, Any]:
    """The row's figures, whether they are what they must be, and what they were measured with."""
    row, can = ROWS[name], arithmetic()
    load = os.getloadavg()[0]
    found = row.measure(setting).to_dict()
    setting.forget()
    told = {"title": row.title, "must": row.must, "aim": row.aim, "less_is_better": row.less, "unit": row.unit}
    facts = {
        "model": setting.model,
        "runs": setting.runs,
        "texts": setting.texts,
        "threads": setting.threads,
        "load_before": round(load, 2),
    }
    return {
        **told, **found, "verdict": verdict(row, found, can),
        "circumstances": {**facts, "processor_computes_in": can, **circumstances(LIBRARIES)},
    }  # fmt: skip


def merged(folder: Path, name: str, entry: dict[str, Any]) -> Path:
    """Put the row into encode.json beside those measured before, in the order of ROWS, and make encode.md anew."""
    path = folder / "encode.json"
    rows = json.loads(path.read_text(encoding="utf-8"))["rows"] if path.is_file() else {}
    rows[name] = entry
    kept = {row: rows[row] for row in ROWS if row in rows}
    folder.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"rows": kept}, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    (folder / "encode.md").write_text(table(kept), encoding="utf-8")
    return path


if __name__ == "__main__":
    main()

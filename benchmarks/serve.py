"""Requests a second of the server with 64 clients on loopback, beside itself without batches, and beside infinity.

    python benchmarks/serve.py --data shared/data                              # ours, and ours one request at a time
    python benchmarks/serve.py --data shared/data --infinity INF/bin/python    # and infinity of another environment
    python benchmarks/serve.py --data shared/data --model base --kinds text    # random weights of XLM-R base's size
    python benchmarks/serve.py --trial --no-write                              # a second each, no data needed

All servers are up at once and take turns: a round asks each of them for `--seconds`; what counts is the median of the
rounds. Each has the machine's cores, less what the client takes of them (`own_cpu_share`). Then `--requests` more of
texts go to our own server while its memory is looked at. `--data` is the folder that docs/mini-data.md describes.
infinity: `python -m venv INF && INF/bin/pip install 'infinity-emb[server,torch]'`; it is given the same weights as a
folder for transformers. results/serve.json is merged model by model, and results/serve.md is made from it.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import Any, Final

from common import RESULTS, circumstances
from serve_inputs import bodies, model_folder
from serve_servers import Server, contenders

FASTER: Final = 3.0  # must: the rate over that of one request at a time
BOUND: Final = 3.0  # must: p99 over the mean time of a request, which is clients / rate
FLAT: Final = 1.10  # must: memory at the end over that after a fifth of the requests
OURS: Final = "altclip"
ALONE: Final = "altclip, one at a time"
_CLIENT: Final = Path(__file__).with_name("serve_client.py")
_STEPS: Final = 10


def main() -> None:
    args = parsed()
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        work = Path(name)
        folder = model_folder(args.model, work / args.model)
        servers = [stack.enter_context(server) for server in contenders(folder, args.infinity, work)]
        kinds = {kind: round_robin(servers, kind, args, work) for kind in args.kinds}
        grown = memory(servers[0], args, work) if args.requests else None
    entry = {
        "clients": args.clients, "rounds": args.rounds, "seconds": args.seconds, "kinds": kinds, "memory": grown,
        "infinity": told_of_infinity(args.infinity), "circumstances": circumstances(("openvino", "uvicorn", "fastapi")),
    }  # fmt: skip
    print(json.dumps(entry, indent=2, ensure_ascii=False))
    if not args.no_write:
        print(merged(args.results, args.model, entry))


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="the folder with parallel/ and captioned/")
    parser.add_argument("--model", choices=["mini", "base"], default="mini")
    parser.add_argument("--kinds", nargs="+", choices=["text", "image"], default=["text", "image"])
    parser.add_argument("--infinity", type=Path, help="the Python of an environment with infinity-emb")
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=6)
    parser.add_argument("--requests", type=int, default=50_000, help="over which memory is looked at; 0 for none")
    parser.add_argument("--trial", action="store_true")
    parser.add_argument("--no-write", action="store_true")
    parser.add_argument("--results", type=Path, default=RESULTS)
    args = parser.parse_args()
    if args.trial:
        args.rounds, args.seconds, args.requests = 1, 1.0, min(args.requests, 500)
    return args


def round_robin(servers: Sequence[Server], kind: str, args: argparse.Namespace, work: Path) -> dict[str, Any]:
    """By server: the median round, and all of them. The first round does not count."""
    runs: dict[str, list[dict[str, Any]]] = {server.name: [] for server in servers}
    numbers = iter(range(0, 10**9, 1_000_000))
    for count in range(args.rounds + 1):
        for server in servers:
            file = work / f"{server.name}-{kind}.jsonl".replace(" ", "-")
            if not file.is_file():
                file.write_text("\n".join(map(json.dumps, bodies(kind, args.data, server.form))), encoding="utf-8")
            seconds = args.seconds if count else min(2.0, args.seconds)
            run = ask(server, file, args.clients, next(numbers), "--seconds", str(seconds))
            if count:
                runs[server.name].append(run)
            print(kind, count, server.name, json.dumps(run), file=sys.stderr, flush=True)
    return {name: summed(found) for name, found in runs.items()}


def ask(server: Server, file: Path, clients: int, first: int, *how: str) -> dict[str, Any]:
    command = [sys.executable, str(_CLIENT), server.route, str(file), "--clients", str(clients), "--first", str(first)]
    done = subprocess.run([*command, *how], stdout=subprocess.PIPE, text=True, check=True, env=dict(os.environ))
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def summed(runs: list[dict[str, Any]]) -> dict[str, Any]:
    errors = sum(n for run in runs for status, n in run["statuses"].items() if status != "200")
    middle = {name: round(median(run[name] for run in runs), 1) for name in ("per_s", "p50_ms", "p99_ms", "worst_ms")}
    return {**middle, "errors": errors, "runs": runs}


def memory(server: Server, args: argparse.Namespace, work: Path) -> dict[str, Any]:
    """What our server holds while it answers so many requests."""
    file, each = work / f"{server.name}-text.jsonl", args.requests // _STEPS
    if not file.is_file():
        file.write_text("\n".join(map(json.dumps, bodies("text", args.data, server.form))), encoding="utf-8")
    held, runs = [server.memory_mib()], []
    for step in range(_STEPS):
        runs.append(ask(server, file, args.clients, 10**9 + step * each, "--requests", str(each)))
        held.append(server.memory_mib())
    print("memory", held, file=sys.stderr, flush=True)
    errors = summed(runs)["errors"]
    grown = held[-1] / held[1 + _STEPS // 5]
    return {"requests": each * _STEPS, "held_mib": held, "grown": round(grown, 3), "errors": errors}


def told_of_infinity(python: Path | None) -> str | None:
    if python is None:
        return None
    names = "('infinity_emb', 'torch', 'transformers', 'sentence_transformers')"
    code = f"import importlib.metadata as m; print(', '.join(f'{{n}} {{m.version(n)}}' for n in {names}))"
    return subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def merged(folder: Path, model: str, entry: dict[str, Any]) -> Path:
    """Put the model's figures into serve.json beside those of others, and make serve.md anew."""
    path = folder / "serve.json"
    models = json.loads(path.read_text(encoding="utf-8"))["models"] if path.is_file() else {}
    models[model] = entry
    folder.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"models": models}, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    (folder / "serve.md").write_text("\n".join(table(models)) + "\n", encoding="utf-8")
    return path


def table(models: dict[str, Any]) -> Iterator[str]:
    for model, entry in models.items():
        facts = entry["circumstances"]
        versions = ", ".join(f"{name} {version}" for name, version in facts["versions"].items())
        yield (
            f"- {model}: {entry['clients']} clients, medians of {entry['rounds']} rounds of {entry['seconds']:g} s, on "
            f"{facts['machine']['processor']}, {facts['machine']['cores']} cores for servers and client; "
            f"{facts['date']}, commit {facts['commit']}; {versions}; infinity: {entry['infinity'] or 'not measured'}."
        )
    yield from (
        "",
        "| model | inputs | server | requests/s | over one at a time | p50 | p99 | p99 over mean | errors |",
    )
    yield "|---|---|---|---|---|---|---|---|---|"
    for model, entry in models.items():
        for kind, servers in entry["kinds"].items():
            for name, found in servers.items():
                yield row(model, kind, name, found, servers.get(ALONE), entry["clients"])
    yield ""
    for model, entry in models.items():
        yield from (f"- {model}, {line}" for line in verdicts(entry))


def row(model: str, kind: str, name: str, found: dict[str, Any], alone: dict[str, Any] | None, clients: int) -> str:
    over = f"{found['per_s'] / alone['per_s']:.2f} x" if alone and alone["per_s"] else ""
    return (
        f"| {model} | {kind}s | {name} | {found['per_s']:,.0f} | {over} | {found['p50_ms']:.0f} ms | "
        f"{found['p99_ms']:.0f} ms | {bounded(found, clients):.2f} | {found['errors']} |"
    )


def bounded(found: dict[str, Any], clients: int) -> float:
    return float(found["p99_ms"] * found["per_s"] / 1000 / clients)


def verdicts(entry: dict[str, Any]) -> Iterator[str]:
    for kind, servers in entry["kinds"].items():
        ours, alone = servers[OURS], servers[ALONE]
        ratio, late = ours["per_s"] / alone["per_s"], bounded(ours, entry["clients"])
        yield f"{kind}s: {ratio:.2f} x one at a time, at least {FASTER:g} x wanted: {yes(ratio >= FASTER)}"
        yield f"{kind}s: p99 {late:.2f} times the mean, at most {BOUND:g} wanted: {yes(late <= BOUND)}"
        yield f"{kind}s: {ours['errors']} errors, none wanted: {yes(not ours['errors'])}"
    if grown := entry["memory"]:
        held = ", ".join(f"{mib:.0f}" for mib in grown["held_mib"])
        yield (
            f"memory over {grown['requests']:,} texts: {held} MiB, the last {grown['grown']:.3f} times that after a "
            f"fifth, at most {FLAT:g} wanted: {yes(grown['grown'] <= FLAT)}; {grown['errors']} errors"
        )


def yes(true: bool) -> str:
    return "yes" if true else "no"


if __name__ == "__main__":
    main()

"""The index beside faiss and clip-retrieval's on the same vectors: recall, times to ask, add and build, memory.

    python benchmarks/search.py                                       # 200,000 x 768, and the peers
    python benchmarks/search.py --rows 20000 200000 1000000           # growth; the peers at --peers-at alone
    python benchmarks/search.py --kind uniform                        # the worst case; search_vectors.py tells of both
    python benchmarks/search.py --vectors mine.npy                    # rows of your own; the last 200 are the queries

Each contender runs in a process of its own, so that memory is its own. Results are added to results/search.json, a size
and kind at a time. faiss: `pip install faiss-cpu`. clip-retrieval: see search_peers.py.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
import search_peers as peers
from common import RESULTS, write_result
from numpy.typing import NDArray
from search_table import table
from search_vectors import KINDS, TOP, describe, drawn, nearest

QUERIES: Final = 200  # of each kind
ADDED: Final = 1_000

Rows = NDArray[np.float32]
Ask = Callable[[Rows], list[int]]


class Asked:
    """Asks queries one at a time, in rounds, and compares with the right answers."""

    def __init__(self, folder: Path, rounds: int) -> None:
        self.rounds = rounds
        self.queries = {path.stem: np.load(path) for path in sorted((folder / "queries").glob("*.npy"))}
        right = {kind: np.load(folder / "right" / f"{kind}.npy") for kind in self.queries}
        self.right = {kind: [set(row) for row in rows.tolist()] for kind, rows in right.items()}

    def __call__(self, ask: Ask) -> dict[str, Any]:
        """Recall@10 and milliseconds of each kind: medians over the rounds, after ten queries that warm the caches."""
        told: dict[str, Any] = {}
        for kind, queries in self.queries.items():
            for query in queries[:10]:
                ask(query)
            rounds = [self._round(ask, kind) for _ in range(self.rounds)]
            p50, p99 = np.median([np.percentile(seconds, [50, 99]) for _, seconds in rounds], axis=0) * 1000
            recall = round(rounds[0][0], 4)
            told[kind] = {"recall@10": recall, "p50_ms": round(float(p50), 2), "p99_ms": round(float(p99), 2)}
        return {**told, "least_recall": min(told[kind]["recall@10"] for kind in self.queries)}

    def _round(self, ask: Ask, kind: str) -> tuple[float, list[float]]:
        seconds, found = [], 0
        for query, wanted in zip(self.queries[kind], self.right[kind], strict=True):
            start = time.perf_counter()
            places = ask(query)
            seconds.append(time.perf_counter() - start)
            found += len(wanted & set(places))
        return found / TOP / len(seconds), seconds


def altclip(rows: Rows, _new: Rows, asked: Asked, folder: Path) -> dict[str, Any]:
    """Our index with everything it does: rows with columns, full text, durable writes."""
    from altclip.search import Index

    before, most = memory_mib(), Peak()
    index = Index.create(folder / "index", model="none", digest="none", dim=rows.shape[1])
    start = time.perf_counter()
    with index.writing() as writer:
        writer.import_vectors(folder / "rows" / "rows.npy")
        told: dict[str, Any] = {"store_s": round(time.perf_counter() - start, 1)}
        told["grown_by_storing_mib"] = round(most.mib - before)
    told["build_s"] = round(time.perf_counter() - start - told["store_s"], 1)
    told["peak_grown_mib"] = round(most.mib - before)
    status = index.status()
    told["disk_mib"], told["tuned"] = round(status.size_bytes / 2**20), vars(status.tuned) if status.tuned else None
    return {**told, **asked(ours(index, len(rows)))}


def altclip_reader(rows: Rows, new: Rows, asked: Asked, folder: Path) -> dict[str, Any]:
    """A process that holds mini and asks, as a server does, and then adds. The index is the one that `altclip` left."""
    from altclip import Encoder
    from altclip.search import Index

    encoder = Encoder()
    encoder.encode_texts(["a cat"])
    before = memory_mib()
    index = Index.open(folder / "index")
    told = asked(ours(index, len(rows)))
    told |= {"memory_mib": round(memory_mib()), "grown_by_asking_mib": round(memory_mib() - before)}
    return {**told, **added(index, new, asked.rounds)}


def added(index: Any, new: Rows, rounds: int) -> dict[str, Any]:
    """A thousand rows at a time: until the first is found, and until the writer has put all in order and ended."""
    from altclip.search import Part, Query, Row, make_id

    found, seconds, to_the_end = [], [], []
    for turn in range(rounds):
        turned = np.roll(new, turn, axis=1)
        start = time.perf_counter()
        with index.writing() as writer:
            writer.put([Row(id=make_id("new", str(turn), str(n)), vector=row) for n, row in enumerate(turned)])
            hit = index.search(Query(parts=(Part(turned[0]),), limit=1)).hits[0]
            seconds.append(time.perf_counter() - start)
        found.append(hit.id == make_id("new", str(turn), "0"))
        to_the_end.append(round(time.perf_counter() - start, 2))
    told = {"add_1000_s": round(float(np.median(seconds)), 2), "add_1000_to_the_end_s": to_the_end}
    return {**told, "added_found_by_the_next_query": all(found)}


def ours(index: Any, number: int) -> Ask:
    """The numbers of the rows that are found."""
    from altclip.search import Part, Query, make_id

    numbers = {make_id("number", str(place)): place for place in range(number)}
    return lambda query: [numbers.get(hit.id, -1) for hit in index.search(Query((Part(query),), limit=TOP)).hits]


class Peak:
    """The most memory of this process so far, looked at fifty times a second."""

    def __init__(self) -> None:
        self.mib = 0.0
        threading.Thread(target=self._look, daemon=True).start()

    def _look(self) -> None:
        while True:
            self.mib = max(self.mib, memory_mib())
            time.sleep(0.02)


def memory_mib() -> float:
    """What this process holds itself: mapped files are the kernel's to take back, and not counted."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon"):
            return int(line.split()[1]) / 1024
    raise OSError("/proc/self/status has no RssAnon")


def run(contender: str, folder: Path, rounds: int, python: str) -> dict[str, Any]:
    """One contender, in this process."""
    rows, new = np.load(folder / "rows" / "rows.npy", mmap_mode="r"), np.load(folder / "new.npy")
    asked, before = Asked(folder, rounds), memory_mib()
    if contender == "clip-retrieval":
        told = peers.clip_retrieval(folder, python, asked)
    elif contender in PEERS:
        told = PEERS[contender](rows, new, asked)
    else:
        return OURS[contender](rows, new, asked, folder)
    return {**told, "memory_mib": round(memory_mib()), "grown_by_asking_mib": round(memory_mib() - before)}


OURS: Final = {"altclip": altclip, "altclip, in a process that only asks": altclip_reader}
PEERS: Final = {"faiss flat": peers.flat, "faiss hnsw": peers.hnsw}


def alone(contender: str, folder: Path, args: argparse.Namespace) -> dict[str, Any]:
    """Run one contender in a process of its own."""
    command = [sys.executable, __file__, "--contender", contender, "--work", str(folder), "--rounds", str(args.rounds)]
    command += ["--clip-retrieval", args.clip_retrieval] if args.clip_retrieval else []
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=dict(os.environ))
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    print(contender, json.dumps(told), flush=True)
    return told


def one_size(rows: int, args: argparse.Namespace, contenders: list[str]) -> dict[str, Any]:
    """All contenders on the same rows and queries."""
    with tempfile.TemporaryDirectory(dir=args.work) as name:
        folder = Path(name)
        for part in ("rows", "queries", "right"):
            (folder / part).mkdir()
        if args.vectors:
            own = np.load(args.vectors, mmap_mode="r")
            made, queries = own[: len(own) - QUERIES], {"pictures": np.array(own[-QUERIES:], np.float32)}
        else:
            made = drawn(rows, args.dim, 1, args.kind)
            kinds = KINDS if args.kind == "pictures" else (args.kind,)
            queries = {kind: drawn(QUERIES, args.dim, 2, kind) for kind in kinds}
        np.save(folder / "rows" / "rows.npy", made)
        np.save(folder / "new.npy", drawn(ADDED, made.shape[1], 3, args.kind))
        cosines = {}
        for kind, of_kind in queries.items():
            right, cosines[kind] = nearest(made, of_kind)
            np.save(folder / "queries" / f"{kind}.npy", of_kind)
            np.save(folder / "right" / f"{kind}.npy", np.array([sorted(places) for places in right]))
        del made
        found = {contender: alone(contender, folder, args) for contender in contenders}
    return {"cosines of queries": cosines, "contenders": found}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[200_000])
    parser.add_argument("--peers-at", type=int, default=200_000, help="the size at which the peers are asked, too")
    parser.add_argument("--dim", type=int, default=768)
    parser.add_argument("--kind", choices=("pictures", "uniform"), default="pictures")
    parser.add_argument("--vectors", type=Path, help=".npy with rows of your own")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--clip-retrieval", metavar="PYTHON", help="of an environment that has autofaiss")
    parser.add_argument("--work", type=Path, help="where the index is made meanwhile; needs 10 GB a million rows")
    parser.add_argument("--contender", help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> None:
    args = arguments()
    if args.contender:
        print(json.dumps(run(args.contender, args.work, args.rounds, args.clip_retrieval)))
        return
    path = RESULTS / "search.json"
    result: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {"sizes": {}}
    for rows in args.rows:
        beside = [*PEERS, *(["clip-retrieval"] if args.clip_retrieval else [])] if rows == args.peers_at else []
        told = one_size(rows, args, [*OURS, *beside])
        kind = args.vectors.name if args.vectors else args.kind
        title = f"{rows:,} x {args.dim}, {kind}"
        before = result["sizes"].get(title, {}).get("contenders", {})  # the same vectors: peers stay that are not run
        told["contenders"] = {**before, **told["contenders"]}
        made = {"vectors": kind if args.vectors else describe(args.kind), "load": os.getloadavg()[0], **told}
        result["sizes"][title] = made
        write_result(
            "search", {**result, "queries": QUERIES, "rounds": args.rounds}, ["lancedb", "pyarrow", "faiss-cpu"]
        )
        (RESULTS / "search.md").write_text(table(json.loads(path.read_text(encoding="utf-8"))), encoding="utf-8")


if __name__ == "__main__":
    main()

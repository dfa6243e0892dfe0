"""faiss and clip-retrieval's index (autofaiss), for search.py. Needs faiss-cpu; as a program, autofaiss.

    python benchmarks/search_peers.py FOLDER     # FOLDER/clip-retrieval.index of FOLDER/rows, as clip-retrieval does

autofaiss wants an older numpy than altclip: give it an environment of its own (`search.py --clip-retrieval PYTHON`).
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.float32]
Asked = Callable[[Callable[[Rows], list[int]]], dict[str, Any]]
_BREADTHS: Final = (32, 64, 128, 256, 512, 1024)
WANTED: Final = 0.99


def flat(rows: Rows, new: Rows, asked: Asked) -> dict[str, Any]:
    """Every row compared."""
    import faiss

    index, seconds = _filled(faiss.IndexFlatIP(rows.shape[1]), rows)
    return {"build_s": seconds, **asked(_ask(index)), **_adding(index, new)}


def hnsw(rows: Rows, new: Rows, asked: Asked) -> dict[str, Any]:
    """The least breadth of search that finds 0.99 of the right ones, for both kinds of queries."""
    import faiss

    empty = faiss.IndexHNSWFlat(rows.shape[1], 32, faiss.METRIC_INNER_PRODUCT)
    empty.hnsw.efConstruction = 80
    index, seconds = _filled(empty, rows)
    told: dict[str, Any] = {}
    for breadth in _BREADTHS:
        index.hnsw.efSearch = breadth
        told = {**asked(_ask(index)), "efSearch": breadth}
        if told["least_recall"] >= WANTED:
            break
    return {"build_s": seconds, **told, **_adding(index, new)}


def clip_retrieval(folder: Path, python: str, asked: Asked) -> dict[str, Any]:
    """The index that its `clip_index` makes with its own settings, asked with the parameters it chose."""
    import faiss

    done = subprocess.run([python, __file__, str(folder)], stdout=subprocess.PIPE, text=True, check=True)
    index = faiss.read_index(str(folder / "clip-retrieval.index"))
    return {**json.loads(done.stdout.splitlines()[-1]), **asked(_ask(index)), "add_1000_s": None}


def _filled(index: Any, rows: Rows) -> tuple[Any, float]:
    start = time.perf_counter()
    for first in range(0, len(rows), 20_000):
        index.add(np.ascontiguousarray(rows[first : first + 20_000]))
    return index, round(time.perf_counter() - start, 1)


def _ask(index: Any) -> Callable[[Rows], list[int]]:
    return lambda query: index.search(query[None], 10)[1][0].tolist()  # type: ignore[no-any-return]


def _adding(index: Any, new: Rows) -> dict[str, float]:
    start = time.perf_counter()
    index.add(new)
    return {"add_1000_s": round(time.perf_counter() - start, 2)}


def main() -> None:
    from autofaiss import build_index

    folder = Path(sys.argv[1])
    start = time.perf_counter()
    _, told = build_index(
        embeddings=str(folder / "rows"), index_path=str(folder / "clip-retrieval.index"),
        index_infos_path=str(folder / "clip-retrieval.json"), max_index_memory_usage="4G",
        current_memory_available="16G", nb_cores=None, verbose=40,
    )  # fmt: skip
    kind, parameters = told["index_key"], told["index_param"]
    print(json.dumps({"build_s": round(time.perf_counter() - start, 1), "kind": f"{kind}, {parameters}"}))


if __name__ == "__main__":
    main()

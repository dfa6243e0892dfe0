"""Many clients on one thread: each sends a request, waits for the answer, and sends the next.

    python benchmarks/serve_client.py ADDRESS BODIES.jsonl --clients 64 --seconds 10
    python benchmarks/serve_client.py ADDRESS BODIES.jsonl --clients 64 --requests 50000

ADDRESS is the route to POST to; BODIES.jsonl has a JSON body a line, taken in turn, where NUMBER becomes the number of
the request, so that no two texts are alike and no cache counts. One connection for each client, kept alive. It speaks
just enough HTTP, for what it computes itself is taken from the server on the same machine; it tells how much that was.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np


async def asked(address: str, bodies: list[bytes], clients: int, begin: int, requests: Iterator[int]) -> dict[str, Any]:
    """Rate, percentiles of the time of a request in milliseconds, and how many answers had which status."""
    parts = urlsplit(address)
    host, port = parts.hostname or "127.0.0.1", parts.port or 80
    head = f"POST {parts.path} HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Type: application/json\r\n"

    def whole() -> Iterator[bytes]:
        for number in requests:
            body = bodies[number % len(bodies)].replace(b"NUMBER", b"%d" % (begin + number))
            yield f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body

    left, statuses, seconds = whole(), Counter[str](), list[float]()
    start, own = time.perf_counter(), time.process_time()
    await asyncio.gather(*(client(host, port, left, statuses, seconds) for _ in range(clients)))
    took, own = time.perf_counter() - start, time.process_time() - own
    p50, p99 = np.percentile(seconds, [50, 99]) * 1000 if seconds else (0.0, 0.0)
    return {
        "requests": len(seconds), "per_s": round(len(seconds) / took, 1), "p50_ms": round(float(p50), 1),
        "p99_ms": round(float(p99), 1), "worst_ms": round(max(seconds, default=0) * 1000, 1),
        "statuses": dict(statuses), "own_cpu_share": round(own / took, 2),
    }  # fmt: skip


def for_so_long(seconds: float) -> Iterator[int]:
    """0, 1, ... until the time is over."""
    end = time.perf_counter() + seconds
    return itertools.takewhile(lambda _: time.perf_counter() < end, itertools.count())


async def client(host: str, port: int, left: Iterator[bytes], statuses: Counter[str], seconds: list[float]) -> None:
    """One of them, until nothing is left to ask. A connection that breaks counts as an answer, and is made anew."""
    while True:
        try:
            reader, writer = await asyncio.open_connection(host, port)
            try:
                for request in left:
                    begin = time.perf_counter()
                    writer.write(request)
                    statuses[await answer(reader)] += 1
                    seconds.append(time.perf_counter() - begin)
                return
            finally:
                writer.close()
        except (OSError, EOFError) as error:
            statuses[type(error).__name__] += 1
            await asyncio.sleep(0.05)


async def answer(reader: asyncio.StreamReader) -> str:
    """Read one; its status."""
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    length = head.partition(b"content-length:")[2].partition(b"\r\n")[0]
    if not length:
        raise ConnectionError(f"expected an answer with content-length, found {head[:80]!r}")
    await reader.readexactly(int(length))
    return head[9:12].decode()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("address")
    parser.add_argument("bodies", type=Path)
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--requests", type=int, help="so many, however long they take")
    parser.add_argument("--first", type=int, default=0, help="the number of the first request")
    args = parser.parse_args()
    bodies = args.bodies.read_bytes().splitlines()
    numbers = iter(range(args.requests)) if args.requests else for_so_long(args.seconds)
    print(json.dumps(asyncio.run(asked(args.address, bodies, args.clients, args.first, numbers))))


if __name__ == "__main__":
    main()

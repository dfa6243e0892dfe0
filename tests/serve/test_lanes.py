"""Lanes: jobs gathered, refused, given up, kept apart, and finished at the end."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from altclip.serve.lanes import Lane
from altclip.serve.refusals import Refusal


def run(test: Callable[[], Awaitable[None]]) -> None:
    """Run an asynchronous test, no longer than it may take."""

    async def timed() -> None:
        async with asyncio.timeout(20):
            await test()

    asyncio.run(timed())


class Doubling:
    """Work that can be held up, and fails at -1."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.go = threading.Event()
        self.go.set()

    def __call__(self, items: list[int]) -> list[int]:
        self.batches.append(list(items))
        assert self.go.wait(10)
        if -1 in items:
            raise RuntimeError("minus one")
        return [2 * item for item in items]


def lane_of(work: Doubling, **changes: Any) -> Lane:
    lane = Lane(work, **{"most": 8, "room": 16, "gather": 0.02, **changes})
    lane.start()
    return lane


async def begun(work: Doubling, batches: int) -> None:
    while len(work.batches) < batches:
        await asyncio.sleep(0.002)


def test_requests_of_one_moment_are_one_batch() -> None:
    async def test() -> None:
        work = Doubling()
        lane = lane_of(work)
        found = await asyncio.gather(*(lane.results([number]) for number in range(6)))
        assert found == [[2 * number] for number in range(6)]
        assert work.batches == [[0, 1, 2, 3, 4, 5]]
        assert await lane.close(5)

    run(test)


def test_a_full_batch_waits_for_nobody() -> None:
    async def test() -> None:
        lane = lane_of(Doubling(), gather=1000.0, most=3)
        assert [*await asyncio.gather(lane.results([1, 2]), lane.results([3]))] == [[2, 4], [6]]

    run(test)


def test_a_large_request_is_parted_and_put_together() -> None:
    async def test() -> None:
        work = Doubling()
        lane = lane_of(work, most=4)
        assert await lane.results(range(10)) == [2 * number for number in range(10)]
        assert [len(batch) for batch in work.batches] == [4, 4, 2]

    run(test)


def test_alone_means_no_other_request_in_the_batch() -> None:
    async def test() -> None:
        work = Doubling()
        lane = lane_of(work, alone=True)
        await asyncio.gather(lane.results([1, 2]), lane.results([3]))
        assert work.batches == [[1, 2], [3]]

    run(test)


def test_one_request_s_fault_is_its_own() -> None:
    async def test() -> None:
        work = Doubling()
        lane = lane_of(work)
        found = await asyncio.gather(*(lane.results([n]) for n in (1, -1, 3)), return_exceptions=True)
        assert found[0] == [2]
        assert found[2] == [6]
        assert isinstance(found[1], RuntimeError)
        assert await lane.results([5]) == [10], "the lane works on"

    run(test)


def test_a_full_queue_refuses_with_a_time() -> None:
    async def test() -> None:
        work = Doubling()
        work.go.clear()
        lane = lane_of(work, room=4, gather=0)
        first = asyncio.ensure_future(lane.results([0]))
        await begun(work, 1)
        waiting = [asyncio.ensure_future(lane.results([number])) for number in range(4)]
        await asyncio.sleep(0)
        with pytest.raises(Refusal) as refused:
            await lane.results([9])
        assert refused.value.status == 429
        assert int(refused.value.headers["retry-after"]) >= 1
        work.go.set()
        await asyncio.gather(first, *waiting)
        assert await lane.results([9]) == [18]

    run(test)


def test_who_is_urgent_goes_first_and_past_a_full_queue() -> None:
    async def test() -> None:
        work = Doubling()
        work.go.clear()
        lane = lane_of(work, room=1, gather=0, most=1)
        jobs = [asyncio.ensure_future(lane.results([1]))]
        await begun(work, 1)
        jobs.append(asyncio.ensure_future(lane.results([2])))
        await asyncio.sleep(0)
        jobs.append(asyncio.ensure_future(lane.results([3], urgent=True)))
        await asyncio.sleep(0)
        work.go.set()
        await asyncio.gather(*jobs)
        assert work.batches == [[1], [3], [2]]

    run(test)


def test_who_is_urgent_does_not_wait_for_a_full_batch() -> None:
    async def test() -> None:
        work = Doubling()
        work.go.clear()
        lane = lane_of(work, room=9, gather=0, most=8)
        jobs = [asyncio.ensure_future(lane.results([1]))]
        await begun(work, 1)
        jobs.append(asyncio.ensure_future(lane.results([2, 3])))
        await asyncio.sleep(0)
        jobs.append(asyncio.ensure_future(lane.results([4], urgent=True)))
        await asyncio.sleep(0)
        work.go.set()
        await asyncio.gather(*jobs)
        assert work.batches == [[1], [4], [2, 3]]

    run(test)


def test_what_nobody_waits_for_is_not_computed_and_takes_no_room() -> None:
    async def test() -> None:
        work = Doubling()
        work.go.clear()
        lane = lane_of(work, room=2, gather=0)
        first = asyncio.ensure_future(lane.results([0]))
        await begun(work, 1)
        left = asyncio.ensure_future(lane.results([7, 7]))
        await asyncio.sleep(0)
        assert lane.queued == 2
        left.cancel()
        await asyncio.sleep(0)
        assert lane.queued == 0
        last = asyncio.ensure_future(lane.results([1]))
        await asyncio.sleep(0)
        work.go.set()
        assert [*await asyncio.gather(first, last)] == [[0], [2]]
        assert work.batches == [[0], [1]]

    run(test)


def test_closing_finishes_what_was_taken_and_takes_no_more() -> None:
    async def test() -> None:
        work = Doubling()
        work.go.clear()
        lane = lane_of(work, gather=0)
        jobs = [asyncio.ensure_future(lane.results([0]))]
        await begun(work, 1)
        jobs.append(asyncio.ensure_future(lane.results([1])))
        await asyncio.sleep(0)
        ending = asyncio.ensure_future(lane.close(10))
        await asyncio.sleep(0)
        with pytest.raises(Refusal) as refused:
            await lane.results([2])
        assert refused.value.status == 503
        work.go.set()
        assert await ending
        assert await asyncio.gather(*jobs) == [[0], [2]]

    run(test)


def test_a_stuck_batch_is_told() -> None:
    async def test() -> None:
        work = Doubling()
        work.go.clear()
        lane = lane_of(work, gather=0)
        job = asyncio.ensure_future(lane.results([0]))
        await begun(work, 1)
        await asyncio.sleep(0.02)
        assert lane.busy_for >= 0.02
        assert not await lane.close(0.01)
        work.go.set()
        await job
        assert lane.busy_for == 0

    run(test)

"""Who acts: known wherever Python can carry it, and refused where it is not."""

from __future__ import annotations

import asyncio
import contextvars
import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from typing import Any

import pytest

from brain.errors import InvalidInput
from brain.policy import (
    ANONYMOUS,
    ActingExecutor,
    ActionDenied,
    Guard,
    PolicyEngine,
    acting_as,
    carry,
)
from brain.policy.guards import agent_context
from brain.testing import RecordingStream
from support.guarded_work import ENGINE, work

OTHER: contextvars.ContextVar[str] = contextvars.ContextVar("other", default="unset")


def refusal_of(function: Callable[[], Any]) -> str:
    """Why it was denied; empty when it was not."""
    try:
        function()
    except ActionDenied as denied:
        return str(denied)
    return ""


UNKNOWN = "does not know who acts"


@pytest.mark.parametrize("agent", [None, {}, "", {"agent_role": "admin"}, {"agent_id": None}, {"agent_id": ""}])
def test_a_guard_that_knows_no_agent_refuses(agent: Any) -> None:
    stream = RecordingStream()
    guard = Guard(PolicyEngine(stream, default_effect="ALLOW"), agent=agent)
    for call in (guard("work")(lambda: 1), lambda: guard.check("work"), lambda: asyncio.run(guard.check_async("work"))):
        assert UNKNOWN in refusal_of(call)
    assert UNKNOWN in refusal_of(Guard(guard.engine, agent="a1")("work", agent=lambda: agent)(lambda: 1))
    denials = stream.get_events_by_type("policy.action_denied")
    assert len(denials) == 4
    assert UNKNOWN in denials[0].payload["reason"]
    assert not stream.get_events_by_type("policy.rule_evaluated")


def test_ways_to_name_the_agent() -> None:
    assert UNKNOWN in refusal_of(work)
    with acting_as(ANONYMOUS):
        assert work() == 1
    with acting_as({"agent_role": "guest"}, agent_id="a1"):
        assert work() == 1
        with acting_as("mallory"):
            assert "mallory" in refusal_of(work)
        assert work() == 1
    assert Guard(ENGINE, agent=lambda: "a1")("work")(lambda: 1)() == 1
    with acting_as("mallory"):
        assert "mallory" in refusal_of(Guard(ENGINE, agent=lambda: None)("work")(lambda: 1))  # type: ignore[arg-type, return-value]
    with pytest.raises(InvalidInput, match=r"agent: .* is not a mapping"):
        Guard(ENGINE, agent=["a1"]).check("work")  # type: ignore[arg-type]


def in_thread(function: Callable[[], Any]) -> str:
    found: list[str] = []
    thread = threading.Thread(target=lambda: found.append(refusal_of(function)))
    thread.start()
    thread.join()
    return found[0]


def test_threads() -> None:
    with acting_as("mallory"):
        assert "mallory" in in_thread(carry(work))
        assert UNKNOWN in in_thread(work)
        carried = carry(work)
    with acting_as("a1"):
        assert "mallory" in refusal_of(carried), "it is carried from where `carry` was called"
        assert carry(work)(5) == 5


def test_one_carried_function_can_run_in_many_threads_at_a_time() -> None:
    both = threading.Barrier(2, timeout=60)

    def meet() -> str:
        both.wait()
        try:
            return OTHER.get()
        finally:
            OTHER.set("changed")
            both.wait()

    OTHER.set("carried too")
    carried = carry(meet)
    with ThreadPoolExecutor(2) as pool:
        assert [each.result() for each in [pool.submit(carried), pool.submit(carried)]] == ["carried too"] * 2
    assert carried.__reduce__() is not None


@pytest.fixture(params=["threads", "fork", "spawn"])
def pool(request: pytest.FixtureRequest) -> Iterator[Executor]:
    """A pool whose workers were started while somebody with more rights acted."""
    made: Executor = (
        ThreadPoolExecutor(1)
        if request.param == "threads"
        else ProcessPoolExecutor(1, mp_context=multiprocessing.get_context(request.param))
    )
    with made:
        with acting_as("admin"):
            made.submit(os.getpid).result()
        yield made


def test_executors(pool: Executor) -> None:
    acting_pool = ActingExecutor(pool)
    with acting_as("mallory"):
        assert "mallory" in refusal_of(acting_pool.submit(work).result)
        assert "mallory" in refusal_of(lambda: list(acting_pool.map(work, [1])))
        assert UNKNOWN in refusal_of(pool.submit(work).result)
    with acting_as("a1"):
        assert acting_pool.submit(work, amount=5).result() == 5
        assert list(acting_pool.map(work, [1, 2])) == [1, 2]
    assert UNKNOWN in refusal_of(acting_pool.submit(work).result)


async def test_tasks_and_executors_of_a_loop(pool: Executor) -> None:
    loop = asyncio.get_running_loop()

    async def told(awaitable: Any) -> str:
        try:
            await awaitable
        except ActionDenied as denied:
            return str(denied)
        return ""

    async def task() -> int:
        return work()

    with acting_as("mallory"):
        assert "mallory" in await told(asyncio.to_thread(work))
        assert "mallory" in await told(asyncio.create_task(task()))
        assert "mallory" in await told(loop.run_in_executor(ActingExecutor(pool), work))
        assert "mallory" in await told(loop.run_in_executor(None, carry(work)))
        assert UNKNOWN in await told(loop.run_in_executor(None, work))


def test_what_runs_after_the_call_is_not_carried() -> None:
    async def later() -> None: ...

    def steps() -> Iterator[int]:
        yield 1

    for function in (later, steps, Guard(ENGINE)("work")(later)):
        with pytest.raises(InvalidInput, match="runs after the call"):
            carry(function)


def test_a_block_that_ends_in_another_context_leaves_that_alone() -> None:
    def block() -> Iterator[None]:
        with acting_as("admin"):
            yield

    before = agent_context.lost
    generator = block()
    contextvars.copy_context().run(next, generator)
    with acting_as("mallory"):
        generator.close()  # type: ignore[attr-defined]
        assert "mallory" in refusal_of(work)
    assert agent_context.lost == before + 1

"""Guards in event loops and generators: what they keep of the function, and what they never wait for."""

from __future__ import annotations

import asyncio
import functools
import inspect
import subprocess
import sys
import threading
from collections.abc import AsyncGenerator, Generator, Iterator
from typing import Any

import pytest
import trio
import trio.lowlevel

from brain.policy import ActionDenied, Condition, Guard, PolicyEngine, Rule, acting_as
from brain.policy.guards.guard import log
from brain.policy.guards.threads import in_event_loop, run_in_thread
from brain.testing import RecordingStream


@pytest.fixture
def engine() -> Iterator[PolicyEngine]:
    with PolicyEngine(RecordingStream(), default_effect="ALLOW") as engine:
        big = [Condition("params.amount", ">", 500)]
        engine.add_rule(Rule(id="big", name="big", effect="DENY", conditions=big, priority=5))
        asks = [Condition("action", "==", "ask")]
        metadata = {"requires_approval": True}
        engine.add_rule(Rule(id="ask", name="ask", effect="AUDIT", conditions=asks, metadata=metadata))
        yield engine


@pytest.fixture
def guard(engine: PolicyEngine) -> Guard:
    return Guard(engine, agent="a1")


def steps(amount: int, begun: list[int]) -> Generator[Any, Any, str]:
    begun.append(amount)
    try:
        while True:
            try:
                sent = yield amount
            except KeyError as error:
                sent = f"caught {error}"
            if sent == "end":
                return "ended"
            amount = sent
    finally:
        begun.append(-1)


async def async_steps(amount: int, begun: list[int]) -> AsyncGenerator[Any, Any]:
    begun.append(amount)
    try:
        while True:
            try:
                sent = yield amount
            except KeyError as error:
                sent = f"caught {error}"
            if sent == "end":
                return
            await asyncio.sleep(0)
            amount = sent
    finally:
        await asyncio.sleep(0)
        begun.append(-1)


def test_a_guarded_generator_is_a_generator(guard: Guard) -> None:
    guarded = guard("steps", params=["amount"])(steps)
    assert inspect.isgeneratorfunction(guarded)
    assert inspect.isgeneratorfunction(guard("steps")(functools.partial(steps, 1)))
    begun: list[int] = []
    generator = guarded(1, begun)
    assert begun == []
    assert next(generator) == 1
    assert generator.send(2) == 2
    assert generator.throw(KeyError("k")) == "caught 'k'"
    with pytest.raises(StopIteration) as stopped:
        generator.send("end")
    assert stopped.value.value == "ended"
    assert begun == [1, -1]

    def outer() -> Generator[Any, Any, str]:
        return (yield from guarded(3, begun))

    delegating = outer()
    assert next(delegating) == 3
    delegating.close()
    assert begun[2:] == [3, -1]
    failed = guarded(4, begun)
    next(failed)
    with pytest.raises(ZeroDivisionError):
        failed.throw(ZeroDivisionError)
    denied = guarded(900, begun)
    with pytest.raises(ActionDenied):
        next(denied)
    assert 900 not in begun


async def test_a_guarded_async_generator_is_one(guard: Guard) -> None:
    guarded = guard("steps", params=["amount"])(async_steps)
    assert inspect.isasyncgenfunction(guarded)
    begun: list[int] = []
    generator = guarded(1, begun)
    assert begun == []
    assert await anext(generator) == 1
    assert await generator.asend(2) == 2
    assert await generator.athrow(KeyError("k")) == "caught 'k'"
    with pytest.raises(StopAsyncIteration):
        await generator.asend("end")
    assert begun == [1, -1]
    closed = guarded(3, begun)
    await anext(closed)
    await closed.aclose()
    assert begun[2:] == [3, -1]
    failed = guarded(4, begun)
    await anext(failed)
    with pytest.raises(ZeroDivisionError):
        await failed.athrow(ZeroDivisionError())
    for odd in (StopAsyncIteration(), StopIteration()):
        for made in (guarded, async_steps):
            stopped = made(5, begun)
            await anext(stopped)
            with pytest.raises(RuntimeError, match="async generator raised"):
                await stopped.athrow(odd)
    with pytest.raises(ActionDenied):
        await anext(guarded(900, begun))
    assert 900 not in begun


async def test_an_async_generator_that_will_not_close_is_told_so(guard: Guard) -> None:
    async def stubborn() -> AsyncGenerator[int, None]:
        while True:
            try:
                yield 1
            except GeneratorExit:
                yield 2

    generator = guard("steps")(stubborn)()
    await anext(generator)
    with pytest.raises(RuntimeError, match="ignored GeneratorExit"):
        await generator.aclose()


async def test_a_task_of_a_guarded_async_generator_can_be_cancelled(guard: Guard) -> None:
    ended = []

    async def slow() -> AsyncGenerator[int, None]:
        try:
            yield 1
            await asyncio.Event().wait()
        finally:
            ended.append(True)

    async def consume(begun: asyncio.Event) -> None:
        async for _ in guard("steps")(slow)():
            begun.set()

    begun = asyncio.Event()
    task = asyncio.create_task(consume(begun))
    await begun.wait()
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended


def test_who_acts_is_known_at_the_first_step(engine: PolicyEngine) -> None:
    guarded = Guard(engine)("steps", params=["amount"])(steps)
    with acting_as("a1"):
        generator = guarded(1, [])
    with pytest.raises(ActionDenied, match="does not know who acts"):
        next(generator)


async def test_nothing_waits_for_the_default_executor(engine: PolicyEngine, guard: Guard) -> None:
    @guard("ask")
    async def ask(amount: int) -> int:
        return amount

    free = threading.Event()
    try:
        for _ in range(64):
            asyncio.get_running_loop().run_in_executor(None, free.wait)
        with pytest.raises(ActionDenied, match="big"):
            await ask(900)
        task = asyncio.create_task(ask(5))
        while not (asked := engine.approvals.list("PENDING")):
            await asyncio.sleep(0)
        engine.approvals.grant(asked[0].id, by="ann")
        assert await task == 5
    finally:
        free.set()


async def test_a_loop_whose_default_executor_is_gone(engine: PolicyEngine, guard: Guard) -> None:
    await asyncio.get_running_loop().shutdown_default_executor()

    @guard("ask")
    async def ask(amount: int) -> int:
        return amount

    with pytest.raises(ActionDenied, match="big"):
        await ask(900)
    task = asyncio.create_task(ask(5))
    while not (asked := engine.approvals.list("PENDING")):
        await asyncio.sleep(0)
    engine.approvals.refuse(asked[0].id, by="ann")
    with pytest.raises(ActionDenied, match="refused by ann"):
        await task


def test_guards_under_trio(engine: PolicyEngine, guard: Guard) -> None:
    @guard("ask")
    async def ask(amount: int) -> int:
        return amount

    async def main() -> int:
        with pytest.raises(ActionDenied, match="big"):
            await ask(900)
        with pytest.raises(ActionDenied, match="repeat the call after the answer"):
            guard("ask")(lambda: 1)()
        results: list[int] = []

        async def asking() -> None:
            results.append(await ask(5))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(asking)
            while not (asked := [one for one in engine.approvals.list("PENDING") if one.context["params"]]):
                await trio.lowlevel.checkpoint()
            engine.approvals.grant(asked[0].id, by="ann")
        return results[0]

    assert trio.run(main) == 5


@pytest.mark.skipif(sys.version_info < (3, 12), reason="inspect.markcoroutinefunction came with Python 3.12")
async def test_a_marked_function_is_async(guard: Guard) -> None:
    async def pay(amount: int) -> int:
        return amount

    marked = inspect.markcoroutinefunction(lambda amount: pay(amount))
    assert inspect.iscoroutinefunction(guard("pay")(marked))


def test_a_program_without_logs_set_up_keeps_its_standard_output() -> None:
    program = "from brain.policy import Guard, PolicyEngine; Guard(PolicyEngine()); print('result')"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "result\n"
    assert "its decisions are not recorded" in done.stderr


def test_a_guard_without_a_stream_says_so_once(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr(log, "warning", said.append)
    silent = PolicyEngine()
    for engine in (silent, silent, PolicyEngine(RecordingStream())):
        Guard(engine, agent="a1")
    assert said == ["a guard has an engine without event_stream, so its decisions are not recorded"]


async def test_a_cancelled_caller_waits_until_what_it_began_is_done() -> None:
    began, goes_on, done = threading.Event(), threading.Event(), threading.Event()

    def work() -> None:
        began.set()
        assert goes_on.wait(10)
        done.set()

    caller = asyncio.create_task(run_in_thread(work))
    await asyncio.to_thread(began.wait, 10)
    for _ in range(2):  # the second comes while the caller waits because of the first
        caller.cancel()
        assert not (await asyncio.wait([caller], timeout=0.01))[0]
    goes_on.set()
    with pytest.raises(asyncio.CancelledError):
        await caller
    assert done.is_set()


def test_work_runs_in_threads_of_ours_under_asyncio_and_trio() -> None:
    async def where() -> tuple[bool, str]:
        return in_event_loop(), await run_in_thread(lambda: threading.current_thread().name)

    inside, name = asyncio.run(where())
    assert (inside, name[:12]) == (True, "brain-guard_")
    inside, name = trio.run(where)
    assert (inside, name == threading.main_thread().name) == (True, False)
    assert not in_event_loop()

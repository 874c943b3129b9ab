"""`publish()` called by what interrupts another publish of the same thread: signal handlers, finalisers, tracers.

Each of them runs between two steps of whatever the thread is doing. A lock that such code takes a second time would
hang for good, and half a change that it sees would lose an event. Every test counts the stored events at its end.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing as closing_at_end
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from random import Random
from types import FrameType
from typing import Any

import pytest

from brain import Event, EventStream, PolicyEngine, Rule
from brain.store import open_store
from brain.stream import journal
from brain.stream.closed import Closed
from brain.stream.receipt import LATE, Receipt
from support.interrupting import Interrupted, interrupted_at
from support.waiting import until, wait_until

HANG_SECONDS = 60.0
pytestmark = pytest.mark.timeout(300, method="thread")  # the other method takes the timer that interrupts here


def event(origin: str, number: int) -> Event:
    return Event(type=f"{origin}.happened", source="host_service", payload={"number": number, "text": "x" * 100})


async def stored(stream: EventStream) -> Counter[tuple[str, int]]:
    """How often each published event is in the stream, once everything has been shipped."""
    await stream.publish(event("last", 0))
    return Counter([(one.type, one.payload["number"]) async for one in stream.replay("*")])


@pytest.fixture
def small_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    """Interruptions then fall into the change of segments too."""
    monkeypatch.setattr(journal.Journal.__init__, "__defaults__", (16_384,))


@pytest.fixture(params=["memory://", "sqlite:///brain.db"])
def url(request: pytest.FixtureRequest, small_segments: None) -> str:
    return str(request.param)


@contextmanager
def interrupting(handle: Callable[[], None]) -> Iterator[None]:
    """Inside this block `handle` is called by a signal in the main thread, at random moments, again and again.

    The system's timer sends them: a thread that did would wait for its turn on a loaded machine, and with it the test,
    which publishes meanwhile. Each call sets the timer again; a call may be interrupted too, but not deeper and deeper.
    """
    random, depth, over = Random(7), 0, False

    def set_timer() -> None:
        if not over:
            signal.setitimer(signal.ITIMER_REAL, random.uniform(1e-6, 2e-4))

    def interrupt(number: int, frame: FrameType | None) -> None:
        nonlocal depth
        depth += 1
        try:
            if depth < 3:
                set_timer()
            handle()
        finally:
            depth -= 1
            set_timer()

    before = signal.signal(signal.SIGALRM, interrupt)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    set_timer()
    try:
        yield
    finally:
        over = True
        signal.setitimer(signal.ITIMER_REAL, 0)
        sys.setswitchinterval(interval)
        signal.signal(signal.SIGALRM, before)


def one(stream: EventStream, first: int) -> int:
    assert stream.publish(event("plain", first)).refused is None
    return 1


def many(stream: EventStream, first: int) -> int:
    made = [event("plain", first + number) for number in range(50)]
    stream.publish_many([(one.id, one.type, one.encode(), False) for one in made])
    return len(made)


@pytest.mark.parametrize(("publish", "least"), [(one, 1_000), (many, 300)])
async def test_signal_handlers_publish_in_the_middle_of_publishing(
    url: str, publish: Callable[[EventStream, int], int], least: int
) -> None:
    handled: list[Receipt] = []
    async with EventStream.open(url) as stream:
        published, numbers = 0, count()
        with interrupting(lambda: handled.append(stream.publish(event("signal", next(numbers))))):
            while len(handled) < least or published < 1_000:
                published += publish(stream, published)
        assert all(receipt.refused is None for receipt in handled)
        found = await stored(stream)
        positions = [await receipt for receipt in handled[-500:]]
    assert found == Counter(
        [("signal.happened", number) for number in range(len(handled))]
        + [("plain.happened", number) for number in range(published)]
        + [("last.happened", 0)]
    )
    assert len(set(positions)) == min(500, len(handled))


class Finalised:
    """Publishes when it is collected, as a library's object with a `__del__` may."""

    def __init__(self, publish: Callable[[], None]) -> None:
        self._publish = publish
        self._itself = self  # a circle, so that the collector finds it at a moment of its own choosing

    def __del__(self) -> None:
        self._publish()


async def test_finalisers_publish_in_the_middle_of_publishing(url: str) -> None:
    finalised: list[Receipt] = []
    numbers = count()
    before = gc.get_threshold()
    async with EventStream.open(url) as stream:

        def publish() -> None:
            finalised.append(stream.publish(event("finaliser", next(numbers))))

        gc.set_threshold(5)
        try:
            for number in range(1_000):
                Finalised(publish)
                assert stream.publish(event("plain", number)).refused is None
        finally:
            gc.set_threshold(*before)
        # While another thread collects, a collection does nothing.
        await until(lambda: gc.collect() >= 0 and len(finalised) == 1_000)
        found = await stored(stream)
    assert len(finalised) == 1_000
    assert found == Counter(
        [(f"{origin}.happened", number) for origin in ("finaliser", "plain") for number in range(1_000)]
        + [("last.happened", 0)]
    )


async def test_a_trace_function_publishes_at_every_step_of_a_publish(url: str) -> None:
    """The finest of all interruptions: before every bytecode of `publish` and of what it calls, once each."""
    traced: list[Receipt] = []
    plain = 0
    async with EventStream.open(url) as stream:

        def trace(frame: FrameType, what: str, argument: Any) -> Any:
            if "brain" not in frame.f_code.co_filename:
                return None
            frame.f_trace_opcodes = True
            if what == "opcode":
                traced.append(stream.publish(event("trace", len(traced))))
            return trace

        for _ in range(40):
            sys.settrace(trace)
            try:
                stream.publish(event("plain", plain))
            finally:
                sys.settrace(None)
            plain += 1
        assert len(traced) > 1_000
        late = [receipt for receipt in traced if receipt.seq == LATE]
        assert late, "no interruption fell into the middle of an append"
        found = await stored(stream)
        assert await late[-1]
    assert found == Counter(
        [("trace.happened", number) for number in range(len(traced))]
        + [("plain.happened", number) for number in range(plain)]
        + [("last.happened", 0)]
    )


async def test_an_exception_out_of_a_signal_handler_leaves_the_journal_whole(small_segments: None) -> None:
    """What a handler raises (KeyboardInterrupt, a time-out) ends that publish; those around it are kept, once.

    On `memory://` this is not promised: there it may leave the lock of the one list of events taken.
    """
    returned: list[int] = []
    armed = False

    def handle() -> None:
        nonlocal armed
        if armed:
            armed = False
            raise Interrupted

    async with EventStream.open("sqlite:///brain.db") as stream:
        number = interrupted = 0
        with interrupting(handle):
            while interrupted < 300:
                try:
                    armed = True
                    while True:  # not `while armed`: Python 3.13 jumps to that outside of the `try` (its issue 130279)
                        if not armed:
                            break
                        number += 1
                        if stream.publish(event("plain", number)).refused is None:
                            returned.append(number)
                except Interrupted:
                    interrupted += 1
        found = await stored(stream)
    doubled = [key for key, count in found.items() if count > 1]
    missing = [number for number in returned if ("plain.happened", number) not in found]
    assert (doubled, missing) == ([], [])


def test_an_exception_behind_any_call_of_a_publish_leaves_the_stream_to_others(small_segments: None) -> None:
    """At one place after the other, so that each is seen on every Python: 3.14 may raise where `with lock` begins."""
    returned = []
    with EventStream.open_sync("sqlite:///brain.db") as stream, ThreadPoolExecutor(1) as others:
        for when in count(1):
            interrupted = interrupted_at(when, lambda: stream.publish(event("plain", when)))  # noqa: B023
            others.submit(stream.publish, event("other", when)).result(HANG_SECONDS)
            returned += [("other.happened", when), *([] if interrupted else [("plain.happened", when)])]
            if not interrupted:
                break
        assert stream.flush(HANG_SECONDS)
        found = Counter([(one.event.type, one.event.payload["number"]) for one in stream.read_sync(limit=1_000)])
    assert when > 10
    assert max(found.values()) == 1
    assert found.keys() >= {*returned}


async def test_a_waiter_that_gives_up_leaves_the_others_of_its_batch_alone(redis_server: Any) -> None:
    """Redis is away while the receipts are awaited; half of the waiters are cancelled before it comes back."""
    redis_server.kill()
    stream = await EventStream.open(redis_server.url)
    try:
        receipts = [stream.publish(event("plain", number)) for number in range(20)]
        waiting = [asyncio.ensure_future(_position(receipt)) for receipt in receipts]
        await asyncio.sleep(0)
        for task in waiting[::2]:
            task.cancel()
        redis_server.start()
        kept = await asyncio.wait_for(asyncio.gather(*waiting[1::2]), HANG_SECONDS)
        assert len(set(kept)) == 10
        assert all(task.cancelled() for task in waiting[::2])
    finally:
        await stream.close()


async def _position(receipt: Receipt) -> str:
    return await receipt


async def test_threads_go_on_while_the_main_thread_is_interrupted(url: str) -> None:
    """The lock is no longer contained after every interruption: other threads publish beside, and end."""
    numbers = count()  # a handler may interrupt itself
    async with EventStream.open(url) as stream:

        def handle() -> None:
            stream.publish(event("signal", next(numbers)))

        threads = [
            threading.Thread(target=lambda name=name: [stream.publish(event(name, n)) for n in range(500)])
            for name in ("left", "right")
        ]
        with interrupting(handle):
            for thread in threads:
                thread.start()
            for number in range(500):
                stream.publish(event("main", number))
            for thread in threads:
                await asyncio.to_thread(thread.join, HANG_SECONDS)
        assert not any(thread.is_alive() for thread in threads)
        found = await stored(stream)
    assert found == Counter(
        [(f"{name}.happened", number) for name in ("left", "right", "main") for number in range(500)]
        + [("signal.happened", number) for number in range(next(numbers))]
        + [("last.happened", 0)]
    )


def publish_and_close(stream: EventStream, made: Event, when: int, raises: bool) -> tuple[Receipt | None, int]:
    """Publish, with the stream closed in the middle, at the `when`-th moment; what came of it, and how many there were.

    The moments are bytecodes; for what raises, beginnings of functions, since there a signal handler may.
    """
    moments = 0

    def trace(frame: FrameType, what: str, argument: Any) -> Any:
        nonlocal moments
        if "brain" not in frame.f_code.co_filename:
            return None
        frame.f_trace_opcodes = True
        if what == ("call" if raises else "opcode"):
            moments += 1
            if moments == when:
                sys.settrace(None)
                stream.close_sync()
                if raises:
                    raise Interrupted
        return trace

    receipt = None
    sys.settrace(trace)
    with suppress(Interrupted):
        receipt = stream.publish(made)
    sys.settrace(None)
    return receipt, moments


@pytest.mark.parametrize(("raises", "stride"), [(False, 8), (True, 1)], ids=["closes", "closes-and-raises"])
async def test_what_closes_the_stream_in_the_middle_of_a_publish_loses_nothing(
    raises: bool, stride: int, tmp_path: Path
) -> None:
    """As a handler of SIGTERM does: at one place after the other of a publish and of what it calls."""
    url = f"sqlite:///{tmp_path / 'brain.db'}"
    tried, accepted = [], []
    for when in count(1, stride):
        stream = EventStream.open_sync(url)
        stream.publish(event("first", when))
        tried.append(("first.happened", when))
        receipt, moments = publish_and_close(stream, event("plain", when), when, raises)
        if moments < when:
            break
        assert stream.is_closed()
        if receipt is not None and receipt.refused is None:
            accepted.append(("plain.happened", when))
            assert receipt.wait(0) != ""
        assert receipt is None or receipt.refused is None or isinstance(receipt.refused, Closed)
    stream.close_sync()
    async with EventStream.open(url) as stream:
        found = await stored(stream)
    assert max(found.values()) == 1
    assert {*tried, *accepted} <= found.keys()
    assert list((tmp_path / "brain.db.journal").iterdir()) == []


@pytest.mark.parametrize("thread", ["brain-shipper", "brain-outbox"])
def test_a_finaliser_that_closes_the_stream_may_run_in_any_of_its_threads(
    thread: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The collector runs finalisers in whatever thread allocates; here it does so when the thread stores something."""
    url = f"sqlite:///{tmp_path / 'brain.db'}"
    stream, store, errors = EventStream.open_sync(url), open_store(url), []
    append, backend = stream.backend.append, stream.backend

    def closing(*args: Any, **options: Any) -> Any:
        if threading.current_thread().name == thread:
            try:
                stream.close_sync()
            except RuntimeError as error:
                errors.append(error)
        return append(*args, **options)

    backend.append = closing  # type: ignore[method-assign]
    stream.publish(event("plain", 0))
    PolicyEngine(stream, store=store).add_rule(Rule(id="r", name="r", effect="ALLOW"))
    wait_until(stream.is_closed)
    wait_until(lambda: not any(one.name in (thread, "brain-closer") for one in threading.enumerate()))
    store.close()
    with EventStream.open_sync(url) as again, closing_at_end(open_store(url)) as kept:
        again.event_outbox(kept)
        wait_until(lambda: len(again.read_sync()) == 2)
    assert not errors
    assert not [record for record in caplog.records if record.levelno > logging.WARNING]

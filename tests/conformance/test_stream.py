"""What EventStream promises, on every backend; and RecordingStream, which tests of others publish to."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import pytest

from brain import DeliveryOptions, Event, EventStream, InvalidInput, correlation
from brain.errors import EnvelopeError
from brain.stream import query
from support.waiting import until

pytestmark = pytest.mark.parametrize("url", ["memory", "sqlite", "redis", "cluster", "recording"], indirect=True)


def make(number: int, event_type: str = "test.happened", **payload: Any) -> Event:
    return Event(type=event_type, source="test_service", payload={"n": number, **payload})


async def take(events: AsyncGenerator[Event, None], count: int) -> list[Event]:
    found = []
    async with asyncio.timeout(60), aclosing(events) as source:
        async for event in source:
            found.append(event)
            if len(found) == count:
                break
    return found


async def test_a_published_event_comes_back_as_it_was(stream: EventStream) -> None:
    event = make(1, text="ünï", nested={"a": [1, None, True]})
    position = await stream.publish(event)
    (stored,) = await stream.read()
    assert stored.event == event
    assert stored.position == position
    assert [event async for event in stream.replay("*")] == [event]


async def test_receipts_give_positions_in_order_even_late(stream: EventStream) -> None:
    receipts = [stream.publish(make(n)) for n in range(300)]
    last = await receipts[-1]
    positions = [await receipt for receipt in receipts]
    assert positions[-1] == last
    assert positions == [stored.position for stored in await stream.read(limit=1000)]


async def test_publish_from_threads_without_a_loop(stream: EventStream) -> None:
    def publish(base: int) -> None:
        for n in range(200):
            assert stream.publish(make(base + n)).refused is None

    threads = [threading.Thread(target=publish, args=(base,)) for base in (0, 1000, 2000)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    await stream.publish(make(9999))
    numbers = [event.payload["n"] async for event in stream.replay()]
    for base in (0, 1000, 2000):
        assert [n for n in numbers if base <= n < base + 200] == list(range(base, base + 200))


async def test_subscribe_sees_what_matches_from_now_on(stream: EventStream) -> None:
    await stream.publish(make(0, "threat.detected"))
    events = stream.subscribe(["threat.*", "*.event_published"])
    for n, name in enumerate(["threat.detected", "policy.action_denied", "immune.event_published"], 1):
        stream.publish(make(n, name))
    assert [event.payload["n"] for event in await take(events, 2)] == [1, 3]


async def test_live_resumes_after_a_position(stream: EventStream) -> None:
    positions = [await stream.publish(make(n)) for n in range(5)]
    seen = []
    async with asyncio.timeout(60), aclosing(stream.live(after=positions[1])) as live:
        async for stored in live:
            seen.append((stored.position, stored.event.payload["n"]))
            if len(seen) == 3:
                break
    assert seen == [(positions[n], n) for n in (2, 3, 4)]


async def test_a_group_gets_each_event_once_over_reconnects(stream: EventStream) -> None:
    for n in range(10):
        stream.publish(make(n))
    first = await take(stream.subscribe("*", group="g"), 4)
    second = await take(stream.subscribe("*", group="g"), 7)
    assert [event.payload["n"] for event in first] == [0, 1, 2, 3]
    # the fourth was not asked to be followed by another, so it was not acknowledged
    assert [event.payload["n"] for event in second] == [3, 4, 5, 6, 7, 8, 9]


async def test_an_error_in_the_loop_body_brings_the_event_back(stream: EventStream) -> None:
    stream.publish(make(1))

    async def fail() -> None:
        async with aclosing(stream.subscribe("*", group="g")) as events:
            async for _ in events:
                raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    assert (await take(stream.subscribe("*", group="g"), 1))[0].payload["n"] == 1


async def test_consumer_handles_everything_that_matches(stream: EventStream) -> None:
    seen: list[int] = []

    async def handler(event: Event) -> None:
        seen.append(event.payload["n"])

    stream.consumer("g", "test.*", handler)
    task = asyncio.create_task(stream.run_consumers())
    for n in range(1000):
        stream.publish(make(n, "test.a" if n % 2 else "other.b"))
    await until(lambda: len(seen) == 500)
    assert seen == list(range(1, 1000, 2))

    async def idle() -> bool:
        (info,) = await stream.groups()
        return info.lag == 0 and info.pending == 0

    await until(idle)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert (await stream.groups())[0].consumers == 0


async def test_plain_handlers_work_too(stream: EventStream) -> None:
    seen: list[int] = []
    stream.consumer("g", "*", lambda event: seen.append(event.payload["n"]))
    task = asyncio.create_task(stream.run_consumers())
    for n in range(20):
        stream.publish(make(n))
    await until(lambda: seen == list(range(20)))
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_failures_are_retried_then_buried_while_others_pass(stream: EventStream) -> None:
    seen: list[int] = []
    tries: list[int] = []

    async def handler(event: Event) -> None:
        n = event.payload["n"]
        if n == 3:
            tries.append(n)
            raise RuntimeError("no three")
        if n == 5 and tries.count(5) < 2:
            tries.append(5)
            raise RuntimeError("not yet")
        seen.append(n)

    stream.consumer("g", "*", handler, DeliveryOptions(max_attempts=3, retry_delay=0.01))
    task = asyncio.create_task(stream.run_consumers())
    for n in range(10):
        stream.publish(make(n))
    await until(lambda: len(seen) == 9 and stream.stats()["dead"] == 1)
    assert seen == [0, 1, 2, 4, 6, 7, 8, 9, 5]
    assert tries.count(3) == 3
    (letter,) = await stream.dead_letters("g")
    assert (letter.error, letter.attempts, len(letter.history)) == ("RuntimeError: no three", 3, 3)
    assert Event.decode(letter.data).payload["n"] == 3
    tries.clear()
    tries.extend([5, 5])
    assert await stream.redrive("g", [letter.position]) == 1
    await until(lambda: tries.count(3) == 3 and stream.stats()["dead"] == 2)
    assert await stream.discard("g") == 1
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_hanging_handler_is_stopped(stream: EventStream) -> None:
    seen: list[int] = []

    async def handler(event: Event) -> None:
        if event.payload["n"] == 0:
            await asyncio.Event().wait()
        seen.append(event.payload["n"])

    stream.consumer("g", "*", handler, DeliveryOptions(max_attempts=2, retry_delay=0.01, timeout=0.1))
    task = asyncio.create_task(stream.run_consumers())
    for n in range(5):
        stream.publish(make(n))
    await until(lambda: stream.stats()["dead"] == 1 and len(seen) == 4)
    assert seen == [1, 2, 3, 4]
    assert "did not finish within 0.1 s" in (await stream.dead_letters("g"))[0].error
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_order_is_kept_per_key_with_concurrency_and_retries(stream: EventStream) -> None:
    seen: dict[str, list[int]] = {}
    failed: set[int] = set()

    async def handler(event: Event) -> None:
        n, key = event.payload["n"], event.payload["key"]
        if n % 17 == 0 and n not in failed:
            failed.add(n)
            raise RuntimeError("once")
        await asyncio.sleep(0)
        seen.setdefault(key, []).append(n)

    how = DeliveryOptions(concurrency=4, key=lambda event: str(event.payload["key"]), retry_delay=0.01)
    stream.consumer("g", "*", handler, how)
    task = asyncio.create_task(stream.run_consumers())
    for n in range(300):
        stream.publish(make(n, key=f"k{n % 7}"))
    await until(lambda: sum(map(len, seen.values())) == 300)
    assert seen == {f"k{key}": list(range(key, 300, 7)) for key in range(7)}
    assert len(failed) == 18
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_shutdown_gives_back_what_was_not_handled(stream: EventStream) -> None:
    started = asyncio.Event()
    release = asyncio.Event()
    handled: list[int] = []

    async def slow(event: Event) -> None:
        started.set()
        await release.wait()
        handled.append(event.payload["n"])

    for n in range(5):
        stream.publish(make(n))
    stream.consumer("g", "*", slow)
    task = asyncio.create_task(stream.run_consumers())
    await started.wait()
    task.cancel()
    for _ in range(10):  # the cancellation goes from task to task, one in each turn of the loop
        await asyncio.sleep(0)
    release.set()
    await asyncio.gather(task, return_exceptions=True)
    assert handled == [0]  # the running one was drained and acknowledged
    assert [event.payload["n"] for event in await take(stream.subscribe("*", group="g"), 4)] == [1, 2, 3, 4]


async def test_two_consumers_share_a_group(stream: EventStream) -> None:
    seen: list[int] = []

    async def handler(event: Event) -> None:
        seen.append(event.payload["n"])

    for _ in range(2):
        stream.consumer("g", "*", handler, DeliveryOptions(batch=10))
    task = asyncio.create_task(stream.run_consumers())
    for n in range(500):
        stream.publish(make(n))
    await until(lambda: len(seen) >= 500)
    assert sorted(seen) == list(range(500))
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_what_a_handler_publishes_carries_the_correlation_on(stream: EventStream) -> None:
    async def handler(event: Event) -> None:
        stream.publish(make(2, "test.caused"))

    stream.consumer("g", "test.happened", handler)
    caused = stream.subscribe("test.caused")
    task = asyncio.create_task(stream.run_consumers())
    with correlation("story-1"):
        cause = make(1)
    stream.publish(cause)
    (effect,) = await take(caused, 1)
    assert effect.correlation_id == "story-1"
    assert effect.meta["causation_id"] == cause.id
    assert len(await stream.read(correlation_id="story-1")) == 2
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_ranges_by_time_position_and_direction(stream: EventStream) -> None:
    events = [make(n, "test.a" if n % 2 else "test.b") for n in range(20)]
    events = [
        Event(type=e.type, source=e.source, payload=e.payload, timestamp=1_700_000_000.0 + n)
        for n, e in enumerate(events)
    ]
    positions = [await stream.publish(event) for event in events]

    async def numbers(**query: Any) -> list[int]:
        return [stored.event.payload["n"] for stored in await stream.read(**query)]

    assert await numbers(since=1_700_000_005.0, until=1_700_000_008.0) == [5, 6, 7]
    assert await numbers(pattern="test.a", limit=3, newest_first=True) == [19, 17, 15]
    assert await numbers(after=positions[16]) == [17, 18, 19]
    assert await numbers(before=positions[2]) == [0, 1]
    assert await numbers(before=positions[5], limit=2, newest_first=True) == [4, 3]
    replayed = [event.payload["n"] async for event in stream.replay("test.b", since=1_700_000_010.0)]
    assert replayed == [10, 12, 14, 16, 18]


async def test_a_look_back_ends_where_nothing_so_new_can_be(
    stream: EventStream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(query, "_SLACK", 0.0)
    for n in range(599):
        stream.publish(make(n))
    receipt = stream.publish(make(599))
    await receipt
    monkeypatch.setattr(stream.backend, "_timed", 0.0, raising=False)  # SQLite notes the time once a second
    await stream.publish(make(600))
    await asyncio.sleep(0.05)
    since = time.time()
    await asyncio.sleep(0.05)
    await stream.publish(make(601))
    pages: list[int] = []
    read_back = stream.backend.read_back

    def counted(before: str, limit: int) -> Any:
        pages.append(limit)
        return read_back(before, limit)

    monkeypatch.setattr(stream.backend, "read_back", counted)
    for pattern, expected in (("*", [601]), ("test.happened", [601]), ("test.never", [])):
        found = await stream.read(pattern, since=since, limit=100, newest_first=True)
        assert [stored.event.payload["n"] for stored in found] == expected
        assert pages.pop() == 100
        assert not pages, "no further page is looked at"


async def test_bad_input_is_named(stream: EventStream) -> None:
    with pytest.raises(InvalidInput, match=r"pattern: 'Threat\.\*'"):
        stream.subscribe("Threat.*")
    with pytest.raises(InvalidInput, match="position: 'x'"):
        stream.live(after="x")
    with pytest.raises(InvalidInput, match="group: 'a b'"):
        stream.consumer("a b", "*", print)


async def test_publish_never_raises_and_refusals_are_counted(stream: EventStream) -> None:
    unencodable = stream.publish(Event(type="a.b", source="x_service", payload={"o": object()}))
    oversized = stream.publish(Event(type="a.b", source="x_service", payload={"o": "x" * (2 << 20)}))
    no_event = stream.publish("not an event")  # type: ignore[arg-type]
    assert stream.stats()["refused"] == 3
    assert "cannot be written as JSON" in str(unencodable.refused)
    assert "1048576 are allowed" in str(oversized.refused)
    for receipt in (unencodable, oversized, no_event):
        with pytest.raises(EnvelopeError):
            await receipt
    await stream.close()
    late = stream.publish(make(1))
    assert "closed" in str(late.refused)
    assert stream.stats()["refused"] == 4


async def test_events_published_together_are_as_if_one_by_one(stream: EventStream) -> None:
    if type(stream) is not EventStream:
        pytest.skip("only our own stream takes encoded events")
    made = [make(n, text="x" * (2 << 20) if n == 3 else "sk_live_" + "7" * 24) for n in range(6)]
    encoded = [(event.id, event.type, event.encode(), False) for event in made]
    stream.publish_many(encoded)
    stream.publish_many([])
    assert stream.stats()["refused"] == 1
    await stream.publish(make(6))
    events = [stored.event for stored in await stream.read()]
    assert [event.payload["n"] for event in events] == [0, 1, 2, 4, 5, 6]
    assert not any("sk_live_" in event.payload.get("text", "") for event in events)
    await stream.close()
    stream.publish_many(encoded[:2])
    assert stream.stats()["refused"] == 3


@pytest.mark.parametrize("jump", [-3600.0, 3600.0])
async def test_a_clock_that_jumps_changes_neither_order_nor_delivery(
    stream: EventStream, jump: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, jumped = time.time, 0.0
    monkeypatch.setattr(time, "time", lambda: real() + jumped)
    seen: list[int] = []

    async def handler(event: Event) -> None:
        seen.append(event.payload["n"])

    stream.consumer("g", "*", handler)
    task = asyncio.create_task(stream.run_consumers())
    for n in range(300):
        if n % 100 == 50:
            jumped = 0.0 if jumped else jump
            await asyncio.sleep(stream.lease / 2)  # renewals happen on both sides of the jump
        stream.publish(make(n))
    await until(lambda: len(seen) >= 300)
    assert seen == list(range(300))
    assert [event.payload["n"] async for event in stream.replay()] == seen
    assert stream.stats()["retried"] == 0
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_bad_bytes_become_a_dead_letter_and_unknown_types_are_carried(stream: EventStream) -> None:
    seen: list[str] = []

    async def handler(event: Event) -> None:
        seen.append(event.type)

    stream.consumer("g", "*", handler)
    for number, data in enumerate([b"\xff\x00 not an event", b"{}", make(1, "never.declared_anywhere").encode()]):
        await stream.call(stream.backend.append, f"foreign{number}", "", "1", [data])
    task = asyncio.create_task(stream.run_consumers())
    stream.publish(make(2))
    await until(lambda: seen == ["never.declared_anywhere", "test.happened"] and stream.stats()["dead"] == 2)
    letters = await stream.dead_letters("g")
    assert sorted(letter.data for letter in letters) == [b"{}", b"\xff\x00 not an event"]
    assert all(letter.error.startswith("not an event: ") for letter in letters)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)

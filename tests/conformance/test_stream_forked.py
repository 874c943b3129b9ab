"""A stream that was opened before a fork: the child opens it for itself, and takes nothing from its parent."""

from __future__ import annotations

import asyncio
import os
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from brain import Event, EventStream, PolicyEngine
from brain.store import Store
from brain.store.memory import MemoryStore
from brain.stream.closed import Closed
from brain.stream.event_outbox import EventOutbox, outbox_state
from brain.stream.stream import BegunBeforeFork
from support.announcing_worker import make
from support.forks import Parent, forked, in_child
from support.waiting import until, wait_until

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
shared = pytest.mark.parametrize("url", ["sqlite", "redis"], indirect=True)


def event(name: str) -> Event:
    return Event(type="test.happened", source="test_service", payload={"name": name})


def publish(stream: EventStream, prefix: str, count: int) -> None:
    for n in range(count):
        receipt = stream.publish(event(f"{prefix}-{n:04d}"))
        assert receipt.refused is None, receipt.refused


async def names(stream: EventStream) -> list[str]:
    return [one.payload["name"] async for one in stream.replay("test.*")]


@shared
async def test_each_process_stores_its_events_once_and_leaves_nothing(stream: EventStream, tmp_path: Path) -> None:
    publish(stream, "parent", 300)

    def child(number: int) -> list[str]:
        publish(stream, f"child{number}", 100)
        assert in_child(lambda: publish(stream, f"grandchild{number}", 100) or stream.close_sync()) is None
        stream.close_sync()
        return [stream.publish(event("late")).refused.__class__.__name__, str(stream.stats()["stored"])]

    for number in range(3):
        assert in_child(lambda number=number: child(number)) == ["Closed", "100"]
    publish(stream, "after", 300)
    await stream.publish(event("last"))
    counts = Counter(name.partition("-")[0] for name in await names(stream))
    expected = {f"{who}{number}": 100 for who in ("child", "grandchild") for number in range(3)}
    assert counts == {"parent": 300, "after": 300, "last": 1, **expected}
    assert max(Counter(await names(stream)).values()) == 1
    assert [path.name for path in (tmp_path / "journal").iterdir()] == [stream.journal_name]


@shared
async def test_forks_in_the_middle_of_publishing(stream: EventStream) -> None:
    over = threading.Event()

    def work(number: int) -> None:
        for n in range(2_000):
            assert stream.publish(event(f"thread{number}-{n:04d}")).refused is None
            if over.is_set():
                return

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for number in range(8):
        in_child(lambda number=number: publish(stream, f"child{number}", 20) or stream.close_sync(30))
    over.set()
    for thread in threads:
        thread.join()
    await stream.publish(event("last"))
    found = await names(stream)
    assert len(set(found)) == len(found) == stream.stats()["accepted"] + 160


@shared
async def test_a_child_keeps_no_file_of_its_parents_journal(stream: EventStream, tmp_path: Path) -> None:
    publish(stream, "parent", 10)
    await stream.publish(event("stored"))
    assert stream._journal is not None
    in_use = stream._journal.file  # as by a thread of the parent that looks after its journal in this moment

    def opened() -> Iterator[str]:
        for name in os.listdir("/proc/self/fd"):
            try:
                path = os.readlink(f"/proc/self/fd/{name}")
            except FileNotFoundError:  # that of the listing
                continue
            if os.path.isfile(path):  # and no folder that a thread of the parent was just listing
                yield path

    def work() -> list[str]:
        before = [path for path in opened() if str(tmp_path / "journal") in path]
        publish(stream, "child", 1)
        after = [path for path in opened() if str(tmp_path / "journal") in path]
        assert all(stream.journal_name in path for path in after)
        stream.close_sync()
        return before

    assert in_child(work) == []
    assert in_use is not None
    assert not in_use.closed


async def test_a_child_of_a_stream_in_memory_goes_on_with_a_copy(tmp_path: Path) -> None:
    async with EventStream.open("memory://") as stream:
        publish(stream, "parent", 3)

        def work() -> list[str]:
            publish(stream, "child", 2)
            return asyncio.run(names(stream))

        with forked(lambda _: work()) as child:
            found = await asyncio.to_thread(child.receive)
        assert found == ["parent-0000", "parent-0001", "parent-0002", "child-0000", "child-0001"]
        assert await names(stream) == found[:3]


@shared
async def test_loops_and_receipts_of_the_parent_fail_loudly_in_the_child(stream: EventStream) -> None:
    receipt = stream.publish(event("first"))
    await receipt
    grouped, live = stream.subscribe("test.*", group="readers"), stream.subscribe("test.*")
    await anext(grouped)
    stream.publish(event("second"))
    await anext(live)

    def work() -> object:
        assert {one.event.payload["name"] for one in asyncio.run(stream.read("test.*"))} == {"first", "second"}
        for going_on in (lambda: anext(grouped), lambda: anext(live), lambda: _awaited(receipt)):
            with pytest.raises(BegunBeforeFork, match="belongs to the process that forked this one"):
                asyncio.run(going_on())
        with pytest.raises(BegunBeforeFork):
            receipt.wait(1)
        publish(stream, "child", 1)
        stream.close_sync()
        return "done"

    with forked(lambda _: work()) as child:
        assert await asyncio.to_thread(child.receive) == "done"
    assert (await anext(grouped)).payload["name"] == "second"  # the parent is still the member that it was
    assert (await anext(grouped)).payload["name"] == "child-0000"
    assert (await anext(live)).payload["name"] == "child-0000"
    await grouped.aclose()
    await live.aclose()


async def _awaited(receipt: object) -> object:
    return await receipt  # type: ignore[misc]


@shared
async def test_consumers_run_in_the_child_as_members_of_their_own(stream: EventStream) -> None:
    handled: list[str] = []
    stream.consumer("workers", "test.*", lambda one: handled.append(one.payload["name"]))
    running = asyncio.create_task(stream.run_consumers())
    publish(stream, "parent", 5)
    await until(lambda: len(handled) == 5)

    async def both_are_members() -> bool:
        return (await stream.groups())[0].consumers == 2

    async def consume() -> int:
        handled.clear()
        task = asyncio.create_task(stream.run_consumers())
        publish(stream, "child", 200)
        await until(both_are_members)
        await until(lambda: stream.stats()["backlog"] == 0)
        task.cancel()
        await asyncio.wait({task})
        await stream.close()
        return len(handled)

    def work(parent: Parent) -> object:
        return asyncio.run(consume())

    with forked(work) as child:
        theirs = await asyncio.to_thread(child.receive)
    await until(lambda: len(handled) + theirs == 205)
    running.cancel()
    await asyncio.wait({running})
    assert stream.consumers[0].group.fenced == 0


@shared
async def test_changes_made_in_the_child_are_announced_by_it(store: Store, stream: EventStream) -> None:
    make(store, stream, "p-1")
    outbox = stream.event_outbox(store)
    assert isinstance(outbox, EventOutbox)
    await until(lambda: outbox_state(store).waiting == 0)
    outbox.stop(5.0)  # so that nobody but the child can ship

    def work() -> object:
        make(store, stream, "c-1")
        wait_until(lambda: outbox_state(store).waiting == 0)
        stream.close_sync()
        return outbox.shipped

    assert in_child(work) == 2
    found = [one.payload["key"] async for one in stream.replay("thing.made")]
    assert found == ["p-1 a", "p-1 b", "c-1 a", "c-1 b"]


@shared
async def test_decisions_made_in_the_child_are_recorded(stream: EventStream) -> None:
    engine = PolicyEngine(event_stream=stream)

    def work() -> None:
        for number in range(10):
            engine.evaluate({"agent_id": f"a{number}", "action": "read"})
        stream.close_sync()

    in_child(work)
    engine.evaluate({"agent_id": "parent", "action": "read"})
    await stream.publish(event("last"))
    agents = [one.payload["agent_id"] async for one in stream.replay("policy.rule_evaluated")]
    assert agents == [*(f"a{number}" for number in range(10)), "parent"]


async def test_a_closed_stream_stays_closed_in_the_child(tmp_path: Path) -> None:
    stream = await EventStream.open(f"sqlite:///{tmp_path / 'brain.db'}")
    await stream.close()
    assert in_child(lambda: isinstance(stream.publish(event("late")).refused, Closed)) is True
    assert not isinstance(stream.event_outbox(MemoryStore()), EventOutbox)


async def test_a_child_that_cannot_open_it_refuses_and_tries_again(tmp_path: Path) -> None:
    root = tmp_path / "journal"
    async with EventStream.open(f"sqlite:///{tmp_path / 'brain.db'}", journal=root) as stream:
        await stream.publish(event("parent"))

        def work() -> object:
            root.rename(tmp_path / "away")
            root.write_text("a file where the folder should be")
            refused = stream.publish(event("one")).refused
            root.unlink()
            (tmp_path / "away").rename(root)
            accepted = stream.publish(event("two")).refused is None
            stream.close_sync()
            return type(refused).__name__, accepted

        assert in_child(work) == ("Unavailable", True)
        assert await names(stream) == ["parent", "two"]

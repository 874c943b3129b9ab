"""State and event in one write, on each store: each change is announced once, whoever is killed or frozen, and when."""

from __future__ import annotations

import asyncio
import multiprocessing
import random
import sqlite3
import threading
import time
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from brain import EventStream
from brain.errors import Conflict, EnvelopeError, Unavailable
from brain.store import DocumentChange, Store, open_store
from brain.store.sqlite import sqlite_path
from brain.stream import event_outbox
from brain.stream.announcer import DirectAnnouncer, EventDraft, announcer_for, write_announced
from brain.stream.event_outbox import EventOutbox, outbox_state
from brain.stream.outbox_rows import COLLECTION
from brain.stream.publisher import failures
from brain.testing import RecordingStream
from support.announcing_worker import THING_MADE, THINGS, ThingMade, make, make_things
from support.forks import in_child
from support.processes import kill, spawn
from support.signals import freeze, thaw
from support.sizes import sizes
from support.waiting import DEADLINE, until

shared = pytest.mark.parametrize("url", ["sqlite", "redis", "cluster"], indirect=True)
kept = pytest.mark.parametrize("url", ["sqlite", "redis"], indirect=True)


async def announced(stream: EventStream) -> list[str]:
    return [event.payload["key"] async for event in stream.replay("thing.made")]


def expected(store: Store) -> list[str]:
    return [f"{document.key} {part}" for document in store.scan(THINGS) for part in "ab"]


async def all_announced(store: Store, stream: EventStream) -> None:
    """Wait until nothing waits; then each thing is announced once, in order of its process."""
    announcer_for(stream, store)
    await until(lambda: outbox_state(store).waiting == 0)
    found = await announced(stream)
    assert [key for key, times in Counter(found).items() if times > 1] == []
    assert sorted(found) == expected(store)
    for name in {key.partition("-")[0] for key in found}:
        own = [key for key in found if key.startswith(name)]
        assert own == sorted(own)


@pytest.mark.parametrize("url", ["memory", "sqlite", "redis", "cluster"], indirect=True)
async def test_each_change_is_announced_once(store: Store, stream: EventStream) -> None:
    for number in range(100):
        await asyncio.to_thread(make, store, stream, f"p-{number:03d}")
    await until(lambda: stream.stats()["backlog"] == 0)
    await all_announced(store, stream)
    assert stream.stats()["refused"] == 0


@shared
async def test_a_write_that_is_refused_announces_nothing(store: Store, stream: EventStream) -> None:
    make(store, stream, "p-1")
    with pytest.raises(Conflict):
        make(store, stream, "p-1")
    await all_announced(store, stream)


@shared
async def test_a_change_whose_event_no_stream_takes_is_not_made(store: Store, stream: EventStream) -> None:
    draft = EventDraft(THING_MADE, ThingMade(key="x" * (1 << 20)))
    with pytest.raises(EnvelopeError, match="payload: the event has"):
        write_announced(store, stream, [DocumentChange(THINGS, "p-1", b"{}")], [draft])
    assert store.get(THINGS, "p-1") is None
    assert stream.stats()["backlog"] == 0


async def test_an_event_of_the_wrong_form_is_counted(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/brain.db"
    wrong: Any = {"key": 1}
    async with EventStream.open(url) as stream:
        with closing(open_store(url)) as store, pytest.raises(EnvelopeError):
            write_announced(store, stream, [DocumentChange(THINGS, "p-1", b"{}")], [EventDraft(THING_MADE, wrong)])
    assert failures["thing.made"] == 1


def test_what_is_no_stream_of_ours_gets_the_event_after_the_write(tmp_path: Path) -> None:
    recording = RecordingStream()
    with closing(open_store(f"sqlite:///{tmp_path}/brain.db")) as store:
        make(store, recording, "p-1")
        make(store, None, "p-2")
    assert [event.payload["key"] for event in recording.events] == ["p-1 a", "p-1 b"]
    assert isinstance(announcer_for(recording, store), DirectAnnouncer)


@shared
async def test_what_a_dead_process_left_is_announced_by_the_next(store: Store, stream: EventStream) -> None:
    left = EventOutbox(store, stream.backend, stream.outage, lambda: None)  # never started: killed after its write
    row = left.prepare([EventDraft(THING_MADE, ThingMade(key=f"p-1 {part}")) for part in "ab"])
    store.write([DocumentChange(THINGS, "p-1", b"{}"), *row.changes])
    assert outbox_state(store).waiting == 1
    await all_announced(store, stream)


@kept
@pytest.mark.parametrize("first", ["stream", "store"])
async def test_closing_ships_what_waits_whichever_is_closed_first(first: str, url: str, tmp_path: Path) -> None:
    store, stream = open_store(url), await EventStream.open(url, journal=tmp_path / "journal")
    for number in range(50):
        make(store, stream, f"p-{number:02d}")
    if first == "store":
        store.close()
    await stream.close()
    store.close()
    with closing(open_store(url)) as again:
        assert outbox_state(again).waiting == 0
    async with EventStream.open(url, journal=tmp_path / "journal") as stream:
        assert len(await announced(stream)) == 100


@pytest.mark.parametrize("first", ["stream", "store"])
async def test_what_was_written_during_a_look_is_shipped_at_the_end(first: str, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/brain.db"
    store, stream = open_store(url), await EventStream.open(url)
    scan, has_looked, goes_on = store.scan, threading.Event(), threading.Event()

    def slow(*args: Any, **options: Any) -> Any:
        found = scan(*args, **options)
        has_looked.set()
        goes_on.wait(DEADLINE)
        return found

    store.scan = slow  # type: ignore[method-assign]
    outbox = announcer_for(stream, store)
    assert isinstance(outbox, EventOutbox)
    assert has_looked.wait(DEADLINE)
    make(store, stream, "p-1")
    closing_it = asyncio.create_task(stream.close() if first == "stream" else asyncio.to_thread(store.close))
    await until(outbox.is_stopping)
    goes_on.set()
    await closing_it
    await stream.close()
    store.close()
    async with EventStream.open(url) as stream:
        assert await announced(stream) == ["p-1 a", "p-1 b"]


async def test_changes_go_on_while_the_stream_is_away(tmp_path: Path, start_redis: Any) -> None:
    server = start_redis()
    url = f"sqlite:///{tmp_path}/brain.db"
    with closing(open_store(url)) as store:
        async with EventStream.open(f"{server.url}?socket_timeout=0.5", journal=tmp_path / "journal") as stream:
            make(store, stream, "p-1")
            await until(lambda: stream.stats()["backlog"] == 0)
            server.kill()
            for number in range(2, 8):
                make(store, stream, f"p-{number}")
            (outbox,) = stream.outboxes
            await until(lambda: outbox.failures > 0)
            state = outbox_state(store)
            assert (state.waiting, state.late) == (6, False)
            assert stream.stats()["backlog"] == 12
            server.start()
            await all_announced(store, stream)  # what the server has forgotten by its end included
            assert outbox.shipped == 16


async def test_rows_that_wait_for_long_show(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = f"sqlite:///{tmp_path}/brain.db"
    monkeypatch.setattr(event_outbox, "LATE_SECONDS", -1.0)
    with closing(open_store(url)) as store:
        async with EventStream.open(f"sqlite:///{tmp_path}/stream.db") as stream:
            make(store, stream, "p-1")
            (outbox,) = stream.outboxes
            await until(lambda: stream.stats()["backlog"] == 0)
            assert outbox.trouble() == ""
            stream.backend.append = _away  # type: ignore[method-assign]
            make(store, stream, "p-2")
            await until(lambda: outbox.failures > 0)
            assert "to be announced on the stream: it is away" in outbox.trouble()
            assert outbox.trouble() in stream.troubles()
            assert outbox_state(store).late


def _away(*_: object) -> list[str]:
    raise Unavailable("it is away")


@kept
async def test_a_forked_child_leaves_its_events_to_its_parent(store: Store, stream: EventStream) -> None:
    make(store, stream, "p-1")

    def work() -> object:
        make(store, stream, "c-1")
        return "made"

    assert in_child(work) == "made"
    await all_announced(store, stream)
    assert len(await announced(stream)) == 4


@kept
async def test_a_handler_hears_of_a_change_within_milliseconds(store: Store, stream: EventStream) -> None:
    delays = []
    heard = asyncio.Event()

    async def handle(_: object) -> None:
        heard.set()

    stream.consumer("hears", "thing.made", handle)
    running = asyncio.create_task(stream.run_consumers())
    for number in range(30):
        heard.clear()
        began = time.perf_counter()
        await asyncio.to_thread(make, store, stream, f"p-{number:02d}")
        await heard.wait()
        delays.append(time.perf_counter() - began)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert sorted(delays)[len(delays) // 2] < 0.1, delays


@kept
@pytest.mark.timeout(600)
@pytest.mark.parametrize("kills", sizes(2, 200))
async def test_two_processes_that_are_killed_again_and_again(url: str, kills: int, tmp_path: Path) -> None:
    chance = random.Random(kills)
    with closing(open_store(url)) as store:
        lasting = spawn(make_things, url, str(tmp_path / "journal"), "lasting")
        try:
            for number in range(kills):
                ours, theirs = multiprocessing.Pipe()
                process = spawn(make_things, url, str(tmp_path / "journal"), f"killed{number}", theirs)
                await until(ours.poll)
                await asyncio.sleep(chance.uniform(0, 0.05))
                kill(process)
        finally:
            kill(lasting)
        async with EventStream.open(url, journal=tmp_path / "journal") as stream:
            await all_announced(store, stream)


@kept
async def test_a_frozen_process_holds_up_nobody_and_doubles_nothing(url: str, store: Store, tmp_path: Path) -> None:
    ours, theirs = multiprocessing.Pipe()
    process = spawn(make_things, url, str(tmp_path / "journal"), "frozen", theirs)
    try:
        await until(ours.poll)
        async with EventStream.open(url, journal=tmp_path / "journal") as stream:
            for number in range(20):
                assert process.pid is not None
                freeze(process.pid)
                if _writable(url):  # else it holds SQLite's lock, which is another matter
                    await asyncio.to_thread(make, store, stream, f"p-{number:02d}")
                    await until(lambda: stream.stats()["backlog"] == 0)
                thaw(process.pid)
                await asyncio.sleep(0.01)
            kill(process)
            await all_announced(store, stream)
    finally:
        kill(process)


def _writable(url: str) -> bool:
    if not url.startswith("sqlite"):
        return True
    with closing(sqlite3.connect(sqlite_path(url), timeout=0.01, isolation_level=None)) as db:
        try:
            db.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            return False
    return True


@pytest.mark.parametrize("url", ["memory", "sqlite", "redis", "cluster"], indirect=True)
def test_rows_leave_no_revisions_behind(store: Store) -> None:
    written = store.write([DocumentChange(COLLECTION, "a", b"1", expected=0), DocumentChange(THINGS, "a", b"2")])
    assert (store.revision(COLLECTION), written.steps[COLLECTION].after) == (0, (0, ""))
    assert written.steps[THINGS].after == store.mark(THINGS) != (0, "")
    with pytest.raises(Conflict):
        store.put(COLLECTION, "a", b"1", expected=0)
    assert [row.key for row in store.scan(COLLECTION)] == ["a"]
    assert store.delete(COLLECTION, "a")

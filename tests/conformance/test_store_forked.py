"""Stores in forked processes: connections of their own, no lock that nobody opens, nothing lost on either side."""

from __future__ import annotations

import asyncio
import os
import threading
from pathlib import Path

import pytest

from brain import EventStream, HealthEvent, ImmuneService, ThreatService
from brain.errors import Unavailable
from brain.immune import HealthKind, HealthSeverity
from brain.store import Store, forking, open_store
from support.forks import Parent, forked, in_child
from support.log_lines import caught_logs
from support.sizes import sizes
from support.waiting import wait_until

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
shared = pytest.mark.parametrize("url", ["sqlite", "redis", "cluster"], indirect=True)


def keys(store: Store) -> list[str]:
    return [document.key for document in store.scan("c")]


@shared
def test_both_processes_go_on(store: Store) -> None:
    store.put("c", "a", b"before")

    def work(parent: Parent) -> object:
        store.put("c", "b", b"child")
        parent.send(keys(store))
        assert parent.receive() == "written"
        parent.send(keys(store))
        store.close()
        return "closed"

    with forked(work) as child:
        assert child.receive() == ["a", "b"]
        store.put("c", "d", b"parent")
        child.send("written")
        assert child.receive() == ["a", "b", "d"]
        assert child.receive() == "closed"
    store.put("c", "e", b"parent")
    assert keys(store) == ["a", "b", "d", "e"]


@shared
def test_a_child_of_a_child(store: Store) -> None:
    def work() -> object:
        store.put("c", "b", b"child")
        return [*in_child(lambda: store.put("c", "d", b"grandchild") and keys(store)), *keys(store)]

    assert in_child(work) == ["b", "d", "b", "d"]
    assert keys(store) == ["b", "d"]


async def test_a_child_outlives_its_parents_sqlite_file(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'brain.db'}"
    store = open_store(url)
    store.put("c", "a", b"before")

    def work(parent: Parent) -> object:
        parent.send(keys(store))
        for key in parent.receive():
            store.put("c", key, b"child")
            parent.send(keys(store))
        parent.receive()
        return keys(store)

    async with EventStream.open(url) as stream:
        with forked(work) as child:
            assert child.receive() == ["a"]
            await stream.close()
            store.close()  # the last connection of all, were it not for the child's
            child.send(["b", "d"])
            assert [child.receive(), child.receive()] == [["a", "b"], ["a", "b", "d"]]
            other = open_store(url)
            assert keys(other) == ["a", "b", "d"]
            other.put("c", "e", b"other")
            child.send("written")
            assert child.receive() == ["a", "b", "d", "e"]
            other.close()


@pytest.mark.parametrize("forks", sizes(2, 100))
@pytest.mark.parametrize("url", ["memory", "sqlite", "redis"], indirect=True)
def test_threads_of_the_parent_at_work_hang_no_child(store: Store, forks: int) -> None:
    ended = threading.Event()

    def work(number: int) -> None:
        while not ended.is_set():
            store.put("c", f"k{number}", b"x" * 1000)
            store.scan("c")

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    try:
        wait_until(lambda: len(keys(store)) == len(threads))
        for turn in range(forks):
            assert in_child(lambda turn=turn: store.put("of-child", f"t{turn}", b"x") and store.revision("c")) >= 0
    finally:
        ended.set()
        for thread in threads:
            thread.join()
    assert keys(store) == [f"k{number}" for number in range(4)]


def is_taken(lock: forking.ForkLock) -> bool:
    """Whether another thread has it."""
    free = lock.acquire(blocking=False)
    if free:
        lock.release()
    return not free


def test_a_fork_does_not_wait_for_ever_for_a_thread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a thread that has a connection. One inside SQLite could leave the library's own locks taken in the child."""
    monkeypatch.setattr(forking, "PATIENCE", 0.05)
    held, let_go = threading.Event(), threading.Event()

    def hold() -> None:
        with store._writer:  # type: ignore[attr-defined]
            held.set()
            assert let_go.wait(30)

    def work(parent: Parent) -> object:
        parent.send(keys(store))
        parent.receive()
        store.put("c", "b", b"child")
        return keys(store)

    store = open_store(f"sqlite:///{tmp_path}/brain.db")
    holder = threading.Thread(target=hold)
    holder.start()
    assert held.wait(30)
    with forked(work) as child:
        assert child.receive() == []
        let_go.set()
        holder.join()
        store.put("c", "a", b"parent")
        child.send("go on")
        assert child.receive() == ["a", "b"]
    store.close()


class Begun(forking.Part):
    """Says that a fork has begun: of its level, the part made last is called first."""

    level = forking.Level.SERVICE

    def __init__(self) -> None:
        self.event = threading.Event()
        forking.register(self)

    def before_fork(self) -> None:
        self.event.set()


def test_a_fork_takes_locks_in_the_order_in_which_threads_take_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forking, "PATIENCE", 1.0)
    service, outbox = forking.ForkLock(forking.Level.SERVICE), forking.ForkLock(forking.Level.OUTBOX)
    forking.register(service)
    forking.register(outbox)
    begun, holds = Begun(), threading.Event()

    def change() -> None:
        with service:
            holds.set()
            begun.event.wait(10)
            forking.register(forking.ForkLock())  # nor does making a part wait for the fork
            with outbox:
                pass

    thread = threading.Thread(target=change)
    thread.start()
    assert holds.wait(10)
    with caught_logs() as lines:
        assert in_child(lambda: "made") == "made"
    thread.join()
    assert lines == []


def test_a_file_that_is_gone_is_named_and_had_again(tmp_path: Path) -> None:
    path = tmp_path / "brain.db"
    store = open_store(f"sqlite:///{path}")
    store.put("c", "a", b"before")

    def work() -> object:
        path.rename(tmp_path / "moved.db")
        path.mkdir()
        with pytest.raises(Unavailable, match="was replaced by another"):
            store.get("c", "a")
        path.rmdir()
        (tmp_path / "moved.db").rename(path)
        return keys(store)

    assert in_child(work) == ["a"]
    store.close()


def test_a_closed_store_stays_closed_over_a_fork(tmp_path: Path) -> None:
    store = open_store(f"sqlite:///{tmp_path / 'brain.db'}")
    store.close()

    def work() -> object:
        with pytest.raises(Unavailable, match="closed"):
            store.get("c", "k")
        return "said so"

    assert in_child(work) == "said so"
    with pytest.raises(Unavailable, match="closed"):
        store.get("c", "k")


@shared
def test_threats_and_health_in_a_child(store: Store) -> None:
    threats, immune = ThreatService(store=store), ImmuneService(store=store)
    sick = HealthEvent(severity=HealthSeverity.WARNING, kind=HealthKind.ERROR_SPIKE, module="m", message="errors")

    async def work() -> list[object]:
        threat = await threats.create_threat("scan", "10.0.0.1")
        await threats.update_threat_status(threat.id, "INVESTIGATING")
        return [threat.id, await immune.publish_event(sick), immune.health_summary().status]

    before = asyncio.run(work())
    after = in_child(lambda: asyncio.run(work()))
    assert after[1:] == [2, before[2]]
    found = asyncio.run(threats.list_threats(status="INVESTIGATING"))
    assert {threat.id for threat in found} == {before[0], after[0]}
    assert len(immune.get_recent_events()) == 2


@pytest.mark.parametrize("forks", sizes(2, 40))
@shared
def test_threats_in_children_of_a_busy_parent(store: Store, forks: int) -> None:
    threats, ended = ThreatService(store=store), threading.Event()

    def look() -> None:
        while not ended.is_set():
            asyncio.run(threats.create_threat("scan", "10.0.0.1"))

    threads = [threading.Thread(target=look) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(forks):
            made = in_child(lambda: asyncio.run(threats.create_threat("of-child", "10.0.0.2")).id)
            assert asyncio.run(threats.get_threat(made)).source == "10.0.0.2"
    finally:
        ended.set()
        for thread in threads:
            thread.join()
    assert len(asyncio.run(threats.list_threats(type="of-child"))) == forks

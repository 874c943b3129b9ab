"""Programs that end without closing their stream: all is stored, no journal is left, in a second at most."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from brain import EventStream
from support.ports import free_port
from support.redis_server import RedisServer
from support.signals import freeze, thaw
from support.waiting import wait_until

_PROGRAM = """
import asyncio, atexit, multiprocessing, os, sys, threading
from brain import Event, EventStream

stream = EventStream.open_sync(sys.argv[1], journal=sys.argv[2])

def publish(first, count=250):
    for n in range(first, first + count):
        receipt = stream.publish(Event(type="test.happened", source="test_service", payload={"n": n}))
        assert receipt.refused is None, receipt.refused

publish(0)
"""
_ENDS = {
    "the last line": "",
    "sys.exit": "sys.exit(0)",
    "an exception": "raise ValueError('on purpose')",
    "asyncio.run": """
async def main():
    other = await EventStream.open(sys.argv[1], journal=sys.argv[2])
    await other.publish(Event(type="test.happened", source="test_service", payload={"n": 250}))
    asyncio.create_task(anext(stream.subscribe("never.*", group="readers")))
    await asyncio.sleep(0)

asyncio.run(main())
""",
    "a thread that goes on": """
ready = threading.Event()
def later():
    threading.main_thread().join()
    publish(250)
threading.Thread(target=later).start()
""",
    "a function of atexit": "atexit.register(publish, 250)",
    "a child of multiprocessing": """
child = multiprocessing.get_context("fork").Process(target=publish, args=(250,))
child.start()
child.join()
""",
}

_MORE = ("the last line", "sys.exit", "a thread that goes on", "a function of atexit")
"""Ends that only a long run looks at: each test here starts an interpreter."""


def numbers(database: Path) -> list[int]:
    with closing(sqlite3.connect(database)) as db:
        rows = db.execute("SELECT json_extract(CAST(data AS TEXT), '$.payload.n') FROM events").fetchall()
    return sorted(n for (n,) in rows)


def run(program: str, url: str, journal: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", program, url, str(journal)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("end", [pytest.param(end, marks=[pytest.mark.long] * (end in _MORE)) for end in _ENDS])
def test_all_is_stored_and_no_folder_is_left(end: str, tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    ended = run(_PROGRAM + _ENDS[end], f"sqlite:///{tmp_path / 'brain.db'}", journal)
    assert ended.returncode == (1 if end == "an exception" else 0), ended.stderr
    found = numbers(tmp_path / "brain.db")
    assert found == list(range(max(250, len(found))))
    assert len(found) == {"asyncio.run": 251}.get(
        end, 250 if end in ("the last line", "sys.exit", "an exception") else 500
    )
    assert list(journal.iterdir()) == []


def test_what_is_published_after_the_end_is_kept_for_the_next_start(tmp_path: Path) -> None:
    # Registered before ours, so called after it.
    program = "import atexit\natexit.register(lambda: publish(250))\n" + _PROGRAM
    url, journal = f"sqlite:///{tmp_path / 'brain.db'}", tmp_path / "journal"
    ended = run(program, url, journal)
    assert ended.returncode == 0, ended.stderr
    assert numbers(tmp_path / "brain.db") == list(range(250))
    assert len(list(journal.iterdir())) == 1
    left_over(url, journal)
    assert numbers(tmp_path / "brain.db") == list(range(500))
    assert list(journal.iterdir()) == []


def left_over(url: str, journal: Path) -> None:
    """Open the stream until what ended processes left is stored."""
    with EventStream.open_sync(url, journal=journal) as stream:
        wait_until(lambda: {path.name for path in journal.iterdir()} == {stream.journal_name})


def test_os_exit_leaves_the_journal_for_the_next_start_however_short_it_is(tmp_path: Path) -> None:
    url, journal = f"sqlite:///{tmp_path / 'brain.db'}", tmp_path / "journal"
    assert run(_PROGRAM + "os._exit(7)", url, journal).returncode == 7
    (left,) = journal.iterdir()
    assert sum(path.stat().st_size for path in left.iterdir()) < 400_000  # no 8 MiB for so few
    assert run(_PROGRAM, url, journal).returncode == 0
    assert len(numbers(tmp_path / "brain.db")) == 500
    assert list(journal.iterdir()) == []


_TIMED = """
import atexit, os, time
times = []
atexit.register(lambda: os.write(1, str(time.monotonic() - times[0]).encode()))  # called last
"""
_HANGING = """
async def main():
    asyncio.create_task(stream.read())  # a call that hangs, in a thread
    await asyncio.sleep(0.05)
asyncio.run(main())
atexit.register(lambda: times.append(time.monotonic()))  # called first
"""


def test_without_a_backend_nothing_is_lost_and_nothing_is_waited_for(tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    silent = "\nsilent = EventStream.open_sync(sys.argv[1], journal=sys.argv[2] + '-silent')\n"
    ended = run(_PROGRAM + silent, f"redis://127.0.0.1:{free_port()}/0", journal)
    assert ended.returncode == 0, ended.stderr
    assert len(list(journal.iterdir())) == 1
    assert list((tmp_path / "journal-silent").iterdir()) == []  # where nothing was published


@pytest.mark.alone
def test_a_backend_that_hangs_holds_up_the_end_for_a_second_at_most(redis_server: RedisServer, tmp_path: Path) -> None:
    assert redis_server.process is not None
    freeze(redis_server.process.pid)
    try:
        ended = run(_TIMED + _PROGRAM + _HANGING, redis_server.url, tmp_path / "journal")
    finally:
        thaw(redis_server.process.pid)
    assert ended.returncode == 0, ended.stderr
    assert float(ended.stdout) <= 1.0
    left_over(redis_server.url, tmp_path / "journal")
    with EventStream.open_sync(redis_server.url, journal=tmp_path / "journal") as stream:
        assert [event.payload["n"] for event in stream.replay_sync("test.*")] == list(range(250))


_CHANGES = """
import asyncio, sys
from brain import EventStream, ThreatService
from brain.store import open_store

stream = EventStream.open_sync(sys.argv[1], journal=sys.argv[2])
threats = ThreatService(stream, open_store(sys.argv[1]))

async def main():
    for n in range(50):
        await threats.create_threat("probe", f"agent-{n}")

asyncio.run(main())
"""


def test_events_of_changes_are_stored_too(tmp_path: Path) -> None:
    ended = run(_CHANGES, f"sqlite:///{tmp_path / 'brain.db'}", tmp_path / "journal")
    assert ended.returncode == 0, ended.stderr
    with closing(sqlite3.connect(tmp_path / "brain.db")) as db:
        assert db.execute("SELECT count(*) FROM brain_events WHERE type = 'threat.detected'").fetchone() == (50,)
        assert db.execute("SELECT count(*) FROM documents WHERE collection = 'events.outbox'").fetchone() == (0,)

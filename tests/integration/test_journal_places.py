"""What others do to the files under an open stream: removed, cut short, replaced, linked; and where its paths lead."""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

import httpx
import pytest

from brain import Event, EventStream
from brain.errors import Unavailable
from brain.store import open_store
from brain.stream import journal
from brain.stream.journal import Journal, segments
from support.server import running_server, without_consumers
from support.waiting import until, wait_until


def make(number: int) -> Event:
    return Event(type="test.happened", source="test_service", payload={"n": number, "text": "x" * 200})


async def numbers(stream: EventStream) -> list[int]:
    return [event.payload["n"] async for event in stream.replay("test.*")]


@pytest.fixture
def small_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal.Journal.__init__, "__defaults__", (16_384,))


def whole_root(root: Path) -> None:
    shutil.rmtree(root)


def own_folder(root: Path) -> None:
    shutil.rmtree(next(root.iterdir()))


def all_files(root: Path) -> None:
    for path in next(root.iterdir()).iterdir():
        path.unlink()


@pytest.mark.parametrize("remove", [whole_root, own_folder, all_files])
@pytest.mark.parametrize("after_a_look", [False, True])
async def test_a_removed_journal_is_made_again(
    tmp_path: Path, small_segments: None, remove: Callable[[Path], None], after_a_look: bool
) -> None:
    root = tmp_path / "journal"
    async with EventStream.open(f"sqlite:///{tmp_path / 'brain.db'}", journal=root) as stream:
        for n in range(10):
            receipt = stream.publish(make(n))
        await receipt
        folder = root / stream.journal_name
        remove(root)
        if after_a_look:
            await until(lambda: folder.is_dir() and len(segments(folder)) == 1 and (folder / "lock").exists())
        for n in range(10, 500):  # over many segments
            receipt = stream.publish(make(n))
            assert receipt.refused is None
        await receipt
        assert await numbers(stream) == list(range(500))
        assert (stream.stats()["backlog"], stream.stats()["damaged"]) == (0, 0)
        assert segments(folder)
    assert list(root.iterdir()) == []


async def test_a_segment_cut_short_gets_its_length_back(tmp_path: Path) -> None:
    async with EventStream.open(f"sqlite:///{tmp_path / 'brain.db'}") as stream:
        await stream.publish(make(0))
        folder = tmp_path / "brain.db.journal" / stream.journal_name
        segment = folder / "0000000000000000.seg"
        size = segment.stat().st_size
        os.truncate(segment, 0)
        await until(lambda: segment.stat().st_size == size)
        await stream.publish(make(1))
        assert await numbers(stream) == [0, 1]


async def test_relative_places_stay_where_they_were(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here, elsewhere = tmp_path / "here", tmp_path / "elsewhere"
    here.mkdir()
    elsewhere.mkdir()
    monkeypatch.chdir(here)
    monkeypatch.setattr(journal.Journal.__init__, "__defaults__", (16_384,))
    store = open_store("sqlite:///state.db")
    async with EventStream.open("sqlite:///brain.db", journal="journals") as stream:
        await stream.publish(make(0))
        monkeypatch.chdir(elsewhere)
        for n in range(1, 300):
            receipt = stream.publish(make(n))
        await receipt
        assert await numbers(stream) == list(range(300))
        assert stream.url == f"sqlite:///{here / 'brain.db'}"
        store.put("c", "k", b"v")
        found = store.get("c", "k")
        assert found is not None
        assert found.data == b"v"
    store.close()
    assert list(elsewhere.iterdir()) == []
    assert {"brain.db", "journals", "state.db"} <= {path.name for path in here.iterdir()}


async def test_a_relative_journal_for_redis_stays_where_it_was(
    redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small_segments: None
) -> None:
    monkeypatch.chdir(tmp_path)
    async with EventStream.open(redis_url) as stream:
        (tmp_path / "elsewhere").mkdir()
        monkeypatch.chdir(tmp_path / "elsewhere")
        for n in range(300):
            receipt = stream.publish(make(n))
        await receipt
        assert await numbers(stream) == list(range(300))
    assert list((tmp_path / "elsewhere").iterdir()) == []


async def test_two_paths_to_one_database_have_one_journal_root(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "app").symlink_to(tmp_path / "data")
    (tmp_path / "link.db").symlink_to(tmp_path / "data" / "brain.db")
    left = Journal(tmp_path / "data" / "brain.db.journal" / "0123456789abcdef")
    left.append(make(7).encode(), False)
    left.close()
    for name in ("link.db", "app/brain.db", "data/brain.db"):
        async with EventStream.open(f"sqlite:///{tmp_path / name}") as stream:
            await until(lambda: not left.folder.exists())
            assert await numbers(stream) == [7]
            assert (tmp_path / "data" / "brain.db.journal" / stream.journal_name).is_dir()
    assert not (tmp_path / "link.db.journal").exists()


_MANY = """
import asyncio, resource, sys
from pathlib import Path
from brain import Event, EventStream
from brain.stream.journal import Journal

root, count = Path(sys.argv[1]), int(sys.argv[2])
for number in range(count):
    journal = Journal(root / "brain.db.journal" / f"{number:016x}", 4096)
    journal.append(Event(type="test.happened", source="test_service", payload={"n": number}).encode(), False)
    journal.close()
resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))

async def main():
    async with EventStream.open(f"sqlite:///{root / 'brain.db'}") as stream:
        await stream.publish(Event(type="own.happened", source="test_service", payload={}))
        async with asyncio.timeout(100):
            while stream.stats()["recovered"] < count:
                await asyncio.sleep(0.01)
        found = sorted([event.payload["n"] async for event in stream.replay("test.*")])
        assert found == list(range(count)), len(found)
        assert stream.stats()["ship_failures"] == 0, stream.last_error

asyncio.run(main())
"""


def test_many_dead_journals_need_few_descriptors(tmp_path: Path) -> None:
    command = [sys.executable, "-c", _MANY, str(tmp_path), "1200"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert ended.returncode == 0, ended.stderr


async def test_what_is_no_journal_delays_nobody(tmp_path: Path) -> None:
    root = tmp_path / "brain.db.journal"
    for name in ("0000000000000000", "0000000000000002", "0000000000000003", "fffffffffffffff1"):
        (root / name).mkdir(parents=True)
    (root / "0000000000000001").write_text("a stray file with the name of a journal")
    (root / "notes.txt").write_text("another")
    (root / "0000000000000002" / "lock").mkdir()  # a folder of somebody else
    (root / "0000000000000003" / f"{0:016d}.seg").mkdir()  # and one whose segment cannot be read
    (root / "fffffffffffffff1" / "important").write_text("of somebody else")
    left = Journal(root / "fffffffffffffff2")
    left.append(make(1).encode(), False)
    left.close()
    async with EventStream.open(f"sqlite:///{tmp_path / 'brain.db'}") as stream:
        began = time.monotonic()
        for n in range(2, 12):
            await stream.publish(make(n))
        await until(lambda: stream.stats()["recovered"] == 1)
        assert time.monotonic() - began < 5.0
        assert sorted(await numbers(stream)) == list(range(1, 12))
        assert (root / "0000000000000001").is_file()


def delete(path: Path) -> None:
    path.unlink()


def replace(path: Path) -> None:
    new = path.with_name("new.db")
    sqlite3.connect(new).close()
    new.touch()
    new.replace(path)


@pytest.mark.parametrize("happen", [delete, replace])
async def test_a_database_deleted_or_replaced_under_the_stream_is_said(
    tmp_path: Path, happen: Callable[[Path], None], caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "brain.db"
    store = open_store(f"sqlite:///{path}")
    async with EventStream.open(f"sqlite:///{path}") as stream:
        await stream.publish(make(0))
        happen(path)
        assert stream.publish(make(1)).refused is None
        await until(lambda: "while it was open; restart this process" in stream.last_error)
        assert stream.stats()["backlog"] == 1
        with pytest.raises(Unavailable, match=r"brain\.db: was (deleted|replaced) .* while it was open"):
            await stream.read()
        with pytest.raises(Unavailable, match="while it was open"):
            store.put("c", "k", b"v")
        assert "SQLite file lost" in caplog.text
        store.close()
        await stream.close(timeout=0.1)
    async with EventStream.open(f"sqlite:///{path}") as again:  # the journal has kept what the new file has not
        await until(lambda: again.stats()["recovered"] >= 1)
        assert (await numbers(again))[-1] == 1


async def test_a_server_whose_database_was_deleted_is_not_ready(tmp_path: Path) -> None:
    path = tmp_path / "brain.db"
    async with running_server(without_consumers(f"sqlite:///{path}")) as (_, client):
        assert (await client.get("/readyz")).status_code == 200
        path.unlink()
        answer: httpx.Response = await client.get("/readyz")
        assert answer.status_code == 503
        assert answer.json()["checks"]["stream"] == "unavailable; see the log"


_FORKING = """
import asyncio, os, sqlite3, sys
from brain import Event, EventStream

async def main():
    stream = await EventStream.open(f"sqlite:///{sys.argv[1]}")
    writing = sqlite3.connect(sys.argv[1], isolation_level=None)
    writing.execute("BEGIN IMMEDIATE")  # so that nothing leaves the journal
    for n in range(3):
        stream.publish(Event(type="test.happened", source="test_service", payload={"n": n}))
    child = os.fork()
    if child == 0:
        os.read(0, 1)  # until the test ends it
        os._exit(0)
    print(child, flush=True)
    os.kill(os.getpid(), 9)

asyncio.run(main())
"""


def has_ended(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


async def test_a_forked_child_does_not_hold_its_killed_parents_journal(tmp_path: Path) -> None:
    path = tmp_path / "brain.db"
    command = (sys.executable, "-c", _FORKING, str(path))
    parent = await asyncio.create_subprocess_exec(*command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert parent.stdin is not None
    assert parent.stdout is not None
    child = int(await parent.stdout.readline())
    await until(lambda: has_ended(parent.pid))
    async with EventStream.open(f"sqlite:///{path}") as stream:
        await until(lambda: stream.stats()["recovered"] == 3)
        assert await numbers(stream) == [0, 1, 2]
    os.kill(child, 0)  # it lives
    parent.stdin.close()
    await until(lambda: has_ended(child))


def test_streams_that_share_a_folder_of_journals_take_up_their_own_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """What a killed process has left goes to the stream that it was published to, whoever comes first."""
    root, urls = tmp_path / "journals", [f"sqlite:///{tmp_path / name}.db" for name in ("tenant-a", "tenant-b")]
    killed = "import os, sys; from brain import Event, EventStream\n" + dedent(
        """
        stream = EventStream.open_sync(sys.argv[1], journal=sys.argv[2])
        for number in range(2_000):
            stream.publish(Event(type="test.happened", source="test_service", payload={"n": number}))
        os._exit(9)
        """
    )
    subprocess.run([sys.executable, "-c", killed, urls[0], str(root)], check=False)
    (left,) = root.iterdir()
    with EventStream.open_sync(urls[1], journal=root) as stream:
        wait_until(lambda: "a journal of another stream is passed over" in caplog.text)
        assert stream.read_sync() == []
    with EventStream.open_sync(urls[0], journal=root) as stream:
        wait_until(lambda: not left.exists())
        assert [event.payload["n"] for event in stream.replay_sync()] == list(range(2_000))

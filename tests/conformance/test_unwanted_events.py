"""An event that nobody wants costs next to nothing: no row, and at most one decode in the whole process."""

from __future__ import annotations

import sqlite3
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import redis

from brain import Event, EventStream, Pattern
from brain.charter import envelope
from brain.kit import projection
from brain.plugins import plugins
from brain.settings import Settings
from brain.store.sqlite import sqlite_path
from brain.stream.backends import Entry
from brain.stream.decoded import Page
from brain.stream.matching import type_filter
from support.server import running_server
from support.waiting import until


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> Counter[bytes]:
    """How often each event's bytes were decoded in this process."""
    counts: Counter[bytes] = Counter()
    lock = threading.Lock()
    real: Callable[[bytes], Any] = envelope._decode

    def counting(data: bytes) -> Any:
        with lock:
            counts[bytes(data)] += 1
        return real(data)

    monkeypatch.setattr(envelope, "_decode", counting)
    return counts


class Writes:
    """What was written to hand events out: rows of `pending` in SQLite, calls of the commands that hold in Redis."""

    def __init__(self, url: str) -> None:
        self._redis = redis.Redis.from_url(url) if url.startswith("redis://") else None
        if self._redis is None:
            self._file = sqlite_path(url)
            with sqlite3.connect(self._file) as db:
                db.execute("CREATE TABLE pending_writes (grp TEXT, position INTEGER)")
                for change, row in (("INSERT", "NEW"), ("DELETE", "OLD")):
                    db.execute(
                        f"CREATE TRIGGER pending_{change} AFTER {change} ON pending "
                        f"BEGIN INSERT INTO pending_writes VALUES ({row}.grp, {row}.position); END"
                    )

    def count(self) -> int:
        if self._redis is None:
            with sqlite3.connect(self._file) as db:
                return int(db.execute("SELECT count(*) FROM pending_writes").fetchone()[0])
        stats: Mapping[str, Mapping[str, int]] = self._redis.info("commandstats")
        return sum(stats.get(f"cmdstat_{name}", {}).get("calls", 0) for name in ("xclaim", "xreadgroup", "xack"))


@pytest.fixture(params=["sqlite", "redis"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'brain.db'}"
    return str(request.getfixturevalue("redis_url"))


READERS = {"threats", "immune", "immune.measures"} | {name for name, plugin in plugins().items() if plugin.runs} - {
    "approvals",
    "dna",
}
"""Who reads the stream of a new server; approvals does when people are named, dna when agents have genomes."""


async def settled(stream: EventStream) -> bool:
    groups = await stream.groups()
    return len(groups) == len(READERS) and all(group.lag == group.pending == 0 for group in groups)


async def test_one_event_that_nobody_wants(
    url: str, tmp_path: Path, decoded: Counter[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Among all the plug-ins of a whole server, whose audit log and metrics do take every event there is."""
    monkeypatch.setattr(projection, "_STORE_AFTER", 0.0)  # one stores at once that it has passed it over
    event = Event(type="weather.changed", source="weather_service", payload={"sky": "grey"})
    settings = Settings(stream=url, database=f"sqlite:///{tmp_path / 'consumers.db'}", port=0)
    async with running_server(settings) as (server, _):
        await until(lambda: settled(server.stream))
        writes = Writes(url)
        before = writes.count()
        await server.stream.publish(event)
        await until(lambda: settled(server.stream))
        assert writes.count() == before
    assert decoded[event.encode()] == 1


async def test_one_event_that_one_group_wants(url: str, decoded: Counter[bytes]) -> None:
    unwanted = [Event(type="weather.changed", source="weather_service", payload={"n": n}) for n in range(1000)]
    wanted = Event(type="order.placed", source="order_service", payload={"n": -1})
    async with EventStream.open(url) as stream:
        for event in (*unwanted, wanted, *unwanted[:10]):
            receipt = stream.publish(event)
        await receipt
        decoded.clear()
        received = stream.subscribe("order.*", group="orders")
        assert (await anext(received)).id == wanted.id
        await received.aclose()
    assert decoded == {wanted.encode(): 1}


def entries(count: int) -> Iterator[Entry]:
    for n in range(count):
        yield Entry(str(n), Event(type="test.happened", source="test_service", payload={"n": n}).encode())


def test_a_page_decodes_what_is_wanted_once(decoded: Counter[bytes]) -> None:
    some = [*entries(10), Entry("99", b"no event")]
    page = Page(some)
    odd = [
        one.event for one in page.decoded(lambda data: Event.decode(data).payload["n"] % 2 if b"{" in data else False)
    ]
    decoded.clear()
    assert [event.payload["n"] for event in odd if event] == [1, 3, 5, 7, 9]
    for _ in range(2):
        items = page.decoded(None)
        assert [one.event.payload["n"] if one.event else None for one in items] == [*range(10), None]
    assert [decoded[entry.data] for entry in some] == [1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1]
    assert len({one.digest for one in items}) == 11


def test_pages_that_overlap_decode_what_is_in_both_once(decoded: Counter[bytes]) -> None:
    some = [*entries(6)]
    first, second, other = Page(some[:4]), Page(some[2:]), Page([Entry("2", b"another"), some[3]])
    for page in (second, other):
        page.share([first])
    positions = [[item.position for item in page.decoded(None)] for page in (second, first, other)]
    assert positions == [["2", "3", "4", "5"], ["0", "1", "2", "3"], ["2", "3"]]
    assert other.decoded(None)[0].event is None, "other bytes at the same position are another event"
    assert {entry.data: 1 for entry in some} | {b"another": 1} == decoded


def test_many_threads_decode_an_event_once(decoded: Counter[bytes]) -> None:
    some = list(entries(200))
    page, start = Page(some), threading.Barrier(4)

    def read() -> None:
        start.wait()
        page.decoded(None)

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [decoded[entry.data] for entry in some] == [1] * 200


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b'{"id":"x","type":"threat.detected"}', True),
        (b'{"payload":{"type":"threat.detected"},"type":"policy.x"}', False),
        (b'{ "type" : "threat.detected", "payload": {"deep": [1, {"type": "policy.x"}]} }', True),
        (b'{"type":"policy.x","type":"threat.detected"}', True),  # the last one counts, as when it is decoded
        (b'{"type":"thr\\u0065at.detected"}', True),
        (b'{"type":7}', True),  # no event: whoever handles it finds that out
        (b'{"id":"x"}', True),
        (b"\xff\xfe", True),
        (b"[" * 100_000, True),
        (b"", True),
    ],
)
def test_the_type_is_read_as_it_would_be_decoded(data: bytes, expected: bool) -> None:
    wanted = type_filter(Pattern("threat.*"))
    assert wanted is not None
    assert wanted(data) is expected
    assert type_filter(Pattern(["threat.*", "*"])) is None

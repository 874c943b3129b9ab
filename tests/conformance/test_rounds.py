"""Projections at one place go on together: one read and one transaction; a fault of one is nobody else's."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import sqlalchemy as sa

from brain import Event, EventStream
from brain.errors import Unavailable
from brain.kit import rounds as kit_rounds
from brain.kit.database import create_tables, open_database
from brain.kit.positions import POSITIONS
from brain.kit.projection import Item, Projection
from brain.kit.rounds import Rounds
from brain.stream.backends import Entry
from brain.stream.decoded import Page
from support.projecting import projection_on
from support.waiting import until

METADATA = sa.MetaData()
APPLIED = sa.Table(
    "test_applied",
    METADATA,
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("name", sa.Text),
    sa.Column("n", sa.Integer),
)
NAMES = ("one", "three", "two")


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[sa.Engine]:
    if request.param == "sqlite":
        engine = open_database(f"sqlite:///{tmp_path / 'consumers.db'}")
    else:
        engine = open_database(request.getfixturevalue("postgres").url)
    create_tables(engine, METADATA)
    yield engine
    engine.dispose()


def make(number: int, event_type: str = "test.happened") -> Event:
    return Event(type=event_type, source="test_service", payload={"n": number})


class Writing:
    """Writes what it is given under a name; an event of the type `bad` fails."""

    def __init__(self, name: str, bad: str = "") -> None:
        self.name = name
        self.bad = bad

    def __call__(self, db: sa.Connection, items: Sequence[Item]) -> None:
        events = [item.event for item in items if item.event is not None]
        rows = [{"name": self.name, "n": event.payload["n"]} for event in events]
        db.execute(APPLIED.insert(), rows)
        if any(event.type == self.bad for event in events):
            raise ValueError("not this one")


class Running:
    """Projections that run inside the block."""

    def __init__(self, *projections: Projection) -> None:
        self.projections = projections
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Running:
        self._tasks = [asyncio.create_task(one.run()) for one in self.projections]
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.wait(self._tasks)
        assert all(task.cancelled() for task in self._tasks)


def written(engine: sa.Engine) -> dict[str, list[int]]:
    with engine.begin() as db:
        rows = db.execute(sa.select(APPLIED.c.name, APPLIED.c.n).order_by(APPLIED.c.number)).all()
    return {name: [n for who, n in rows if who == name] for name in NAMES}


async def test_one_reads_for_all_and_on_sqlite_they_commit_together(
    stream: EventStream, database: sa.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(60):
        receipt = stream.publish(make(number))
    await receipt
    read: Counter[str] = Counter()
    real = stream.backend.read_common

    def counting(after: str, limit: int) -> object:
        read[after] += 1
        return real(after, limit)

    monkeypatch.setattr(stream.backend, "read_common", counting)
    commits: list[str] = []
    sa.event.listen(database, "commit", lambda connection: commits.append(""))
    projections = [projection_on(stream, database, name, Writing(name), batch=20) for name in NAMES]
    async with Running(*projections):
        await until(lambda: all(one.applied == 60 for one in projections))
        for number in range(60, 63):
            await stream.publish(make(number))
            await until(lambda count=number: all(one.applied > count for one in projections))  # type: ignore[misc]
    assert written(database) == {key: list(range(63)) for key in NAMES}
    pages = [after for after, times in read.items() if times == 1]
    assert len(pages) >= 3  # of the backlog: each is read once, not three times
    with database.begin() as db:
        assert len(set(db.execute(sa.select(POSITIONS.c.position, POSITIONS.c.applied)).all())) == 1


async def test_a_fault_of_one_rolls_nobody_else_back(stream: EventStream, database: sa.Engine) -> None:
    for number in range(12):
        receipt = stream.publish(make(number, "test.bad" if number == 5 else "test.happened"))
    await receipt
    projections = [
        projection_on(stream, database, name, Writing(name, "test.bad" if name == "two" else ""), batch=12)
        for name in NAMES
    ]
    async with Running(*projections):
        await until(lambda: all(one.applied == 12 for one in projections[:2]))
        await until(lambda: projections[2].dead == 1 and projections[2].applied == 11)
    everything = list(range(12))
    assert written(database) == {"one": everything, "three": everything, "two": everything[:5] + everything[6:]}


async def test_who_comes_later_catches_up_and_nobody_waits_for_who_left(
    stream: EventStream, database: sa.Engine
) -> None:
    first, second, third = (projection_on(stream, database, name, Writing(name), batch=5) for name in NAMES)
    await stream.publish(make(0))
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(Running(first))
        await until(lambda: first.applied == 1)
        async with Running(second):
            for number in range(1, 30):
                receipt = stream.publish(make(number))
            await receipt
            await until(lambda: first.applied == second.applied == 30)
        await stream.publish(make(30))  # the second one is cancelled
        await until(lambda: first.applied == 31)
        await stack.enter_async_context(Running(third))
        await until(lambda: third.applied == 31)
    assert written(database) == {"one": list(range(31)), "three": list(range(30)), "two": list(range(31))}


async def test_what_was_redriven_for_one_is_read_by_that_one_alone(stream: EventStream, database: sa.Engine) -> None:
    writing = Writing("two", "test.bad")
    projections = [
        *(projection_on(stream, database, name, Writing(name)) for name in NAMES[:2]),
        projection_on(stream, database, "two", writing),
    ]
    async with Running(*projections):
        await stream.publish(make(0, "test.bad"))
        await until(lambda: projections[2].dead == 1)
        writing.bad = ""
        await stream.call(stream.backend.redrive, "two")
        await until(lambda: projections[2].applied == 1)
        await stream.publish(make(1))
        await until(lambda: all(one.applied == 2 for one in projections))
    assert written(database) == {key: [0, 1] for key in NAMES}


class Gated:
    """A member whose transaction goes on when its gate is open, and reaches the end of its page."""

    wants_all = True

    def __init__(self, group: str) -> None:
        self.group = group
        self.began = threading.Event()
        self.gate = threading.Event()
        self.fault: Exception | None = None
        self.reaches = ""  # where else than at the end of its page it arrives

    def passed_over(self, page: Page) -> str | None:
        return None

    def apply_page(self, db: sa.Connection, page: Page) -> Callable[[], str]:
        self.began.set()
        assert self.gate.wait(20)
        if self.fault is not None:
            raise self.fault
        return lambda: self.reaches or (page.entries[-1].position if page.entries else "2")


def opened(group: str) -> Gated:
    member = Gated(group)
    member.gate.set()
    return member


def page_of(*positions: int) -> Page:
    return Page([Entry(str(position), make(position).encode()) for position in positions])


async def turns(count: int = 20) -> None:
    """Let the event loop run whatever is ready."""
    for _ in range(count):
        await asyncio.sleep(0)


async def test_who_comes_to_where_a_round_is_under_way_does_not_wait_for_what_comes_after_it(
    stream: EventStream, database: sa.Engine
) -> None:
    rounds, page = Rounds(stream, database), Page(())
    early, late = Gated("early"), Gated("late")
    late.gate.set()
    rounds.enter(early, "1")
    first = asyncio.create_task(rounds.apply(early, "1", page))
    await until(early.began.is_set)
    rounds.enter(late, "1")
    second = asyncio.create_task(rounds.apply(late, "1", page))
    early.gate.set()
    assert (await asyncio.wait_for(first, 20)).position == (await asyncio.wait_for(second, 20)).position == "2"


async def test_who_is_late_decodes_nothing_again(stream: EventStream, database: sa.Engine) -> None:
    rounds, entry = Rounds(stream, database), Entry("2", make(1).encode())
    early, late = Gated("early"), Gated("late")
    pages = []
    for member in (early, late):
        member.gate.set()
        rounds.leave(early)
        rounds.enter(member, "1")
        page = await rounds.read(member, ("1", "", 10), lambda: Page([entry]))
        assert page is not None
        pages.append(page)
        assert (await rounds.apply(member, "1", page)).position == "2"
    assert pages[0] is not pages[1], "the late one has looked for itself"
    assert pages[0].decoded(None)[0].event is pages[1].decoded(None)[0].event is not None


async def test_who_is_a_page_ahead_waits_for_who_is_behind(stream: EventStream, database: sa.Engine) -> None:
    """They would follow each other through the whole stream: each page read, decoded and committed twice."""
    rounds, ahead, behind = Rounds(stream, database), opened("ahead"), opened("behind")
    rounds.enter(ahead, "1")
    assert (await rounds.apply(ahead, "1", page_of(2, 3, 4))).position == "4"
    rounds.enter(behind, "1")
    rounds.enter(ahead, "4")
    waiting = asyncio.create_task(rounds.apply(ahead, "4", page_of(5, 6)))
    await turns()
    assert not waiting.done()
    assert (await rounds.apply(behind, "1", page_of(2, 3))).position == "3"  # its page is a smaller one
    await turns()
    assert not waiting.done()
    rounds.enter(behind, "3")
    assert (await rounds.apply(behind, "3", page_of(4, 5, 6))).position == "4", "its round ends where the other one is"
    rounds.enter(behind, "4")
    await turns()
    assert not waiting.done()
    together = await rounds.apply(behind, "4", page_of(5, 6))
    assert together.position == (await waiting).position == "6"


@pytest.mark.parametrize("how", ["fails", "leaves", "is cancelled", "goes elsewhere", "is far behind"])
async def test_nobody_waits_for_who_does_not_come(stream: EventStream, database: sa.Engine, how: str) -> None:
    rounds, ahead, behind = Rounds(stream, database), opened("ahead"), Gated("behind")
    begins = "1" if how != "is far behind" else ""
    rounds.enter(ahead, "2")
    assert (await rounds.apply(ahead, "2", page_of(3, 4))).position == "4"
    rounds.enter(behind, begins)
    applying = asyncio.create_task(rounds.apply(behind, begins, page_of(2, 3, 4, 5) if begins else page_of(1)))
    await until(behind.began.is_set)
    rounds.enter(ahead, "4")
    database_waits_for_no_writer = database.dialect.name != "sqlite"
    waiting = asyncio.create_task(rounds.apply(ahead, "4", page_of(5)))
    await turns()
    if how == "is far behind" and database_waits_for_no_writer:
        assert (await asyncio.wait_for(waiting, 20)).position == "5"
    behind.fault = ValueError("not this one") if how == "fails" else None
    if how == "is cancelled":
        applying.cancel()
        await asyncio.wait([applying])
        rounds.leave(behind)  # as a projection does
    elif how == "leaves":
        rounds.leave(behind)
    elif how == "goes elsewhere":
        behind.reaches = "9"  # another process has moved it
    behind.gate.set()
    await asyncio.wait([applying])
    if how == "fails":
        rounds.leave(behind)  # as a projection does
    assert (await asyncio.wait_for(waiting, 20)).position == "5"


async def test_a_projection_that_runs_again_waits_for_its_round_under_way(
    stream: EventStream, database: sa.Engine
) -> None:
    """Its cancelled round ends later, and moved it: who waited until it knew its place was then woken by nobody."""
    began, gate = threading.Event(), threading.Event()

    def blocking(db: sa.Connection, items: Sequence[Item]) -> None:
        began.set()
        assert gate.wait(20)
        Writing("one")(db, items)

    first, other = projection_on(stream, database, "one", blocking), opened("other")
    await stream.publish(make(0))
    async with Running(first):
        await until(began.is_set)
    rounds = Rounds.of(stream, database)
    again = asyncio.create_task(first.run())
    await turns()
    assert first not in rounds._under_way, "it waits for the round of its first run"
    rounds.enter(other, "7")
    assert (await rounds.apply(other, "7", Page(()))).position == "2" if database.dialect.name != "sqlite" else True
    gate.set()
    await until(lambda: first in rounds._under_way or first.applied == 1)
    await stream.publish(make(1))
    await until(lambda: first.applied == 2)
    again.cancel()
    await asyncio.wait([again])
    assert written(database)["one"] == [0, 1]


async def test_what_one_member_met_is_its_own(
    stream: EventStream, database: sa.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also what is raised outside of its transaction, such as by the threads of the database."""
    real = kit_rounds._alone

    def failing(engine: sa.Engine, member: Gated, page: Page) -> object:
        if member.group == "bad":
            raise Unavailable("no thread")
        return real(engine, member, page)

    monkeypatch.setattr(kit_rounds, "_alone", failing)
    monkeypatch.setattr(kit_rounds, "_together", lambda engine, pages: [failing(engine, *each) for each in pages])
    rounds, good, bad = Rounds(stream, database), opened("good"), opened("bad")
    for member in (good, bad):
        rounds.enter(member, "1")
    fine = asyncio.create_task(rounds.apply(good, "1", page_of(2)))
    with pytest.raises(Unavailable):
        await rounds.apply(bad, "1", page_of(2))
    if database.dialect.name == "sqlite":  # one call, and so one outcome, for all
        with pytest.raises(Unavailable):
            await fine
    else:
        assert (await fine).position == "2"

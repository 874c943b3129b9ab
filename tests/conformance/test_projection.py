"""A projection applies each event once and in order, on every stream and both databases, whatever fails meanwhile."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from brain import Event, EventStream
from brain.kit import projection as projection_module
from brain.kit.database import create_tables, open_database
from brain.kit.positions import METADATA as POSITION_TABLES
from brain.kit.positions import POSITIONS
from brain.kit.projection import Item
from support.projecting import projecting
from support.waiting import until

METADATA = sa.MetaData()
APPLIED = sa.Table(
    "test_applied",
    METADATA,
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("position", sa.String(50)),
    sa.Column("data", sa.LargeBinary),
)


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


def write(db: sa.Connection, items: Sequence[Item]) -> None:
    db.execute(APPLIED.insert(), [{"position": item.position, "data": item.data} for item in items])


def written(engine: sa.Engine) -> list[bytes]:
    with engine.begin() as db:
        return [bytes(data) for data in db.execute(sa.select(APPLIED.c.data).order_by(APPLIED.c.number)).scalars()]


def running(stream: EventStream, engine: sa.Engine, apply: Any = write, **options: Any) -> Any:
    return projecting(stream, engine, "projected", apply, **options)


async def test_each_event_is_applied_once_in_order_and_the_group_knows(
    stream: EventStream, database: sa.Engine
) -> None:
    events = [make(n) for n in range(250)]
    for event in events[:150]:
        await stream.publish(event)
    async with running(stream, database, batch=40):
        await until(lambda: len(written(database)) == 150)
    for event in events[150:]:
        stream.publish(event)
    async with running(stream, database, batch=40), running(stream, database, batch=40):  # two that take turns
        await until(lambda: len(written(database)) == 250)

        async def caught_up() -> bool:
            (group,) = await stream.groups()
            return (group.name, group.lag, group.pending) == ("projected", 0, 0)

        await until(caught_up)
    assert written(database) == [event.encode() for event in events]


async def test_an_event_stored_twice_is_applied_once(stream: EventStream, database: sa.Engine) -> None:
    first = make(1)
    second = Event(id=f"evt_test_1_{'ab' * 2000}", type="test.happened", source="test_service", payload={})
    for event in (first, first, second, first, second):
        await stream.publish(event)
    async with running(stream, database, batch=2) as projection:
        await until(lambda: projection.applied + projection.duplicates == 5)
    assert written(database) == [first.encode(), second.encode()]


async def test_only_what_matches_is_applied(stream: EventStream, database: sa.Engine) -> None:
    wanted = [make(n, "threat.detected") for n in range(3)]
    for event in wanted:
        await stream.publish(make(0, "other.thing"))
        await stream.publish(event)
    async with running(stream, database, pattern="threat.*"):
        await until(lambda: len(written(database)) == 3)
    assert written(database) == [event.encode() for event in wanted]


@pytest.mark.parametrize("store_after", [1e9, 0.0])
async def test_the_stored_position_follows_what_nobody_wants(
    stream: EventStream, database: sa.Engine, store_after: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever waits for a projection to catch up asks the database: at once after a start, later now and then."""
    monkeypatch.setattr(projection_module, "_STORE_AFTER", store_after)
    create_tables(database, POSITION_TABLES)

    def stored() -> str:
        with database.begin() as db:
            return str(db.execute(sa.select(POSITIONS.c.position)).scalar())

    async def publish_unwanted() -> str:
        await stream.publish(make(1, "other.thing"))
        return await stream.publish(make(2, "other.thing"))

    first = await publish_unwanted()
    async with running(stream, database, pattern="threat.*"):
        await until(lambda: stored() == first)
        second = await publish_unwanted()
        if store_after:
            await stream.publish(make(3, "threat.detected"))
            await until(lambda: len(written(database)) == 1)
            second = stream.backend.tail()
        await until(lambda: stored() == second)
    third = await publish_unwanted()
    async with running(stream, database, pattern="threat.*"):
        await until(lambda: stored() == third)


async def test_an_event_that_cannot_be_applied_becomes_a_dead_letter_and_can_be_redriven(
    stream: EventStream, database: sa.Engine
) -> None:
    broken = True

    def apply(db: sa.Connection, items: Sequence[Item]) -> None:
        write(db, items)
        if broken and any(item.event and item.event.payload["n"] == 3 for item in items):
            raise ValueError("cannot read three")

    events = [make(n) for n in range(6)]
    for event in events:
        await stream.publish(event)
    async with running(stream, database, apply) as projection:
        await until(lambda: len(written(database)) == 5)
        (letter,) = await stream.dead_letters("projected")
        assert letter.data == events[3].encode()
        assert "cannot read three" in letter.error
        assert projection.dead == 1
        broken = False
        await stream.redrive("projected")
        await until(lambda: len(written(database)) == 6)
    assert written(database) == [event.encode() for n, event in enumerate(events) if n != 3] + [events[3].encode()]
    assert await stream.dead_letters("projected") == []


async def test_an_outage_of_the_database_is_waited_for(stream: EventStream, database: sa.Engine) -> None:
    away = True

    def apply(db: sa.Connection, items: Sequence[Item]) -> None:
        write(db, items)
        if away:
            raise sa.exc.OperationalError("insert", {}, Exception("the server closed the connection"))

    await stream.publish(make(1))
    async with running(stream, database, apply) as projection:
        await until(lambda: projection.outages >= 2)
        assert written(database) == []
        away = False
        await until(lambda: len(written(database)) == 1)
    assert await stream.dead_letters("projected") == []


async def test_a_stream_that_was_replaced_is_read_from_its_start(tmp_path: Path, database: sa.Engine) -> None:
    for folder, count in (("old", 50), ("new", 10)):
        (tmp_path / folder).mkdir()
        async with EventStream.open(f"sqlite:///{tmp_path / folder / 'brain.db'}") as stream:
            before = len(written(database))
            for n in range(count):
                await stream.publish(make(n))
            async with running(stream, database):
                await until(lambda expected=before + count: len(written(database)) == expected)


async def test_more_events_are_applied_at_once_while_many_wait_and_that_is_quick(
    stream: EventStream, database: sa.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []

    def note(db: sa.Connection, items: Sequence[Item]) -> None:
        sizes.append(len(items))
        write(db, items)

    monkeypatch.setattr(projection_module, "_QUICK", 1e9)
    monkeypatch.setattr(projection_module, "_SLOW", 1e9)
    receipts = [stream.publish(make(number)) for number in range(60)]
    for receipt in receipts:
        await receipt
    async with running(stream, database, note, batch=5, batches_behind=4):
        await until(lambda: len(written(database)) == 60)
    assert sizes == [5, 10, 20, 20, 5]

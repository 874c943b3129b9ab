"""A restored older stream, or an older database of a group, is known: what follows is applied once, or it stands still.

The figures are those of the trials that found events skipped and doubled: 100 events, a copy, 500 more, the copy put
back, 600 new ones.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa

from brain import Event, EventStream
from brain.errors import InvalidInput, NotFound
from brain.kit import positions
from brain.kit import projection as projection_module
from brain.kit.database import create_tables, open_database
from brain.kit.moving import move_group
from brain.kit.projection import Item
from brain.stream.backends import open_backend
from brain.stream.retention import Retention, trim
from support.copies import copied
from support.projecting import projecting
from support.rewinding import keep_place
from support.waiting import until

METADATA = sa.MetaData()
APPLIED = sa.Table("went_back_applied", METADATA, sa.Column("id", sa.String(100)), sa.Column("position", sa.String(50)))
GROUP = "projected"

all_streams = pytest.mark.parametrize("url", ["sqlite", "redis"], indirect=True)


@pytest.fixture
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[sa.Engine]:
    """An empty database for the group: SQLite unless the test asks for another."""
    if getattr(request, "param", "sqlite") == "sqlite":
        engine = open_database(f"sqlite:///{tmp_path / 'consumers.db'}")
    else:
        engine = open_database(request.getfixturevalue("postgres").url)
    create_tables(engine, METADATA)
    yield engine
    engine.dispose()


@pytest.fixture
def few_ids(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ids of 50 events are remembered, and anchors kept at every tenth."""
    monkeypatch.setattr(projection_module, "REMEMBERED", 50)
    monkeypatch.setattr(positions, "ANCHOR_EVERY", 10)
    monkeypatch.setattr(projection_module, "_STAND", 0.05)


async def publish(url: str, count: int) -> list[str]:
    """Events by a producer that ends, and whose journal is gone: nothing is shipped again."""
    async with EventStream.open(url, journal=Path("journal")) as stream:
        events = [Event(type="test.happened", source="test_service", payload={"n": n}) for n in range(count)]
        for event in events[:-1]:
            stream.publish(event)
        await stream.publish(events[-1])
        await until(lambda: stream.stats()["backlog"] == 0)
    return [event.id for event in events]


def write(db: sa.Connection, items: Sequence[Item]) -> None:
    db.execute(APPLIED.insert(), [{"id": item.event.id, "position": item.position} for item in items if item.event])


def applied(engine: sa.Engine) -> list[str]:
    with engine.begin() as db:
        return list(db.execute(sa.select(APPLIED.c.id)).scalars())


@asynccontextmanager
async def running(url: str, engine: sa.Engine) -> AsyncIterator[EventStream]:
    async with (
        EventStream.open(url, journal=Path("journal")) as stream,
        projecting(stream, engine, GROUP, write, batch=20),
    ):
        yield stream


async def consume(url: str, engine: sa.Engine, count: int) -> None:
    """Run the projection until so many events are applied, and none follows."""
    async with running(url, engine) as stream:
        await until(lambda: len(applied(engine)) >= count)

        async def caught_up() -> bool:
            return [group.lag for group in await stream.groups()] == [0]

        await until(caught_up)
        assert stream.troubles() == []
    assert len(applied(engine)) == count


def move(url: str, engine: sa.Engine, position: str) -> None:
    backend = open_backend(url)
    move_group(backend, engine, GROUP, position)
    backend.close()


@all_streams
@pytest.mark.parametrize("database", ["sqlite", "postgresql"], indirect=True)
async def test_what_follows_an_older_copy_is_applied_once(url: str, database: sa.Engine) -> None:
    first = await publish(url, 100)
    put_back = copied(url)
    lost = await publish(url, 500)
    await consume(url, database, 600)
    put_back()
    new = await publish(url, 600)
    await consume(url, database, 1200)
    assert sorted(applied(database)) == sorted(first + lost + new)


@all_streams
async def test_it_is_recognised_before_anything_new_comes(url: str, database: sa.Engine) -> None:
    await publish(url, 30)
    put_back = copied(url)
    await publish(url, 30)
    await consume(url, database, 60)
    put_back()
    await consume(url, database, 60)
    await publish(url, 100)
    await consume(url, database, 160)


@all_streams
async def test_a_stream_that_is_set_back_while_it_is_read(url: str, database: sa.Engine) -> None:
    await publish(url, 50)
    put_back = keep_place(url)
    await publish(url, 50)
    async with running(url, database) as stream:
        await until(lambda: len(applied(database)) == 100)
        await asyncio.to_thread(put_back)
        for number in range(200):  # another process publishes, so that the old end is passed at once
            stream.publish(Event(type="test.happened", source="test_service", payload={"n": number}))
        await until(lambda: len(applied(database)) == 300)
    assert len(set(applied(database))) == 300


@all_streams
@pytest.mark.usefixtures("few_ids")
async def test_within_the_remembered_ids_an_anchor_decides(url: str, database: sa.Engine) -> None:
    await publish(url, 300)
    put_back = copied(url)
    await publish(url, 40)
    await consume(url, database, 340)
    put_back()
    await publish(url, 100)
    await consume(url, database, 440)
    assert len(set(applied(database))) == 440


@all_streams
@pytest.mark.usefixtures("few_ids")
async def test_further_back_it_stands_still_until_a_person_decides(url: str, database: sa.Engine) -> None:
    await publish(url, 30)
    async with EventStream.open(url, journal=Path("journal")) as stream:
        end_of_copy = stream.backend.tail()
    put_back = copied(url)
    await publish(url, 100)
    await consume(url, database, 130)
    put_back()
    new = await publish(url, 150)
    async with running(url, database) as stream:
        await until(lambda: bool(stream.troubles()))
        (trouble,) = stream.troubles()
        assert f"brain groups move {GROUP} --after POSITION" in trouble
        assert len(applied(database)) == 130
        move(url, database, end_of_copy)
        await until(lambda: len(applied(database)) == 280)
        assert stream.troubles() == []
    assert set(new) <= set(applied(database))
    assert len(set(applied(database))) == 280


@all_streams
@pytest.mark.usefixtures("few_ids")
async def test_a_restore_that_was_recorded_is_decided_however_far_back(url: str, database: sa.Engine) -> None:
    await publish(url, 30)
    put_back = copied(url)
    await publish(url, 100)
    await consume(url, database, 130)
    put_back()
    async with EventStream.open(url, journal=Path("journal")) as stream:
        stream.backend.branch()
    await publish(url, 150)
    await consume(url, database, 280)
    assert len(set(applied(database))) == 280


@all_streams
@pytest.mark.usefixtures("few_ids")
async def test_another_stream_is_read_from_its_start(url: str, database: sa.Engine, tmp_path: Path) -> None:
    put_back = copied(url)
    await publish(url, 100)
    await consume(url, database, 100)
    put_back()
    await publish(url, 300)
    await consume(url, database, 400)


@all_streams
async def test_an_older_database_of_the_group_catches_up(url: str, tmp_path: Path) -> None:
    name = f"sqlite:///{tmp_path / 'consumers.db'}"
    await publish(url, 30)
    engine = open_database(name)
    create_tables(engine, METADATA)
    await consume(url, engine, 30)
    engine.dispose()
    put_back = copied(name)
    await publish(url, 100)
    await consume(url, engine, 130)
    engine.dispose()
    put_back()
    await publish(url, 50)
    await consume(url, engine, 180)
    assert len(set(applied(engine))) == 180
    engine.dispose()


@all_streams
async def test_an_older_database_stands_still_where_events_are_gone(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(projection_module, "_STAND", 0.05)
    name = f"sqlite:///{tmp_path / 'consumers.db'}"
    await publish(url, 30)
    engine = open_database(name)
    create_tables(engine, METADATA)
    await consume(url, engine, 30)
    engine.dispose()
    put_back = copied(name)
    await publish(url, 100)
    await consume(url, engine, 130)
    engine.dispose()
    put_back()
    async with EventStream.open(url, journal=Path("journal")) as stream:
        stream.backend.advance(GROUP, stream.backend.tail())
        assert trim(stream.backend, Retention(max_count=20), 0.0).removed == 110
        trimmed = stream.backend.identity().trimmed
    async with running(url, engine) as stream:
        await until(lambda: bool(stream.troubles()))
        assert f"brain groups move {GROUP} --after {trimmed}" in stream.troubles()[0]
        move(url, engine, trimmed)
        await until(lambda: len(set(applied(engine))) == 50)
        await until(lambda: stream.troubles() == [])
    engine.dispose()


@all_streams
async def test_what_retention_deleted_behind_a_group_is_no_other_stream(url: str, tmp_path: Path) -> None:
    engine = open_database(f"sqlite:///{tmp_path / 'consumers.db'}")
    create_tables(engine, METADATA)
    await publish(url, 100)
    await consume(url, engine, 100)
    async with EventStream.open(url, journal=Path("journal")) as stream:
        assert stream.backend.trim(stream.backend.tail()) == 100
    await publish(url, 100)
    await consume(url, engine, 200)
    engine.dispose()


def test_a_group_that_is_not_known_cannot_be_moved(database: sa.Engine) -> None:
    with pytest.raises(NotFound, match="group 'nobody' has no position"):
        move_group(open_backend("memory://"), database, "nobody", "")
    with pytest.raises(InvalidInput, match="the stream ends at its start; 7 is beyond that"):
        move_group(open_backend("memory://"), database, "nobody", "7")

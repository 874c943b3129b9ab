"""The groups of plug-ins: nobody else reads under their names, and one that had another name goes on under the new."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa

from brain import DeliveryOptions, Event, EventStream, InvalidInput
from brain.kit.database import create_tables, open_database
from brain.kit.positions import IDS, POSITIONS
from brain.kit.projection import Item
from brain.plugins import plugins
from brain.stream.backends import Backend, open_backend
from brain.stream.dead_letters import DeadLetter
from support.projecting import projecting
from support.waiting import until

METADATA = sa.MetaData()
APPLIED = sa.Table(
    "test_applied", METADATA, sa.Column("number", sa.Integer, primary_key=True), sa.Column("n", sa.Integer)
)


def make(n: int, event_type: str = "test.happened") -> Event:
    return Event(type=event_type, source="test_service", payload={"n": n})


@pytest.mark.parametrize("plugin", ["audit", "alerting", "threats", "not_installed"])
async def test_a_name_of_a_plugin_is_refused(plugin: str) -> None:
    async with EventStream.open("memory://") as stream:
        group = f"brain.{plugin}"
        said = f"group '{group}' belongs to the plug-in '{plugin}'.*choose another name"
        with pytest.raises(InvalidInput, match=said):
            stream.subscribe("*", group=group)
        with pytest.raises(InvalidInput, match=said):
            stream.consumer(group, "*", print)
        assert stream.consumers == []
        assert await stream.groups() == []


def test_each_plugin_has_a_name_of_its_own() -> None:
    groups = {plugin.group for plugin in plugins().values()}
    assert {"brain.audit", "brain.metrics", "brain.alerting", "brain.incidents", "brain.threats"} <= groups
    assert all(name.startswith("brain.") for name in groups)


@pytest.fixture
def backend(url: str) -> Backend:
    return open_backend(url)


def test_a_renamed_group_has_all_that_it_had(backend: Backend) -> None:
    positions = backend.append("p", "", "1", [b"event %d" % n for n in range(6)])
    backend.create_group("old", "test.*", "")
    backend.join("old", "a")
    backend.fetch("old", "a", 4)
    backend.ack("old", "a", positions[:1])
    backend.count_attempt("old", positions[1])
    for position, data in zip(positions[2:4], (b"event 2", b"event 3"), strict=True):
        letter = DeadLetter(group="old", position=position, data=data, error="e", attempts=5, buried_at=1.0)
        backend.dead_letter(letter, "a")
    assert backend.redrive("old", positions[3:4]) == 1
    (before,) = backend.groups()

    assert backend.rename_group("old", "new")

    (after,) = backend.groups()
    assert (after.name, after.pattern, after.read_to, after.safe) == ("new", "test.*", before.read_to, before.safe)
    assert (after.pending, after.dead, after.consumers) == (1, 1, 0)
    assert [(letter.group, letter.data) for letter in backend.dead_letters()] == [("new", b"event 2")]
    backend.join("new", "b")
    assert [(one.data, one.attempts) for one in backend.take_over("new", "b")] == [(b"event 1", 2)]
    assert [entry.data for entry in backend.fetch("new", "b", 10)] == [b"event 4", b"event 5", b"event 3"]
    backend.ack("new", "b", [entry.position for entry in backend.read("", 100, "new")])
    assert backend.redrive("new") == 1
    assert [entry.data for entry in backend.fetch("new", "b", 10)] == [b"event 2"]


def test_a_group_is_renamed_once_and_never_over_another(backend: Backend) -> None:
    assert not backend.rename_group("old", "new")
    backend.append("p", "", "1", [b"event"])
    assert not backend.rename_group("old", "new")
    backend.create_group("old", "*", "")
    backend.create_group("new", "*", backend.tail())
    assert not backend.rename_group("old", "new")
    assert [(info.name, info.lag) for info in backend.groups()] == [("new", 0), ("old", 1)]


@asynccontextmanager
async def consuming(stream: EventStream) -> AsyncIterator[None]:
    task = asyncio.create_task(stream.run_consumers())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})
        stream.consumers.clear()


async def test_a_handler_goes_on_where_it_was_under_the_former_name(stream: EventStream) -> None:
    seen: list[int] = []
    failing = True

    async def handler(event: Event) -> None:
        if failing and event.payload["n"] == 1:
            raise ValueError("not yet")
        seen.append(event.payload["n"])

    for n in range(3):
        await stream.publish(make(n))
    slow = DeliveryOptions(retry_delay=60, max_retry_delay=60)
    stream.consumer("old-name", "test.*", handler, slow)
    async with consuming(stream):
        await until(lambda: seen == [0, 2])
    for n in range(3, 5):
        await stream.publish(make(n))
    failing = False
    stream.plugin_consumer("brain.test", "test.*", handler, former="old-name")
    async with consuming(stream):
        await until(lambda: len(seen) == 5)
    assert sorted(seen) == [0, 1, 2, 3, 4]  # nothing twice, the failed one included
    (group,) = await stream.groups()
    assert (group.name, group.lag, group.pending) == ("brain.test", 0, 0)


async def test_a_strangers_group_of_that_name_stays(stream: EventStream) -> None:
    seen: list[int] = []
    stream.consumer("old-name", "other.*", lambda event: None)
    async with consuming(stream):
        await until_groups(stream, ["old-name"])
    stream.plugin_consumer("brain.test", "test.*", lambda event: seen.append(event.payload["n"]), former="old-name")
    await stream.publish(make(1))
    async with consuming(stream):
        await until(lambda: seen == [1])
    assert [group.name for group in await stream.groups()] == ["brain.test", "old-name"]


async def until_groups(stream: EventStream, names: Sequence[str]) -> None:
    async def there() -> bool:
        return [group.name for group in await stream.groups()] == names

    await until(there)


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> sa.Engine:
    if request.param == "sqlite":
        engine = open_database(f"sqlite:///{tmp_path / 'consumers.db'}")
    else:
        engine = open_database(request.getfixturevalue("postgres").url)
    create_tables(engine, METADATA)
    return engine


def apply(db: sa.Connection, items: Sequence[Item]) -> None:
    numbers = [{"n": item.event.payload["n"]} for item in items if item.event is not None]
    if any(row["n"] < 0 for row in numbers):
        raise ValueError("cannot be applied")
    db.execute(APPLIED.insert(), numbers)


def applied(engine: sa.Engine) -> list[int]:
    with engine.begin() as db:
        return list(db.execute(sa.select(APPLIED.c.n).order_by(APPLIED.c.number)).scalars())


async def filled_under_the_old_name(stream: EventStream, database: sa.Engine) -> None:
    """40 events, a duplicate and one that cannot be applied; a stranger has taken some under the same name."""
    events = [make(n) for n in range(40)]
    for event in (*events, events[3], make(-1)):
        await stream.publish(event)
    async with projecting(stream, database, "audit", apply, batch=10) as projection:
        await until(lambda: len(applied(database)) == 40 and projection.dead == 1)
    for n in range(40, 50):
        await stream.publish(make(n))
    async with aclosing(stream.subscribe("*", group="audit")) as taken:
        await anext(taken)  # given back, and held by nobody


async def redriven_and_lag_free(stream: EventStream, name: str) -> bool:
    groups = await stream.groups()
    return [(group.name, group.lag, group.pending) for group in groups] == [(name, 0, 0)]


Killed = Callable[[EventStream, sa.Engine], Awaitable[None]]


async def not_killed(stream: EventStream, database: sa.Engine) -> None:
    return


async def after_the_stream(stream: EventStream, database: sa.Engine) -> None:
    """The process died when the stream's group had its new name, and the database's position the old one."""
    assert await stream.call(stream.backend.rename_group, "audit", "brain.audit")


@pytest.mark.parametrize("killed", [not_killed, after_the_stream])
async def test_a_projection_goes_on_where_it_was_under_the_former_name(
    stream: EventStream, database: sa.Engine, killed: Killed
) -> None:
    await filled_under_the_old_name(stream, database)
    duplicate = (await stream.read(limit=1))[0].event
    await stream.publish(duplicate)
    await killed(stream, database)
    for _ in range(2):  # the second time there is nothing to carry over
        async with (
            projecting(stream, database, "brain.audit", apply, batch=10, former="audit"),
            projecting(stream, database, "brain.audit", apply, batch=10, former="audit"),
        ):
            await until(lambda: len(applied(database)) == 50)
            await until(lambda: redriven_and_lag_free(stream, "brain.audit"))
    assert applied(database) == list(range(50))
    letters = await stream.dead_letters()
    assert [(letter.group, letter.attempts) for letter in letters] == [("brain.audit", 5)]
    with database.begin() as db:
        assert list(db.execute(sa.select(POSITIONS.c.name, POSITIONS.c.applied))) == [("brain.audit", 50)]
        assert set(db.execute(sa.select(IDS.c.name)).scalars()) == {"brain.audit"}

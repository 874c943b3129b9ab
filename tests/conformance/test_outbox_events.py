"""Events of changes in the consumers' database: each comes to the stream once."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
import sqlalchemy as sa

from brain import EventStream
from brain.charter import Event
from brain.errors import EnvelopeError
from brain.kit.database import create_tables, open_database
from brain.kit.outbox import EventShipping, events, metadata, put_event, waiting_events
from brain.kit.outbox.events import DatabaseRows
from brain.stream.backends.memory import MemoryBackend
from brain.stream.outbox_shipment import OutboxShipment
from support.outbox_world import OutboxWorld, event, numbers, ship_all
from support.sizes import sizes
from support.waiting import until


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[sa.Engine]:
    url = f"sqlite:///{tmp_path}/consumers.db"
    engine = open_database(request.getfixturevalue("postgres").url if request.param == "postgresql" else url)
    create_tables(engine, metadata)
    yield engine
    engine.dispose()


def put(database: sa.Engine, *announced: Event, consumer: str = "alerting") -> None:
    with database.begin() as db:
        for one in announced:
            put_event(db, consumer, one, 1_000.0)


@pytest.mark.parametrize("seeds", sizes(2, 100))
def test_each_is_on_the_stream_once_whatever_comes_in_between(database: sa.Engine, seeds: int) -> None:
    def add(announced: Sequence[Event]) -> None:
        put(database, *announced)

    for seed in range(seeds):
        OutboxWorld(seed, DatabaseRows(database, "alerting"), add).goes_on_and_ends(30)
        with database.begin() as db:
            assert waiting_events(db, "alerting") == (0, None)
            db.execute(sa.text("DELETE FROM database_identity"))  # the next stream knows nothing of this one


def test_a_consumer_ships_its_own_events_alone(database: sa.Engine) -> None:
    put(database, event(1), consumer="incidents")
    put(database, event(2))
    backend = MemoryBackend()
    ship_all(OutboxShipment(DatabaseRows(database, "alerting"), backend))
    assert numbers(backend) == [2]
    with database.begin() as db:
        assert waiting_events(db, "incidents") == (1, 1_000.0)


def test_an_id_that_a_restored_database_gives_again_is_another_row(database: sa.Engine) -> None:
    backend = MemoryBackend()
    shipment = OutboxShipment(DatabaseRows(database, "alerting"), backend)
    put(database, event(1))
    with database.begin() as db:
        first = db.execute(sa.select(events.c.id)).scalar_one()
    ship_all(shipment)
    put(database, event(2))
    with database.begin() as db:
        db.execute(sa.update(events).values(id=first))
    ship_all(shipment)
    assert numbers(backend) == [1, 2]


def test_an_event_that_no_stream_takes_undoes_its_change(database: sa.Engine) -> None:
    with pytest.raises(EnvelopeError, match="payload"):
        put(database, event(1), event(2, text="x" * (1 << 20)))
    with database.begin() as db:
        assert waiting_events(db, "alerting") == (0, None)


async def test_the_task_ships_what_is_there_and_what_comes(database: sa.Engine) -> None:
    put(database, event(1))
    async with EventStream.open("memory://") as stream:
        shipping = EventShipping(database, "alerting", stream)
        task = asyncio.create_task(shipping.run())
        await until(lambda: stream.backend.tail() != "")
        put(database, event(2))
        await until(lambda: numbers(stream.backend) == [1, 2])
        task.cancel()
        await asyncio.wait({task})
        assert task.cancelled()
        assert shipping.outages == 0

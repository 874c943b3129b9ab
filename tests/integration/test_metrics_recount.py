"""`brain metrics verify`: equal after replays and trimming; tampering is found; from the stream and the audit log."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from sqlalchemy import Engine, delete, select, update

from brain import Event, EventStream
from brain.audit.tables import entries
from brain.errors import NotFound
from brain.kit.context import open_plugin
from brain.kit.database import create_tables, open_database
from brain.metrics import tables
from brain.metrics.recount import Verdict, verify
from brain.metrics.series import EVENTS_BY_TYPE, STEPS
from brain.metrics.sources import StreamSource, audit_source
from brain.plugins import PluginContext, plugins
from brain.settings import Settings
from brain.store import open_store
from support.metrics_tables import total
from support.metrics_traffic import Traffic
from support.waiting import until


@pytest.fixture(params=["sqlite", "redis and postgresql"])
def places(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, str]:
    """The URLs of a stream and of a database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'brain.db'}", f"sqlite:///{tmp_path / 'consumers.db'}"
    return str(request.getfixturevalue("redis_url")), str(request.getfixturevalue("postgres").url)


@pytest.fixture
def database(places: tuple[str, str]) -> str:
    return places[1]


@pytest.fixture
async def stream(places: tuple[str, str], tmp_path: Path) -> AsyncIterator[EventStream]:
    async with EventStream.open(places[0], journal=tmp_path / "journal") as opened:
        yield opened


@asynccontextmanager
async def kept(stream: EventStream, database: str, folder: Path, names: tuple[str, ...]) -> AsyncIterator[Engine]:
    """The consumers of these names at work."""
    engine = open_database(database)
    settings = Settings(stream="memory://", audit={"key_file": str(folder / "audit.key")})  # type: ignore[arg-type]
    house = PluginContext(stream, open_store("memory://"), engine, settings)
    tasks = []
    for name in names:
        async with open_plugin(plugins()[name], house) as consumer:
            tasks += [asyncio.create_task(work()) for work in consumer.tasks]
    try:
        yield engine
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        engine.dispose()


async def counted(engine: Engine, number: int) -> None:
    """Wait until so many events are counted."""
    await until(lambda: total(engine) >= number)
    assert total(engine) == number


def from_audit(stream: EventStream, engine: Engine) -> Verdict:
    context = PluginContext(stream, open_store("memory://"), engine, Settings(stream="memory://"), plugins())
    return verify(engine, audit_source(context))


def from_stream(stream: EventStream, engine: Engine) -> Verdict:
    return verify(engine, lambda stored: StreamSource(stream.backend, stored))


async def publish(stream: EventStream, events: list[Event]) -> None:
    for receipt in [stream.publish(event) for event in events]:
        await receipt


async def test_a_recount_of_a_trimmed_stream_compares_what_is_still_there(
    stream: EventStream, database: str, tmp_path: Path
) -> None:
    now = time.time()
    old = Traffic(1, start=now - 40_000, hours=0.2).events(400)
    new = Traffic(2, start=now - 1000, hours=0.2).events(400)
    async with kept(stream, database, tmp_path, ("metrics",)) as engine:
        await publish(stream, [*old, *new])
        await counted(engine, 800)
        whole = await asyncio.to_thread(from_stream, stream, engine)
        assert (whole.ok, whole.events, whole.incomplete) == (True, 800, 0)
        assert stream.backend.trim(stream.backend.nth_oldest(401)) >= 400
        rest = await asyncio.to_thread(from_stream, stream, engine)
        assert rest.ok, rest.differences
        assert 0 < rest.events <= 400
        assert 0 < rest.points < whole.points
        assert rest.incomplete > 0


async def test_duplicates_and_what_is_no_event_are_not_counted(
    stream: EventStream, database: str, tmp_path: Path
) -> None:
    events = Traffic(3, start=time.time() - 3600, hours=1).events(50)
    async with kept(stream, database, tmp_path, ("metrics",)) as engine:
        await publish(stream, events)
        stream.backend.append("again", "", "1", [b"not an event", *(event.encode() for event in events[:20])])
        await publish(stream, Traffic(4, start=time.time() - 3600, hours=1).events(10))
        await counted(engine, 60)
        verdict = await asyncio.to_thread(from_stream, stream, engine)
        assert (verdict.ok, verdict.events) == (True, 60)


async def test_every_altered_missing_or_invented_row_is_named(
    stream: EventStream, database: str, tmp_path: Path
) -> None:
    async with kept(stream, database, tmp_path, ("metrics",)) as engine:
        await publish(stream, Traffic(5, start=time.time() - 3000, hours=0.5).events(200))
        await counted(engine, 200)
    engine = open_database(database)
    point, threat, health = tables.points.c, tables.threats.c, tables.health.c
    invented = {"step": 60, "series": "events.type", "bucket": 1_900_000_020, "label": "x.y"}
    with engine.begin() as connection:
        first = {
            step: connection.execute(
                select(point.bucket, point.label).where(point.step == step, point.series == EVENTS_BY_TYPE).limit(1)
            ).one()
            for step in STEPS
        }
        for step, change in zip(STEPS, ("altered", "missing", "altered"), strict=True):
            bucket, label = first[step]
            row = (point.step == step, point.series == EVENTS_BY_TYPE, point.bucket == bucket, point.label == label)
            changing = (
                update(tables.points).values(count=point.count + 1) if change == "altered" else delete(tables.points)
            )
            assert connection.execute(changing.where(*row)).rowcount == 1
        connection.execute(tables.points.insert(), [{**invented, "count": 1, "sum": 0, "error": 0}])
        connection.execute(tables.buckets.insert(), [{"step": 60, "bucket": 1_900_000_020, "first_position": "1"}])
        threat_id = connection.execute(select(threat.threat_id).limit(1)).scalar_one()
        connection.execute(update(tables.threats).where(threat.threat_id == threat_id).values(detected_at=1.0))
        event_id = connection.execute(select(health.event_id).limit(1)).scalar_one()
        connection.execute(delete(tables.health).where(health.event_id == event_id))
    verdict = await asyncio.to_thread(from_stream, stream, engine)
    engine.dispose()
    assert not verdict.ok
    found = [(difference.table, tuple(difference.key.values())) for difference in verdict.differences]
    assert sorted(map(str, found)) == sorted(
        map(
            str,
            [
                *(("metrics_points", (step, EVENTS_BY_TYPE, *first[step])) for step in STEPS),
                ("metrics_points", tuple(invented.values())),
                ("metrics_buckets", (60, 1_900_000_020)),
                ("metrics_threats", (threat_id,)),
                ("metrics_health", (event_id,)),
            ],
        )
    )


async def test_a_recount_from_the_audit_log_gives_the_same(stream: EventStream, database: str, tmp_path: Path) -> None:
    now = time.time()
    events = [
        *Traffic(6, start=now - 50_000, hours=0.2).events(150),
        *Traffic(7, start=now - 1000, hours=0.2).events(150),
    ]
    async with kept(stream, database, tmp_path, ("metrics", "audit")) as engine:
        await publish(stream, events)
        await counted(engine, 300)

        await asyncio.to_thread(create_tables, engine, entries.metadata)

        def logged() -> int:
            with engine.begin() as connection:
                return len(connection.execute(select(entries.c.idx)).all())

        await until(lambda: logged() == 300)
    engine = open_database(database)
    verdict = await asyncio.to_thread(from_audit, stream, engine)
    assert verdict.ok, verdict.differences
    assert (verdict.events, verdict.incomplete) == (300, 0)
    with engine.begin() as connection:  # as retention does
        connection.execute(update(entries).where(entries.c.idx < 150).values(payload=None))
    rest = await asyncio.to_thread(from_audit, stream, engine)
    assert rest.ok, rest.differences
    assert 0 < rest.points < verdict.points
    assert (rest.events, rest.incomplete > 0) == (150, True)
    with engine.begin() as connection:
        connection.execute(update(tables.points).where(tables.points.c.step == 10).values(count=99))
    assert not (await asyncio.to_thread(from_audit, stream, engine)).ok
    engine.dispose()


async def test_before_anything_was_counted_it_says_so(stream: EventStream, database: str) -> None:
    engine = open_database(database)
    with pytest.raises(NotFound, match="brain worker metrics"):
        await asyncio.to_thread(from_stream, stream, engine)
    with pytest.raises(NotFound, match="brain worker metrics"):
        await asyncio.to_thread(from_audit, stream, engine)
    engine.dispose()

"""Databases of commit f342a0c are brought forward; newer ones are refused; an error of the schema is no outage.

`tests/data/schema_1` has what that commit made, as SQL: stream and state, and the consumers' tables of both databases.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import redis
import sqlalchemy as sa

from brain import Event, EventStream
from brain.audit.repository import log_verifier
from brain.audit.verify import verify as verify_audit
from brain.kit import positions
from brain.kit import projection as projection_module
from brain.kit.database import create_tables, open_database
from brain.kit.projection import Item
from brain.kit.schema import VERSIONS, NewerSchema, add_column, declared_parts, versioned
from brain.metrics.recount import verify as verify_metrics
from brain.metrics.sources import StreamSource
from brain.metrics.tasks import open_component
from brain.plugins import PluginContext
from brain.settings import Settings
from brain.store import open_store
from brain.store.ours import APPLICATION_ID
from brain.stream.backends import open_backend
from support.projecting import projecting
from support.server import brain
from support.waiting import until

OLD = Path(__file__).parents[1] / "data" / "schema_1"


def old_file(path: Path, name: str) -> str:
    """The file as that commit left it; its URL."""
    with sqlite3.connect(path) as db:
        db.executescript((OLD / f"{name}.sql").read_text())
        db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    db.close()
    return f"sqlite:///{path}"


@pytest.fixture(params=["sqlite", "postgresql"])
def places(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[sa.Engine, sa.Engine]]:
    """The consumers' tables of that commit, and an empty database of the same kind."""
    fresh = open_database(f"sqlite:///{tmp_path / 'fresh.db'}")
    if request.param == "sqlite":
        old = open_database(old_file(tmp_path / "brain-consumers.db", "consumers"))
    else:
        server = request.getfixturevalue("postgres")
        old = open_database(server.url)
        with old.begin() as db:
            db.exec_driver_sql((OLD / "postgresql.sql").read_text())
            db.exec_driver_sql("INSERT INTO consumer_positions VALUES ('brain.metrics', '6', 6)")
            db.exec_driver_sql("DROP SCHEMA IF EXISTS fresh CASCADE")
            db.exec_driver_sql("CREATE SCHEMA fresh")
        fresh.dispose()
        fresh = open_database(f"{server.url}&options=-csearch_path%3Dfresh")
    yield old, fresh
    old.dispose()
    fresh.dispose()


def form(engine: sa.Engine) -> dict[str, Any]:
    """Every table with its columns and indexes."""
    inspector = sa.inspect(engine)
    return {
        name: (
            sorted((column["name"], str(column["type"]), column["nullable"]) for column in inspector.get_columns(name)),
            sorted(str(index["column_names"]) for index in inspector.get_indexes(name)),
            inspector.get_pk_constraint(name)["constrained_columns"],
        )
        for name in inspector.get_table_names()
    }


def test_a_stream_and_its_state_are_brought_forward(tmp_path: Path) -> None:
    url = old_file(tmp_path / "brain.db", "stream")
    backend, store = open_backend(url), open_store(url)
    assert [len(backend.read("", 10)), backend.tail()] == [6, "6"]
    (group,) = [group for group in backend.groups() if group.name == "billing"]
    assert (group.read_to, group.pending) == ("3", 2)
    assert store.get("policy.rules", "r1") == ("r1", 1, b'{"id":"r1"}')
    identity = backend.identity()
    assert (len(identity.id), identity.born, identity.trimmed) == (16, "6", "")
    backend.close()
    store.close()
    with sqlite3.connect(tmp_path / "brain.db") as db:
        assert dict(db.execute("SELECT part, version FROM brain_schema")) == {"stream": 4, "store": 1}
    db.close()
    again = open_backend(url)
    assert again.identity() == identity
    again.close()


def test_the_consumers_tables_get_the_form_of_new_ones(places: tuple[sa.Engine, sa.Engine]) -> None:
    for engine in places:
        for metadata in [one for part, one in declared_parts().items() if not part.startswith("test")]:
            create_tables(engine, metadata)
    old, fresh = places
    assert form(old) == form(fresh)
    with old.begin() as db:
        row = db.execute(sa.select(positions.POSITIONS).where(positions.POSITIONS.c.name == "brain.metrics")).one()
    assert tuple(row) == ("brain.metrics", "6", 6, "", "", "")


async def test_consumers_go_on_with_old_databases(tmp_path: Path) -> None:
    url, database = old_file(tmp_path / "brain.db", "stream"), old_file(tmp_path / "brain-consumers.db", "consumers")
    engine = open_database(database)
    create_tables(engine, positions.METADATA)
    async with EventStream.open(url) as stream:
        context = PluginContext(stream, open_store("memory://"), engine, Settings(stream=url, database=database))
        async with open_component(context) as metrics:
            tasks = [asyncio.create_task(task()) for task in metrics.tasks]
            await stream.publish(Event(type="test.counted", source="test_service", payload={}))

            def applied() -> bool:
                with engine.begin() as db:
                    known = positions.read_known(db, "brain.metrics")
                return known is not None and (known.place.applied, known.stream != "") == (7, True)

            await until(applied)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        verdict = verify_metrics(engine, lambda stored: StreamSource(stream.backend, stored))
    assert (verdict.ok, verdict.events) == (True, 7)
    assert verify_audit(engine, log_verifier(engine)).ok
    engine.dispose()


def test_a_newer_schema_is_refused_and_left_alone(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'brain.db'}"
    for opened in (open_backend(url), open_store(url)):
        opened.close()
    with sqlite3.connect(tmp_path / "brain.db") as db:
        db.execute("UPDATE brain_schema SET version = 99")
    db.close()
    for opener in (open_backend, open_store):
        with pytest.raises(NewerSchema, match="have schema version 99, and this version of the package knows"):
            opener(url)
    ended = brain("groups", "list", folder=tmp_path)
    assert ended.returncode == 2
    assert "install the version that was used last" in ended.stderr
    engine = open_database("memory://")
    create_tables(engine, positions.METADATA)
    with engine.begin() as connection:
        connection.execute(VERSIONS.update().values(version=99))
    with pytest.raises(NewerSchema, match="the tables of 'projection'"):
        create_tables(open_database(str(engine.url)), positions.METADATA)
    engine.dispose()


async def test_newer_keys_on_redis_are_refused_and_left_alone(redis_url: str, tmp_path: Path) -> None:
    backend = open_backend(redis_url)
    backend.identity()
    with redis.Redis.from_url(redis_url) as client:
        client.hset("{brain}:identity", "schema", 2)
        client.hset("{brain}:store:schema", "version", 2)
        with pytest.raises(NewerSchema, match="the tables of 'stream' have schema version 2"):
            backend.identity()
        with pytest.raises(NewerSchema, match="the tables of 'store' have schema version 2"):
            open_store(redis_url)
        async with EventStream.open(redis_url, journal=tmp_path / "journal") as stream:
            stream.publish(Event(type="test.happened", source="test_service", payload={}))
            await until(lambda: "schema version 2" in stream.last_error)
            assert (stream.stats()["stored"], client.exists("{brain}:events")) == (0, 0)
            await stream.close(timeout=0.1)
    backend.close()


def test_steps_run_once_in_order_and_a_failing_one_changes_nothing(places: tuple[sa.Engine, sa.Engine]) -> None:
    engine = places[1]
    first = sa.MetaData()
    sa.Table("test_stepped", first, sa.Column("id", sa.Integer, primary_key=True))
    create_tables(engine, first)  # as a plug-in without versions makes it
    fails = True

    def add(db: sa.Connection) -> None:
        add_column(db, table.c.size)
        if fails:
            raise ValueError("not now")

    def fill(db: sa.Connection) -> None:
        db.execute(table.insert().values(id=1))

    second = versioned("test_stepped", add, fill)
    table = sa.Table(
        "test_stepped",
        second,
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("size", sa.Integer, nullable=False, server_default="7"),
    )
    with pytest.raises(ValueError, match="not now"):
        create_tables(engine, second)
    assert [column["name"] for column in sa.inspect(engine).get_columns("test_stepped")] == ["id"]
    fails = False
    create_tables(engine, second)
    with engine.begin() as db:
        assert db.execute(sa.select(table)).all() == [(1, 7)]
        assert db.scalar(sa.select(VERSIONS.c.version).where(VERSIONS.c.part == "test_stepped")) == 3


@pytest.mark.parametrize("statement", ["SELECT * FROM nowhere", "SELECT missing FROM consumer_positions"])
async def test_a_projection_stands_still_over_a_missing_table_or_column(
    places: tuple[sa.Engine, sa.Engine], statement: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(projection_module, "_STAND", 0.05)
    engine, broken, handled = places[1], True, 0

    def apply(db: sa.Connection, items: Sequence[Item]) -> None:
        nonlocal handled
        if broken:
            db.exec_driver_sql(statement)
        handled += len(items)

    async with (
        EventStream.open("memory://") as stream,
        projecting(stream, engine, "test.stands", apply) as projection,
    ):
        for n in range(3):
            await stream.publish(Event(type="test.happened", source="test_service", payload={"n": n}))
        await until(lambda: any("its database cannot be used" in trouble for trouble in stream.troubles()))
        assert (await stream.dead_letters(), projection.outages, handled) == ([], 0, 0)
        broken = False
        await until(lambda: handled == 3)
        assert stream.troubles() == []


async def test_a_statement_that_fails_for_one_event_is_that_events_dead_letter(
    places: tuple[sa.Engine, sa.Engine],
) -> None:
    handled: list[int] = []

    def apply(db: sa.Connection, items: Sequence[Item]) -> None:
        numbers = [item.event.payload["n"] for item in items if item.event]
        if 1 in numbers:
            db.exec_driver_sql("SELEKT 1")  # SQLite calls this operational, as it calls a database that is locked
        handled.extend(numbers)

    async with (
        EventStream.open("memory://") as stream,
        projecting(stream, places[1], "test.fails", apply) as projection,
    ):
        for n in range(3):
            await stream.publish(Event(type="test.happened", source="test_service", payload={"n": n}))
        await until(lambda: handled == [0, 2])
        (letter,) = await stream.dead_letters("test.fails")
        assert ("ProgrammingError" in letter.error, projection.outages) == (True, 0)

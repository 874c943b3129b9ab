"""The inbox on SQLAlchemy, blocking and async, over SQLite and a real PostgreSQL, and on psycopg itself."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import aiosqlite
import psycopg
import pytest
import sqlalchemy
from sqlalchemy import orm, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession, create_async_engine

from brain import Event, InvalidInput
from brain.stream.inbox import Inbox
from support.postgres_server import PostgresServer

INSERT = text("INSERT INTO effects VALUES (:event_id)")


def make() -> Event:
    return Event(type="order.paid", source="shop_service", payload={"amount": 5})


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'effects.db'}"
    server: PostgresServer = request.getfixturevalue("postgres")
    return server.url


@pytest.fixture
def engine(url: str) -> Iterator[sqlalchemy.Engine]:
    engine = sqlalchemy.create_engine(url)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE effects (event_id VARCHAR(100))"))
    yield engine
    engine.dispose()


@pytest.fixture
async def async_engine(engine: sqlalchemy.Engine, url: str) -> AsyncEngine:
    return create_async_engine(url.replace("sqlite:", "sqlite+aiosqlite:"))


def effects(engine: sqlalchemy.Engine) -> list[str]:
    with engine.connect() as connection:
        return [row[0] for row in connection.execute(text("SELECT event_id FROM effects"))]


def on_a_connection(engine: sqlalchemy.Engine, event: Event, fail: bool = False) -> bool:
    with engine.begin() as connection, Inbox(connection, consumer="billing").once(event) as fresh:
        if fresh:
            connection.execute(INSERT, {"event_id": event.id})
        if fail:
            raise ZeroDivisionError
    return fresh


def on_a_session(engine: sqlalchemy.Engine, event: Event, fail: bool = False) -> bool:
    with orm.Session(engine) as session, session.begin(), Inbox(session, consumer="billing").once(event) as fresh:
        if fresh:
            session.execute(INSERT, {"event_id": event.id})
        if fail:
            raise ZeroDivisionError
    return fresh


def on_a_scoped_session_committed_by_hand(engine: sqlalchemy.Engine, event: Event, fail: bool = False) -> bool:
    session = orm.scoped_session(orm.sessionmaker(engine))
    with Inbox(session, consumer="billing").once(event) as fresh:
        if fresh:
            session.execute(INSERT, {"event_id": event.id})
        if fail:
            raise ZeroDivisionError
    session.commit()
    session.remove()
    return fresh


@pytest.mark.parametrize("handle", [on_a_connection, on_a_session, on_a_scoped_session_committed_by_hand])
def test_once(engine: sqlalchemy.Engine, handle: Callable[..., bool]) -> None:
    first, second = make(), make()
    with pytest.raises(ZeroDivisionError):
        handle(engine, first, fail=True)
    assert effects(engine) == []
    assert [handle(engine, event) for event in (first, first, second, first)] == [True, False, True, False]
    assert effects(engine) == [first.id, second.id]


async def on_an_async_connection(engine: AsyncEngine, event: Event, fail: bool = False) -> bool:
    async with engine.begin() as connection, Inbox(connection, consumer="billing").once(event) as fresh:
        if fresh:
            await connection.execute(INSERT, {"event_id": event.id})
        if fail:
            raise ZeroDivisionError
    return fresh


async def on_an_async_session(engine: AsyncEngine, event: Event, fail: bool = False) -> bool:
    async with (
        AsyncSession(engine) as session,
        session.begin(),
        Inbox(session, consumer="billing").once(event) as fresh,
    ):
        if fresh:
            await session.execute(INSERT, {"event_id": event.id})
        if fail:
            raise ZeroDivisionError
    return fresh


@pytest.mark.parametrize("handle", [on_an_async_connection, on_an_async_session])
async def test_once_asynchronously(
    engine: sqlalchemy.Engine, async_engine: AsyncEngine, handle: Callable[..., Any]
) -> None:
    first, second = make(), make()
    with pytest.raises(ZeroDivisionError):
        await handle(async_engine, first, fail=True)
    assert effects(engine) == []
    assert [await handle(async_engine, event) for event in (first, first, second, first)] == [True, False, True, False]
    assert effects(engine) == [first.id, second.id]
    await async_engine.dispose()


async def test_pruning_through_an_async_connection(async_engine: AsyncEngine) -> None:
    event = make()
    await on_an_async_connection(async_engine, event)
    async with async_engine.begin() as connection:
        count = await connection.run_sync(lambda blocking: Inbox(blocking, consumer="billing").prune(older_than=-1))
    assert count == 1
    assert await on_an_async_connection(async_engine, event)
    await async_engine.dispose()


async def test_an_async_connection_says_which_with_it_takes(async_engine: AsyncEngine) -> None:
    async with async_engine.connect() as connection:
        inbox = Inbox(connection, consumer="billing")
        with pytest.raises(InvalidInput, match="write `async with inbox"), inbox.once(make()):
            pass
    await async_engine.dispose()


def test_the_table_is_looked_for_once_an_engine(engine: sqlalchemy.Engine) -> None:
    statements: list[str] = []
    sqlalchemy.event.listen(engine, "before_cursor_execute", lambda *args: statements.append(args[2]))
    for _ in range(3):
        on_a_session(engine, make())
    assert [statement.split()[0] for statement in statements] == [
        *("SELECT", "CREATE", "INSERT", "INSERT"),
        *("SELECT", "INSERT", "INSERT"),
        *("INSERT", "INSERT"),
    ]


@pytest.mark.parametrize("where", ["engine", "connection"])
def test_autocommit_is_refused(url: str, where: str) -> None:
    engine = sqlalchemy.create_engine(url, isolation_level="AUTOCOMMIT" if where == "engine" else None)
    with engine.connect() as connection:
        if where == "connection":
            connection = connection.execution_options(isolation_level="AUTOCOMMIT")
        with pytest.raises(InvalidInput, match="commits each statement"), Inbox(connection, consumer="b").once(make()):
            pass
    engine.dispose()


def test_consumers_racing_for_the_same_events_have_each_effect_once(engine: sqlalchemy.Engine) -> None:
    events = [make() for _ in range(20)]
    with engine.begin() as connection:
        Inbox(connection, consumer="billing").create_table()
    start = threading.Barrier(4)
    failures: list[BaseException] = []

    def consume() -> None:
        start.wait(10)
        for event in events:
            try:
                on_a_connection(engine, event)
            except Exception as error:  # noqa: BLE001  (a real consumer tries again; here it must not come to that)
                failures.append(error)

    threads = [threading.Thread(target=consume) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failures == []
    assert sorted(effects(engine)) == sorted(event.id for event in events)


def test_psycopg_in_its_own_transaction_block(postgres: PostgresServer) -> None:
    event = make()
    with psycopg.connect(postgres.dsn, autocommit=True) as db:
        db.execute("CREATE TABLE effects (event_id TEXT)")
        inbox = Inbox(db, consumer="billing")

        def handle(fail: bool = False) -> bool:
            with db.transaction(), inbox.once(event) as fresh:
                if fresh:
                    db.execute("INSERT INTO effects VALUES (%s)", [event.id])
                if fail:
                    raise ZeroDivisionError
            return fresh

        with pytest.raises(ZeroDivisionError) as failure:
            handle(fail=True)
        assert "rollback() forbidden" in failure.value.__notes__[0]
        assert [handle() for _ in range(3)] == [True, False, False]
        assert db.execute("SELECT count(*) FROM effects").fetchall() == [(1,)]
        with pytest.raises(InvalidInput, match="commits each statement"), inbox.once(event):
            pass


def test_psycopg_with_commit_by_hand_and_the_format_style(postgres: PostgresServer) -> None:
    event = make()
    for style in ("pyformat", "format"):
        with psycopg.connect(postgres.dsn) as db:
            inbox = Inbox(db, consumer=style, paramstyle=style)
            with pytest.raises(psycopg.errors.UndefinedTable), inbox.once(event):
                db.execute("SELECT * FROM nowhere")
            for expected in (True, False):
                with inbox.once(event) as fresh:
                    assert fresh is expected
                db.commit()


async def test_async_drivers_are_taken_through_sqlalchemy(postgres: PostgresServer, tmp_path: Path) -> None:
    async with await psycopg.AsyncConnection.connect(postgres.dsn) as connection:
        with pytest.raises(InvalidInput, match="AsyncConnection is an async driver's; use it through SQLAlchemy"):
            Inbox(connection, consumer="billing")
    async with aiosqlite.connect(tmp_path / "a.db") as other:
        with pytest.raises(InvalidInput, match="async driver's"):
            Inbox(other, consumer="billing")


async def test_a_cancelled_handler_leaves_nothing(engine: sqlalchemy.Engine, async_engine: AsyncEngine) -> None:
    event = make()
    inside = asyncio.Event()

    async def handle(connection: AsyncConnection) -> None:
        async with Inbox(connection, consumer="billing").once(event):
            await connection.execute(INSERT, {"event_id": event.id})
            inside.set()
            await asyncio.Event().wait()

    async with async_engine.connect() as connection:
        task = asyncio.create_task(handle(connection))
        await inside.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await connection.commit()
    assert effects(engine) == []
    assert await on_an_async_connection(async_engine, event)
    await async_engine.dispose()

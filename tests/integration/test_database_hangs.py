"""A PostgreSQL that answers nobody stops only who asks it; a node that stands inside a transaction stops no other."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from pathlib import Path

import httpx
import psycopg
import pytest
import sqlalchemy as sa

from brain.errors import Unavailable
from brain.kit import database_threads, postgresql
from brain.kit.database import OUTAGE, create_tables, open_database, reading
from brain.kit.database_threads import for_reading
from brain.kit.positions import METADATA, POSITIONS
from brain.settings import Settings
from support.postgres_server import PostgresServer
from support.retrying import until_committed
from support.server import running_server
from support.waiting import until, wait_until

READERS = 60


@pytest.mark.alone
async def test_60_readers_of_a_frozen_database_hold_up_no_containment(
    tmp_path: Path, postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # the key of the audit log
    # A busy machine must need less for a containment than whoever waits for a thread, and less for all of them than
    # PostgreSQL for giving up.
    monkeypatch.setattr(database_threads, "PATIENCE", 2.0)
    monkeypatch.setattr(postgresql, "STATEMENT_SECONDS", 300)
    settings = Settings(stream=f"sqlite:///{tmp_path / 'brain.db'}", database=postgres.url, port=0)
    async with running_server(settings) as (_, client):

        async def answers() -> bool:
            return (await client.get("/api/audit")).status_code == 200

        await until(answers)
        await timed_containment(client, 0)  # the first request of a route imports it
        with postgres.frozen():
            reading = [asyncio.create_task(client.get("/api/audit")) for _ in range(READERS)]
            took = [await timed_containment(client, number) for number in range(1, 21)]
            assert max(took) < database_threads.PATIENCE, (
                "a containment is kept in the store, and waits for no database"
            )
            await until(lambda: sum(task.done() for task in reading) >= READERS - database_threads.READING)
            refused = [task.result() for task in reading if task.done()]
            assert {answer.status_code for answer in refused} == {503}
            assert {answer.headers["Retry-After"] for answer in refused} == {"1"}
            assert (await client.get("/readyz")).status_code in (200, 503)
        late = [answer for answer in await asyncio.gather(*reading) if answer not in refused]
        assert {answer.status_code for answer in late} <= {200, 503}
        answered = sum(answer.status_code == 200 for answer in late)
        # The server, which has just begun, may be reading something for itself.
        assert database_threads.READING - 1 <= answered <= database_threads.READING


async def timed_containment(client: httpx.AsyncClient, number: int) -> float:
    began = time.monotonic()
    measure = {"agent_id": f"agent-{number}", "ttl": 900, "reason": "test", "by": "soc"}
    (await client.post("/api/policy/containments", json=measure)).raise_for_status()
    return time.monotonic() - began


async def test_a_frozen_server_is_given_up_by_the_client(
    postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgresql, "STATEMENT_SECONDS", 0.5)
    monkeypatch.setattr(postgresql, "GRACE_SECONDS", 0.2)
    engine = open_database(postgres.url)
    with reading(engine).connect() as connection, postgres.frozen(), pytest.raises(OUTAGE, match="does not answer"):
        connection.execute(sa.text("SELECT 1"))
    with engine.begin() as connection:
        assert connection.execute(sa.text("SELECT 1")).scalar() == 1, "and found again"
    engine.dispose()


def test_a_transaction_that_stands_still_gives_its_locks_back_within_5_seconds(postgres: PostgresServer) -> None:
    frozen, awake = open_database(postgres.url), open_database(postgres.url)
    create_tables(frozen, METADATA)
    with frozen.begin() as db:
        db.execute(POSITIONS.insert(), {"name": "g", "position": "1", "applied": 1})
    with frozen.connect() as standing:
        standing.execute(POSITIONS.update().values(position="2"))
        began = time.monotonic()
        move(awake)  # a second time, where it gave up just before the other one lost its locks
        assert time.monotonic() - began < 5
        with pytest.raises(OUTAGE):  # it wakes
            standing.commit()
    with reading(awake).begin() as db:
        assert db.execute(sa.select(POSITIONS.c.position)).scalar() == "3"
    frozen.dispose()
    awake.dispose()


def test_a_node_frozen_in_the_middle_of_a_pipeline_gives_its_locks_back_within_5_seconds(
    postgres: PostgresServer,
) -> None:
    """There PostgreSQL knows no limit of its own: the session is not idle, it waits for what the client will send."""
    awake = open_database(postgres.url)
    create_tables(awake, METADATA)
    with awake.begin() as db:
        db.execute(POSITIONS.insert(), {"name": "g", "position": "1", "applied": 1})

    with (
        suppress(psycopg.OperationalError),
        psycopg.connect(postgres.dsn, application_name="brain-writing") as frozen,
        frozen.pipeline(),
    ):
        frozen.execute("UPDATE consumer_positions SET position = '2'")
        frozen.pgconn.send_flush_request()
        frozen.pgconn.flush()
        wait_until(lambda: holds_lock(postgres))
        began = time.monotonic()
        move(awake)
        took = time.monotonic() - began
    assert took < 5
    with reading(awake).begin() as db:
        assert db.execute(sa.select(POSITIONS.c.position)).scalar() == "3"
    awake.dispose()


def move(engine: sa.Engine) -> None:
    """Move the position to 3, as a node that tries again when it cannot."""

    def moved() -> None:
        with engine.begin() as db:
            db.execute(POSITIONS.update().values(position="3"))

    until_committed(moved)


def holds_lock(postgres: PostgresServer) -> bool:
    """Whether the session of the frozen one has begun its update."""
    with psycopg.connect(postgres.dsn) as connection:
        query = (
            "SELECT 1 FROM pg_stat_activity WHERE application_name = 'brain-writing' "
            "AND query LIKE 'UPDATE consumer_positions SET position = ''2''%' AND wait_event = 'ClientRead'"
        )
        return connection.execute(query).fetchone() is not None


async def test_a_request_waits_for_a_thread_for_a_second_and_a_free_one_is_given_on(tmp_path: Path) -> None:
    engine = open_database(f"sqlite:///{tmp_path / 'a.db'}")
    let_go = asyncio.Event()
    loop = asyncio.get_running_loop()

    def hang() -> None:
        asyncio.run_coroutine_threadsafe(let_go.wait(), loop).result()

    asking = [asyncio.create_task(for_reading(engine, hang)) for _ in range(database_threads.READING + 1)]
    await asyncio.wait(asking, return_when=asyncio.FIRST_COMPLETED)
    let_go.set()
    (refused,) = filter(None, await asyncio.gather(*asking, return_exceptions=True))
    assert isinstance(refused, Unavailable)
    assert "no thread was free for 1 s" in str(refused)
    assert await for_reading(engine, int) == 0
    engine.dispose()

"""kill -9 of `brain worker audit` at random points under load: each event once and in order, and the log verifies."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest
import sqlalchemy as sa

from brain import Event, EventStream
from brain.audit.open import open_key
from brain.audit.repository import make_tables
from brain.audit.search import AuditQuery, each
from brain.audit.settings import AuditSettings
from brain.audit.tables import entries
from brain.audit.verify import verify
from brain.kit.database import open_database, reading
from support import audit_worker
from support.processes import kill, spawn
from support.signals import freeze
from support.sizes import sizes
from support.waiting import until

SEED = 20261125


@pytest.mark.timeout(300)
@pytest.mark.parametrize("kind", ["sqlite", "redis and postgresql"])
@pytest.mark.parametrize("kills", sizes(4, 50))
async def test_each_event_is_logged_once_and_in_order(
    kind: str, kills: int, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    if kind == "sqlite":
        url, database_url = f"sqlite:///{tmp_path}/brain.db", f"sqlite:///{tmp_path}/brain-consumers.db"
    else:
        url = str(request.getfixturevalue("redis_url"))
        database_url = request.getfixturevalue("postgres").url
    database = open_database(database_url)
    make_tables(database)
    chance = random.Random(SEED)
    published: list[bytes] = []

    def logged() -> int:
        with reading(database).connect() as connection:
            return int(connection.scalar(sa.select(sa.func.count()).select_from(entries)) or 0)

    async with EventStream.open(url, journal=tmp_path / "journal") as stream:

        def publish(count: int) -> None:
            for _ in range(count):
                event = Event(type="test.counted", source="test_service", payload={"n": len(published)})
                assert stream.publish(event).refused is None
                published.append(event.encode())

        arguments = (str(tmp_path), url, database_url)
        worker = spawn(audit_worker.run, *arguments)
        killed_at_work = 0
        for number in range(kills):
            if number % 2:  # while it starts
                publish(chance.randrange(200))
                await asyncio.sleep(chance.uniform(0, 0.3))
            else:  # while it appends
                publish(1_500)
                before = logged()
                await until(lambda before=before: logged() > before)
                await asyncio.sleep(chance.uniform(0, 0.01))
            assert worker.is_alive()
            assert worker.pid is not None
            freeze(worker.pid)  # so it has something to append at its end, however quick it was
            publish(10)
            kill(worker)
            killed_at_work += 0 < logged() < len(published)
            worker = spawn(audit_worker.run, *arguments)
        await until(lambda: logged() >= len(published), 90)
        kill(worker)
        assert await stream.dead_letters() == []
    found = [entry.data for entry in each(database, AuditQuery())]
    report = verify(database, open_key(database, AuditSettings(key_file=tmp_path / "brain-audit.key")))
    print(f"{kind}: {kills} kills, {killed_at_work} with events left to log; {len(published)} events, {report}")
    assert found == published
    assert (report.ok, report.size) == (True, len(published))
    assert report.checkpoints > 1
    assert killed_at_work > kills // 4
    database.dispose()

"""Backups at random times under load, restored elsewhere: logs verify, producers go on, nothing skipped or doubled."""

from __future__ import annotations

import asyncio
import random
import shutil
import time
from pathlib import Path

import pytest

from brain import Event, EventStream
from brain.audit.local_checkpoint import read_note
from brain.audit.open import checkpoint_path, open_key
from brain.audit.search import AuditQuery, each
from brain.audit.settings import AuditSettings
from brain.audit.verify import verify as verify_audit
from brain.kit.backup.restore import restore
from brain.kit.backup.take import take
from brain.kit.database import open_database
from brain.metrics.recount import verify as verify_metrics
from brain.metrics.sources import StreamSource, audit_source
from brain.plugins import PluginContext
from brain.settings import Settings
from brain.stream.backends import Backend, open_backend
from support import audit_worker, metrics_worker
from support.consuming import caught_up, consuming, publish, settings_in
from support.metrics_traffic import Traffic
from support.processes import kill, spawn
from support.sizes import sizes
from support.waiting import until

SEED = 20261129


def ids_in(backend: Backend) -> list[bytes]:
    found: list[bytes] = []
    after = ""
    while entries := backend.read(after, 2000):
        found += [entry.data for entry in entries]
        after = entries[-1].position
    return found


def check(settings: Settings, context: PluginContext | None = None) -> list[str]:
    """Both logs verify; the ids of the events in the audit log. With a context the metrics are recounted from it."""
    database, backend = open_database(settings.database), open_backend(settings.stream)
    try:
        note = read_note(checkpoint_path(database, AuditSettings()))
        report = verify_audit(database, open_key(database, AuditSettings()), local=note)
        assert report.ok, report.problem
        source = audit_source(context) if context is not None else lambda stored: StreamSource(backend, stored)
        verdict = verify_metrics(database, source)
        assert (verdict.differences, verdict.incomplete) == ([], 0)
        logged = [entry.data for entry in each(database, AuditQuery())]
        assert verdict.events == len(logged)
        if context is None:
            assert logged == ids_in(backend)
        assert len(set(logged)) == len(logged)
        return [Event.decode(data).id for data in logged]
    finally:
        database.dispose()
        backend.close()


@pytest.mark.timeout(3000)
@pytest.mark.parametrize("rounds", sizes(1, 50))
async def test_restored_elsewhere_and_back_in_place(rounds: int, tmp_path: Path) -> None:
    chance, traffic = random.Random(SEED), Traffic(SEED, start=time.time() - 600, hours=0.15)
    live = settings_in(tmp_path / "live")
    (tmp_path / "live").mkdir()
    published: list[str] = []
    loaded = asyncio.Event()
    async with EventStream.open(live.stream) as stream:
        published += await publish(stream, traffic, 500)
        workers = [
            spawn(worker.run, str(tmp_path / "live"), live.stream, live.database)
            for worker in (audit_worker, metrics_worker)
        ]

        async def load() -> None:
            while True:
                await loaded.wait()
                published.extend(await publish(stream, traffic, chance.randrange(1, 30)))
                await asyncio.sleep(chance.uniform(0, 0.15))

        await until(lambda: (tmp_path / "live" / "brain-consumers.db").exists())
        await until(lambda: (tmp_path / "live" / "brain-audit.checkpoint").exists())
        producer = asyncio.create_task(load())
        for number in range(rounds):
            loaded.set()
            await asyncio.sleep(chance.uniform(0, 0.4))
            before = len(published)
            await asyncio.to_thread(take, live, tmp_path / f"set{number}")
            loaded.clear()  # what follows is checked event by event
            elsewhere = settings_in(tmp_path / f"restored{number}")
            logged = await go_on_elsewhere(elsewhere, tmp_path / f"set{number}", traffic, set(published[:before]))
            if number % 5 == 0:
                await put_the_stream_back(elsewhere, tmp_path / f"set{number}", traffic, logged)
            for folder in (f"set{number}", f"restored{number}"):
                shutil.rmtree(tmp_path / folder)
        producer.cancel()
        await asyncio.gather(producer, return_exceptions=True)
        published.extend(await publish(stream, traffic, 1))
        database = open_database(live.database)
        await caught_up(database, stream.backend)
        database.dispose()
        for worker in workers:
            kill(worker)
    logged = await asyncio.to_thread(check, live)
    assert set(published) <= set(logged)
    print(f"{rounds} rounds, {len(logged)} events in the original; every log verifies")


async def go_on_elsewhere(settings: Settings, folder: Path, traffic: Traffic, earlier: set[str]) -> list[str]:
    """Restore elsewhere, publish and consume there; the ids in the audit log."""
    await asyncio.to_thread(restore, settings, folder)
    async with consuming(settings) as context:
        new = set(await publish(context.stream, traffic, 200))
        await caught_up(context.database, context.stream.backend)
    logged = await asyncio.to_thread(check, settings)
    assert earlier | new <= set(logged), "skipped"
    return logged


async def put_the_stream_back(settings: Settings, folder: Path, traffic: Traffic, logged: list[str]) -> None:
    """Restore the stream alone, under consumers that know more: what follows is applied once."""
    await asyncio.to_thread(restore, settings, folder, replace=True, with_database=False)
    async with consuming(settings) as context:
        newest = set(await publish(context.stream, traffic, 300))
        await caught_up(context.database, context.stream.backend)
        after = await asyncio.to_thread(check, settings, context)
    assert after[: len(logged)] == logged
    fresh = after[len(logged) :]
    assert (len(fresh), set(fresh)) == (len(newest), newest)

"""Kills between changes and their reports: each report is in effect once, and none is lost.

By default a few kills; `make test-long` makes 60 on each database.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import random
import time
from collections import Counter
from contextlib import closing
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest
import sqlalchemy as sa

from brain import EventStream
from brain.immune.service import ImmuneService
from brain.kit.context import plugin_context
from brain.kit.outbox import ReportDelivery
from brain.kit.outbox.reports import count_reports
from brain.store import open_store
from brain.threats.service import ThreatService
from support import report_worker
from support.processes import kill, spawn
from support.waiting import wait_until

MOST = 3_000
"""Changes in all, to which each process adds an equal part at most: so the last one, too, has some to make."""


def started(stream: str, database: str, most: int) -> tuple[BaseProcess, Connection]:
    ours, theirs = multiprocessing.Pipe()
    return spawn(report_worker.work, stream, database, most, theirs), ours


def kill_at_random(kills: int, stream: str, database: str) -> None:
    """Kill workers at random moments, each after its first changes."""
    chance = random.Random(kills)
    for _ in range(kills):
        process, going = started(stream, database, MOST // kills)
        wait_until(going.poll)
        time.sleep(chance.uniform(0, 0.1))
        kill(process)


@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("kind", "kills"),
    [
        ("sqlite", 3),
        pytest.param("sqlite", 60, marks=pytest.mark.long),
        pytest.param("postgresql", 60, marks=pytest.mark.long),
    ],
)
async def test_each_report_arrives_once(
    kind: str, kills: int, tmp_path: Path, request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]
) -> None:
    url = f"sqlite:///{tmp_path}/brain.db"
    given = f"sqlite:///{tmp_path}/consumers.db" if kind == "sqlite" else request.getfixturevalue("postgres").url
    await asyncio.to_thread(kill_at_random, kills, url, given)
    settings = report_worker.settings_of(url, given)
    async with EventStream.open(url) as stream:
        with closing(open_store(url)) as store, plugin_context(stream, store, settings) as context:
            with context.database.begin() as db:
                made = db.execute(sa.select(report_worker.CHANGES.c.number)).scalars().all()
                left = sum(count_reports(db).values())
            delivery = ReportDelivery(context)
            assert await delivery.deliver()
            health = ImmuneService(None, store).get_recent_events(limit=10_000)
            threats = await ThreatService(None, store).list_threats()
            with context.database.begin() as db:
                assert count_reports(db) == {}
    assert len(made) >= kills * report_worker.FIRST
    assert Counter(event.details["number"] for event in health) == dict.fromkeys(made, 1)
    evidence = sum(threat.metadata["evidence"]["reports"] for threat in threats)
    assert (evidence, {threat.source for threat in threats}) == (len(made), {"a0", "a1", "a2"})
    with capsys.disabled():
        print(f"\n{kind}: {kills} kills, {len(made)} changes with two reports each, {left} left by the last one")

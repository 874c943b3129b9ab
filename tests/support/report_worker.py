"""A process that makes changes with reports about them, and delivers these, until it is killed or has made enough."""

from __future__ import annotations

import asyncio
from contextlib import closing
from multiprocessing.connection import Connection

import sqlalchemy as sa

from brain import EventStream
from brain.charter import HealthKind, HealthSeverity, Severity
from brain.kit.context import plugin_context
from brain.kit.database import create_tables
from brain.kit.outbox import ReportDelivery, metadata, put_health, put_threat
from brain.kit.protocols import HealthReport, ThreatReport
from brain.settings import Settings
from brain.store import open_store

SOURCES = 3
"""Threats have so many sources; the reports about one are its readings."""
FIRST = SOURCES
"""Changes that each process makes at least: one for each source."""
_METADATA = sa.MetaData()
CHANGES = sa.Table("test_changes", _METADATA, sa.Column("number", sa.Integer, primary_key=True))


def settings_of(stream: str, database: str) -> Settings:
    return Settings(stream=stream, database=database)


def make_tables(database: sa.Engine) -> None:
    for each in (metadata, _METADATA):
        create_tables(database, each)


def change(db: sa.Connection, number: int, now: float) -> None:
    """A change, the report of what is ill, and of who attacks: one write."""
    db.execute(sa.insert(CHANGES).values(number=number))
    details = {"number": number}
    ill = HealthReport(HealthSeverity.WARNING, HealthKind.ERROR_SPIKE, "test", f"change {number}", details)
    put_health(db, "test", ill, now)
    attack = ThreatReport("attack", f"a{number % SOURCES}", Severity.LOW, "An attack", f"change {number}")
    put_threat(db, "test", attack, now)


def work(stream: str, database: str, most: int, going: Connection) -> None:
    """Make changes, up to so many; says the number of one once it has made the first few, and goes on."""
    asyncio.run(_work(stream, database, most, going))


async def _work(url: str, database: str, most: int, going: Connection) -> None:
    settings = settings_of(url, database)
    async with EventStream.open(url) as stream:
        with closing(open_store(url)) as store, plugin_context(stream, store, settings) as context:
            make_tables(context.database)
            delivery = asyncio.create_task(ReportDelivery(context).run())
            with context.database.begin() as db:
                first = db.execute(sa.select(sa.func.count()).select_from(CHANGES)).scalar_one()
            for number in range(first, first + most):
                await asyncio.to_thread(_change, context.database, number)
                if number == first + FIRST - 1:
                    going.send("going")
            await asyncio.wait([delivery])


def _change(database: sa.Engine, number: int) -> None:
    with database.begin() as db:
        change(db, number, float(number))

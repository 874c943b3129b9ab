"""`brain metrics show` and `brain metrics verify` as a user runs them."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path

import pytest
from sqlalchemy import select

from brain import EventStream
from brain.audit.repository import make_tables
from brain.audit.tables import entries
from brain.kit.database import open_database, reading
from support import audit_worker, metrics_worker
from support.command import Command
from support.metrics_tables import open_tables, total
from support.metrics_traffic import Traffic
from support.processes import kill, spawn
from support.waiting import until, wait_until


@pytest.fixture
async def counted(tmp_path: Path) -> Path:
    """A folder with a stream of 300 events, all counted by `brain worker metrics`."""
    stream_url, database = f"sqlite:///{tmp_path}/brain.db", f"sqlite:///{tmp_path}/brain-consumers.db"
    async with EventStream.open(stream_url) as stream:
        for receipt in [stream.publish(event) for event in Traffic(1, start=time.time() - 3000, hours=0.8).events(300)]:
            await receipt
    worker = spawn(metrics_worker.run, str(tmp_path), stream_url, database)
    engine = open_tables(database)
    await until(lambda: total(engine) == 300)
    kill(worker)
    engine.dispose()
    return tmp_path


def test_show_prints_the_figures(counted: Path, brain: Command) -> None:
    shown = brain("metrics", "show", "--since", "2h", "--top", "2")
    assert shown.code == 0, shown.err
    figures = brain("metrics", "show", "--since", "2h", "--json").json
    assert f"{figures['decisions']['DENY']}" in shown.out
    assert sum(figures["decisions"].values()) > 100
    assert figures["mttm_seconds"] > 0
    assert figures["open"]["count"] > 0
    for name in ("mean time to mitigate:", "still open:", "health score:", "denied agents:"):
        assert name in shown.out
    refused = brain("metrics", "show", "--since", "tomorrow")
    assert (refused.code, refused.out) == (2, "")
    assert "since:" in refused.err


def test_verify_against_the_audit_log_that_its_plug_in_provides(counted: Path, brain: Command) -> None:
    behind = brain("metrics", "verify", "--source", "audit")
    assert (behind.code, behind.out) == (2, "")
    assert "use --source stream" in behind.err
    database_url = f"sqlite:///{counted}/brain-consumers.db"
    worker = spawn(audit_worker.run, str(counted), f"sqlite:///{counted}/brain.db", database_url)
    engine = open_database(database_url)

    def logged() -> int:
        with reading(engine).connect() as connection:
            return len(connection.execute(select(entries.c.idx)).all())

    wait_until(lambda: logged() == 300)
    kill(worker)
    engine.dispose()
    equal = brain("metrics", "verify", "--source", "audit")
    assert equal.code == 0, equal.out + equal.err
    assert equal.out.startswith("300 events recounted, ")
    assert equal.out.endswith(": equal\n")


async def test_one_worker_runs_several_plug_ins(tmp_path: Path) -> None:
    stream_url, database = f"sqlite:///{tmp_path}/brain.db", f"sqlite:///{tmp_path}/brain-consumers.db"
    async with EventStream.open(stream_url) as stream:
        for receipt in [stream.publish(event) for event in Traffic(1, start=time.time() - 60, hours=0.01).events(20)]:
            await receipt
    worker = spawn(metrics_worker.run, str(tmp_path), stream_url, database, "audit")
    engine = open_tables(database)
    make_tables(engine)

    def logged() -> list[int]:
        with reading(engine).connect() as connection:
            return list(connection.execute(select(entries.c.idx)).scalars())

    try:
        await until(lambda: total(engine) >= 20 and len(logged()) >= 20)  # they publish something themselves
    finally:
        kill(worker)
        engine.dispose()


def test_verify_ends_with_1_and_names_what_differs(counted: Path, brain: Command) -> None:
    equal = brain("metrics", "verify")
    assert equal.code == 0, equal.out + equal.err
    assert equal.out.startswith("300 events recounted, ")
    assert equal.out.endswith(": equal\n")
    with sqlite3.connect(counted / "brain-consumers.db") as database:
        database.execute("UPDATE metrics_points SET count = count + 5 WHERE step = 3600 AND label = 'DENY'")
    differing = brain("metrics", "verify", "--json")
    assert differing.code == 1, differing.err
    assert differing.out, differing.err
    assert differing.json["ok"] is False
    for difference in differing.json["differences"]:
        assert (difference["key"]["step"], difference["key"]["label"]) == (3600, "DENY")
        assert difference["stored"]["count"] == difference["recounted"]["count"] + 5
    assert "DENY: stored " in brain("metrics", "verify").out


def test_verify_says_what_is_missing(brain: Command) -> None:
    for source in ("stream", "audit"):
        refused = brain("metrics", "verify", "--source", source)
        assert (refused.code, refused.out) == (2, "")
        assert "there is no database" in refused.err
        assert "brain worker NAME" in refused.err

"""Reports and keys that plug-ins kept in tables of their own are taken over by a newer version, on both databases."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from brain.dna import tables as dna
from brain.hardware import tables as hardware
from brain.kit.database import open_database
from brain.kit.database_keys import KEYS
from brain.kit.outbox import Message, outbox, put
from brain.kit.outbox.reports import reports
from brain.kit.schema import VERSIONS
from brain.metrics import schema as metrics
from brain.metrics.definition_store import API, define
from brain.metrics.definitions import DefinitionSet
from brain.metrics.watch import fingerprint
from brain.missions import tables as missions

MAKE = (hardware.make_tables, missions.make_tables, dna.make_tables, metrics.make_tables)
LIMITS = {
    "refusals": {"metric": "denials", "by": "agent", "above": 20},
    "quiet": {"metric": "events", "below": 1},
}


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/consumers.db"
    return str(request.getfixturevalue("postgres").url)


@pytest.fixture
def old(url: str) -> sa.Engine:
    """A database as the version before left it, with a report of each kind that waits."""
    engine = open_database(url)
    for make in MAKE:
        make(engine)
    with engine.begin() as db:
        db.execute(sa.text("DROP TABLE outbox_reports"))
        db.execute(sa.text("UPDATE brain_schema SET version = version - 1 WHERE part IN ('hardware', 'missions')"))
        db.execute(sa.text("UPDATE brain_schema SET version = 1 WHERE part = 'dna'"))
        db.execute(sa.text("UPDATE brain_schema SET version = 3 WHERE part = 'metrics'"))
        messages_of(db)
        rows_of_dna(db)
        crossings_of_metrics(db)
    engine.dispose()
    return open_database(url)


def messages_of(db: sa.Connection) -> None:
    hijack = {"agent": "mallory", "robot": "r1", "command": "cmd_1", "reason": "no lease"}
    limit = {"device_id": "host:a", "metric": "memory_percent", "value": 96.0, "limit": 95.0}
    late = {"severity": "CRITICAL", "kind": "AGENT_FAILURE", "message": "ann is ill", "details": {"mission_id": "m1"}}
    given: list[tuple[str, str, str, dict[str, Any]]] = [
        ("hardware", "threats", "hijack cmd_1", hijack),
        ("hardware", "health", "limit host:a memory_percent 7.0", {"severity": "WARNING", "limit": limit}),
        ("missions", "health", "lost-leases ann t1 3", late),
        ("hardware", "health", "sent already", {}),
        ("alerting", "health", "a service of that name", {}),
    ]
    for consumer, channel, key, body in given:
        assert put(db, Message(consumer=consumer, channel=channel, key=key, dedup=key, body=body), 7.0)
    db.execute(sa.update(outbox).where(outbox.c.dedup == "sent already").values(state="sent"))


def rows_of_dna(db: sa.Connection) -> None:
    db.execute(
        sa.text(
            "CREATE TABLE dna_reports (id VARCHAR(80) PRIMARY KEY, kind VARCHAR(10), report JSON, created_at FLOAT)"
        )
    )
    db.execute(sa.text("DROP TABLE created_keys"))
    columns = "key VARCHAR(64) PRIMARY KEY, content VARCHAR(32), made VARCHAR(100), at FLOAT"
    db.execute(sa.text(f"CREATE TABLE dna_keys ({columns})"))
    db.execute(sa.text("DELETE FROM brain_schema WHERE part = 'keys'"))
    db.execute(sa.text("INSERT INTO dna_keys (key, content, made, at) VALUES ('k', 'c', '7', 1.0)"))
    ill = {"severity": "CRITICAL", "kind": "PERFORMANCE_DEGRADATION", "module": "svc", "message": "taken back"}
    attack = {
        "type": "dna_tampering",
        "source": "mallory",
        "severity": "HIGH",
        "description": "wrote",
        "reading": "stu 1",
    }
    for number, (id, kind, report) in enumerate([("rol_1", "health", ill), ("tampering_1", "threat", attack)]):
        values = {"id": id, "kind": kind, "report": json.dumps(report), "at": float(number)}
        db.execute(sa.text("INSERT INTO dna_reports VALUES (:id, :kind, :report, :at)"), values)


def crossings_of_metrics(db: sa.Connection) -> None:
    given = DefinitionSet.model_validate({"limits": LIMITS})
    define(db, API, given, 7.0)
    db.execute(sa.text("ALTER TABLE metrics_watched ADD COLUMN reported INTEGER NOT NULL DEFAULT 0"))
    details = {"value": 30.0, "direction": "above", "limit": 20.0}
    for label, reported in (("a7", 0), ("a8", 1)):
        values = {
            "label": label,
            "definition": fingerprint(given.limits["refusals"]),
            "details": json.dumps(details),
            "reported": reported,
        }
        columns = "kind, name, label, definition, crossed, since, details, reported"
        row = "'limit', 'refusals', :label, :definition, 1, 6.0, :details, :reported"
        db.execute(sa.text(f"INSERT INTO metrics_watched ({columns}) VALUES ({row})"), values)


def test_what_waits_is_not_lost(old: sa.Engine) -> None:
    for make in MAKE:
        make(old)
    with old.begin() as db:
        rows = db.execute(sa.select(reports)).all()
        left = db.execute(sa.select(outbox.c.consumer)).scalars().all()
        keys = db.execute(sa.select(KEYS)).all()
        versions = {row.part: row.version for row in db.execute(sa.select(VERSIONS))}
        names = sa.inspect(db).get_table_names()
        columns = {column["name"] for column in sa.inspect(db).get_columns("metrics_watched")}
    found = {(row.consumer, row.channel): (row.key, row.report) for row in rows}
    assert {where: key for where, (key, _) in found.items()} == {
        ("hardware", "threats"): "hardware_hijack mallory cmd_1",
        ("hardware", "health"): "limit host:a memory_percent 7.0",
        ("missions", "health"): "lost-leases ann t1 3",
        ("dna", "health"): "dna rol_1",
        ("dna", "threats"): "dna_tampering mallory stu 1",
        ("metrics", "threats"): "excessive_denials a7 metrics limit refusals a7 6.0 ",
    }
    assert found["hardware", "health"][1]["message"] == "host:a: memory_percent is 96, its limit is 95"
    assert found["missions", "health"][1]["correlation_id"] == "m1"
    assert left == ["alerting"]
    assert [tuple(row) for row in keys] == [("k", "c", "7", 1.0)]
    assert ("dna_keys" in names, "dna_reports" in names, "reported" in columns) == (False, False, False)
    assert (versions["hardware"], versions["missions"], versions["metrics"]) == (2, 2, 5)
    old.dispose()

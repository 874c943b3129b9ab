"""Each list, with each filter that is offered and for the page after, is read in the order of an index.

The plans say so, whatever the number of rows: no table is read as a whole, and nothing is sorted to find the newest.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from brain.alerting.configuration import configuration
from brain.alerting.service import AlertService
from brain.alerting.settings import AlertingSettings
from brain.alerting.tables import ALERTS
from brain.audit.repository import make_tables as make_audit_tables
from brain.audit.search import AuditQuery, find
from brain.audit.tables import entries, types
from brain.charter import IncidentState, Pattern
from brain.errors import InvalidInput
from brain.incidents.service import IncidentService
from brain.incidents.settings import IncidentSettings
from brain.incidents.tables import incidents
from brain.incidents.tables import make_tables as make_incident_tables
from brain.kit.database import open_database, reading
from brain.store.sqlite import SQLiteStore
from brain.stream.backends.sqlite import SQLiteBackend
from brain.threats.service import ThreatService
from support.postgres_server import PostgresServer

BAD = re.compile(r"USE TEMP B-TREE FOR ORDER BY|SCAN (?!.*USING (COVERING )?INDEX)")
SMALL = ("soc_silences", "brain_schema", "CONSTANT", "json_each", "known", "groups", "sqlite_sequence", "(subquery")
"""What may be read as a whole: silences, types of events, groups, and rows of no table, such as empty lists."""


def bad_steps(steps: list[str], allowed: tuple[str, ...] = ()) -> list[str]:
    return [step for step in steps if BAD.search(step) and not any(name in step for name in (*SMALL, *allowed))]


@contextmanager
def plans(engine: sa.Engine) -> Iterator[list[str]]:
    """The steps of the plan of every query that the engine runs."""
    found: list[str] = []

    def note(connection: Any, cursor: Any, statement: str, values: Any, *_: object) -> None:
        if statement.lstrip().startswith(("SELECT", "WITH")) and "sqlite_master" not in statement:
            planned = cursor.connection.execute(f"EXPLAIN QUERY PLAN {statement}", values)
            found.extend(f"{row[3]} | {statement}" for row in planned.fetchall())

    sa.event.listen(engine, "before_cursor_execute", note)
    try:
        yield found
    finally:
        sa.event.remove(engine, "before_cursor_execute", note)


def test_alerts(tmp_path: Path) -> None:
    engine = open_database(f"sqlite:///{tmp_path}/consumers.db")
    service = AlertService(engine, configuration(AlertingSettings()))
    service.alerts()
    row = ("alr_1", "k", 1, "n", "HIGH", "{}", "s", "e", "c", "c", "firing", 1, 1, 1, 1.0, 1.0, 1.0, "")
    with sqlite3.connect(tmp_path / "consumers.db") as db:
        names = """id, key, current, name, severity, labels, summary, event, correlation_id, latest_story, state,
            period, demand, count, first_at, fired_at, last_at, resolved_by"""
        db.execute(f"INSERT INTO soc_alerts ({names}) VALUES ({', '.join('?' * len(row))})", row)
    with plans(engine) as steps:
        assert [alert.id for alert in service.alerts()] == ["alr_1"]
        assert service.alerts(before="alr_1") == []
        assert len(service.alerts("firing")) == 1
        assert service.alerts("resolved", before="alr_1") == []
    assert len(steps) > 8
    assert bad_steps(steps, ("FROM soc_notices",)) == []  # those of a page's groups are sorted, and no others


async def test_incidents(tmp_path: Path) -> None:
    engine = open_database(f"sqlite:///{tmp_path}/consumers.db")
    make_incident_tables(engine)
    service = IncidentService(engine, IncidentSettings())
    with sqlite3.connect(tmp_path / "consumers.db") as db:
        names = "id, number, story, episode, title, severity, state, opened_at, updated_at, version"
        rows = [(f"inc_{n}", n, f"c{n}", 1, "t", "HIGH", ("NEW", "CLOSED")[n % 2], n // 2, 1.0, 1) for n in range(9)]
        db.executemany(f"INSERT INTO incidents_incidents ({names}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)
    both = [IncidentState.NEW, IncidentState.CLOSED]
    with plans(engine) as steps:
        for states in ([], [IncidentState.NEW], both):
            listed = [incident["id"] for incident in await service.list(states)]
            pages = await service.list(states, limit=2)
            while more := await service.list(states, limit=2, before=pages[-1]["id"]):
                pages += more
            assert [incident["id"] for incident in pages] == listed
    assert bad_steps(steps) == []
    with plans(engine) as steps:
        assert len(await service.list(both, "c3")) == 1
    assert bad_steps(steps, ("correlation_id=?", "WHERE incidents_incidents.story")) == []  # an incident's few episodes


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"status": "OPEN"},
        {"status": ["OPEN", "ESCALATED"], "severity": ["LOW", "HIGH"]},
        {"severity": "LOW"},
        {"type": "ssh"},
        {"source": "10.0.0.1"},
        {"type": "ssh", "source": "10.0.0.1", "status": "OPEN"},
    ],
)
async def test_threats(tmp_path: Path, given: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    store = SQLiteStore(f"sqlite:///{tmp_path}/brain.db")
    service = ThreatService(store=store, clock=lambda: 1_700_000_000.0)
    for number in range(5):
        await service.create_threat(("ssh", "scan")[number % 2], f"10.0.0.{number % 2 + 1}", "LOW")
    steps: list[str] = []
    ask: Callable[..., list[Any]] = store.query

    def noted(statement: str, values: Any) -> list[Any]:
        if "threat_list_filled" not in statement and "status IS NULL" not in statement:
            steps.extend(row[3] for row in ask(f"EXPLAIN QUERY PLAN {statement}", values))
        return ask(statement, values)

    monkeypatch.setattr(store, "query", noted)
    everything = await service.list_threats(**given)
    pages = await service.list_threats(**given, limit=2)
    while more := await service.list_threats(**given, limit=2, before=pages[-1].id):
        pages += more
    assert pages == everything
    assert everything
    assert steps
    assert bad_steps(steps) == []
    store.close()


def test_dead_letters(tmp_path: Path) -> None:
    backend = SQLiteBackend(f"sqlite:///{tmp_path}/brain.db")
    backend.create_group("one", "*", "")
    with sqlite3.connect(tmp_path / "brain.db") as db:
        traced: list[str] = []
        ask = backend._query

        def noted(statement: str, *values: Any) -> Any:
            traced.extend(row[3] for row in db.execute(f"EXPLAIN QUERY PLAN {statement}", values))
            return ask(statement, *values)

        backend._query = noted  # type: ignore[method-assign]
        assert backend.dead_letters() == backend.dead_letters("one", 5, "7") == []
        assert [group.dead for group in backend.groups()] == [0]
    assert len(traced) > 5
    assert bad_steps(traced) == []
    backend.close()


def test_audit_entries(tmp_path: Path) -> None:
    engine = open_database(f"sqlite:///{tmp_path}/consumers.db")
    make_audit_tables(engine)
    with sqlite3.connect(tmp_path / "consumers.db") as db:
        rows = [(n, b"", b"", n, n, ("a.b", "c.d")[n > 600], "agent", b"{}") for n in range(1_000)]
        names = "idx, leaf_hash, seal, appended_at, at, type, agent, payload"
        db.executemany(f"INSERT INTO audit_entries ({names}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows)
        db.execute("INSERT INTO audit_types SELECT DISTINCT type, idx / 256 FROM audit_entries")

    def indexes(before: int | None = None, **given: Any) -> list[int]:
        with reading(engine).connect() as connection:
            return [entry.index for entry in find(connection, AuditQuery(**given), before, 3)]

    with plans(engine) as steps:
        assert indexes(pattern=Pattern("a.*")) == [600, 599, 598]
        assert indexes(598, pattern=Pattern("a.b")) == [597, 596, 595]
        assert indexes(1, pattern=Pattern("a.*")) == [0]
        assert indexes(pattern=Pattern("never.*")) == []
        assert indexes(602, pattern=Pattern(["c.*", "a.*"])) == [601, 600, 599]
        assert indexes(agent="agent") == [999, 998, 997]
        assert indexes(5, agent="agent") == [4, 3, 2]
        assert indexes(threat="thr") == []
        assert indexes(since=998.0) == [999, 998]
        assert indexes(since=5_000.0) == []
        assert indexes(500) == [499, 498, 497]
    assert bad_steps(steps) == []


async def test_the_same_pages_on_postgresql(postgres: PostgresServer) -> None:
    engine = open_database(postgres.url)
    alerting = AlertService(engine, configuration(AlertingSettings()))
    assert alerting.alerts() == []
    for make in (make_incident_tables, make_audit_tables):
        make(engine)
    texts = dict.fromkeys(("name", "summary", "event", "correlation_id", "latest_correlation_id", "resolved_by"), "")
    numbers = dict.fromkeys(("period", "demand", "count", "first_at", "fired_at"), 1)
    alert = {**texts, **numbers, "current": True, "severity": "HIGH", "labels": {}}
    incident = {"episode": 1, "title": "t", "severity": "HIGH", "updated_at": 1.0, "version": 1}
    entry = {"leaf_hash": b"", "seal": b"", "appended_at": 1.0, "payload": b"{}"}
    with engine.begin() as db:
        for n in range(9):
            state = ("firing", "resolved")[n % 2]
            row = {**alert, "id": f"alr_{n}", "key": f"k{n}", "state": state, "last_at": float(n // 3)}
            db.execute(sa.insert(ALERTS).values(row))
            place = {"id": f"inc_{n}", "number": n, "correlation_id": f"c{n}", "opened_at": float(n // 3)}
            db.execute(sa.insert(incidents).values({**incident, **place, "state": ("NEW", "CLOSED")[n % 2]}))
            db.execute(sa.insert(entries).values({**entry, "idx": n, "at": float(n), "type": ("a.b", "c.d")[n > 6]}))
        db.execute(sa.insert(types), [{"type": "a.b", "block": 0}, {"type": "c.d", "block": 0}])
    assert [one.id for one in alerting.alerts(None, 3, "alr_6")] == ["alr_5", "alr_4", "alr_3"]
    assert [one.id for one in alerting.alerts("firing", 9, "alr_4")] == ["alr_2", "alr_0"]
    with pytest.raises(InvalidInput, match="before"):
        alerting.alerts(before="a\0b")
    service = IncidentService(engine, IncidentSettings())
    both = [IncidentState.NEW, IncidentState.CLOSED]
    assert [one["number"] for one in await service.list(both, limit=3, before="inc_6")] == [5, 4, 3]
    with reading(engine).connect() as connection:
        found = find(connection, AuditQuery(pattern=Pattern("a.*"), since=1.0), None, 3)
    assert [one.index for one in found] == [6, 5, 4]
    engine.dispose()

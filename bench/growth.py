"""Lists at 10,000 and at 1,000,000 rows: a page, each filter that is offered, and the page after it, on SQLite.

`python -m bench.growth [ROWS [KIND ...]]` fills tables with made rows and asks the services that the API and the
commands ask; medians of wall and processor time of 15 calls, in milliseconds. Kinds: threats, alerts, incidents,
letters, audit.
"""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import msgspec

ROWS = 1_000_000
FEW = 10_000
CALLS = 15
START = 1_700_000_000.0
STATUSES = ("OPEN", "INVESTIGATING", "ESCALATED", "MITIGATED", "RESOLVED", "RESOLVED", "RESOLVED", "IGNORED")
SEVERITIES = ("LOW", "MEDIUM", "HIGH", "CRITICAL")

Calls = Mapping[str, Callable[[], Any]]


def _threats(folder: Path, rows: int) -> Calls:
    from brain.store import open_store
    from brain.threats import ThreatService

    store = open_store(f"sqlite:///{folder}/brain.db")
    with sqlite3.connect(folder / "brain.db") as db:
        db.executemany("INSERT INTO documents VALUES ('threats', ?, 1, ?)", _threat_rows(rows))
        db.execute("INSERT INTO document_revisions VALUES ('threats', 1)")
    service = ThreatService(store=store)
    ask = lambda **given: asyncio.run(service.list_threats(**given))  # noqa: E731
    began = time.perf_counter()
    first = ask(limit=100)
    print(f"  the list was made in {time.perf_counter() - began:.1f} s", flush=True)
    number = iter(range(1_000_000))
    write = lambda: asyncio.run(service.create_threat("ssh", f"10.9.{next(number)}.1"))  # noqa: E731

    def after_a_write() -> None:
        write()
        ask()

    return {
        "a page": lambda: ask(),
        "the page after": lambda: ask(before=first[-1].id),
        "far down": lambda: ask(before=f"thr_{rows // 2:016x}"),
        "of the board: three statuses, 500": lambda: ask(status=["OPEN", "INVESTIGATING", "ESCALATED"], limit=500),
        "status and severity": lambda: ask(status="ESCALATED", severity="CRITICAL"),
        "a rare type": lambda: ask(type="rare"),
        "a source": lambda: ask(source="10.0.3.7"),
        "type and source": lambda: ask(type="rare", source="10.0.3.7"),
        "statistics": lambda: asyncio.run(service.get_stats()),
        "a write": write,
        "a write and a page": after_a_write,
    }


def _threat_rows(rows: int) -> Iterator[tuple[str, bytes]]:
    for number in range(rows):
        at = START + number
        value = {
            "id": f"thr_{number:016x}",
            "type": "rare" if number % 200_000 == 7 else ("ssh_brute_force", "policy_denials", "scan")[number % 3],
            "severity": SEVERITIES[number % 4],
            "source": f"10.{number % 7}.{number % 250}.{number % 241}",
            "status": STATUSES[number // 4 % 8],
            "description": "somebody tries passwords, again and again, from one address",
            "metadata": {"evidence": {"failed": 12}, "first_seen": at - 5},
            "correlation_id": f"thr_{number:016x}",
            "detected_at": at,
            "last_seen": at,
            "updated_at": at,
            "version": 1,
            "mitigated_at": at + 60 if number // 4 % 8 in (3, 4, 5, 6) else None,
            "readings": {},
            "history": [],
            "assignee": None,
            "comments": [],
        }
        yield value["id"], msgspec.json.encode(value)


def _alerts(folder: Path, rows: int) -> Calls:
    from brain.alerting.configuration import configuration
    from brain.alerting.service import AlertService
    from brain.alerting.settings import AlertingSettings
    from brain.kit.database import open_database

    engine = open_database(f"sqlite:///{folder}/consumers.db")
    service = AlertService(engine, configuration(AlertingSettings()), lambda: START + rows)
    service.alerts()
    with sqlite3.connect(folder / "consumers.db") as db:
        _insert(db, "soc_alerts", (_alert_row(number) for number in range(rows)))
        _insert(db, "soc_groups", ({"id": f"g{n}", "route": "r", "labels": "{}", "inhibited": 0} for n in range(rows)))
        _insert(db, "soc_members", ({"alert_id": f"alr_{n:016x}", "group_id": f"g{n}"} for n in range(rows)))
        log = {"notifier": "slack", "standing": "closed", "at": START, "acknowledged": 0, "number": 1}
        _insert(db, "soc_told", ({**log, "group_id": f"g{n}", "marks": "{}"} for n in range(rows)))
        note = {"notifier": "slack", "action": "trigger", "summary": "s", "at": START, "held": 0}
        told = ({**note, "group_id": f"g{n}", "alerts": json.dumps([f"alr_{n:016x}"])} for n in range(rows))
        _insert(db, "soc_notices", told)
    last = service.alerts()[-1].id
    return {
        "a page": lambda: service.alerts(),
        "the page after": lambda: service.alerts(before=last),
        "far down": lambda: service.alerts(before=f"alr_{rows // 2:016x}"),
        "firing": lambda: service.alerts("firing"),
        "resolved": lambda: service.alerts("resolved"),
        "resolved, far down": lambda: service.alerts("resolved", before=f"alr_{rows // 2 + 1:016x}"),
        "one that fires": lambda: service.alert(f"alr_{0:016x}"),
    }


def _alert_row(number: int) -> dict[str, Any]:
    """One in a thousand fires: of those, half are threats, half health alerts, which inhibit the threats."""
    fires, at = number % 1000 == 0, START + number // 10
    health = number // 1000 % 2 == 1
    labels = {"kind": "health" if health else "threat", "status": "OPEN", "agent": f"agent-{number // 1000 % 50}"}
    return {
        "id": f"alr_{number:016x}",
        "key": f"key {number}",
        "current": 1,
        "name": "a",
        "severity": "CRITICAL" if health else "HIGH",
        "labels": json.dumps(labels),
        "summary": "something happened there",
        "event": "evt_test_1_1",
        "correlation_id": f"c{number}",
        "latest_story": f"c{number}",
        "state": "firing" if fires else "resolved",
        "period": 1,
        "demand": 1,
        "count": 3,
        "first_at": at,
        "fired_at": at,
        "last_at": at,
        "resolved_at": None if fires else at,
        "resolved_by": "" if fires else "expiry",
    }


def _incidents(folder: Path, rows: int) -> Calls:
    from brain.incidents.service import IncidentService
    from brain.incidents.settings import IncidentSettings
    from brain.incidents.tables import make_tables
    from brain.kit.database import open_database

    engine = open_database(f"sqlite:///{folder}/incidents.db")
    make_tables(engine)
    service = IncidentService(engine, IncidentSettings())
    ask = lambda *given, **more: asyncio.run(service.list(*given, **more))  # noqa: E731
    ask()
    states = ("NEW", "IN_PROGRESS", "ON_HOLD", "RESOLVED", "CLOSED", "CLOSED", "CLOSED", "CLOSED")
    incident = {"severity": "HIGH", "title": "something happened", "version": 1, "episode": 1}
    with sqlite3.connect(folder / "incidents.db") as db:
        mine = (
            {
                **incident,
                "id": f"inc_{n:016x}",
                "number": n + 1,
                "story": f"c{n}",
                "state": states[n % 8],
                "opened_at": START + n // 10,
                "updated_at": START + n,
            }
            for n in range(rows)
        )
        _insert(db, "incidents_incidents", mine)
    last = ask()[-1]["id"]
    from brain.charter import IncidentState

    open_states = [IncidentState(name) for name in states[:3]]
    return {
        "a page": lambda: ask(),
        "the page after": lambda: ask(before=last),
        "of the page: three states, 200": lambda: ask(open_states, limit=200),
        "three states, far down": lambda: ask(open_states, before=f"inc_{rows // 2:016x}"),
        "a correlation id": lambda: ask((), f"c{rows // 3}"),
    }


def _letters(folder: Path, rows: int) -> Calls:
    from brain.stream.backends.sqlite import SQLiteBackend
    from brain.stream.dead_letters import DeadLetter

    backend = SQLiteBackend(f"sqlite:///{folder}/letters.db")
    for group in ("one", "other"):
        backend.create_group(group, "*", "0")
    event = b'{"id":"evt_test_1703001234567_9f3ac81b2d40","type":"test.happened","source":"test_service","target":null,'
    event += b'"timestamp":1703001234.5,"payload":{},"meta":{"correlation_id":null,"version":"1.0"}}'
    letter = DeadLetter(group="one", position="1", data=event, error="no", attempts=5, buried_at=START)
    packed = msgspec.msgpack.encode(letter)
    with sqlite3.connect(folder / "letters.db") as db:
        db.executemany("INSERT INTO dead_letters VALUES ('one', ?, ?)", ((n + 1, packed) for n in range(rows)))
        db.executemany("INSERT INTO dead_letters VALUES ('other', ?, ?)", ((n + 1, packed) for n in range(0, rows, 9)))
    return {
        "a page": lambda: backend.dead_letters(None, 200),
        "of one group": lambda: backend.dead_letters("one", 200),
        "the page after, of one group": lambda: backend.dead_letters("one", 200, str(rows // 2)),
        "the groups with their counts": backend.groups,
    }


def _audit(folder: Path, rows: int) -> Calls:
    from brain.audit.repository import make_tables
    from brain.audit.search import AuditQuery, find
    from brain.charter import Pattern
    from brain.kit.database import open_database, reading

    engine = open_database(f"sqlite:///{folder}/audit.db")
    make_tables(engine)
    with sqlite3.connect(folder / "audit.db") as db:
        _insert(db, "audit_entries", (_entry(number) for number in range(rows)))
        db.execute("INSERT INTO audit_types SELECT DISTINCT type, idx / 256 FROM audit_entries")

    def ask(before: int | None = None, **given: Any) -> list[Any]:
        if "pattern" in given:
            given["pattern"] = Pattern(given["pattern"])
        with reading(engine).connect() as connection:
            return find(connection, AuditQuery(**given), before, 50)

    return {
        "a page": lambda: ask(),
        "the page after": lambda: ask(rows - 50),
        "a type that is usual": lambda: ask(pattern="policy.*"),
        "a type, 1 in 200,000": lambda: ask(pattern="rare.happened"),
        "a pattern, 1 in 200,000": lambda: ask(pattern="rare.*"),
        "a type never seen": lambda: ask(pattern="never.seen"),
        "an agent": lambda: ask(agent="agent-7"),
        "an agent, far down": lambda: ask(rows // 2, agent="agent-7"),
        "an agent and a rare type": lambda: ask(agent="agent-7", pattern="rare.*"),
        "a threat": lambda: ask(threat="thr_7"),
        "a correlation id": lambda: ask(correlation_id=f"c{rows // 3}"),
        "since a minute": lambda: ask(since=START + rows / 100 - 60),
        "since for ever": lambda: ask(since=START),
        "since tomorrow": lambda: ask(since=START + rows / 100 + 86_400),
        "a text that is there": lambda: ask(text="agent-7"),
    }


def _entry(number: int) -> dict[str, Any]:
    payload = {"agent_id": f"agent-{number % 500}", "action": "read", "resource": f"db-{number % 40}", "x": "x" * 200}
    return {
        "idx": number,
        "leaf_hash": number.to_bytes(32, "big"),
        "seal": number.to_bytes(32, "big"),
        "appended_at": START + number / 100,
        "at": START + number / 100,
        "type": "rare.happened" if number % 200_000 == 7 else ("policy.rule_evaluated", "agent.step_done")[number % 2],
        "event_id": f"evt_test_{1_700_000_000_000 + number}_{number:016x}",
        "agent": f"agent-{number % 500}",
        "threat": f"thr_{number % 1000}" if number % 50 == 0 else None,
        "correlation_id": f"c{number // 5}" if number % 5 else None,
        "payload": msgspec.json.encode(payload),
    }


KINDS: Mapping[str, Callable[[Path, int], Calls]] = {
    "threats": _threats,
    "alerts": _alerts,
    "incidents": _incidents,
    "letters": _letters,
    "audit": _audit,
}


def _insert(db: sqlite3.Connection, table: str, rows: Iterator[dict[str, Any]]) -> None:
    first = next(rows)
    names = ", ".join(f'"{name}"' for name in first)
    statement = f'INSERT INTO "{table}" ({names}) VALUES ({", ".join("?" * len(first))})'
    db.execute(statement, tuple(first.values()))
    db.executemany(statement, (tuple(row.values()) for row in rows))


def measured(call: Callable[[], Any]) -> tuple[float, float]:
    """Medians of a call, in milliseconds: wall and processor time."""
    walls, busy = [], []
    call()
    for _ in range(CALLS):
        wall, cpu = time.perf_counter(), time.process_time()
        call()
        busy.append((time.process_time() - cpu) * 1000)
        walls.append((time.perf_counter() - wall) * 1000)
    return median(walls), median(busy)


def run(rows: int = ROWS, kinds: Sequence[str] = tuple(KINDS)) -> Iterator[str]:
    """A line for each list and filter, with both numbers of rows."""
    for kind in kinds:
        found: dict[str, list[tuple[float, float]]] = {}
        for number in (FEW, rows):
            with tempfile.TemporaryDirectory() as folder:
                for name, call in KINDS[kind](Path(folder), number).items():
                    found.setdefault(name, []).append(measured(call))
        for name, ((few, few_cpu), (many, many_cpu)) in found.items():
            yield f"{kind:<10} {name:<34} {few:8.1f} ms ({few_cpu:.1f})   {many:8.1f} ms ({many_cpu:.1f})"


def main() -> None:
    """Print the table."""
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else ROWS
    print(f"{'':46}10,000 rows, CPU   {rows:,} rows, CPU; load {os.getloadavg()[0]:.0f}")
    for line in run(rows, sys.argv[2:] or tuple(KINDS)):
        print(line, flush=True)


if __name__ == "__main__":
    main()

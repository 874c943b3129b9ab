"""Erasure by subject, as a user runs it: what named the subject is in no file afterwards, and all goes on."""

from __future__ import annotations

import asyncio
import os
import re
import shlex
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
import sqlalchemy as sa

from brain import Event, EventStream
from brain.alerting import tables as alerting
from brain.audit.erasing import erase_in_log
from brain.audit.tables import erasures
from brain.audit.verify import verify
from brain.kit.database import create_tables, open_database, reading
from brain.kit.erased_tables import OTHER_WAYS, Erased, erase_in_tables
from brain.kit.erasure import Eraser
from brain.kit.positions import POSITIONS
from brain.kit.schema import declared_parts
from brain.metrics import tables as metrics
from brain.stream.backends import open_backend
from support.audit import filled as filled_log
from support.command import Command, start
from support.contents import contents
from support.postgres_server import PostgresServer
from support.processes import kill
from support.server import ServeProcess
from support.sizes import sizes
from support.waiting import wait_until

SUBJECT = "ann.lee-7@example.org"
OTHER = "bob.ray-8@example.org"
DOCUMENT = Path(__file__).parents[2] / "docs" / "privacy.md"


def plant(url: str, subject: str) -> None:
    """The subject in a decision, a threat, a heartbeat, an incident and a silence."""
    told = {
        "/api/policy/evaluate": {
            "agent_id": subject,
            "action": "delete",
            "resource": "db/1",
            "params": {"for": subject},
        },
        "/api/threats": {
            "type": "prompt_injection",
            "source": subject,
            "severity": "HIGH",
            "metadata": {"who": subject},
        },
        "/api/immune/heartbeat": {"agent_id": subject},
        "/api/incidents": {"title": f"what {subject} did.", "severity": "HIGH", "by": subject},
    }
    with httpx.Client(base_url=url, trust_env=False, timeout=60) as client:
        for path, body in told.items():
            answer = client.post(path, json=body)
            assert answer.is_success, (path, answer.text)


def naming(folder: Path, subject: str) -> set[str]:
    """The files below the folder that have the subject in them."""
    return {path.name for path, text in contents(folder).items() if subject.encode() in text}


def lags(folder: Path) -> bool:
    """Whether those that follow all events have some before them; they tell the stream only now and then."""
    database = open_database(f"sqlite:///{folder}/brain-consumers.db")
    try:
        with closing(open_backend(f"sqlite:///{folder}/brain.db")) as backend, reading(database).connect() as db:
            stand = db.execute(sa.select(POSITIONS.c.name, POSITIONS.c.position)).all()
            tail = backend.tail()
    finally:
        database.dispose()
    return any(position != tail for name, position in stand if name in ("brain.audit", "brain.metrics"))


def test_nothing_names_the_subject_and_everything_goes_on(tmp_path: Path) -> None:
    brain = Command(tmp_path)
    with ServeProcess(tmp_path) as server:
        plant(server.url, SUBJECT)
        plant(server.url, OTHER)
        wait_until(lambda: not lags(tmp_path))
        looked = brain("privacy", "erase", SUBJECT, "--reason", "asked for", "--dry-run", "--json").json
        assert "brain.db-wal" in naming(tmp_path, SUBJECT) or "brain.db" in naming(tmp_path, SUBJECT)
        done = brain(
            "privacy", "erase", SUBJECT, "--reason", f"{SUBJECT} asks", "-o", tmp_path / "c.txt", "--json"
        ).json
        assert done["counts"] == looked["counts"]
        assert done["counts"]["stream: events"] == done["counts"]["audit log: payloads"] == 4
        assert done["reason"] == f"{done['subject']} asks"
        assert "journals" in {one["place"] for one in done["remains"]}
        assert {Path(name).suffix for name in naming(tmp_path, SUBJECT)} == {".seg"}
        plant(server.url, OTHER)  # who had read the erased events goes on
        wait_until(lambda: not lags(tmp_path))
        for command in (("audit", "verify"), ("metrics", "verify")):
            assert brain(*command).code == 0, brain(*command).out
        assert {Path(name).suffix for name in naming(tmp_path, SUBJECT)} == {".seg"}
    with ServeProcess(tmp_path) as server:  # it takes up the journal, and finds its place in the stream
        plant(server.url, OTHER)
        wait_until(lambda: not lags(tmp_path) and not naming(tmp_path, SUBJECT))
        again = brain("privacy", "erase", SUBJECT, "--reason", "once more", "--json").json
    assert again["counts"] == {}
    assert again["subject"] == done["subject"]
    with closing(open_backend(f"sqlite:///{tmp_path}/brain.db")) as backend:
        told = [event for entry in backend.read("", 1000) if b"audit.subject_erased" in (event := entry.data)]
    assert [done["id"].encode() in event for event in told] == [True, False]
    assert naming(tmp_path, OTHER)
    key = brain("audit", "key").out.strip()
    assert brain("privacy", "verify", tmp_path / "c.txt", "--key", key).code == 0
    altered = (tmp_path / "c.txt").read_text().replace('"stream: events":4', '"stream: events":5')
    (tmp_path / "altered.txt").write_text(altered)
    assert brain("privacy", "verify", tmp_path / "altered.txt", "--key", key).code == 1


async def filled(folder: Path, count: int) -> None:
    async with EventStream.open(f"sqlite:///{folder}/brain.db") as stream:
        for number in range(count):
            who = SUBJECT if number % 2 else OTHER
            event = Event(
                type="test.told", source="test_service", payload={"who": who, "text": f"by {who}, no {number}"}
            )
            receipt = stream.publish(event)
        await receipt


@pytest.mark.parametrize("count", sizes(3_000, 100_000))
async def test_killed_it_is_run_again_and_completes(count: int, tmp_path: Path) -> None:
    await filled(tmp_path, count)
    brain, out = Command(tmp_path), tmp_path / "out"
    begun = brain("privacy", "erase", "nobody-at-all", "--reason", "makes the log")
    assert begun.code == 0, begun.err
    engine = open_database(f"sqlite:///{tmp_path}/brain-consumers.db")

    def erased() -> bool:
        with reading(engine).connect() as db:
            return bool(db.execute(sa.select(erasures.c.id).where(erasures.c.note.is_(None))).first())

    arguments = ("privacy", "erase", SUBJECT, "--reason", "asked for")
    process = start(tmp_path, arguments, out, out, {})
    wait_until(lambda: erased() or not process.is_alive())
    kill(process)
    done = brain(*arguments, "--json").json
    with reading(engine).connect() as db:
        rows = db.execute(sa.select(erasures.c.id, erasures.c.note)).all()
    engine.dispose()
    assert all(row.note is not None for row in rows)
    assert done["id"] in {row.id for row in rows}
    assert not naming(tmp_path, SUBJECT)
    async with EventStream.open(f"sqlite:///{tmp_path}/brain.db") as stream:
        events = [Event.decode(entry.data) for entry in stream.backend.read("", count)]
    assert [event.payload["who"] for event in events[:4]] == [OTHER, done["subject"]] * 2
    assert events[1].payload["text"] == f"by {done['subject']}, no 1"


async def test_publishing_goes_on_meanwhile(tmp_path: Path) -> None:
    await filled(tmp_path, 100)
    brain = Command(tmp_path)
    published = []
    async with EventStream.open(f"sqlite:///{tmp_path}/brain.db") as stream:
        erasing = asyncio.create_task(asyncio.to_thread(brain, "privacy", "erase", SUBJECT, "--reason", "asked for"))
        while not erasing.done():
            receipt = stream.publish(Event(type="test.told", source="test_service", payload={"who": OTHER}))
            published.append(receipt.event_id)
            await asyncio.wait([erasing], timeout=0.002)
        assert (await erasing).code == 0
        await receipt
        entries = stream.backend.read("", len(published) + 200)
    assert [id for entry in entries if (id := Event.decode(entry.data).id) in set(published)] == published
    assert SUBJECT.encode() not in b"".join(entry.data for entry in entries)
    assert naming(tmp_path, SUBJECT) == set()


def test_what_cannot_be_erased_is_refused(tmp_path: Path) -> None:
    brain = Command(tmp_path)
    for subject, said in {
        "open": "plain word",
        "ab": "3 to 200",
        "policy_service": "program",
        "redacted:x:1": "mark",
    }.items():
        ran = brain("privacy", "erase", subject, "--reason", "r")
        assert (ran.code, said in ran.err) == (2, True), ran
    ran = brain("privacy", "erase", SUBJECT, "--reason", "r", "--stream", "redis://127.0.0.1:1/0")
    assert (ran.code, "retention_days" in ran.err) == (2, True), ran
    ran = brain("privacy", "erase", SUBJECT, "--reason", "r")
    assert (ran.code, "there is no database" in ran.err) == (2, True), ran
    assert [path.name for path in tmp_path.iterdir() if "brain" in path.name] == [], "no key is made for nothing"


def planted(column: sa.Column[Any]) -> Any:
    """A value with the subject, where the column takes one."""
    if isinstance(column.type, sa.JSON):
        return {"who": [SUBJECT]}
    if isinstance(column.type, sa.LargeBinary):
        return msgspec.json.encode([SUBJECT])
    return SUBJECT if isinstance(column.type, sa.String) else 1


def test_every_column_of_every_table(tmp_path: Path) -> None:
    database, found = open_database(f"sqlite:///{tmp_path}/tables.db"), Erased()
    tables = [table for part, one in declared_parts().items() if part not in OTHER_WAYS for table in one.sorted_tables]
    assert len(tables) > 60
    for table in tables:
        table.metadata.create_all(database)
        with database.begin() as db:
            db.execute(table.insert(), {column.key: planted(column) for column in table.columns})
    erase_in_tables(database, Eraser(SUBJECT), found)
    for table in tables:
        with database.begin() as db:
            (row,) = db.execute(sa.select(table)).mappings()
        left = [column.key for column in table.columns if SUBJECT in str(row[column])]
        assert left == [column.key for column in table.columns if column.info.get("policy")], table.name


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_tables_of_both_databases(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    server: PostgresServer | None = request.getfixturevalue("postgres") if kind == "postgresql" else None
    database = open_database(server.url if server else f"sqlite:///{tmp_path}/tables.db")
    eraser = Eraser(SUBJECT)
    for metadata in (metrics.metadata, alerting.METADATA):
        create_tables(database, metadata)
    point = {"step": 0, "series": "decisions", "bucket": 0, "sum": 5, "error": 0}
    labels = {SUBJECT: 2, eraser.mark: 3, OTHER: 7, f"{SUBJECT}\x1fdelete": 1}
    bins = {"step": 0, "epoch": 1, "bucket": 0, "sum": 1, "error": 0, "count": 2}
    silence = {"id": "s1", "matchers": [{"who": SUBJECT}], "by": SUBJECT, "reason": f"for {SUBJECT}."}
    silence |= {
        column.name: 1.0 for column in alerting.SILENCES.columns if not column.nullable and column.name not in silence
    }
    with database.begin() as db:
        db.execute(metrics.points.insert(), [{**point, "label": label, "count": n} for label, n in labels.items()])
        for label, spread in {SUBJECT: "1 0 1", eraser.mark: "0 2 0"}.items():
            db.execute(metrics.defined.insert(), {**bins, "label": label, "bins": spread})
        db.execute(alerting.SILENCES.insert(), silence)
    found = Erased()
    erase_in_tables(database, eraser, found)
    with reading(database).connect() as db:
        counts = {row.label: (row.count, row.sum) for row in db.execute(sa.select(metrics.points))}
        (defined,) = db.execute(
            sa.select(metrics.defined.c.label, metrics.defined.c.count, metrics.defined.c.bins)
        ).all()
        kept = db.execute(sa.select(alerting.SILENCES)).one()
    log = filled_log(database, [30])
    done = erase_in_log(database, log.sealing, Eraser("agent-3"))
    assert done.payloads == done.fields > 0
    assert verify(database, log.signer).ok
    assert erase_in_log(database, log.sealing, Eraser("agent-3")).payloads == 0
    database.dispose()
    assert counts == {eraser.mark: (5, 10), OTHER: (7, 5), f"{eraser.mark}\x1fdelete": (1, 5)}
    assert tuple(defined) == (eraser.mark, 4, "1 2 1")
    assert (kept.matchers, kept.by, kept.reason) == ([{"who": SUBJECT}], eraser.mark, f"for {eraser.mark}.")
    assert found.counts == {"metrics_points": 2, "metrics_defined": 1, "soc_silences": 1}
    assert found.deciding == {"soc_silences": ["s1"]}
    again = Erased()
    erase_in_tables(database, eraser, again)
    assert again.counts.total() == 0


async def test_the_commands_of_the_document_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    await filled(tmp_path, 4)
    brain = Command(tmp_path)
    commands = re.findall(r"^    (brain privacy .*?)(?:  +#.*)?$", DOCUMENT.read_text(), re.M)
    assert len(commands) >= 4
    for command in commands:
        words = shlex.split(command.replace("PUBLIC", brain("audit", "key").out.strip()))[1:]
        ran = brain(*words)
        assert ran.code == 0, (command, ran)
    assert not naming(tmp_path, SUBJECT)
    assert os.listdir(tmp_path)

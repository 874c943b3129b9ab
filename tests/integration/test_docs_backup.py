"""The commands of docs/backup.md run as they are printed, with other folders; and what they refuse."""

from __future__ import annotations

import json
import re
import sqlite3
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from brain import EventStream
from brain.audit.settings import AuditSettings
from brain.kit.backup.restore import restore
from brain.kit.backup.take import take
from brain.kit.database import open_database
from brain.settings import Settings
from brain.stream.backends import open_backend
from brain.stream.journal import Journal
from support.consuming import caught_up, consuming, publish, settings_in
from support.metrics_traffic import Traffic
from support.postgres_server import PostgresServer
from support.server import brain
from support.waiting import until

PAGE = (Path(__file__).parents[2] / "docs" / "backup.md").read_text()
LINES = [line for block in re.findall(r"^```sh\n(.*?)^```", PAGE, re.M | re.S) for line in block.splitlines()]


TRAFFIC = partial(Traffic, 1)


@pytest.fixture
async def live(tmp_path: Path) -> Settings:
    """A folder with 150 events, in the audit log and the metrics."""
    (tmp_path / "live").mkdir()
    settings = settings_in(tmp_path / "live")
    async with consuming(settings) as context:
        await publish(context.stream, TRAFFIC(), 150)
        await caught_up(context.database, context.stream.backend)
        await until((tmp_path / "live" / "brain-audit.checkpoint").exists)
    return settings


def test_the_page_shows_the_commands() -> None:
    assert sum(line.startswith("brain ") for line in LINES) >= 7


def test_the_commands_of_the_page(live: Settings, tmp_path: Path) -> None:
    folder = tmp_path / "live"
    for line in LINES:
        words = line.partition("#")[0].replace("/backups", str(tmp_path / "backups")).split()
        if "--only-database" in words:
            words = [word.replace("monday", "tuesday") for word in words]
        if words[0] == "mkdir":
            folder = tmp_path / "srv"
            folder.mkdir()
        elif words[0] == "brain":
            ended = brain(*words[1:], folder=folder, environment={"BRAIN_PORT": "1"})
            assert ended.returncode == 0, (line, ended.stdout, ended.stderr)
    assert folder.name == "srv"
    manifest = json.loads((tmp_path / "backups" / "monday" / "manifest.json").read_text())
    assert manifest["positions"] == {"brain.audit": "150", "brain.metrics": "150"}
    assert {path.name for path in (tmp_path / "backups" / "tuesday").iterdir()} == {
        "consumers.db",
        "files",
        "manifest.json",
    }
    for path in (tmp_path / "backups").rglob("*.key"):
        assert path.stat().st_mode & 0o077 == 0


async def test_what_is_refused(live: Settings, tmp_path: Path, redis_url: str) -> None:
    take(live, tmp_path / "set", with_keys=False)
    assert [path.name for path in (tmp_path / "set" / "files").iterdir()] == ["audit.checkpoint"]

    def refused(*arguments: str, folder: str) -> str:
        ended = brain(*arguments, folder=tmp_path / folder)
        assert ended.returncode == 2, ended.stdout
        return ended.stderr

    assert "exists already" in refused("backup", str(tmp_path / "set"), folder="live")
    assert "--only-database" in refused("backup", "copy", "--stream", redis_url, folder="live")
    assert "is there already, and nothing was changed" in refused("restore", str(tmp_path / "set"), folder="live")
    assert "is no backup" in refused("restore", str(tmp_path / "live"), folder="live")
    async with EventStream.open(live.stream):
        message = refused("restore", str(tmp_path / "set"), "--replace", folder="live")
    assert "a process has the stream open" in message
    with sqlite3.connect(tmp_path / "set" / "stream.db") as db:
        db.execute("DELETE FROM events WHERE position = 7")
    db.close()
    (tmp_path / "empty").mkdir()
    message = refused("restore", str(tmp_path / "set"), folder="empty")
    assert "stream.db is missing, added or altered since the backup was made" in message
    assert list((tmp_path / "empty").iterdir()) == []


async def test_what_is_journalled_and_not_stored_goes_along(tmp_path: Path) -> None:
    """A stream without consumers, and the journal of a process that ended: two of its five events are stored."""
    (tmp_path / "live").mkdir()
    settings = settings_in(tmp_path / "live")
    name = "0123456789abcdef"
    journal = Journal(tmp_path / "live" / "brain.db.journal" / name)
    events = [event.encode() for event in Traffic(3).events(5)]
    for event in events:
        journal.append(event, critical=False)
    with closing(open_backend(settings.stream)) as backend:
        backend.append(name, "", "2:2", events[:2])
    take(settings, tmp_path / "set")
    journal.close()
    elsewhere = settings_in(tmp_path / "elsewhere")
    restore(elsewhere, tmp_path / "set")
    async with EventStream.open(elsewhere.stream) as stream:
        await until(lambda: stream.backend.tail() == "5")
        assert [entry.data for entry in stream.backend.read("", 10)] == events
        assert stream.stats()["damaged"] == 0


async def test_to_postgresql_and_back(live: Settings, tmp_path: Path, postgres: PostgresServer) -> None:
    url = postgres.url
    take(live, tmp_path / "first")
    key = AuditSettings(key_file=tmp_path / "second" / "brain-audit.key")
    moved = settings_in(tmp_path / "second", url).model_copy(update={"audit": key})
    restore(moved, tmp_path / "first")
    async with consuming(moved) as context:
        traffic = TRAFFIC()
        traffic.events(150)  # those of the fixture, whose threats go on
        await publish(context.stream, traffic, 30)
        await caught_up(context.database, context.stream.backend)
        await until((tmp_path / "live" / "brain-audit.checkpoint").exists)
    take(moved, tmp_path / "again")
    back = settings_in(tmp_path / "third")
    restore(back, tmp_path / "again")
    for command in ("audit", "metrics"):
        ended = brain(command, "verify", folder=tmp_path / "third")
        assert ended.returncode == 0, ended.stdout + ended.stderr
    old, new = open_database(url), open_database(back.database)
    with old.begin() as db, new.begin() as other:
        for table in ("audit_entries", "metrics_points", "consumer_ids"):
            count = f"SELECT count(*) FROM {table}"
            assert db.exec_driver_sql(count).scalar() == other.exec_driver_sql(count).scalar()
    old.dispose()
    new.dispose()

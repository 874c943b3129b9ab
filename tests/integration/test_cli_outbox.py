"""`brain outbox` on the tables of a folder."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from brain import cli
from brain.kit.database import create_tables, open_database
from brain.kit.outbox import Message, metadata, outbox, put


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Two messages: one waits, one was refused with words that a terminal must not obey."""
    monkeypatch.chdir(tmp_path)
    url = f"sqlite:///{tmp_path}/brain-consumers.db"
    engine = open_database(url)
    create_tables(engine, metadata)
    with engine.begin() as db:
        for channel in ("jira", "slack"):
            put(db, Message(consumer="alerting", channel=channel, key="k", dedup=channel, body={}), 1_703_001_234.0)
        refused = {"state": "refused", "attempts": 2, "last_error": "Slack refused: \x1b[2Jno_team"}
        db.execute(outbox.update().where(outbox.c.channel == "slack").values(**refused))
    engine.dispose()
    return url


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        cli.main(list(arguments))
    return int(ended.value.code or 0)


def test_messages_are_listed(database: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("outbox", "list") == 0
    out = capsys.readouterr().out
    assert "alerting  slack  refused  k  2 tries, put 2023-12-19" in out
    assert "error: Slack refused: \\x1b[2Jno_team" in out
    assert run("outbox", "list", "alerting", "--state", "waiting", "--json") == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["channel"], row["state"], row["attempts"], row["sent_at"]) == ("jira", "waiting", 0, None)
    assert run("outbox", "list", "incidents", "--json") == 0
    assert json.loads(capsys.readouterr().out) == []


def test_refused_messages_are_sent_again(database: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("outbox", "retry", "alerting", "--channel", "jira", "--json") == 0
    assert json.loads(capsys.readouterr().out) == {"consumer": "alerting", "retried": 0}
    assert run("outbox", "retry", "alerting") == 0
    assert "1 refused messages of alerting will be sent again" in capsys.readouterr().out
    assert run("outbox", "list", "--state", "waiting", "--json") == 0
    assert len(json.loads(capsys.readouterr().out)) == 2


def test_a_database_that_cannot_be_had_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("outbox", "list", "--database", f"sqlite:///{tmp_path}/missing/x.db") == 2
    assert run("outbox", "list", "--database", "oracle://x") == 2
    assert "oracle" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["list", "retry"])
def test_a_name_that_no_plug_in_has_is_refused(database: str, command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("outbox", command, "nosuch") == 2
    assert "plug-in 'nosuch' is not installed; there are access, alerting, approvals, audit" in capsys.readouterr().err


def test_the_former_name_of_a_plug_in_is_taken(database: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("outbox", "list", "soc") == 0
    assert "alerting  slack  refused" in capsys.readouterr().out

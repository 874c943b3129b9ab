"""The log in the forms that other tools read."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Callable
from typing import Any

import pytest
from pyarrow import parquet

from brain import Event
from brain.audit.cef import cef
from brain.audit.export import COLUMNS, writer_of
from brain.audit.merkle import leaf_hash
from brain.audit.models import AuditEntry, fields_of
from brain.audit.ocsf import ocsf
from brain.errors import InvalidInput
from brain.plugins import catalogue
from support.audit import denial

FORGED = '=HYPERLINK("http://example.com")'


def entry(event: Event | None, index: int = 7, data: bytes | None = None) -> AuditEntry:
    data = event.encode() if event is not None else data
    appended_at, *fields = fields_of(event, 1_703_000_100.0)
    return AuditEntry(index, leaf_hash(data or b""), appended_at, *fields, data)


def made(event_type: str, payload: dict[str, Any], **meta: Any) -> AuditEntry:
    return entry(
        Event(
            type=event_type,
            source="test_service",
            timestamp=1_703_000_000.25,
            payload=payload,
            meta={"correlation_id": "story-1", "version": "1.0", **meta},
        )
    )


def written(name: str, *entries: AuditEntry) -> bytes:
    out = io.BytesIO()
    assert writer_of(name)(entries, out) == len(entries)
    return out.getvalue()


ODD = [entry(denial(3)), entry(None, 8, b"\x00 no event\n"), entry(None, 9)]


def test_json_lines() -> None:
    first, unreadable, deleted = map(json.loads, written("jsonl", *ODD).splitlines())
    assert first["event"] == json.loads(denial(3).encode())
    assert (first["index"], first["leaf_hash"]) == (7, leaf_hash(denial(3).encode()).hex())
    assert (unreadable["event"], unreadable["data_base64"]) == (None, "ACBubyBldmVudAo=")
    assert (deleted["event"], deleted.get("data_base64")) == (None, None)


def test_csv_is_safe_to_open_in_a_spreadsheet() -> None:
    hostile = made("policy.action_denied", {"agent_id": FORGED, "text": 'line\nbreak, "quote"'})
    data = written("csv", hostile, *ODD)
    rows = list(csv.DictReader(io.StringIO(data.decode(), newline="")))
    assert list(rows[0]) == list(COLUMNS)
    assert rows[0]["agent"] == f"'{FORGED}"
    assert json.loads(rows[0]["payload"])["agent_id"] == FORGED
    assert [row["index"] for row in rows] == ["7", "7", "8", "9"]
    assert (rows[2]["type"], rows[2]["payload"]) == ("", "")


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r"])
def test_no_cell_is_a_formula(start: str) -> None:
    found = made("test.happened", {"agent_id": f"{start}1+1"})
    (row,) = csv.DictReader(io.StringIO(written("csv", found).decode(), newline=""))
    assert row["agent"] == f"'{start}1+1".replace("\r", "\n")  # a line end, whichever it was


def test_parquet() -> None:
    table = parquet.read_table(io.BytesIO(written("parquet", *ODD)))
    assert table.column_names == list(COLUMNS)
    rows = table.to_pylist()
    assert [row["index"] for row in rows] == [7, 8, 9]
    assert (rows[0]["timestamp"], rows[0]["event_id"]) == (denial(3).timestamp, denial(3).id)
    assert json.loads(rows[0]["payload"]) == denial(3).payload
    assert parquet.read_table(io.BytesIO(written("parquet"))).num_rows == 0


def test_parquet_without_its_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(InvalidInput, match=r"brain-eventstream\[parquet\]"):
        writer_of("parquet")([], io.BytesIO())


def test_an_unknown_format_is_refused() -> None:
    with pytest.raises(InvalidInput, match="jsonl, csv, parquet, ocsf, cef"):
        writer_of("xml")


def test_ocsf_has_what_every_class_needs() -> None:
    examples = [made(name, declared.example) for name, declared in catalogue().items()]
    for line in written("ocsf", *examples, *ODD).splitlines():
        event = json.loads(line)
        assert event["type_uid"] == event["class_uid"] * 100 + event["activity_id"]
        assert event["category_uid"] == event["class_uid"] // 1000
        assert event["metadata"]["version"] == "1.6.0"
        assert event["metadata"]["product"]["vendor_name"]
        assert event["severity_id"] in range(6)
        assert isinstance(event["time"], int)
        required = {
            0: (),
            6003: ("actor", "api", "src_endpoint"),
            2004: ("finding_info",),
            2005: ("finding_info_list", "status_id", "assignee"),
            7001: ("command_uid",),
        }
        for name in required[event["class_uid"]]:
            assert event[name] is not None


def test_a_denial_in_ocsf() -> None:
    found = ocsf(entry(denial(3)))
    assert (found["class_uid"], found["activity_id"], found["action_id"]) == (6003, 4, 2)
    assert found["metadata"]["profiles"] == ["security_control"]
    assert found["metadata"]["correlation_uid"] == "story-0"
    assert found["actor"]["user"]["uid"] == found["src_endpoint"]["uid"] == "agent-3"
    assert (found["api"], found["resources"]) == ({"operation": "delete"}, [{"name": "db/3", "uid": "db/3"}])


@pytest.mark.parametrize(
    ("action", "activity", "name"),
    [("db.read", 2, None), ("create_user", 1, None), ("payments.refund", 99, "payments.refund")],
)
def test_an_allowed_decision_in_ocsf(action: str, activity: int, name: str | None) -> None:
    found = ocsf(made("policy.rule_evaluated", {"agent_id": None, "action": action, "allowed": True, "rule_id": "r1"}))
    assert (found["activity_id"], found["action_id"], found["disposition_id"]) == (activity, 1, 1)
    assert found.get("activity_name") == name
    assert (found["actor"]["user"]["uid"], found["policy"]["uid"]) == ("unknown", "r1")


@pytest.mark.parametrize(
    ("event_type", "more", "activity", "status"),
    [
        ("threat.detected", {"status": "OPEN"}, 1, (1, "New")),
        ("threat.status_changed", {"new_status": "INVESTIGATING"}, 2, (2, "In Progress")),
        ("threat.escalated", {}, 2, (2, "In Progress")),
        ("threat.mitigated", {}, 3, (4, "Resolved")),
        ("threat.status_changed", {"new_status": "IGNORED"}, 3, (3, "Suppressed")),
        ("threat.commented", {"status": "RESOLVED", "text": "seen"}, 2, (4, "Resolved")),
    ],
)
def test_a_threat_in_ocsf(event_type: str, more: dict[str, Any], activity: int, status: tuple[int, str]) -> None:
    payload = {"threat_id": "thr_1", "type": "ssh_brute_force", "severity": "HIGH", "source": "203.0.113.77", **more}
    found = ocsf(made(event_type, payload))
    assert (found["class_uid"], found["activity_id"], found["severity_id"]) == (2004, activity, 4)
    assert (found["status_id"], found["status"]) == status
    assert found["finding_info"]["uid"] == "thr_1"


@pytest.mark.parametrize(
    ("event_type", "state", "activity", "status"),
    [
        ("incident.opened", "NEW", 1, (1, "New")),
        ("incident.state_changed", "ON_HOLD", 2, (3, "On Hold")),
        ("incident.state_changed", "CLOSED", 3, (5, "Closed")),
        ("incident.state_changed", "WAITING", 2, (99, "WAITING")),
    ],
)
def test_an_incident_in_ocsf(event_type: str, state: str, activity: int, status: tuple[int, str]) -> None:
    found = ocsf(made(event_type, {"incident_id": "inc_1", "title": "Brute force", "state": state, "owner": "ann"}))
    assert (found["class_uid"], found["activity_id"]) == (2005, activity)
    assert (found["status_id"], found["status"]) == status
    assert found["finding_info_list"] == [{"uid": "inc_1", "title": "Brute force"}]
    assert found["assignee"] == {"name": "ann"}


def test_healing_in_ocsf() -> None:
    payload = {
        "kind": "SELF_HEALING_ACTION",
        "severity": "INFO",
        "message": "restarted",
        "details": {"outcome": "healed"},
    }
    found = ocsf(made("immune.event_published", payload))
    assert (found["class_uid"], found["status"], found["severity_id"]) == (7001, "Success", 1)
    failed = ocsf(made("immune.event_published", {**payload, "details": {"outcome": "failed"}}))
    assert failed["status"] == "Failure"
    other = ocsf(made("immune.event_published", {"kind": "ERROR_SPIKE", "severity": "WARNING"}))
    assert (other["class_uid"], other["severity_id"]) == (0, 3)
    assert other["unmapped"]["payload"]["kind"] == "ERROR_SPIKE"


def test_cef_escapes_what_would_break_a_line() -> None:
    line = cef(made("threat.detected", {"severity": "HIGH", "message": "a=b|c\\d\r\nnext\nlast\r"}))
    assert "\n" not in line
    assert "\r" not in line
    header, extension = line.rsplit("|rt=", 1)
    assert header.split("|")[:3] == ["CEF:0", "BRAiN", "EventStream"]
    assert header.split("|")[4:] == ["threat.detected", "detected", "8"]
    assert "msg=a\\=b|c\\\\d\\nnext\\nlast\\n " in extension.replace("\\r", "\\n")
    assert extension.startswith("1703000000250 ")


@pytest.mark.parametrize(
    ("found", "severity", "outcome"),
    [
        (lambda: entry(denial(3)), "7", "outcome=failure"),
        (lambda: made("policy.rule_evaluated", {"allowed": True}), "5", "outcome=success"),
        (lambda: made("other.thing", {"severity": "CRITICAL"}), "10", ""),
        (lambda: made("other.thing", {"severity": ["odd"]}), "0", ""),
        (lambda: entry(None, 8, b"no event"), "0", "cn1=8"),
    ],
)
def test_cef_severities(found: Callable[[], AuditEntry], severity: str, outcome: str) -> None:
    line = cef(found())
    assert line.split("|")[6] == severity
    assert outcome in line

"""Kinds of logs: what a rule's logsource says of each, and how one record of it becomes an event for rules.

A reader of a kind takes one JSON object or one line. It gives the fields that rules know: those of the log itself, and
for web logs the W3C names that Sigma uses.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

import msgspec

from brain.detections.cloudtrail import enriched
from brain.detections.models import LogKind
from brain.detections.ruleset import Record
from brain.detections.windows_events import flat_windows_event, is_windows_event, windows_kind
from brain.errors import InvalidInput


class LogRecord(NamedTuple):
    """One record of a log: its fields, when it happened (Unix seconds, None: it does not say), and what names it."""

    data: Mapping[str, Any]
    time: float | None
    id: str
    kind: LogKind


CLOUDTRAIL = LogKind((), ("aws",), ("cloudtrail",))
K8S_AUDIT = LogKind(("application",), ("kubernetes",), ("audit", "kubernetes"))
WEB = LogKind(("webserver",), ("apache", "nginx"), ("access",))
SSHD = LogKind(("authentication",), ("linux",), ("sshd", "auth"))

KINDS: Mapping[str, LogKind] = {
    "cloudtrail": CLOUDTRAIL,
    "k8s-audit": K8S_AUDIT,
    "falco": LogKind((), ("falco",), ("syscall",)),
    "access-log": WEB,
    "sshd": SSHD,
    "json": LogKind(),
    "windows": LogKind((), ("windows",), ()),
}
"""By the name of each kind of log."""


def moment(value: Any) -> float | None:
    """The Unix seconds of an ISO 8601 time, or of a number of seconds to nanoseconds; None if it is none."""
    if isinstance(value, str):
        try:
            found = datetime.fromisoformat(value[:26] + "Z" if len(value) > 26 and value.endswith("Z") else value)
        except ValueError:
            try:
                value = float(value)
            except ValueError:
                return None
        else:
            return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    for factor in (1.0, 1e3, 1e6, 1e9):
        if 0 < value / factor < 1e11:
            return float(value / factor)
    return None


def cloudtrail(data: Mapping[str, Any]) -> LogRecord | None:
    """A record of AWS CloudTrail."""
    if not isinstance(data.get("eventName"), str) or "eventSource" not in data:
        return None
    return LogRecord(enriched(data), moment(data.get("eventTime")), _named(data, "eventID"), CLOUDTRAIL)


def k8s_audit(data: Mapping[str, Any]) -> LogRecord | None:
    """An event of a Kubernetes audit log: one stage of a request."""
    if "auditID" not in data or not isinstance(data.get("verb"), str):
        return None
    stage = str(data.get("stage") or "")
    addresses = data.get("sourceIPs")
    found = dict(data)
    if isinstance(addresses, list) and addresses:
        found["source_address"] = addresses[-1]  # only the last one is not the client's word
    time = moment(data.get("stageTimestamp") or data.get("requestReceivedTimestamp") or data.get("timestamp"))
    return LogRecord(found, time, f"{data['auditID']}/{stage}", K8S_AUDIT)


def falco(data: Mapping[str, Any]) -> LogRecord | None:
    """An alert of Falco; `output_fields` can be named without that prefix."""
    if not isinstance(data.get("rule"), str) or "priority" not in data or "output" not in data:
        return None
    fields = data.get("output_fields")
    found = {**(fields if isinstance(fields, Mapping) else {}), **data}
    service = str(data.get("source") or "syscall")
    return LogRecord(found, moment(data.get("time")), _named(data, "uuid"), LogKind((), ("falco",), (service,)))


TIMES = ("@timestamp", "timestamp", "time", "ts", "eventTime", "date", "datetime", "UtcTime", "_time")
"""Fields that are looked for the time of a JSON record, in this order."""


def plain_json(data: Mapping[str, Any], kind: LogKind = KINDS["json"]) -> LogRecord | None:
    """Any JSON object; an event of Windows is known by its shape."""
    if is_windows_event(data):
        flat = flat_windows_event(data)
        return LogRecord(flat, moment(flat.get("SystemTime")), _named(flat, ""), _joined(windows_kind(flat), kind))
    time = next((found for name in TIMES if (found := moment(data.get(name))) is not None), None)
    return LogRecord(data, time, _named(data, "id"), kind)


def _joined(one: LogKind, other: LogKind) -> LogKind:
    return LogKind(one.category + other.category, one.product + other.product, one.service + other.service)


def _named(data: Mapping[str, Any], name: str) -> str:
    """Its own id, or the hash of all of it."""
    own = data.get(name)
    if isinstance(own, str) and own:
        return own[:200]
    return hashlib.sha256(msgspec.json.encode(data, order="deterministic")).hexdigest()[:32]


JSON_READERS: Mapping[str, Callable[[Mapping[str, Any]], LogRecord | None]] = {
    "cloudtrail": cloudtrail,
    "k8s-audit": k8s_audit,
    "falco": falco,
    "json": plain_json,
    "windows": plain_json,
}


def record_of_log(kind: str, record: Any, at: float, id: str) -> Record:
    """A record of a test case, at this time. Raises InvalidInput."""
    if kind not in KINDS or not isinstance(record, Mapping):
        raise InvalidInput(f"log: {kind!r} is not one of {', '.join(KINDS)}, or its record is no mapping")
    data = msgspec.to_builtins(record)
    found = KINDS[kind]
    if kind in JSON_READERS:
        read = JSON_READERS[kind](data)
        if read is not None:
            data, found = read.data, read.kind
    return Record(data, found, at, id)

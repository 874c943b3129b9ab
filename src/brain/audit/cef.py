"""Entries as lines of the Common Event Format.

`CEF:0|vendor|product|version|type|name|severity|extension`; `\\` and `|` are escaped in the header, `\\`, `=` and line
ends in the extension. Source: "Implementing ArcSight Common Event Format (CEF)", version 25.
"""

from __future__ import annotations

import msgspec

from brain import __version__
from brain.audit.models import AuditEntry
from brain.neutral import cef_header, cef_value
from brain.plugins import catalogue

_SEVERITIES = {"INFO": 2, "LOW": 3, "MEDIUM": 5, "WARNING": 5, "HIGH": 8, "CRITICAL": 10}
_PRIORITIES = {"MEDIUM": 3, "HIGH": 5, "CRITICAL": 7}
_OUTCOMES = {True: "success", False: "failure"}


def cef(entry: AuditEntry) -> str:
    """The entry as one line, without its end."""
    event = entry.event
    payload = event.payload if event is not None else {}
    header = ("CEF:0", "BRAiN", "EventStream", __version__, entry.type or "unreadable", _name(entry), _severity(entry))
    denied = entry.type == "policy.action_denied" or payload.get("allowed") is False
    extension: dict[str, object] = {
        "rt": int(entry.at * 1000),
        "externalId": entry.event_id,
        "suid": payload.get("agent_id", entry.agent),
        "act": payload.get("action"),
        "request": payload.get("resource"),
        "outcome": _OUTCOMES[not denied] if entry.type.startswith("policy.") else None,
        "reason": payload.get("reason"),
        "msg": payload.get("message") or payload.get("description"),
        "cn1": entry.index,
        "cn1Label": "auditIndex",
        "cs1": entry.correlation_id,
        "cs1Label": "correlationId" if entry.correlation_id else None,
        "cs2": entry.threat,
        "cs2Label": "threatId" if entry.threat else None,
        "cs3": payload.get("rule_id"),
        "cs3Label": "ruleId" if payload.get("rule_id") else None,
        "cs4": entry.leaf_hash.hex(),
        "cs4Label": "leafHash",
        "cs5": msgspec.json.encode(payload).decode() if payload else None,
        "cs5Label": "payload" if payload else None,
    }
    fields = (f"{key}={cef_value(str(value))}" for key, value in extension.items() if value is not None)
    return "|".join((header[0], *map(cef_header, header[1:]), " ".join(fields)))


def _name(entry: AuditEntry) -> str:
    return entry.type.partition(".")[2].replace("_", " ") or "bytes that are no event"


def _severity(entry: AuditEntry) -> str:
    event = entry.event
    severity = event.payload.get("severity") if event is not None else None
    if isinstance(severity, str) and severity in _SEVERITIES:
        return str(_SEVERITIES[severity])
    declared = catalogue().get(entry.type)
    return str(_PRIORITIES[declared.priority] if declared is not None else 0)

"""Entries as events of the Open Cybersecurity Schema Framework.

Decisions are API Activity (6003) under the security_control profile, threats Detection Finding (2004), incidents
Incident Finding (2005), healing Remediation Activity (7001); everything else is the Base Event (0), whole in
`unmapped`. Source: the class files of https://github.com/ocsf/ocsf-schema, version 1.6.0.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from brain.audit.models import AuditEntry
from brain.charter import Event

VERSION = "1.6.0"
_PRODUCT = {"name": "BRAiN EventStream", "vendor_name": "BRAiN"}

_SEVERITIES = {"INFO": 1, "LOW": 2, "MEDIUM": 3, "WARNING": 3, "HIGH": 4, "CRITICAL": 5}
_SEVERITY_NAMES = ("Unknown", "Informational", "Low", "Medium", "High", "Critical")
_VERBS = {"create": 1, "add": 1, "insert": 1, "read": 2, "get": 2, "list": 2, "update": 3, "write": 3, "delete": 4}
_FINDING_STATUS = {
    "OPEN": (1, "New"),
    "INVESTIGATING": (2, "In Progress"),
    "ESCALATED": (2, "In Progress"),
    "MITIGATED": (4, "Resolved"),
    "RESOLVED": (4, "Resolved"),
    "IGNORED": (3, "Suppressed"),
}
_INCIDENT_STATUS = {
    "NEW": (1, "New"),
    "IN_PROGRESS": (2, "In Progress"),
    "ON_HOLD": (3, "On Hold"),
    "RESOLVED": (4, "Resolved"),
    "CLOSED": (5, "Closed"),
}
_CREATE, _UPDATE, _CLOSE, _OTHER = 1, 2, 3, 99
_NOTES = ("threat.assigned", "threat.commented")
"""They close nothing, whatever the threat's status."""


def ocsf(entry: AuditEntry) -> dict[str, Any]:
    """The entry as an OCSF event; for bytes that are deleted or no event, with the search fields alone."""
    event = entry.event
    if event is None:
        return _base(entry, 0, 0, 0, 0)
    if event.type in ("policy.rule_evaluated", "policy.action_denied"):
        return _decision(entry, event)
    if event.type.startswith("threat.") and event.type != "threat.store_restored":
        return _threat(entry, event)
    if event.type.startswith("incident."):
        return _incident(entry, event)
    if event.type.startswith("immune.") and event.payload.get("kind") == "SELF_HEALING_ACTION":
        return _healing(entry, event)
    found = _base(entry, 0, 0, 0, _severity(event.payload))
    return {**found, "unmapped": {"type": event.type, "payload": event.payload}}


def _base(entry: AuditEntry, category: int, class_uid: int, activity: int, severity: int) -> dict[str, Any]:
    metadata: dict[str, Any] = {
        "version": VERSION,
        "product": _PRODUCT,
        "uid": entry.event_id or f"audit-{entry.index}",
        "event_code": entry.type,
        "sequence": entry.index,
        "logged_time": _milliseconds(entry.appended_at),
    }
    if entry.correlation_id is not None:
        metadata["correlation_uid"] = entry.correlation_id
    return {
        "category_uid": category,
        "class_uid": class_uid,
        "activity_id": activity,
        "type_uid": class_uid * 100 + activity,
        "severity_id": severity,
        "severity": _SEVERITY_NAMES[severity],
        "time": _milliseconds(entry.at),
        "metadata": metadata,
    }


def _decision(entry: AuditEntry, event: Event) -> dict[str, Any]:
    payload = event.payload
    denied = event.type == "policy.action_denied" or payload.get("allowed") is False
    action = _text(payload.get("action"))
    words = action.lower().replace(".", " ").replace("_", " ").replace("-", " ").split()
    activity = next((_VERBS[word] for word in words if word in _VERBS), _OTHER)
    found = _base(entry, 6, 6003, activity, 3 if denied else 1)
    found["metadata"]["profiles"] = ["security_control"]
    agent = _text(payload.get("agent_id")) or "unknown"
    found |= {
        "actor": {"user": {"uid": agent, "name": agent}},
        "src_endpoint": {"uid": agent, "name": agent},
        "api": {"operation": action or "unknown"},
        "action_id": 2 if denied else 1,
        "action": "Denied" if denied else "Allowed",
        "disposition_id": 2 if denied else 1,
        "disposition": "Blocked" if denied else "Allowed",
        "is_alert": denied,
        "message": _text(payload.get("reason")),
    }
    if activity == _OTHER:
        found["activity_name"] = action or "unknown"
    if resource := _text(payload.get("resource")):
        found["resources"] = [{"name": resource, "uid": resource}]
    if rule := _text(payload.get("rule_id")):
        found["policy"] = {"uid": rule, "name": _text(payload.get("rule_name")) or rule}
    return found


def _threat(entry: AuditEntry, event: Event) -> dict[str, Any]:
    payload = event.payload
    status = {"threat.escalated": "ESCALATED", "threat.mitigated": "MITIGATED"}.get(
        event.type, _text(payload.get("new_status") or payload.get("status"))
    )
    number, name = _FINDING_STATUS.get(status, (0, "Unknown"))
    closes = number in (3, 4) and event.type not in _NOTES
    activity = _CREATE if event.type == "threat.detected" else _CLOSE if closes else _UPDATE
    found = _base(entry, 2, 2004, activity, _severity(payload))
    kind = _text(payload.get("type")) or event.type
    info: dict[str, Any] = {"uid": entry.threat or event.id, "title": f"{kind} from {_text(payload.get('source'))}"}
    info["types"] = [kind]
    if description := _text(payload.get("description")):
        info["desc"] = description
    found |= {"finding_info": info, "status_id": number, "status": name, "is_alert": activity == _CREATE}
    if comment := _text(payload.get("reason") or payload.get("text")):
        found["comment"] = comment
    return found


def _incident(entry: AuditEntry, event: Event) -> dict[str, Any]:
    payload = event.payload
    state = _text(payload.get("state") or payload.get("new_state") or payload.get("status"))
    number, name = _INCIDENT_STATUS.get(state, (_OTHER, state or event.type))
    opened = event.type in ("incident.opened", "incident.created")
    activity = _CREATE if opened else _CLOSE if number in (4, 5) else _UPDATE
    uid = _text(payload.get("incident_id")) or event.correlation_id or event.id
    title = _text(payload.get("title")) or event.type
    found = _base(entry, 2, 2005, activity, _severity(payload))
    return found | {
        "finding_info_list": [{"uid": uid, "title": title}],
        "status_id": number,
        "status": name,
        "assignee": {"name": _text(payload.get("owner")) or "unassigned"},
        "desc": title,
    }


def _healing(entry: AuditEntry, event: Event) -> dict[str, Any]:
    payload = event.payload
    details = payload.get("details")
    outcome = details.get("outcome") if isinstance(details, Mapping) else None
    found = _base(entry, 7, 7001, 3, _severity(payload))
    return found | {
        "command_uid": _text(payload.get("event_id")) or event.id,
        "status_id": 1 if outcome == "healed" else 2 if outcome == "failed" else 0,
        "status": "Success" if outcome == "healed" else "Failure" if outcome == "failed" else "Unknown",
        "remediation": {"desc": _text(payload.get("message")) or "self-healing action"},
        "message": _text(payload.get("message")),
    }


def _severity(payload: Mapping[str, Any]) -> int:
    return _SEVERITIES.get(_text(payload.get("severity")), 0)


def _milliseconds(seconds: float) -> int:
    return int(seconds * 1000)


def _text(value: object) -> str:
    return "" if value is None else str(value)

"""What a page carries: links, the policy decisions behind the alerts with their audit proofs, and the timeline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from brain.alerting.signal_rules import SOURCE
from brain.charter import Event
from brain.connectors.pages import TimelineStep
from brain.errors import BrainError
from brain.kit.protocols import AuditProofs
from brain.logs import Log
from brain.stream import EventStream
from brain.stream.timeline import find_timeline

log: Log = Log("brain.alerting")

DECISIONS = 10
"""Most decisions that a page carries, the latest ones."""
STEPS = 20
"""Most steps of the timeline that a page carries, the latest ones."""
BEFORE = 300.0
"""How many seconds before the alert its causes may have happened."""
_REPETITIONS = frozenset(
    {
        "policy.action_denied",
        "threat.became_critical",
        "threat.escalated",
        "threat.mitigated",
        "immune.critical_event",
    }
)
"""Types of events that repeat the event before them."""


def related_events(stream: EventStream, correlation_id: str, since: float) -> list[Event]:
    """The events with this correlation id, in stream order, without those of alerting. Blocks; raises Unavailable."""
    found = find_timeline(stream.backend, correlation_id, since - BEFORE)
    return [stored.event for stored in found if stored.event.source != SOURCE]


def timeline(events: Sequence[Event]) -> list[TimelineStep]:
    """One step for each event, in the order given, without events that only repeat another one."""
    return [
        TimelineStep(event.timestamp, event.type, describe(event), event.id)
        for event in events
        if event.type not in _REPETITIONS
    ]


def describe(event: Event) -> str:
    """The event in one line, for a person."""
    payload = event.payload
    if event.type == "threat.status_changed":
        reason = f": {payload['reason']}" if payload.get("reason") else ""
        return f"{payload.get('old_status')} -> {payload.get('new_status')}{reason}"
    if (form := _FORMS.get(event.type)) is not None:
        return form.format_map(_Values(payload))
    words = next((payload[name] for name in ("message", "summary", "reason") if payload.get(name)), "")
    return f"{event.type}: {words}" if words else event.type


class _Values(dict[str, Any]):
    """The payload for a form; a missing value reads None, a missing effect DENY."""

    def __missing__(self, name: str) -> object:
        return "DENY" if name == "effect" else None


_DECISION = "{effect}: {agent_id} {action} {resource}: {reason}"
_HEALTH = "{severity} {kind} of {module}: {message}"
_FORMS = {
    "policy.rule_evaluated": _DECISION,
    "policy.action_denied": _DECISION,
    "threat.detected": "{severity} {type} from {source}: {description}",
    "threat.updated": "{old_severity} -> {new_severity}: {description}",
    "threat.became_critical": "now {severity}: {description}",
    "immune.event_published": _HEALTH,
    "immune.critical_event": _HEALTH,
}


def decisions(events: Sequence[Event]) -> list[dict[str, Any]]:
    """The latest policy decisions among the events; the ones that allow come last.

    Where no evaluation is recorded, the denials stand for them.
    """
    evaluated = [event for event in events if event.type == "policy.rule_evaluated"]
    if not evaluated:
        evaluated = [event for event in events if event.type == "policy.action_denied"]
    evaluated.sort(key=lambda event: (event.payload.get("effect", "DENY") == "ALLOW", -event.timestamp))
    return [
        {
            "event_id": event.id,
            "agent": event.payload.get("agent_id"),
            "action": event.payload.get("action"),
            "resource": event.payload.get("resource"),
            "effect": event.payload.get("effect", "DENY"),
            "rule_id": event.payload.get("rule_id"),
            "reason": event.payload.get("reason"),
            "at": event.timestamp,
        }
        for event in evaluated[:DECISIONS]
    ]


def prove(proofs: AuditProofs | None, event_ids: Sequence[str]) -> dict[str, dict[str, Any] | None]:
    """The audit proof of each event; None where there is none, or no audit log. Blocks.

    When the audit log does not answer, the page goes out without proofs.
    """
    found: dict[str, dict[str, Any] | None] = dict.fromkeys(event_ids)
    if proofs is None:
        return found
    for id in event_ids:
        try:
            logged = proofs.find(id)
        except BrainError as error:
            log.warning("a page has no audit proofs: the audit log does not answer", event_id=id, error=str(error))
            return found
        if logged is not None:
            found[id] = {
                "index": logged.index,
                "tree_size": logged.size,
                "root": logged.root,
                "leaf_hash": logged.leaf_hash,
            }
    return found


def links(public_url: str, alerts: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """Links to the threats and alerts on this server: pairs of text and URL; none without a public URL."""
    if not public_url:
        return []
    found: list[tuple[str, str]] = []
    for alert in alerts:
        wanted = quote(alert["correlation_id"], safe="")
        if threat := alert["labels"].get("threat_id"):
            found.append((f"Threat {threat}", f"{public_url}/#/threats?timeline={wanted}"))
        else:
            found.append((f"Alerts {alert['correlation_id']}", f"{public_url}/#/alerts?timeline={wanted}"))
    return list(dict.fromkeys(found))[:10]

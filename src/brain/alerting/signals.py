"""Which events make alerts, and what they say: one pure function from an event to its signals."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from brain.alerting.alerts import SEVERITIES, Fires, HealingEnded, Resolves, Signal, worst
from brain.charter import Event, Pattern, Priority
from brain.plugins import catalogue

SOURCE = "soc_service"
"""What this consumer's own events carry as their source; they never make alerts."""
OVER = frozenset({"MITIGATED", "RESOLVED", "IGNORED"})
"""The threat statuses in which a threat no longer asks for work."""
LABEL_CHARACTERS = 200
TAGS = 20
SUMMARY_CHARACTERS = 500
_INVESTIGATOR = "the threat's investigator"
_HEALTH_SEVERITY = {"INFO": "LOW", "WARNING": "MEDIUM", "ERROR": "HIGH"}
_PRIORITY_SEVERITY = {Priority.CRITICAL: "CRITICAL", Priority.HIGH: "HIGH", Priority.MEDIUM: "MEDIUM"}


@dataclass(frozen=True, kw_only=True)
class Reading:
    """How events are read. Times are in seconds.

    `healed_kinds` are the kinds of health event for which a healing action is expected, for at most `healing_timeout`;
    `quiet_after` how long denials, and other events, must stay away for their alert to resolve; `health_quiet_after`
    the same for health (None: never); `also` the further event types that make alerts.
    """

    healed_kinds: Callable[[str], bool] = lambda kind: False
    healing_timeout: float = 30.0
    quiet_after: float = 300.0
    health_quiet_after: float | None = 3600.0
    also: Pattern | None = None

    def signals(self, event: Event) -> tuple[Signal, ...]:
        """What the event says of alerts; nothing for an event that lacks what it should tell."""
        if event.source == SOURCE:
            return ()
        read = _READERS.get(event.type)
        if read is not None:
            return tuple(read(self, event))
        if self.also is not None and self.also.matches(event.type):
            return tuple(_incident_fires(event) if event.type in _INCIDENT_FIRES else _other(self, event))
        return ()

    @property
    def patterns(self) -> tuple[str, ...]:
        """The event types to subscribe to."""
        return (*_READERS, *(self.also.texts if self.also is not None else ()))


def _threat_fires(reading: Reading, event: Event) -> Iterable[Signal]:
    payload = event.payload
    threat_id = _text(payload.get("threat_id"))
    if not threat_id:
        return
    escalated = event.type == "threat.escalated"
    status = "ESCALATED" if escalated else _text(payload.get("status")) or "OPEN"
    if status in OVER:
        return
    yield _threat(event, threat_id, status, counts=True, demands=escalated)


def _threat_moved(reading: Reading, event: Event) -> Iterable[Signal]:
    payload = event.payload
    threat_id = _text(payload.get("threat_id"))
    status = _text(payload.get("new_status")) or ("MITIGATED" if event.type == "threat.mitigated" else "")
    if not threat_id or not status:
        return
    if status in OVER:
        yield Resolves(key=threat_id, by=f"threat {status}", at=event.timestamp, labels={"status": status})
    elif status != "ESCALATED":  # threat.escalated follows, and says it
        yield _threat(
            event, threat_id, status, taken_by="the threat's investigator" if status == "INVESTIGATING" else ""
        )


def _threat(
    event: Event, threat_id: str, status: str, *, counts: bool = False, demands: bool = False, taken_by: str = ""
) -> Fires:
    payload = event.payload
    kind, source = _label(payload.get("type")) or "threat", _label(payload.get("source"))
    told = _text(payload.get("reason" if demands else "description"))
    return Fires(
        key=threat_id,
        name=kind,
        # Somebody says that a person is needed: no route that asks for HIGH must miss that.
        severity=worst([_severity(payload.get("severity"), "MEDIUM"), *(["HIGH"] if status == "ESCALATED" else [])]),
        labels={
            "kind": "threat",
            "threat_id": threat_id,
            "agent": source,
            "status": status,
            **_tags(payload.get("metadata")),
        },
        summary=f"{'escalated: ' if demands else ''}{kind} from {source}{': ' if told else ''}{told}"[
            :SUMMARY_CHARACTERS
        ],
        event=event.type,
        event_id=event.id,
        correlation_id=_story(event, threat_id),
        at=event.timestamp,
        counts=counts,
        demands=demands,
        taken_by=taken_by,
    )


def _health_critical(reading: Reading, event: Event) -> Iterable[Signal]:
    payload = event.payload
    module, kind = _label(payload.get("module")), _label(payload.get("kind"))
    if not module or not kind:
        return
    yield Fires(
        key=f"health {module} {kind}",
        name=kind,
        severity="CRITICAL",
        labels={"kind": "health", "agent": module, "module": module, **_tags(payload.get("details"))},
        summary=f"{module}: {_text(payload.get('message')) or kind}"[:SUMMARY_CHARACTERS],
        event=event.type,
        event_id=event.id,
        correlation_id=_story(event, event.id),
        at=event.timestamp,
        hold_for=reading.healing_timeout if reading.healed_kinds(kind) else None,
        expires_in=reading.health_quiet_after,
    )


def _denial(agent: str, action: str, resource: str) -> str:
    """What happened, without the parts that the question left out."""
    return f"{agent} was denied {action or 'an action without a name'}{f' on {resource}' if resource else ''}"


def _denied(reading: Reading, event: Event) -> Iterable[Signal]:
    payload = event.payload
    agent = _label(payload.get("agent_id"))
    if not agent:
        return
    action, resource = _label(payload.get("action")), _label(payload.get("resource"))
    yield Fires(
        key=f"denials {agent}",
        name="policy_denials",
        severity="LOW",
        labels={"kind": "denials", "agent": agent},
        summary=_denial(agent, action, resource)[:SUMMARY_CHARACTERS],
        event=event.type,
        event_id=event.id,
        correlation_id=_story(event, event.id),
        at=event.timestamp,
        expires_in=reading.quiet_after,
    )


def _healing_told(reading: Reading, event: Event) -> Iterable[Signal]:
    payload = event.payload
    details, module = payload.get("details"), _label(payload.get("module"))
    if payload.get("kind") != "SELF_HEALING_ACTION" or not isinstance(details, Mapping):
        return
    outcome = details.get("outcome")
    if outcome in ("healed", "failed"):
        yield HealingEnded(agent=module, story=_story(event, event.id), healed=outcome == "healed", at=event.timestamp)


def _other(reading: Reading, event: Event) -> Iterable[Signal]:
    payload = event.payload
    declared = catalogue().get(event.type)
    about = _label(event.target) or _label(payload.get("agent_id")) or _label(payload.get("module"))
    told = _text(payload.get("message")) or _text(payload.get("summary")) or event.type
    yield Fires(
        key=f"event {event.type} {about}".strip(),
        name=event.type,
        severity=_severity(payload.get("severity"), _PRIORITY_SEVERITY[declared.priority] if declared else "MEDIUM"),
        labels={"kind": "event", "agent": about, **_tags(payload)},
        summary=told[:SUMMARY_CHARACTERS],
        event=event.type,
        event_id=event.id,
        correlation_id=_story(event, event.id),
        at=event.timestamp,
        expires_in=reading.quiet_after,
    )


def _incident_fires(event: Event) -> Iterable[Signal]:
    """An incident asks for work until it says itself that it is over."""
    payload = event.payload
    incident_id = _text(payload.get("incident_id"))
    if not incident_id:
        return
    yield Fires(
        key=incident_id,
        name=event.type,
        severity=_severity(payload.get("severity"), "MEDIUM"),
        labels={"kind": "incident", "incident_id": incident_id},
        summary=(_text(payload.get("summary")) or event.type)[:SUMMARY_CHARACTERS],
        event=event.type,
        event_id=event.id,
        correlation_id=_story(event, incident_id),
        at=event.timestamp,
    )


def _incident_over(reading: Reading, event: Event) -> Iterable[Signal]:
    state = _text(event.payload.get("state"))
    if incident_id := _text(event.payload.get("incident_id")):
        yield Resolves(key=incident_id, by=f"incident {state}", at=event.timestamp, labels={})


_INCIDENT_FIRES = frozenset({"incident.opened", "incident.reopened"})
_READERS: Mapping[str, Callable[[Reading, Event], Iterable[Signal]]] = {
    "threat.detected": _threat_fires,
    "threat.escalated": _threat_fires,
    "threat.status_changed": _threat_moved,
    "threat.mitigated": _threat_moved,
    "immune.critical_event": _health_critical,
    "immune.event_published": _healing_told,
    "policy.action_denied": _denied,
    "incident.resolved": _incident_over,
}


def _story(event: Event, otherwise: str) -> str:
    return event.correlation_id if isinstance(event.correlation_id, str) and event.correlation_id else otherwise


def _text(value: object) -> str:
    return " ".join(value.split()) if isinstance(value, str) else ""


def _label(value: object) -> str:
    return _text(value)[:LABEL_CHARACTERS]


def _severity(value: object, otherwise: str) -> str:
    name = value.upper() if isinstance(value, str) else ""
    name = _HEALTH_SEVERITY.get(name, name)
    return name if name in SEVERITIES else otherwise


def _tags(data: object) -> dict[str, str]:
    """`tags` of the event's own data as labels `tag.NAME`: a list of names (or `name=value`), or an object."""
    tags = data.get("tags") if isinstance(data, Mapping) else None
    pairs: list[tuple[str, Any]] = []
    if isinstance(tags, Mapping):
        pairs = [(str(name), value) for name, value in tags.items()]
    elif isinstance(tags, list):
        pairs = [(name, value or "true") for name, _, value in (str(tag).partition("=") for tag in tags)]
    return {f"tag.{name[:50]}": _label(str(value)) for name, value in pairs[:TAGS] if name}

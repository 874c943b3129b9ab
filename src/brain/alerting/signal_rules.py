"""Signal rules: which events make alerts, and what they say. One pure function from an event to its signals."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from brain.alerting.models import worst
from brain.alerting.signals import Fires, HealingEnded, Resolves, Signal
from brain.charter import Event, Pattern, Severity
from brain.lifecycle import version_of
from brain.plugins import catalogue

SOURCE = "soc_service"
"""The source of this plug-in's own events, which make no alerts, but for a connection that is lost."""
OVER = frozenset({"MITIGATED", "RESOLVED", "IGNORED"})
"""The statuses in which a threat needs no more work."""
LABEL_CHARACTERS = 200
TAGS = 20
SUMMARY_CHARACTERS = 500
_INVESTIGATOR = "the threat's investigator"
_HEALTH_SEVERITY = {"INFO": Severity.LOW, "WARNING": Severity.MEDIUM, "ERROR": Severity.HIGH}
_SEVERITIES = {severity.value: severity for severity in Severity} | _HEALTH_SEVERITY


@dataclass(frozen=True, kw_only=True)
class SignalRules:
    """What the settings say about signals. Times are in seconds.

    The page of a health event waits for healing when `is_healed(kind)`, for at most `healing_timeout`. An alert on
    denials, or on an event of `also`, resolves after `quiet_after` without an event; a health alert after
    `health_quiet_after` (None: never). `also` are the further event types that make alerts.
    """

    is_healed: Callable[[str], bool] = lambda kind: False
    healing_timeout: float = 30.0
    quiet_after: float = 300.0
    health_quiet_after: float | None = 3600.0
    also: Pattern | None = None

    def signals(self, event: Event) -> tuple[Signal, ...]:
        """The signals of the event; none for an event that lacks a field that they need."""
        if event.source == SOURCE and event.type not in _OF_OURS:
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


def _threat_fires(rules: SignalRules, event: Event) -> Iterable[Signal]:
    """A threat is there, or asks for a person: it was escalated, or became critical."""
    threat_id = _text(event.payload.get("threat_id"))
    demand = _DEMANDS.get(event.type, "")
    status = "ESCALATED" if event.type == "threat.escalated" else _text(event.payload.get("status")) or "OPEN"
    if threat_id and status not in OVER:
        yield replace(_threat(event, threat_id, status, demand), counts=True, demands=bool(demand))


def _threat_grew(rules: SignalRules, event: Event) -> Iterable[Signal]:
    """More evidence. What fires no more fires again only when the threat got worse."""
    payload = event.payload
    threat_id, status = _text(payload.get("threat_id")), _text(payload.get("status"))
    old, new = (_severity(payload.get(name), Severity.LOW) for name in ("old_severity", "severity"))
    if not threat_id or status in OVER or (new is Severity.CRITICAL and old is not new):
        return  # threat.became_critical or threat.escalated follows and makes the signal
    yield replace(_threat(event, threat_id, status or "OPEN"), counts=True, reopens=new.rank > old.rank)


def _threat_moved(rules: SignalRules, event: Event) -> Iterable[Signal]:
    payload = event.payload
    threat_id = _text(payload.get("threat_id"))
    status = _text(payload.get("new_status")) or ("MITIGATED" if event.type == "threat.mitigated" else "")
    if not threat_id or not status:
        return
    if status in OVER:
        by, labels = f"threat {status}", {"status": status}
        yield Resolves(key=threat_id, by=by, at=event.timestamp, labels=labels, version=version_of(event))
    elif status != "ESCALATED":  # threat.escalated follows and makes the signal
        taken = status == "INVESTIGATING" and payload.get("by_evidence") is not True
        yield replace(_threat(event, threat_id, status), acknowledged_by=_INVESTIGATOR if taken else "")


def _threat(event: Event, threat_id: str, status: str, demand: str = "") -> Fires:
    payload = event.payload
    kind, source = _label(payload.get("type")) or "threat", _label(payload.get("source"))
    reason = _text(payload.get("reason" if event.type == "threat.escalated" else "description"))
    # An escalation asks for a person: a route for HIGH must not miss it.
    least = Severity.HIGH if status == "ESCALATED" else Severity.LOW
    labels = {"kind": "threat", "threat_id": threat_id, "agent": source, "status": status}
    return Fires(
        key=threat_id,
        name=kind,
        severity=worst([_severity(payload.get("severity"), Severity.MEDIUM), least]),
        labels={**labels, **_tags(payload.get("metadata"))},
        summary=f"{demand}{kind} from {source}{': ' if reason else ''}{reason}"[:SUMMARY_CHARACTERS],
        event=event.type,
        event_id=event.id,
        correlation_id=_correlation_id(event, threat_id),
        at=event.timestamp,
        counts=False,
        version=version_of(event),
    )


def _health_critical(rules: SignalRules, event: Event) -> Iterable[Signal]:
    payload = event.payload
    module, kind = _label(payload.get("module")), _label(payload.get("kind"))
    if not module or not kind:
        return
    yield Fires(
        key=f"health {module} {kind}",
        name=kind,
        severity=Severity.CRITICAL,
        labels={"kind": "health", "agent": module, "module": module, **_tags(payload.get("details"))},
        summary=f"{module}: {_text(payload.get('message')) or kind}"[:SUMMARY_CHARACTERS],
        event=event.type,
        event_id=event.id,
        correlation_id=_correlation_id(event, event.id),
        at=event.timestamp,
        hold_for=rules.healing_timeout if rules.is_healed(kind) else None,
        expires_in=rules.health_quiet_after,
    )


def _denial(agent: str, action: str, resource: str) -> str:
    """The denial in words, without the fields that the event leaves empty."""
    return f"{agent} was denied {action or 'an action without a name'}{f' on {resource}' if resource else ''}"


def _denied(rules: SignalRules, event: Event) -> Iterable[Signal]:
    payload = event.payload
    agent = _label(payload.get("agent_id"))
    if not agent:
        return
    action, resource = _label(payload.get("action")), _label(payload.get("resource"))
    yield Fires(
        key=f"denials {agent}",
        name="policy_denials",
        severity=Severity.LOW,
        labels={"kind": "denials", "agent": agent},
        summary=_denial(agent, action, resource)[:SUMMARY_CHARACTERS],
        event=event.type,
        event_id=event.id,
        correlation_id=_correlation_id(event, event.id),
        at=event.timestamp,
        expires_in=rules.quiet_after,
    )


def _healing_ended(rules: SignalRules, event: Event) -> Iterable[Signal]:
    payload = event.payload
    details, module = payload.get("details"), _label(payload.get("module"))
    if payload.get("kind") != "SELF_HEALING_ACTION" or not isinstance(details, Mapping):
        return
    outcome = details.get("outcome")
    if outcome in ("healed", "failed"):
        yield HealingEnded(
            agent=module,
            correlation_id=_correlation_id(event, event.id),
            healed=outcome == "healed",
            at=event.timestamp,
        )


def _other(rules: SignalRules, event: Event) -> Iterable[Signal]:
    payload = event.payload
    declared = catalogue().get(event.type)
    about = _label(event.target) or _label(payload.get("agent_id")) or _label(payload.get("module"))
    words = _text(payload.get("message")) or _text(payload.get("summary")) or event.type
    yield Fires(
        key=f"event {event.type} {about}".strip(),
        name=event.type,
        severity=_severity(payload.get("severity"), Severity[declared.priority.name] if declared else Severity.MEDIUM),
        labels={"kind": "event", "agent": about, **_tags(payload)},
        summary=words[:SUMMARY_CHARACTERS],
        event=event.type,
        event_id=event.id,
        correlation_id=_correlation_id(event, event.id),
        at=event.timestamp,
        expires_in=rules.quiet_after,
    )


def _incident_fires(event: Event) -> Iterable[Signal]:
    """An incident fires until its own event resolves it."""
    payload = event.payload
    incident_id = _text(payload.get("incident_id"))
    if not incident_id:
        return
    yield Fires(
        key=incident_id,
        name=event.type,
        severity=_severity(payload.get("severity"), Severity.MEDIUM),
        labels={"kind": "incident", "incident_id": incident_id},
        summary=(_text(payload.get("summary")) or event.type)[:SUMMARY_CHARACTERS],
        event=event.type,
        event_id=event.id,
        correlation_id=_correlation_id(event, incident_id),
        at=event.timestamp,
    )


def _incident_over(rules: SignalRules, event: Event) -> Iterable[Signal]:
    state = _text(event.payload.get("state"))
    if incident_id := _text(event.payload.get("incident_id")):
        yield Resolves(key=incident_id, by=f"incident {state}", at=event.timestamp, labels={})


def _connection_lost(rules: SignalRules, event: Event) -> Iterable[Signal]:
    """A service does not know our account: one alert about that, for all tickets or pages that wait."""
    what, label, waiting = _CONNECTIONS[event.type]
    name = _label(event.payload.get(label))
    if not name:
        return
    yield Fires(
        key=f"connection {what}{name}",
        name=f"{label if what else 'ticket'}_connection",
        severity=Severity.HIGH,
        labels={"kind": "connection", "agent": name, label: name},
        summary=f"{waiting} wait: {_text(event.payload.get('message'))}"[:SUMMARY_CHARACTERS],
        event=event.type,
        event_id=event.id,
        correlation_id=_correlation_id(event, event.id),
        at=event.timestamp,
    )


def _connection_restored(rules: SignalRules, event: Event) -> Iterable[Signal]:
    what, label, _ = _CONNECTIONS[event.type]
    if name := _label(event.payload.get(label)):
        yield Resolves(key=f"connection {what}{name}", by="the connection is back", at=event.timestamp, labels={})


_CONNECTIONS = {
    "ticket.connection_lost": ("", "system", "tickets"),
    "ticket.connection_restored": ("", "system", "tickets"),
    "alert.connection_lost": ("notifier ", "notifier", "pages"),
    "alert.connection_restored": ("notifier ", "notifier", "pages"),
}
"""What the key of the alert has before the service's name, the label with that name, and what waits."""
_OF_OURS = frozenset({"alert.connection_lost", "alert.connection_restored"})
_INCIDENT_FIRES = frozenset({"incident.opened", "incident.reopened"})
_DEMANDS = {"threat.escalated": "escalated: ", "threat.became_critical": "now critical: "}
"""The events of a threat that ask for a person at once, and how the summary says so."""
_READERS: Mapping[str, Callable[[SignalRules, Event], Iterable[Signal]]] = {
    "threat.detected": _threat_fires,
    "threat.updated": _threat_grew,
    "threat.became_critical": _threat_fires,
    "threat.escalated": _threat_fires,
    "threat.status_changed": _threat_moved,
    "threat.mitigated": _threat_moved,
    "immune.critical_event": _health_critical,
    "immune.event_published": _healing_ended,
    "policy.action_denied": _denied,
    "incident.resolved": _incident_over,
    "ticket.connection_lost": _connection_lost,
    "ticket.connection_restored": _connection_restored,
    "alert.connection_lost": _connection_lost,
    "alert.connection_restored": _connection_restored,
}


def _correlation_id(event: Event, otherwise: str) -> str:
    return event.correlation_id if isinstance(event.correlation_id, str) and event.correlation_id else otherwise


def _text(value: object) -> str:
    return " ".join(value.split()) if isinstance(value, str) else ""


def _label(value: object) -> str:
    return _text(value)[:LABEL_CHARACTERS]


def _severity(value: object, otherwise: Severity) -> Severity:
    return _SEVERITIES.get(value.upper(), otherwise) if isinstance(value, str) else otherwise


def _tags(data: object) -> dict[str, str]:
    """`tags` of the event's own data as labels `tag.NAME`: a list of names (or `name=value`), or an object."""
    tags = data.get("tags") if isinstance(data, Mapping) else None
    pairs: list[tuple[str, Any]] = []
    if isinstance(tags, Mapping):
        pairs = [(str(name), value) for name, value in tags.items()]
    elif isinstance(tags, list):
        pairs = [(name, value or "true") for name, _, value in (str(tag).partition("=") for tag in tags)]
    return {f"tag.{name[:50]}": _label(str(value)) for name, value in pairs[:TAGS] if name}

"""What each event of the stream means for incidents: the `apply` of the projection.

`threat.escalated` and `immune.critical_event` open the incident of their correlation id, or find it open. Every other
event of the correlation id joins its timeline and moves it along. When all its threats are settled and its health is
healed, the incident is resolved.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, Protocol

from sqlalchemy import Connection, and_, select, update

from brain.charter import Event, IncidentState, Severity
from brain.incidents import source_events as source
from brain.incidents import tables
from brain.incidents.correlating import correlation_ids
from brain.incidents.evidence import Evidence
from brain.incidents.models import Incident, IncidentChange, Recurrence, recurrence
from brain.incidents.settings import IncidentSettings
from brain.incidents.source_events import read_payload
from brain.incidents.transaction import IncidentTransaction
from brain.kit.sql import insert_into
from brain.lifecycle import version_of
from brain.text import clip_text
from brain.times import plausible

SOURCE = "incidents_service"
"""The source of this plug-in's own events, which are not applied."""
PATTERN = "*"

_SETTLED = frozenset({"MITIGATED", "RESOLVED", "IGNORED"})
_HEALED = frozenset({"healed", "dismissed"})
_WORDS = {
    "INVESTIGATING": "is being investigated",
    "OPEN": "is open again",
    "RESOLVED": "is resolved",
    "IGNORED": "is ignored as a false positive",
}
_SUMMARY_KEYS = ("message", "reason", "description", "summary", "note", "rule_name")


class StoredItem(Protocol):
    """The part of a projection's item that is read here."""

    @property
    def position(self) -> str:
        """Where it is in the stream."""

    @property
    def event(self) -> Event | None:
        """The event, or None for stored bytes that are no event."""


class IncidentProjector:
    """Turns batches of events into incidents.

    `clock` gives the Unix time at which the outbox's rows are due, `event_at` the stream's bytes at a position.
    """

    def __init__(
        self,
        settings: IncidentSettings,
        clock: Callable[[], float],
        event_at: Callable[[str], bytes | None],
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._event_at = event_at

    def apply(self, db: Connection, items: Sequence[StoredItem]) -> None:
        """Apply a batch in the order of the stream, in the transaction of `db`.

        Raises EnvelopeError for an event whose payload lacks a key that is read, and Unavailable.
        """
        mine = [item for item in items if item.event is not None and item.event.source != SOURCE]
        events = [item.event for item in mine if item.event is not None]
        belong = correlation_ids(db, events)
        transaction = IncidentTransaction(db, self._settings, self._clock())
        transaction.load(belong)
        evidence = Evidence(db, self._settings.decision_window, self._event_at)
        evidence.remember([(item.position, event, to) for item, event, to in zip(mine, events, belong, strict=True)])
        for event, correlation_id in zip(events, belong, strict=True):
            if event.type == source.DECISION and transaction.current(correlation_id) is None:
                continue
            _EventProjection(transaction, evidence, event, correlation_id, self._settings.reopen_window).apply()


class _Kept(NamedTuple):
    """What became of a threat's status: whether it is the latest known, and whether it opened or settled the threat."""

    fresh: bool
    reopened: bool
    settled: bool


class _EventProjection:
    """One event and what it does to the incident of its correlation id."""

    def __init__(
        self,
        transaction: IncidentTransaction,
        evidence: Evidence,
        event: Event,
        correlation_id: str,
        reopen_window: float,
    ) -> None:
        self._transaction = transaction
        self._evidence = evidence
        self._event = event
        self._correlation_id = correlation_id
        self._window = reopen_window
        self._at = plausible(event.timestamp, transaction.now)

    def apply(self) -> None:
        """Change the incident as the event's type says."""
        match self._event.type:
            case source.THREAT_DETECTED:
                self._threat_detected(read_payload(self._event, source.DetectedThreat))
            case source.THREAT_UPDATED:
                self._threat_updated(read_payload(self._event, source.UpdatedThreat))
            case source.THREAT_BECAME_CRITICAL:
                self._threat_became_critical(read_payload(self._event, source.CriticalThreat))
            case source.THREAT_STATUS_CHANGED:
                self._threat_changed(read_payload(self._event, source.ChangedThreat))
            case source.THREAT_ESCALATED:
                self._threat_escalated(read_payload(self._event, source.EscalatedThreat))
            case source.THREAT_MITIGATED:
                self._threat_mitigated(read_payload(self._event, source.MitigatedThreat))
            case source.HEALTH_CRITICAL:
                self._health_critical(read_payload(self._event, source.CriticalHealth))
            case _:
                self._other()

    def _threat_detected(self, threat: source.DetectedThreat) -> None:
        self._keep_threat(threat, threat.status, threat.detected_at)
        text = f"threat {threat.threat_id} was detected: {threat.type} from {threat.source}"
        if incident := self._join("threat", text):
            incident = self._transaction.raise_severity(incident, _severity(threat.severity), self._change(text))
            self._evidence.gather(incident, [threat.source], self._at)

    def _threat_updated(self, threat: source.UpdatedThreat) -> None:
        kept = self._keep_threat(threat, threat.status, threat.updated_at)
        text = f"threat {threat.threat_id} has more evidence: {threat.description}"
        if kept.reopened and self._transaction.current(self._correlation_id) is not None:
            self._require(text, _severity(threat.severity), threat.title, [threat.source])
        elif incident := self._join("threat", text, f"{self._event.type} {threat.threat_id}", comment=False):
            if threat.status not in _SETTLED:
                incident = self._transaction.raise_severity(incident, _severity(threat.severity), self._change(text))
            self._evidence.gather(incident, [threat.source], self._at)
            if kept.settled:  # the move that settled it comes later, and is no news then
                self._resolve_when_settled(incident)

    def _threat_became_critical(self, threat: source.CriticalThreat) -> None:
        """Only a link: `threat.updated` of the same change raises the incident's severity."""
        incident = self._transaction.current(self._correlation_id)
        if incident is not None and incident.state is not IncidentState.CLOSED:
            self._transaction.link(incident, self._event)

    def _threat_changed(self, threat: source.ChangedThreat) -> None:
        status = threat.new_status
        kept = self._keep_threat(threat, status, threat.changed_at)
        if status not in _WORDS:  # the stream has an event of its own for these
            return
        text = _threat_text(threat, _WORDS[status], threat.reason)
        reopened = kept.reopened or (kept.fresh and status not in _SETTLED and threat.old_status in _SETTLED)
        if reopened and self._transaction.current(self._correlation_id) is not None:
            self._require(text, _severity(threat.severity), threat.title, [threat.source])
            return
        incident = self._join("threat", text)
        if incident is not None and kept.fresh:
            if status == "INVESTIGATING" and incident.state is IncidentState.NEW:
                self._move(incident, IncidentState.IN_PROGRESS, text)
            elif status in _SETTLED:
                self._resolve_when_settled(incident)

    def _threat_escalated(self, threat: source.EscalatedThreat) -> None:
        self._keep_threat(threat, "ESCALATED", threat.escalated_at)
        text = _threat_text(threat, "was escalated", threat.reason)
        dedup_key = f"{self._event.type} {threat.threat_id}"
        incident = self._require(text, _severity(threat.severity), threat.title, [threat.source], dedup_key)
        self._resolve_when_settled(incident)  # an escalation that arrives after the mitigation

    def _threat_mitigated(self, threat: source.MitigatedThreat) -> None:
        self._keep_threat(threat, "MITIGATED", threat.mitigated_at)
        text = _threat_text(threat, f"was mitigated after {threat.duration_seconds:.0f} s", threat.reason)
        if (incident := self._join("threat", text)) is not None:
            incident = self._resolve_when_settled(incident)
            if incident.state is IncidentState.NEW:
                self._move(incident, IncidentState.IN_PROGRESS, text)

    def _health_critical(self, health: source.CriticalHealth) -> None:
        values = {
            "correlation_id": self._correlation_id,
            "number": health.event_id,
            "kind": clip_text(health.kind),
            "module": clip_text(health.module),
            "state": "open",
            "at": health.critical_at,
        }
        db = self._transaction.db
        db.execute(insert_into(db, tables.health).on_conflict_do_nothing().values(values))
        text = f"{health.kind} of {health.module}: {health.message}"
        dedup_key = f"{self._event.type} {health.kind} {health.module}"
        self._require(text, Severity.CRITICAL, text, [health.module], dedup_key)

    def _other(self) -> None:
        event = self._event
        incident = self._transaction.current(self._correlation_id)
        if incident is None or incident.state is IncidentState.CLOSED:
            return
        if event.type == source.DECISION:
            self._evidence.add(incident, event)
        elif event.type == source.HEALTH_PUBLISHED and event.payload.get("kind") == "SELF_HEALING_ACTION":
            self._healing(incident)
        elif event.type != source.HEALTH_PUBLISHED or event.payload.get("severity") != "CRITICAL":
            self._join("event", _summary(event), f"{event.type} {event.target or ''}", comment=False)

    def _healing(self, incident: Incident) -> None:
        payload = self._event.payload
        details = payload.get("details")
        details = details if isinstance(details, Mapping) else {}
        outcome, heals, module = details.get("outcome"), details.get("heals"), payload.get("module")
        self._join("health", f"healing of {module}: {payload.get('message')}")
        if outcome not in ("healed", "failed"):
            return
        table = tables.health
        which = table.c.number == heals if isinstance(heals, int) else table.c.module == clip_text(module)
        mine = table.c.correlation_id == self._correlation_id
        self._transaction.db.execute(
            update(table).where(mine, which, table.c.state != "dismissed").values(state=outcome)
        )
        self._resolve_when_settled(incident)

    # shared by several kinds of events

    def _require(
        self, text: str, severity: Severity, title: str, agents: Sequence[str], dedup_key: str = ""
    ) -> Incident:
        """An open incident of the correlation id: the one there is, the last one reopened, or a new one."""
        at, transaction, change = self._at, self._transaction, self._change(text)
        incident = transaction.current(self._correlation_id)
        after = None if incident is None else recurrence(incident, at, self._window)
        if incident is None or after is Recurrence.OPENS_ANOTHER:
            incident = transaction.open(self._correlation_id, title, severity, change)
        elif after is Recurrence.REOPENS:
            incident = self._move(incident, IncidentState.IN_PROGRESS, f"it came back: {text}")
        else:
            incident = transaction.add(incident, "event", change, dedup_key)
        incident = transaction.raise_severity(incident, severity, change)
        transaction.link(incident, self._event)
        self._evidence.gather(incident, agents, at)
        return incident

    def _join(self, kind: str, text: str, dedup_key: str = "", *, comment: bool = True) -> Incident | None:
        """The correlation id's incident with the event in its timeline; None when there is none, or it is closed."""
        incident = self._transaction.current(self._correlation_id)
        if incident is None or incident.state is IncidentState.CLOSED:
            return None
        self._transaction.link(incident, self._event)
        return self._transaction.add(incident, kind, self._change(text), dedup_key or f"{kind} {text}", comment=comment)

    def _resolve_when_settled(self, incident: Incident) -> Incident:
        """Resolve the incident when all its threats are settled and its health is healed."""
        threats = [row.status for row in self._transaction.threats(self._correlation_id)]
        health = [row.state for row in self._transaction.health(self._correlation_id)]
        settled = all(status in _SETTLED for status in threats) and all(state in _HEALED for state in health)
        if not incident.open or not settled or not (threats or health):
            return incident
        reasons = []
        if threats:
            ignored = all(status == "IGNORED" for status in threats)
            reasons.append("all its threats are " + ("false positives" if ignored else "mitigated"))
        if health:
            reasons.append("its health is healed")
        return self._move(incident, IncidentState.RESOLVED, " and ".join(reasons))

    def _move(self, incident: Incident, state: IncidentState, text: str) -> Incident:
        return self._transaction.move(incident, state, self._change(text))

    def _change(self, text: str) -> IncidentChange:
        return IncidentChange(self._at, clip_text(text), event_id=self._event.id)

    def _keep_threat(self, threat: source.ThreatSubject, status: str, at: float) -> _Kept:
        """Record the threat's status, unless a later change is known, since processes may overtake each other.

        Versions say which change is the later one, and times only for events that were stored without.
        """
        table, db = tables.threats, self._transaction.db
        id, version = clip_text(threat.threat_id, 200), version_of(self._event)
        values = {
            "threat": id,
            "correlation_id": self._correlation_id,
            "type": clip_text(threat.type),
            "severity": clip_text(threat.severity, 20),
            "source": clip_text(threat.source),
            "status": clip_text(status, 20),
            "status_at": at,
            "detected_at": at,
            "version": version,
        }
        if db.execute(insert_into(db, table).on_conflict_do_nothing().values(values)).rowcount == 1:
            return _Kept(fresh=True, reopened=False, settled=status in _SETTLED)
        before = db.execute(select(table.c.status).where(table.c.threat == id)).scalar_one()
        unversioned = and_(table.c.version == 0, table.c.status_at <= at)
        later = table.c.version <= version if version else unversioned
        new = {name: values[name] for name in ("status", "status_at", "severity", "version")}
        fresh = db.execute(update(table).where(table.c.threat == id, later).values(new)).rowcount == 1
        was, is_now = before in _SETTLED, status in _SETTLED
        return _Kept(fresh, reopened=fresh and was and not is_now, settled=fresh and is_now and not was)


def _severity(name: str) -> Severity:
    return Severity(name) if name in Severity.__members__ else Severity.MEDIUM


def _threat_text(threat: source.ThreatSubject, what: str, reason: str) -> str:
    return f"threat {threat.threat_id} {what}" + (f": {reason}" if reason else "")


def _summary(event: Event) -> str:
    """One line about an event of any type."""
    for key in _SUMMARY_KEYS:
        words = event.payload.get(key)
        if isinstance(words, str) and words:
            return f"{event.type}: {words}"
    return event.type

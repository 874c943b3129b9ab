"""What each event of the stream means for incidents; the projection's `apply`.

`threat.escalated` and `immune.critical_event` open the incident of their story, or find it open. Whatever else happens
in the story joins its timeline and moves it along; when all its threats are settled and its health is healed, it is
resolved by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, cast

from sqlalchemy import Connection, select, update

from brain.charter import Event, Severity
from brain.charter import IncidentState as State
from brain.immune.events import CRITICAL_EVENT, CriticalHealthEvent
from brain.incidents import tables
from brain.incidents.evidence import DECISION, Evidence
from brain.incidents.models import (
    STORY,
    Incident,
    Return,
    comes_back,
    plain,
    story_of,
)
from brain.incidents.settings import IncidentSettings
from brain.incidents.transaction import Ledger, Why, insert_or_ignore
from brain.threats.events import (
    DETECTED,
    ESCALATED,
    MITIGATED,
    STATUS_CHANGED,
    AboutThreat,
    ThreatDetected,
    ThreatEscalated,
    ThreatMitigated,
    ThreatStatusChanged,
)

SOURCE = "incidents_service"
PATTERN = "*"

_SETTLED = frozenset({"MITIGATED", "RESOLVED", "IGNORED"})
_HEALED = frozenset({"healed", "dismissed"})
_WORDS = {
    "INVESTIGATING": "is being investigated",
    "OPEN": "is open again",
    "RESOLVED": "is resolved",
    "IGNORED": "is ignored as a false positive",
}


class Item(Protocol):
    """What is taken of a projection's item."""

    @property
    def event(self) -> Event | None:
        """The event, or None for stored bytes that are none."""


class Taking:
    """Turns batches of events into incidents. `clock` gives the Unix time at which the outbox's rows are due."""

    def __init__(self, settings: IncidentSettings, clock: Callable[[], float]) -> None:
        self._settings = settings
        self._clock = clock

    def apply(self, db: Connection, items: Sequence[Item]) -> None:
        """Take a batch in the order of the stream, in the transaction of `db`.

        Raises EnvelopeError for an event whose payload is not what its type declares.
        """
        events = [item.event for item in items if item.event is not None and item.event.source != SOURCE]
        causes = _causes(db, events)
        told = [(event, causes.setdefault(event.id, plain(story_of(event, causes), STORY))) for event in events]
        ledger = Ledger(db, self._settings, self._clock())
        ledger.load(story for _, story in told)
        evidence = Evidence(db, self._settings.decision_window)
        evidence.remember(told)
        for event, story in told:
            _Taken(ledger, evidence, event, story, self._settings.reopen_window).take()


def _causes(db: Connection, events: Sequence[Event]) -> dict[str, str]:
    """The stories of the earlier events that caused some of these which name no story themselves."""
    wanted = [
        cause
        for event in events
        if not event.correlation_id and isinstance(cause := event.meta.get("causation_id"), str)
    ]
    if not wanted:
        return {}
    joined = tables.links.join(tables.incidents, tables.incidents.c.id == tables.links.c.incident)
    rows = db.execute(
        select(tables.links.c.event_id, tables.incidents.c.story)
        .select_from(joined)
        .where(tables.links.c.event_id.in_(wanted))
    )
    return {row.event_id: row.story for row in rows}


class _Taken:
    """One event at work."""

    def __init__(self, ledger: Ledger, evidence: Evidence, event: Event, story: str, reopen_window: float) -> None:
        self._ledger = ledger
        self._evidence = evidence
        self._event = event
        self._story = story
        self._window = reopen_window

    def take(self) -> None:
        """Do what the event means."""
        match self._event.type:
            case DETECTED.name:
                self._detected()
            case STATUS_CHANGED.name:
                self._status_changed()
            case ESCALATED.name:
                self._escalated()
            case MITIGATED.name:
                self._mitigated()
            case CRITICAL_EVENT.name:
                self._critical()
            case _:
                self._further()

    def _detected(self) -> None:
        payload = cast("ThreatDetected", DETECTED.check(self._event.payload))
        self._keep_threat(payload, payload["status"], payload["detected_at"])
        text = f"threat {payload['threat_id']} was detected: {payload['type']} from {payload['source']}"
        if incident := self._joined("threat", text):
            incident = self._ledger.worsen(
                incident, _severity(payload["severity"]), self._event.timestamp, self._why(text)
            )
            self._evidence.gather(incident, [payload["source"]], self._event.timestamp)

    def _status_changed(self) -> None:
        payload = cast("ThreatStatusChanged", STATUS_CHANGED.check(self._event.payload))
        status, old = payload["new_status"], payload["old_status"]
        fresh = self._keep_threat(payload, status, payload["changed_at"])
        if status not in _WORDS:  # an event of its own tells of these
            return
        text = _told(payload, _WORDS[status], payload["reason"])
        if status not in _SETTLED and old in _SETTLED and fresh and self._ledger.current(self._story) is not None:
            self._need(text, _severity(payload["severity"]), _title(payload), [payload["source"]])
            return
        incident = self._joined("threat", text)
        if incident is not None and fresh:
            if status == "INVESTIGATING" and incident.state is State.NEW:
                self._move(incident, State.IN_PROGRESS, text)
            elif status in _SETTLED:
                self._settle(incident)

    def _escalated(self) -> None:
        payload = cast("ThreatEscalated", ESCALATED.check(self._event.payload))
        self._keep_threat(payload, "ESCALATED", payload["escalated_at"])
        text = _told(payload, "was escalated", payload["reason"])
        likeness = f"{self._event.type} {payload['threat_id']}"
        incident = self._need(text, _severity(payload["severity"]), _title(payload), [payload["source"]], likeness)
        self._settle(incident)  # an escalation that arrives after the mitigation

    def _mitigated(self) -> None:
        payload = cast("ThreatMitigated", MITIGATED.check(self._event.payload))
        self._keep_threat(payload, "MITIGATED", payload["mitigated_at"])
        text = _told(payload, f"was mitigated after {payload['duration_seconds']:.0f} s", payload["reason"])
        if (incident := self._joined("threat", text)) is not None:
            incident = self._settle(incident)
            if incident.state is State.NEW:
                self._move(incident, State.IN_PROGRESS, text)

    def _critical(self) -> None:
        payload = cast("CriticalHealthEvent", CRITICAL_EVENT.check(self._event.payload))
        values = {
            "story": self._story,
            "number": payload["event_id"],
            "kind": plain(payload["kind"]),
            "module": plain(payload["module"]),
            "state": "open",
            "at": payload["critical_at"],
        }
        self._ledger.db.execute(insert_or_ignore(self._ledger.db, tables.health), values)
        text = f"{payload['kind']} of {payload['module']}: {payload['message']}"
        likeness = f"{self._event.type} {payload['kind']} {payload['module']}"
        self._need(text, Severity.CRITICAL, text, [payload["module"]], likeness)

    def _further(self) -> None:
        event = self._event
        incident = self._ledger.current(self._story)
        if incident is None or incident.state is State.CLOSED:
            return
        if event.type == DECISION:
            self._evidence.add(incident, event)
        elif event.type == "immune.event_published" and event.payload.get("kind") == "SELF_HEALING_ACTION":
            self._healing(incident)
        elif event.type != "immune.event_published" or event.payload.get("severity") != "CRITICAL":
            self._joined("event", _summary(event), f"{event.type} {event.target or ''}", tell=False)

    def _healing(self, incident: Incident) -> None:
        payload = self._event.payload
        details = payload.get("details")
        details = details if isinstance(details, Mapping) else {}
        outcome, heals = details.get("outcome"), details.get("heals")
        self._joined("health", f"healing of {payload.get('module')}: {payload.get('message')}")
        if outcome not in ("healed", "failed"):
            return
        table = tables.health
        which = table.c.number == heals if isinstance(heals, int) else table.c.module == plain(payload.get("module"))
        self._ledger.db.execute(
            update(table).where(table.c.story == self._story, which, table.c.state != "dismissed").values(state=outcome)
        )
        self._settle(incident)

    # what several of them do

    def _need(self, text: str, severity: Severity, title: str, agents: Sequence[str], likeness: str = "") -> Incident:
        """The story's incident, open: the one there is, reopened, or a new one."""
        at, ledger = self._event.timestamp, self._ledger
        incident = ledger.current(self._story)
        after = None if incident is None else comes_back(incident, at, self._window)
        if incident is None or after is Return.STARTS_ANEW:
            incident = ledger.open(self._story, title, severity, at, self._why(text))
        elif after is Return.REOPENS:
            incident = self._move(incident, State.IN_PROGRESS, f"it came back: {text}")
        else:
            incident = ledger.add(incident, at, "event", self._why(text), likeness)
        incident = ledger.worsen(incident, severity, at, self._why(text))
        ledger.link(incident, self._event.id, self._event.type, at)
        self._evidence.gather(incident, agents, at)
        return incident

    def _joined(self, kind: str, text: str, likeness: str = "", *, tell: bool = True) -> Incident | None:
        """The story's incident with the event in its timeline; None when there is none, or it is closed."""
        incident = self._ledger.current(self._story)
        if incident is None or incident.state is State.CLOSED:
            return None
        at = self._event.timestamp
        self._ledger.link(incident, self._event.id, self._event.type, at)
        return self._ledger.add(incident, at, kind, self._why(text), likeness or f"{kind} {text}", tell=tell)

    def _settle(self, incident: Incident) -> Incident:
        """Resolve the incident when nothing of its story is left to be done."""
        threats = [row.status for row in self._ledger.threats(self._story)]
        health = [row.state for row in self._ledger.health(self._story)]
        settled = all(status in _SETTLED for status in threats) and all(state in _HEALED for state in health)
        if not incident.open or not settled or not (threats or health):
            return incident
        reasons = []
        if threats:
            ignored = all(status == "IGNORED" for status in threats)
            reasons.append("all its threats are " + ("false positives" if ignored else "mitigated"))
        if health:
            reasons.append("its health is healed")
        return self._move(incident, State.RESOLVED, " and ".join(reasons))

    def _move(self, incident: Incident, state: State, text: str) -> Incident:
        return self._ledger.move(incident, state, self._event.timestamp, self._why(text))

    def _why(self, text: str) -> Why:
        return Why(plain(text, 1000), event_id=self._event.id)

    def _keep_threat(self, about: AboutThreat, status: str, at: float) -> bool:
        """Note where the threat stands; False when something newer is known: processes may overtake each other."""
        table, db = tables.threats, self._ledger.db
        id = plain(about["threat_id"], 200)
        values = {
            "threat": id,
            "story": self._story,
            "type": plain(about["type"]),
            "severity": plain(about["severity"], 20),
            "source": plain(about["source"]),
            "status": plain(status, 20),
            "status_at": at,
            "detected_at": at,
        }
        if db.execute(insert_or_ignore(db, table), values).rowcount == 1:
            return True
        changed = db.execute(
            update(table)
            .where(table.c.threat == id, table.c.status_at <= at)
            .values(status=values["status"], status_at=at, severity=values["severity"])
        )
        return changed.rowcount == 1


def _severity(name: str) -> Severity:
    return Severity(name) if name in Severity.__members__ else Severity.MEDIUM


def _title(about: AboutThreat) -> str:
    return f"{about['type']} from {about['source']}"


def _told(about: AboutThreat, what: str, reason: str) -> str:
    return f"threat {about['threat_id']} {what}" + (f": {reason}" if reason else "")


def _summary(event: Event) -> str:
    """One line about an event of any type."""
    for key in ("message", "reason", "description", "summary", "note", "rule_name"):
        words = event.payload.get(key)
        if isinstance(words, str) and words:
            return f"{event.type}: {words}"
    return event.type

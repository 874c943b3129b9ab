"""What a page says: the alerts, the links, the policy decisions behind them with their audit proofs, the timeline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import sqlalchemy as sa

from brain.alerting.grouping import Action
from brain.alerting.signals import SOURCE
from brain.audit.lookup import find_logged
from brain.charter import Event
from brain.errors import BrainError
from brain.logs import Log
from brain.stream import EventStream
from brain.stream.timeline import find_timeline

log = Log("brain.soc")

DECISIONS = 10
"""Decisions that a page carries, the latest; the page on the screen has all of them."""
STEPS = 20
"""Steps of the timeline that a page carries, the latest."""
BEFORE = 300.0
"""Seconds before an alert began in which its causes are looked for."""


@dataclass(frozen=True, kw_only=True)
class Page:
    """A message to one notifier, whole; each kind of notifier takes of it what it can show.

    `id` is the same whenever it is sent again. `links` are pairs of text and URL. Times are in Unix seconds.
    """

    id: str
    action: Action
    dedup_key: str
    severity: str
    summary: str
    at: float
    route: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    alerts: Sequence[Mapping[str, Any]] = ()
    alerts_total: int = 0
    held_back: Sequence[str] = ()
    held_back_total: int = 0
    links: Sequence[tuple[str, str]] = ()
    decisions: Sequence[Mapping[str, Any]] = ()
    timeline: Sequence[Step] = ()
    test: bool = False

    @property
    def title(self) -> str:
        """What it says, in a line."""
        return f"{'TEST: ' if self.test else ''}{_TITLE[self.action]}{self.summary}"

    def text(self) -> str:
        """What it says, for a person, without markup."""
        parts = [
            [f"{alert['severity']} {alert['state']}: {alert['summary']}" for alert in self.alerts],
            [f"held back: {summary}" for summary in self.held_back],
            ["Decisions behind it:" if self.decisions else "", *map(_decision_line, self.decisions)],
            ["What happened:" if self.timeline else "", *(f"{_clock(step.at)} {step.text}" for step in self.timeline)],
        ]
        return "\n\n".join("\n".join(filter(None, lines)) for lines in parts if any(lines))

    def document(self) -> dict[str, Any]:
        """All of it, as JSON values."""
        document = {one.name: getattr(self, one.name) for one in fields(self)}
        return {
            "type": "alert.page",
            **document,
            "action": self.action.value,
            "title": self.title,
            "links": [{"text": text, "url": url} for text, url in self.links],
            "timeline": [asdict(step) for step in self.timeline],
        }


_TITLE = {
    Action.TRIGGER: "",
    Action.UPDATE: "more: ",
    Action.REPEAT: "still: ",
    Action.ACKNOWLEDGE: "acknowledged: ",
    Action.RESOLVE: "resolved: ",
}


@dataclass(frozen=True)
class Step:
    """One thing that happened in the story of an alert."""

    at: float
    kind: str
    text: str
    event_id: str | None


def story_of(stream: EventStream, correlation_id: str, since: float) -> list[Event]:
    """The events of the story, in stream order, without this consumer's own. Blocks; raises Unavailable."""
    found = find_timeline(stream.backend, correlation_id, since - BEFORE)
    return [stored.event for stored in found if stored.event.source != SOURCE]


def timeline(events: Sequence[Event]) -> list[Step]:
    """The story told in a line each, the earliest first."""
    return [Step(event.timestamp, event.type, describe(event), event.id) for event in events if _told(event)]


def describe(event: Event) -> str:
    """What the event says, for a person."""
    told = event.payload
    match event.type:
        case "policy.rule_evaluated" | "policy.action_denied":
            effect = told.get("effect", "DENY")
            return f"{effect}: {told.get('agent_id')} {told.get('action')} {told.get('resource')}: {told.get('reason')}"
        case "threat.detected":
            return f"{told.get('severity')} {told.get('type')} from {told.get('source')}: {told.get('description')}"
        case "threat.status_changed":
            reason = f": {told['reason']}" if told.get("reason") else ""
            return f"{told.get('old_status')} -> {told.get('new_status')}{reason}"
        case "immune.event_published" | "immune.critical_event":
            return f"{told.get('severity')} {told.get('kind')} of {told.get('module')}: {told.get('message')}"
        case _:
            text = told.get("message") or told.get("summary") or told.get("reason") or ""
            return f"{event.type}{f': {text}' if text else ''}"


def decisions(events: Sequence[Event]) -> list[dict[str, Any]]:
    """The policy decisions of a story, the latest first: every one that was recorded, and denials recorded alone."""
    evaluated = [event for event in events if event.type == "policy.rule_evaluated"]
    if not evaluated:
        evaluated = [event for event in events if event.type == "policy.action_denied"]
    # What was let through without a word is seldom what a page is about.
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


def proofs(database: sa.Engine, event_ids: Sequence[str]) -> dict[str, dict[str, Any] | None]:
    """The audit proof of each event, or None while there is none; a page goes out without rather than not. Blocks."""
    found: dict[str, dict[str, Any] | None] = dict.fromkeys(event_ids)
    for id in event_ids:
        try:
            logged = find_logged(database, id)
        except BrainError as error:
            log.warning("no audit proof for a page", event_id=id, error=str(error))
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
    """Links to the page of the story and the threats: pairs of text and URL; none without a public URL."""
    if not public_url:
        return []
    found: list[tuple[str, str]] = []
    for alert in alerts:
        story = quote(alert["correlation_id"], safe="")
        if threat := alert["labels"].get("threat_id"):
            found.append((f"Threat {threat}", f"{public_url}/#/threats?story={story}"))
        else:
            found.append((f"Story {alert['correlation_id']}", f"{public_url}/#/alerts?story={story}"))
    return list(dict.fromkeys(found))[:10]


def _told(event: Event) -> bool:
    """Whether the event is no mere repetition of the one before it."""
    return event.type not in ("policy.action_denied", "threat.escalated", "threat.mitigated", "immune.critical_event")


def _decision_line(decision: Mapping[str, Any]) -> str:
    proof = decision.get("proof")
    told = (
        f"{decision['effect']}: {decision['agent']} {decision['action']} {decision['resource']}: {decision['reason']}"
    )
    if proof is None:
        return f"{told} (event {decision['event_id']}, not in the audit log yet)"
    return f"{told} (event {decision['event_id']}, entry {proof['index']} of {proof['tree_size']} in the audit log)"


def _clock(at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M:%S}Z"

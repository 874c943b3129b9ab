"""Detections: rules that turn events into a threat. There is one so far: an agent that is refused again and again.

A detection is a handler of a consumer group. The threats that it creates and the events that it publishes have the
correlation id of the event that completed it, because consumers run handlers in the context of their event.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping

from brain import limits
from brain.charter import Event, Severity
from brain.threats.models import EVENTS_NAMED, EVIDENCE_EVENTS, FIRST_SEEN
from brain.threats.service import ThreatService
from brain.threats.sightings import Sighting

GROUP = "brain.threats"
FORMER_GROUP = "threat-detections"
THREAT_TYPE = "policy_denials"
SEVERITY_FROM = ((100, Severity.CRITICAL), (25, Severity.HIGH), (0, Severity.MEDIUM))
"""Severity by the number of denials over the threat's life."""
AGENTS_WATCHED = 10_000
PENDING_KEPT = 1_000
"""Denials of one agent that wait for more of them, at most."""
IDS_REMEMBERED = 20_000
"""Reported denials of all agents that are remembered, to recognise one delivered again."""


class DenialDetection:
    """Makes one threat of each agent that is denied `at_least` actions `within` seconds.

    The next `at_least` denials count as evidence of the same threat, and raise its severity. Pending denials and the
    ids of those reported last are in memory and bounded; a restart forgets at most `at_least` - 1 denials of an agent.
    """

    def __init__(self, service: ThreatService, at_least: int = 5, within: float = 60.0) -> None:
        self._service = service
        self._at_least = at_least
        self._within = within
        self._pending: OrderedDict[str, dict[str, float]] = OrderedDict()  # by agent, the times by id
        self._reported: OrderedDict[str, None] = OrderedDict()

    async def handle(self, event: Event) -> None:
        """Count one `policy.action_denied`. Raises what the store raises; then give the event again."""
        name = event.payload.get("agent_id")
        if not isinstance(name, str) or not name:
            return  # nobody to blame
        name = name[: limits.NAME]
        if event.id in self._reported:
            return
        pending = self._pending_of(name)
        pending[event.id] = event.timestamp
        for id, timestamp in list(pending.items()):
            if timestamp < event.timestamp - self._within or len(pending) > PENDING_KEPT:
                del pending[id]
        if len(pending) < self._at_least:
            return
        batch = dict(pending)
        await self._service.record_sighting(_sighting(name, batch, event))
        for id in batch:
            pending.pop(id, None)
            self._reported[id] = None
        while len(self._reported) > IDS_REMEMBERED:
            self._reported.popitem(last=False)

    def _pending_of(self, name: str) -> dict[str, float]:
        pending = self._pending.setdefault(name, {})
        self._pending.move_to_end(name)
        if len(self._pending) > AGENTS_WATCHED:
            self._pending.popitem(last=False)
        return pending


def _sighting(name: str, batch: Mapping[str, float], last: Event) -> Sighting:
    return Sighting(
        key=f"{THREAT_TYPE} {name}",
        type=THREAT_TYPE,
        source=name,
        reading=next(iter(batch)),  # the first denial names the batch: the same when it has to be recorded again
        counts={"denials": len(batch)},
        last_seen=max(batch.values()),
        grade=lambda counts: next(severity for least, severity in SEVERITY_FROM if counts["denials"] >= least),
        describe=lambda counts: f"{counts['denials']} actions of this agent were denied",
        metadata={
            FIRST_SEEN: min(batch.values()),
            "agent_role": _short(last.payload.get("agent_role")),
            "last_action": _short(last.payload.get("action")),
            "last_resource": _short(last.payload.get("resource")),
            "last_rule_id": _short(last.payload.get("rule_id")),
            EVIDENCE_EVENTS: list(batch)[-EVENTS_NAMED:],
        },
    )


def _short(value: object) -> str | None:
    """A value from the agent, as a text that fits into the threat's metadata beside the others."""
    return None if value is None else str(value)[: limits.REASON]

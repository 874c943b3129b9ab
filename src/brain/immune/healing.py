"""Self-healing: a critical health event runs the action registered for its kind.

    @healing_action(HealthKind.AGENT_FAILURE)
    async def restart(incident: HealthEvent) -> str:
        await supervisor.restart(incident.module)
        return f"restarted {incident.module}"

The result is recorded as a health event SELF_HEALING_ACTION with the incident's correlation id: INFO and
`"outcome": "healed"`, or WARNING and `"outcome": "failed"` when the action raised or took too long. An action is run
once for an incident, and again when the process was killed before that was recorded: make actions idempotent.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, MutableMapping
from typing import TypeVar

from brain import limits
from brain.charter import Event, HealthKind, HealthSeverity
from brain.errors import InvalidInput
from brain.immune.models import HealthEvent
from brain.immune.service import ImmuneService
from brain.kit.healing import ACTIONS
from brain.logs import Log
from brain.store import Store
from brain.store.deletion_clock import deletion_clock

log: Log = Log("brain.healing")

GROUP = "brain.immune"
FORMER_GROUP = "immune-healing"
COLLECTION = "immune.healed"
TIMEOUT = 20.0
"""Seconds an action may take."""
STALE_AFTER = 600.0
"""Seconds after which an incident is not healed: it may be over, or something else by now."""

HealingAction = Callable[[HealthEvent], Awaitable[str] | str]
"""Deals with an incident, and returns a sentence on what it did. Plain or async; a plain one runs in a thread."""

A = TypeVar("A", bound=HealingAction)


def healing_action(kind: HealthKind) -> Callable[[A], A]:
    """Register the decorated function for incidents of this kind.

    Raises InvalidInput for SELF_HEALING_ACTION: healing must not set off healing.
    """
    if kind is HealthKind.SELF_HEALING_ACTION:
        raise InvalidInput("kind: a SELF_HEALING_ACTION cannot be healed; register the action for its cause")

    def register(action: A) -> A:
        ACTIONS[kind] = action
        return action

    return register


class Healing:
    """Runs healing actions for critical health events."""

    def __init__(
        self,
        service: ImmuneService,
        store: Store,
        actions: MutableMapping[HealthKind, HealingAction] = ACTIONS,
        clock: Callable[[], float] | None = None,
        timeout: float = TIMEOUT,
    ) -> None:
        self._service = service
        self._store = store
        self._actions = actions
        self._clock = clock or service.clock
        self._timeout = timeout

    async def handle(self, event: Event) -> None:
        """Heal one `immune.critical_event`. Raises what the store raises; then give the event again."""
        payload = event.payload
        action = self._actions.get(payload["kind"])
        if action is None or payload["kind"] == HealthKind.SELF_HEALING_ACTION:
            return
        at: float = payload["critical_at"]
        if self._clock() - at > STALE_AFTER:
            log.warning(
                "incident not healed: it is too old", event_id=event.id, kind=payload["kind"], module=payload["module"]
            )
            return
        key = f"{int(at):012d} {event.id}"
        if await asyncio.to_thread(self._store.get, COLLECTION, key) is not None:
            return
        incident = HealthEvent(
            severity=HealthSeverity.CRITICAL,
            kind=payload["kind"],
            module=payload["module"],
            message=payload["message"],
            details=payload["details"],
            correlation_id=event.correlation_id,
            id=payload["event_id"],
            timestamp=at,
        )
        await self._service.publish_event(await self._run(action, incident))
        await asyncio.to_thread(self._mark_done, key)

    async def _run(self, action: HealingAction, incident: HealthEvent) -> HealthEvent:
        """Run the action; the health event that records its result."""
        name = getattr(action, "__name__", type(action).__name__)
        details = {"heals": incident.id, "action": name}
        try:
            async with asyncio.timeout(self._timeout) as limit:
                done = await _call(action, incident)
        except Exception as error:  # noqa: BLE001  (an action may raise anything; recorded and published)
            why = f"took more than {self._timeout:g} s" if limit.expired() else str(error)
            log.error("healing action failed", action=name, incident=incident.id, error=why)
            return HealthEvent(
                severity=HealthSeverity.WARNING,
                kind=HealthKind.SELF_HEALING_ACTION,
                module=incident.module,
                message=f"{name} failed: {why}"[: limits.TEXT],
                details={**details, "outcome": "failed", "error": f"{type(error).__name__}: {why}"[: limits.TEXT]},
                correlation_id=incident.correlation_id,
            )
        return HealthEvent(
            severity=HealthSeverity.INFO,
            kind=HealthKind.SELF_HEALING_ACTION,
            module=incident.module,
            message=str(done or f"{name} was run")[: limits.TEXT],
            details={**details, "outcome": "healed"},
            correlation_id=incident.correlation_id,
        )

    def _mark_done(self, key: str) -> None:
        """Store that this incident was dealt with, and delete the notes on stale ones."""
        self._store.put(COLLECTION, key, b"")
        now = min(self._clock(), deletion_clock(self._store)())
        stale = f"{max(0, int(now - 2 * STALE_AFTER)):012d}"
        for document in self._store.scan(COLLECTION, limit=20):
            if document.key < stale:
                self._store.delete(COLLECTION, document.key)


async def _call(action: HealingAction, incident: HealthEvent) -> object:
    def call() -> object:
        return action(incident)

    result = call() if inspect.iscoroutinefunction(action) else await asyncio.to_thread(call)
    return await result if inspect.isawaitable(result) else result

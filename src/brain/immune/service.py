"""The fleet's health: events recorded, announced on a stream, and summed up."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any, cast

import msgspec

from brain import limits
from brain.charter import HealthKind, HealthSeverity, current_meta
from brain.errors import Conflict, InvalidInput
from brain.immune.events import CRITICAL_EVENT, EVENT_PUBLISHED, CriticalHealthEvent, HealthEventPublished
from brain.immune.health_summary import FleetState, HealthSummary, ModuleHealth, by_module, summarise
from brain.immune.models import HealthEvent
from brain.immune.repository import KEEP, HealthRepository
from brain.kit.idempotency import content_digest
from brain.redaction import redacted
from brain.store import Store
from brain.store.memory import MemoryStore
from brain.stream.announcer import Announced, Announcer, EventDraft, announcer_for
from brain.stream.publisher import Publisher, check_publisher


class ImmuneService:
    """Records health events and summarises how healthy the fleet is.

    Without a store they live in memory. Without a stream nothing is announced, and all else works. The newest `keep`
    events are kept. `clock` gives Unix seconds. `fleet` tells what else is known of the fleet since a Unix
    time; without it the score is of health events alone. Every method raises Unavailable when the store does not
    answer.
    """

    def __init__(
        self,
        event_stream: Publisher | None = None,
        store: Store | None = None,
        clock: Callable[[], float] = time.time,
        keep: int = KEEP,
        fleet: Callable[[float], FleetState] | None = None,
    ) -> None:
        self._fleet = fleet
        check_publisher(event_stream)
        self.event_stream = event_stream
        self._store = MemoryStore() if store is None else store
        self._events = HealthRepository(self._store, keep)
        self.clock = clock
        self._announcer()  # from now on, so that what ended processes left is shipped without a change here

    async def publish_event(self, event: HealthEvent, *, key: str | None = None) -> int:
        """Record the event and announce it as `immune.event_published`, and `immune.critical_event` when CRITICAL.

        Returns its number, counted from 1 over all processes on this store. With a `key` the same call again records
        nothing, and returns the number of the first. Raises Conflict when the key recorded other content, InvalidInput
        for a bad key.
        """
        recorded = msgspec.structs.replace(
            event,
            message=redacted(event.message),
            details=redacted(event.details),
            timestamp=self.clock(),
            correlation_id=event.correlation_id or current_meta()["correlation_id"] or f"health_{secrets.token_hex(8)}",
        )
        announcer = self._announcer()
        number, announced = await asyncio.to_thread(self._record, recorded, key, announcer)
        await announcer.hand_over_async(announced)
        return number

    def _announcer(self) -> Announcer:
        return announcer_for(self.event_stream, self._store)

    def _record(self, event: HealthEvent, key: str | None, announcer: Announcer) -> tuple[int, Announced]:
        content = content_digest(event.severity, event.kind, event.module, event.message, event.details)
        keys = self._events.keys
        while True:  # ends: a turn that is overtaken finds what the other recorded under the key
            if (made := keys.find(key, content)) is not None:
                return int(made), Announced()
            numbered = msgspec.structs.replace(event, id=self._events.next_number())
            announced = announcer.prepare(_drafts(numbered))
            keyed = keys.changes(key, self._events.id_of(numbered.id), content)
            try:
                self._events.append(numbered, [*announced.changes, *keyed])
            except Conflict:
                if key is None:
                    raise
                continue
            return numbered.id, announced

    def get_recent_events(
        self,
        limit: int = 100,
        severity: HealthSeverity | str | None = None,
        kind: HealthKind | str | None = None,
        module: str | None = None,
    ) -> list[HealthEvent]:
        """At most `limit` events that fit all filters, the newest first. Raises InvalidInput for a limit below 1.

        A plain call that reads the store: from a coroutine, run it by `asyncio.to_thread`.
        """
        limits.check_count("limit", limit)
        unfiltered = severity is None and kind is None and module is None
        fitting = (
            event
            for event in self._events.newest(limit if unfiltered else KEEP)
            if severity in (None, event.severity) and kind in (None, event.kind) and module in (None, event.module)
        )
        return list(islice(fitting, limit))

    def health_summary(self, minutes: float = 60) -> HealthSummary:
        """Counts, score, status and reasons over the last `minutes`, as far as the events are kept.

        Raises InvalidInput unless `minutes` is above 0. A plain call, as `get_recent_events`.
        """
        since = self._since(minutes)
        state = self._fleet(since) if self._fleet is not None else FleetState()
        known = state != FleetState() or bool(self._events.newest(1))
        return summarise(self._events.since(since), minutes, state, known=known)

    def health_by_module(self, minutes: float = 60) -> list[ModuleHealth]:
        """The score of each module that has health events of the last `minutes`, the least healthy first.

        Raises InvalidInput unless `minutes` is above 0. A plain call, as `get_recent_events`.
        """
        return by_module(self._events.since(self._since(minutes)))

    def _since(self, minutes: float) -> float:
        if not minutes > 0:
            raise InvalidInput(f"minutes: {minutes} is too small; use a number above 0")
        return self.clock() - minutes * 60


def _drafts(event: HealthEvent) -> Iterator[EventDraft[Any]]:
    """The events that tell of it."""
    about: dict[str, Any] = {
        "event_id": event.id,
        "severity": event.severity,
        "kind": event.kind,
        "module": event.module,
        "message": event.message,
        "details": event.details,
    }
    meta = {"correlation_id": event.correlation_id}
    yield EventDraft(EVENT_PUBLISHED, cast(HealthEventPublished, {**about, "published_at": event.timestamp}), meta)
    if event.severity is HealthSeverity.CRITICAL:
        yield EventDraft(CRITICAL_EVENT, cast(CriticalHealthEvent, {**about, "critical_at": event.timestamp}), meta)
